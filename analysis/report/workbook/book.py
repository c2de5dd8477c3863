"""An open workbook: how a sheet is laid out, printed and linked, whatever it holds.

In: tables and texts. Out: sheets of one kind: row 1 says what the sheet is, row 2 how to read it
and leads back to the first sheet, row 3 has the headings, which stay in sight and on every printed
page. It stands alone because it alone needs xlsxwriter. Texts are written as texts (a name that
begins with `=` is no formula), and the file's dates are the stamp of the report, so that a run
analysed twice gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import xlsxwriter
from xlsxwriter.utility import quote_sheetname, xl_range_abs

from analysis import words
from analysis.report.pdf.typeset import stamp_time
from analysis.report.tables import Column
from analysis.report.workbook.formats import held, look_of

Worksheet: TypeAlias = Any  # xlsxwriter comes without types
Format: TypeAlias = Any
HEADINGS = 2  # the row of headings, counted from 0
MOST_ROWS = 1_048_576 - HEADINGS - 1  # that a sheet of Excel has for a table
LONGEST = 32_767  # characters that a cell of Excel holds
WIDEST, NARROWEST = 60, 9  # columns, in characters
TEXT_WIDTH = 110  # characters of a line of running text
PAGE_WIDTH = 190  # characters that can still be read on one printed page
FROZEN = 45  # characters of columns that stay in sight
INK, SOFT, RULE, BAND = "#1D2329", "#5A6169", "#B8BEC5", "#EEF1F4"
ACCENT, WARNING = "#1D4F7C", "#FDF6E3"


@dataclass(frozen=True)
class Sheet:
    """A sheet that holds one table. `title` says what it is, `note` how to read it.

    kinds: columns of the frame that give, for each row, the kind of the column that is named so.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    note: str = ""
    kinds: tuple[tuple[str, str], ...] = ()

    @property
    def purpose(self) -> str:
        """One line for the list of sheets: the title and the first sentence of the note."""
        first = self.note.split(". ")[0].rstrip(".")
        return f"{self.title}. {first}." if first else f"{self.title}."


@dataclass(frozen=True)
class Placed:
    """A table that was written: where its cells are, for charts and links."""

    sheet: Worksheet
    name: str
    keys: tuple[str, ...]
    n_rows: int
    top: int = HEADINGS + 1

    def cells(self, key: str, first: int = 0, last: int | None = None) -> list[object]:
        """Rows `first` to `last` of a column, as xlsxwriter names a range."""
        last = self.n_rows - 1 if last is None else last
        k = self.keys.index(key)
        return [self.name, self.top + first, k, self.top + last, k]

    def cell(self, key: str, row: int) -> list[object]:
        """One cell of a column."""
        return [self.name, self.top + row, self.keys.index(key)]

    def formula(self, key: str, first: int, last: int) -> str:
        """The same as text: `='By arm'!$D$4:$D$9`."""
        k = self.keys.index(key)
        cells = xl_range_abs(self.top + first, k, self.top + last, k)
        return f"={quote_sheetname(self.name)}!{cells}"


