"""What a table of the report is: a frame, and how each of its columns is read.

In: a frame and its columns. Out: cells as a reader sees them. It stands alone because a `Table` is
described once and rendered by all that show tables: the page, the PDF, the workbook, LaTeX, CSV.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from analysis import words


@dataclass(frozen=True)
class Column:
    """One column: which of the frame's, its heading, and the kind of number (see `words.write`).

    `low` and `high` name the columns of an interval that is shown with the estimate; `sort`
    names a column of numbers to sort a text by; `share` one of fractions that stands in brackets
    after a count; `help` explains the heading. A column that is
    `more` is not among the first ones: the page shows it on request (“More columns”), the PDF and
    LaTeX leave it out, the workbook and CSV have it. The first columns of a table fit the page's
    width (about 1,000 px).
    """

    key: str
    label: str
    kind: str = "text"
    low: str = ""
    high: str = ""
    sort: str = ""
    help: str = ""
    more: bool = False
    share: str = ""

    @property
    def heading(self) -> str:
        """The label with the unit of its cells, which stand there without: `Accuracy (%)`."""
        unit = f" ({UNITS[self.kind]})" if self.kind in UNITS else ""
        return self.label if self.label.endswith(unit) else self.label + unit

    @property
    def is_number(self) -> bool:
        """Whether the column is set flush right."""
        return self.kind != "text"


UNITS = {"percent": "%", "share": "%", "points": "points", "points_plain": "points", "seconds": "s"}


def of_kind(kind: str, /, **labels: str) -> list[Column]:
    """Columns of one kind, each by its key and heading."""
    return [Column(key, label, kind) for key, label in labels.items()]


def further(*columns: Column) -> list[Column]:
    """The columns as ones that the page shows on request."""
    return [replace(column, more=True) for column in columns]


def with_interval(key: str, label: str, kind: str, prefix: str | None = None) -> Column:
    """A column of estimates with their intervals, as `Interval.columns(key, prefix)` names them."""
    prefix = f"{key}_" if prefix is None else prefix
    return Column(key, label, kind, f"{prefix}low", f"{prefix}high")


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    value: str  # what to sort by, "" for nothing measured
    is_number: bool


@dataclass(frozen=True)
class Table:
    """A table: `name` is that of its files, `note` a sentence on how to read it. The page shows
    its first `n_page` rows, the files have all of them. LaTeX has the columns `paper` where they
    are named, else the first ones, in a float for each value of the columns `paper_by`."""

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    note: str = ""
    n_page: int = 200
    paper: tuple[Column, ...] = ()
    paper_by: tuple[str, ...] = ()

    @property
    def first(self) -> Table:
        """The table with its first columns alone."""
        return replace(self, columns=tuple(c for c in self.columns if not c.more))

    def rows(self, limit: int | None = None) -> Iterator[list[Cell]]:
        """The cells, row by row, the first `limit` rows."""
        frame = self.frame if limit is None else self.frame.head(limit)
        for record in frame.to_dict("records"):
            yield [_cell(column, record) for column in self.columns]


def _cell(column: Column, record: dict[str, object]) -> Cell:
    value = record[column.key]
    if column.low:
        text = words.interval(column.kind, value, record[column.low], record[column.high])  # type: ignore[arg-type]
    else:
        text = words.write(column.kind, value)
    if column.share and value:
        text += f" ({100 * float(record[column.share]):.1f})"  # type: ignore[arg-type]
    if column.kind in UNITS:
        text = text.replace(" %", "").replace(" s", "")  # the heading has the unit, once
    key = record[column.sort] if column.sort else value
    missing = key is None or key != key
    place = f"{float(key):.10g}" if isinstance(key, int | float) else str(key)
    return Cell(text, "" if missing else place, column.is_number)
