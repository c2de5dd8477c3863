"""The brief form: at most two pages of text, with the four evaluations and without figures.

In: the content of a report. Out: a PDF. It stands apart from the report because it has to fit: the
text is set with less and less detail until it does; index.html has all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis import words
from analysis.report.document import Content
from analysis.report.essay import write_essay
from analysis.report.evaluations import evaluation_table
from analysis.report.pdf.tables import narrow, table_data
from analysis.report.pdf.typeset import stamp_time, text_pages, write_pdf
from analysis.report.tables import Table

MOST_PAGES = 2
# Tried in turn until the text fits: size in points, answers, table rows, caveats.
DETAILS = (
    (10.2, 4, 10, 8),
    (9.6, 3, 8, 6),
    (9.2, 2, 6, 4),
    (9.0, 1, 6, 4),
    (9.0, 1, 4, 3),
    (8.6, 0, 3, 2),
)
MOST_CHARACTERS = 1500  # of one paragraph
MOST_CAVEAT = 300
COMPARISON_KEYS = ("task", "treatment", "control", "what", "verdict_shown", "found", "p_question")


def write_brief(path: Path, content: Content, footer: str) -> None:
    """Typeset the brief form to `path`."""
    tables = [evaluation_table(content.findings)]
    tables += [narrow(t, _arm_keys(t)) for t in content.tables["arms"]]
    tables += [narrow(t, COMPARISON_KEYS) for t in content.tables["verdicts"]]
    stamp = stamp_time(content.findings.stamp)
    for detail in DETAILS:
        data = _data(content, tables, footer, *detail)
        if text_pages(data, stamp) <= MOST_PAGES:
            break
    write_pdf(path, data, (), stamp)


def _data(
    content: Content,
    tables: Sequence[Table],
    footer: str,
    size: float,
    n_answers: int,
    n_rows: int,
    n_caveats: int,
) -> dict[str, Any]:
    glance, at_top = content.glance, content.top[:n_answers] if n_answers > 1 else ()
    more = " ".join(filter(None, (glance.reasons, glance.more, *glance.reservations)))
    return {
        "title": content.title,
        "kicker": content.facts,
        "footer": footer,
        "size": size,
        "stand_in": glance.stand_in,
        "answers": [
            {"lead": glance.sentence, "rest": more},
            *({"lead": _cut(p.lead), "rest": _cut(p.rest)} for p in at_top),
        ],
        "caveats": _most([_cut(c, MOST_CAVEAT) for c in content.caveats], n_caveats),
        "tables": [table_data(table, n_rows) for table in tables],
        "passages": [
            {"heading": p.heading, "paragraphs": [_cut(text) for text in p.paragraphs]}
            for p in write_essay(content.findings, content.answers, at_top, n_answers)
        ],
    }


def _arm_keys(table: Table) -> list[str]:
    """Columns of the table by arm for a page: the highest targets that anything reached."""
    keys = ["task", "arm", "n_done", "score", "train_time_s"]
    if table.frame["n_bad"].any():
        keys.append("n_bad")
    steps = [c.key for c in table.columns if c.sort]
    reached = [key for key in steps if np.isfinite(table.frame[f"{key}_sort"]).any()]
    return keys + (reached or steps)[-2:]


def _most(items: Sequence[str], limit: int) -> list[str]:
    if len(items) <= limit:
        return list(items)
    return [*items[:limit], f"{words.plural(len(items) - limit, 'further remark')} in index.html."]


def _cut(text: str, limit: int = MOST_CHARACTERS) -> str:
    """Where it has to be shorter, the text to the end of a sentence: half an interval misleads."""
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit - 1)
    return text[: end + 1] + " …" if end > 0 else text[: limit - 1] + "…"
