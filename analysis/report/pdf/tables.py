"""Tables as a page of paper has room for them: which columns, and which rows where not all.

In: tables. Out: data for the template. It stands alone because what is left out must be said: a
table is never cut by the order of its rows, the surest stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis import words
from analysis.report.tables import Table

MOST_CELL = 160  # characters
SHORT_CELL = 24


@dataclass(frozen=True)
class Surest:
    """How rows are chosen where there is no room for all: those first in `key`.

    kind: of the rows that stay, in words; place: where the whole table is.
    """

    key: str
    ascending: bool
    kind: str
    place: str


SUREST = {
    "comparisons": Surest("p_question", True, "surest", "results.xlsx, sheet Comparisons"),
    "by_arm": Surest("score", False, "highest in final value", "results.xlsx, sheet By arm"),
}


def narrow(table: Table, keys: Sequence[str]) -> Table:
    """`table` with only these columns."""
    return replace(table, columns=tuple(c for c in table.columns if c.key in keys))


def table_data(table: Table, most_rows: int) -> dict[str, Any]:
    """A table for the template, its first columns, at most so many rows."""
    table = table.first
    kept, left_out = keep_surest(table, most_rows)
    rows = [[_unbroken(words_of(cell.text)) for cell in row] for row in kept.rows()]
    return {
        "title": table.title,
        "note": table.note,
        "columns": [{"label": c.heading, "number": c.is_number} for c in table.columns],
        "rows": rows,
        "more": left_out,
    }


def keep_surest(table: Table, most: int) -> tuple[Table, str]:
    """At most so many rows, in their order, and a sentence on the others ("" for none)."""
    n = len(table.frame)
    if n <= most:
        return table, ""
    rule = SUREST.get(table.name)
    if rule is None:
        kept = table.frame.head(most)
        return replace(table, frame=kept), f"{words.plural(n - most, 'row')} in results.xlsx."
    order = table.frame[rule.key].rank(ascending=rule.ascending, method="first")
    order = order.fillna(n)
    chosen = order.sort_values(kind="stable").index[:most]
    kept = table.frame[table.frame.index.isin(chosen)]
    verb = "is" if n - most == 1 else "are"
    return replace(table, frame=kept), (
        f"These are the {most:,} of {n:,} that are {rule.kind}; {n - most:,} more {verb} in "
        f"{rule.place}."
    )


def words_of(text: str) -> str:
    """A cell's text, cut only where it would fill the page."""
    return text if len(text) <= MOST_CELL else text[: MOST_CELL - 1] + "…"


def _unbroken(text: str) -> str:
    """A short interval as one piece: one that breaks is hard to read."""
    return text.replace(" ", "\u00a0") if "[" in text and len(text) <= SHORT_CELL else text