class Book:
    """An open workbook, its formats and the names of its sheets."""

    def __init__(self, path: Path, stamp: str, title: str = "Headstart results"):
        self.file = xlsxwriter.Workbook(
            str(path),
            {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": False},
        )
        created = stamp_time(stamp).replace(tzinfo=None)
        self.file.set_properties({"title": title, "author": "Headstart", "created": created})
        self.first = ""
        self._names: set[str] = set()
        self._formats: dict[tuple[tuple[str, object], ...], Format] = {}

    def format(self, **settings: object) -> Format:
        """A format of cells; the same settings give the same one."""
        key = tuple(sorted(settings.items()))
        if key not in self._formats:
            self._formats[key] = self.file.add_format({"valign": "top", **settings})
        return self._formats[key]

    @property
    def title(self) -> Format:
        return self.format(bold=True, font_size=14, font_color=ACCENT)

    @property
    def soft(self) -> Format:
        return self.format(font_color=SOFT, text_wrap=True)

    @property
    def link(self) -> Format:
        return self.format(font_color=ACCENT, underline=1)

    def head(self, **settings: object) -> Format:
        """The format of a heading."""
        look = {"bold": True, "text_wrap": True, "valign": "vcenter", "bg_color": BAND}
        return self.format(**look, bottom=1, bottom_color=RULE, **settings)

    def sheet(self, name: str) -> tuple[Worksheet, str]:
        """A new sheet, set up to print on A4, and the name that it got."""
        name = self._free(sheet_name(name))
        sheet = self.file.add_worksheet(name)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.set_margins(left=0.5, right=0.5, top=0.6, bottom=0.6)
        sheet.set_footer("&L&A&RPage &P of &N")
        sheet.fit_to_pages(1, 0)
        sheet.hide_gridlines(2)
        self.first = self.first or name
        return sheet, name

    def _free(self, name: str) -> str:
        """`name`, with a number where a sheet is called so already (Excel reads A as a)."""
        number, free = 1, name
        while free.casefold() in self._names:
            number += 1
            free = f"{name[: 30 - len(str(number))]} {number}"
        self._names.add(free.casefold())
        return free

    def top(self, sheet: Worksheet, title: str, note: str, widths: Sequence[float]) -> None:
        """Rows 1 and 2: what the sheet is, the way back, how to read it."""
        sheet.write_string(0, 0, title, self.title)
        sheet.set_row(0, 22)
        if sheet.get_name() != self.first:
            sheet.write_url(1, 0, internal(self.first), self.link, f"← {self.first}")
        if note:
            last, width = 1, 0.0
            while last < 3 or (width < TEXT_WIDTH + 20 and last < 30):
                width += widths[last] if last < len(widths) else 8.4
                last += 1
            sheet.merge_range(1, 1, 1, last - 1, "", self.soft)
            sheet.write_string(1, 1, note, self.soft)
            sheet.set_row(1, lines_height(note, width))

    def texts(self, name: str, title: str, rows: Iterable[tuple[str, str]], note: str = "") -> str:
        """A sheet of headings (bold) and texts, two columns; returns its name."""
        sheet, name = self.sheet(name)
        sheet.set_portrait()
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, TEXT_WIDTH)
        self.top(sheet, title, "", ())
        sheet.write_string(1, 1, note, self.soft)
        bold, plain = self.format(bold=True, text_wrap=True), self.format(text_wrap=True)
        for k, (head, text) in enumerate(rows, HEADINGS):
            sheet.write_string(k, 0, head, bold)
            sheet.write_string(k, 1, words.one_way(_cell_text(text)), plain)
            sheet.set_row(k, max(lines_height(text, TEXT_WIDTH), lines_height(head, 26)) + 4)
        sheet.freeze_panes(HEADINGS, 0)
        return name

    def table(self, content: Sheet) -> Placed:
        """A sheet with one table: frozen headings, a filter, widths that fit."""
        sheet, name = self.sheet(content.name)
        frame, note = content.frame, content.note
        if len(frame) > MOST_ROWS:
            frame = frame.head(MOST_ROWS)
            left = len(content.frame) - MOST_ROWS
            note = (
                f"A sheet ends here: {left:,} more rows are in the folder tables/. {note}".strip()
            )
        widths = self.cells(sheet, HEADINGS, frame, content.columns, dict(content.kinds))
        for k, width in enumerate(widths):
            sheet.set_column(k, k, width)
        self.top(sheet, content.title, note, widths)
        n_frozen = _n_frozen(content.columns, widths)
        sheet.freeze_panes(HEADINGS + 1, n_frozen)
        sheet.repeat_rows(0, HEADINGS)
        if sum(widths) > PAGE_WIDTH:  # several pages side by side, each with the first columns
            sheet.fit_to_pages(math.ceil(sum(widths) / PAGE_WIDTH), 0)
            sheet.repeat_columns(0, n_frozen - 1)
        if len(frame) and content.columns:
            sheet.autofilter(HEADINGS, 0, HEADINGS + len(frame), len(content.columns) - 1)
        keys = tuple(column.key for column in content.columns)
        return Placed(sheet, name, keys, len(frame))

    def cells(
        self,
        sheet: Worksheet,
        top: int,
        frame: pd.DataFrame,
        columns: Sequence[Column],
        kinds: dict[str, str] | None = None,
    ) -> list[float]:
        """Headings in row `top`, the values below; returns the widths that fit, in characters."""
        widths, lines = [], 1
        for k, column in enumerate(columns):
            apart = bool(k) and columns[k - 1].is_number and not column.is_number
            place = {"align": "right"} if column.is_number else {"indent": int(apart)}
            sheet.write_string(top, k, column.label, self.head(**place))
            values = frame[column.key].tolist()
            of_row = frame[kinds[column.key]].tolist() if kinds and column.key in kinds else None
            widest = self._column(sheet, top + 1, k, values, column.kind, of_row, apart)
            word = max(map(len, column.label.split()), default=0) * 1.15
            width = min(WIDEST, max(widest, word, len(column.label) / 2.5, NARROWEST) + 2)
            widths.append(width)
            lines = max(lines, math.ceil(1.2 * len(column.label) / (width - 2)))
        sheet.set_row(top, 6 + 15 * lines)
        return widths

    def _column(
        self,
        sheet: Worksheet,
        top: int,
        k: int,
        values: Sequence[Any],
        kind: str,
        of_row: Sequence[str] | None,
        apart: bool = False,
    ) -> int:
        """Write the values of one column; returns the length of the longest text.

        apart: texts that follow a number, which stands flush right.
        """
        text, widest = self.format(num_format="@", indent=int(apart)), 0
        looks = {name: look_of(name, values) for name in set(of_row or [kind]) - {"text"}}
        for row, value in enumerate(values, top):
            if isinstance(value, str):
                sheet.write_string(row, k, _cell_text(value), text)
                widest = max(widest, len(value))
            elif value is None or value is pd.NA or value != value:
                sheet.write_blank(row, k, None, text)
            elif isinstance(value, bool):
                sheet.write_string(row, k, "yes" if value else "no", text)
            elif isinstance(value, float) and math.isinf(value):
                right = self.format(align="right")
                sheet.write_string(row, k, "∞" if value > 0 else "−∞", right)
            else:
                own = of_row[row - top] if of_row else kind
                number = held(own, float(value))
                form = looks[own].form(number) if own in looks else "General"
                sheet.write_number(row, k, number, self.format(num_format=form))
        return widest


