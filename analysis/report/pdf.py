"""report.pdf: at most two pages of text, the figures on the pages after; typeset by typst.

In: the content of a report. Out: a PDF. It stands alone because it alone needs typst. All text goes
to the template as data, which typst never reads as markup, so that no name can break the
document. Fonts are those that typst brings along; the date is the last trial's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from analysis.figures.drawing import Drawing
from analysis.report.document import Content
from analysis.report.essay import write_essay
from analysis.report.tables import Table
from analysis.words import plural
from headstart.files import atomic_path

MOST_TEXT_PAGES = 2
SHORT_CELL = 24  # characters
MOST_FIGURES = 14
# Tried in turn until the text fits: size in points, answers, table rows, caveats.
DETAILS = ((10.2, 4, 10, 8), (9.6, 3, 8, 6), (9.2, 2, 6, 4), (9.0, 1, 4, 3), (8.6, 0, 3, 2))
MOST_CHARACTERS = 1500  # of one paragraph
EPOCH = datetime(1980, 1, 1, tzinfo=UTC)


def write_pdf(
    path: Path, content: Content, tables: Sequence[Table], footer: str, drawn: Sequence[Drawing]
) -> None:
    """Typeset the report to `path`, with these tables and figures.

    The text is set with less and less detail until it fits two pages; index.html has all of it.
    """
    import typst

    sources: dict[str, bytes] = {
        "main.typ": (files("analysis.report") / "templates" / "report.typ").read_bytes()
    }
    figures = [d for d in drawn if d.in_pdf][:MOST_FIGURES]
    sources |= {f"{k}.svg": d.svg.encode() for k, d in enumerate(figures)}
    shown = [_figure(k, d) for k, d in enumerate(figures)]
    stamp = stamp_time(content.findings.stamp)
    for size, n_answers, n_rows, n_caveats in DETAILS:
        at_top = content.top[:n_answers] if n_answers > 1 else ()
        data = {
            "title": content.title,
            "kicker": content.facts,
            "footer": footer,
            "size": size,
            "date": list(stamp.timetuple()[:6]),
            "answers": [
                {"lead": _cut(p.lead), "rest": _cut(p.rest) if n_answers > 1 else ""}
                for p in content.top[: max(n_answers, 1)]
            ],
            "caveats": _most([_cut(c, 300) for c in content.caveats], n_caveats),
            "tables": [_table(table, n_rows) for table in tables],
            "passages": [
                {"heading": p.heading, "paragraphs": [_cut(text) for text in p.paragraphs]}
                for p in write_essay(content.findings, content.answers, at_top, n_answers)
            ],
            "figures": shown,
        }
        sources["data.json"] = json.dumps(data).encode()
        if _text_pages(sources) <= MOST_TEXT_PAGES:
            break
    with atomic_path(path) as temporary:
        typst.compile(  # type: ignore[call-overload]
            sources,
            output=str(temporary),
            format="pdf",
            ignore_system_fonts=True,
            timestamp=int(stamp.timestamp()),
        )


def _text_pages(sources: dict[str, bytes]) -> int:
    import typst

    n_pages = typst.query(  # a mapping of file names to bytes, which typst's type hints leave out
        sources,  # type: ignore[type-var]
        "<text-pages>",
        field="value",
        one=True,
        ignore_system_fonts=True,
    )
    return int(json.loads(n_pages))


def stamp_time(stamp: str) -> datetime:
    """The stamp as a time; 1980 where trials have none, so that bytes stay the same."""
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return EPOCH


def _figure(k: int, drawing: Drawing) -> dict[str, object]:
    """Drawn at its own size, at most as wide as the text (6.6 inches)."""
    width = re.search(r'width="([\d.]+)pt"', drawing.svg)
    inches = float(width.group(1)) / 72 if width else 6.6
    return {
        "file": f"{k}.svg",
        "title": drawing.title,
        "caption": drawing.caption,
        "width": min(100.0, 100 * inches / 6.6),
    }


def _table(table: Table, n_rows: int) -> dict[str, object]:
    table = table.first
    rows = [[_unbroken(_cut(cell.text, 60)) for cell in row] for row in table.rows(n_rows)]
    more = len(table.frame) - n_rows
    return {
        "title": table.title,
        "columns": [{"label": c.heading, "number": c.is_number} for c in table.columns],
        "rows": rows,
        "more": f"{plural(more, 'more row')} in results.xlsx." if more > 0 else "",
    }


def _unbroken(text: str) -> str:
    """A short interval as one piece: one that breaks is hard to read."""
    return text.replace(" ", "\u00a0") if "[" in text and len(text) <= SHORT_CELL else text


def narrow(table: Table, keys: Sequence[str]) -> Table:
    """`table` with only the columns that a page has room for."""
    return replace(table, columns=tuple(c for c in table.columns if c.key in keys))


def _most(items: Sequence[str], limit: int) -> list[str]:
    if len(items) <= limit:
        return list(items)
    return [*items[:limit], f"{plural(len(items) - limit, 'further remark')} in index.html."]


def _cut(text: str, limit: int = MOST_CHARACTERS) -> str:
    """Where it has to be shorter, the text to the end of a sentence: half an interval misleads."""
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit - 1)
    return text[: end + 1] + " …" if end > 0 else text[: limit - 1] + "…"