def _n_frozen(columns: Sequence[Column], widths: Sequence[float]) -> int:
    """How many columns stay in sight: those at the left that say which row it is."""
    n, width = 0, 0.0
    for column, own in zip(columns, widths, strict=True):
        width += own
        if column.kind != "text" or (n and width > FROZEN):
            break
        n += 1
    return max(1, min(n, 3))


def internal(name: str, cell: str = "A1") -> str:
    """The address of a cell of this workbook: `internal:'By arm'!A1`."""
    return "internal:'{}'!{}".format(name.replace("'", "''"), cell)


def lines_height(text: str, width: float) -> float:
    """Points that a wrapped text needs in `width` characters."""
    lines = sum(max(1, math.ceil(1.06 * len(line) / width)) for line in text.split("\n"))
    return min(409.0, 15.5 * lines)  # Excel has no higher row


def sheet_name(name: str) -> str:
    """`name` as Excel allows it: at most 31 characters, none of []:*?/\\ and no quote at an end."""
    kept = "".join("-" if c in "[]:*?/\\" or ord(c) < 32 else c for c in name)
    kept = kept[:31].strip().strip("'") or "Sheet"
    return f"{kept} (sheet)" if kept.casefold() == "history" else kept


def _cell_text(text: str) -> str:
    """As much of a text as a cell holds."""
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"
