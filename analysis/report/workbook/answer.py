"""The first sheet: the question, what came out, a line for each arm, a chart, and all other sheets.

In: the answer at a glance, and what the other sheets are. Out: the sheet on which the workbook
opens. It stands alone because it is the only one that is read from top to bottom. Values, intervals
and marks are those of the cards of the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import words
from analysis.report.document import Content
from analysis.report.glance import Card, Glance, Reading
from analysis.report.glance.cards import MOST_RATIO
from analysis.report.tables import Column, of_kind
from analysis.report.workbook.book import (
    ACCENT,
    RULE,
    SOFT,
    WARNING,
    Book,
    Format,
    Placed,
    internal,
    lines_height,
)
from analysis.report.workbook.charts import Native, final_chart, insert
from analysis.report.workbook.sheets import with_bars

NAME = "Answer"
MOST_LINES = 40  # arms in the table and along the axis of its chart
WIDTHS = (10, 10, 10, 17, 34, 9, 9, 17, 10, 10, 10, 17, 10, 10)
WIDE = 14  # columns that texts stand over
NARROW, BROAD = 18, 44  # a column of names
MARKS = {"better": "#007A5A", "worse": "#B3261E", "equivalent": "#1D4F7C", "not known": SOFT}


@dataclass(frozen=True)
class Entry:
    """A line of the list of sheets."""

    name: str
    what: str
    n_rows: int | None = None


class AnswerSheet:
    """The first sheet: it is begun before the others, so that it is the first, and written last."""

    def __init__(self, book: Book, content: Content):
        self.book, self.content = book, content
        self.sheet, self.name = book.sheet(NAME)
        self.row = 0
        self.widths: tuple[float, ...] = ()

    def write(self, entries: Sequence[Entry], charts: Sequence[Native]) -> None:
        """All of it. charts: what is drawn beside the chart of final values."""
        glance = self.content.glance
        self.widths = (*_name_widths(glance), *WIDTHS)
        for k, width in enumerate(self.widths):
            self.sheet.set_column(k, k, width)
        self._words(glance)
        natives = [*self._cards(glance), *charts]
        if natives:
            self.row = insert(self.sheet, natives, self.row + 1, (0, 5))
        self._list(entries)
        self.sheet.print_area(0, 0, self.row, WIDE - 1)
        self.sheet.activate()

    def _words(self, glance: Glance) -> None:
        form = self.book.format
        title = form(bold=True, font_size=18, font_color=ACCENT, text_wrap=True)
        self._line(self.content.title, title, 1.7)
        if glance.stand_in:
            warning = form(bold=True, bg_color=WARNING, font_color="#8A5A00", text_wrap=True)
            self._line(glance.stand_in, warning, 1.0)
        answer = form(bold=True, font_size=13, text_wrap=True)
        self._line(glance.sentence, answer, 1.25)
        for text in (glance.reasons, glance.more, *glance.reservations, self.content.facts):
            if text:
                self._line(text, self.book.soft, 1.0)

    def _line(self, text: str, form: Format, size: float) -> None:
        """A text over the whole width."""
        width = sum(self.widths[:WIDE])
        self.sheet.merge_range(self.row, 0, self.row, WIDE - 1, "", form)
        self.sheet.write_string(self.row, 0, words.one_way(text), form)
        self.sheet.set_row(self.row, size * lines_height(text, width / size) + 5)
        self.row += 1

    def _cards(self, glance: Glance) -> list[Native]:
        """The table of arms; returns the chart of its final values."""
        cards = (*glance.cards, *glance.others)[:MOST_LINES]
        if not cards:
            return []
        self.row += 1
        heads = self.book.format(bold=True, font_color=ACCENT, bottom=1, bottom_color=RULE)
        of_first = cards[0].readings
        for (left, right), reading in zip(((2, 5), (6, 9), (10, 13)), of_first, strict=True):
            in_points = any(
                reading.name == r.name and r.numbers.kind == "points_plain"
                for card in cards
                for r in card.readings
            )
            unit = " (points)" if in_points else ""
            self.sheet.merge_range(self.row, left, self.row, right, "", heads)
            self.sheet.write_string(self.row, left, reading.name + unit, heads)
        frame = pd.DataFrame([_line_of(card) for card in cards])
        frame = with_bars(frame, "final", "final_low", "final_high")
        self.book.cells(self.sheet, self.row + 1, frame, _COLUMNS, _KINDS)
        top = self.row + 2
        for k, card in enumerate(cards):
            for name, reading in zip(_NAMES, card.readings, strict=True):
                mark = self.book.format(
                    bold=True, indent=1, font_color=MARKS.get(reading.mark, SOFT)
                )
                self.sheet.write_string(top + k, _KEYS.index(f"{name}_mark"), _mark(reading), mark)
        self.row = top + len(cards)
        self.sheet.write_string(self.row, 0, NOTE, self.book.format(font_color=SOFT))
        self.row += 1
        left_out = len(glance.cards) + len(glance.others) - len(cards)
        if left_out:
            self._line(f"{left_out} more arms are on the sheet By arm.", self.book.soft, 1.0)
        known = frame[frame["final"].notna()]
        if known.empty:
            return []
        placed, title = Placed(self.sheet, self.name, _KEYS, len(cards), top), of_first[0].name
        return [final_chart(self.book, placed, known, "final", self.content.findings, title)]

    def _list(self, entries: Sequence[Entry]) -> None:
        self.sheet.write_string(self.row, 0, "The other sheets", self.book.title)
        self.row += 1
        for entry in entries:
            address = internal(entry.name)
            self.sheet.write_url(self.row, 0, address, self.book.link, entry.name)
            rows = "" if entry.n_rows is None else f" {words.plural(entry.n_rows, 'row')}."
            self.sheet.write_string(self.row, 1, f"{entry.what}{rows}")
            self.row += 1


_NAMES = ("final", "head_start", "spread")
_COLUMNS = (
    *of_kind("text", arm="Arm", control="Compared with"),
    *of_kind("number", final="Mean", final_low="From", final_high="To"),
    *of_kind("text", final_mark="Verdict", head_start="At its clearest"),
    *of_kind("number", head_start_low="From", head_start_high="To"),
    Column("head_start_mark", "Verdict"),
    *of_kind("number", spread="Mean", spread_low="From", spread_high="To"),
    Column("spread_mark", "Verdict"),
    *of_kind("number", final_down="Error bar, down", final_up="Error bar, up"),
)
_KEYS = tuple(column.key for column in _COLUMNS)
_KINDS = {c.key: f"{name}_kind" for c in _COLUMNS for name in _NAMES if c.key.startswith(name)}
NOTE = (
    "From … to: where the value may well lie with many new seeds (95 % intervals, each of one "
    "value alone). The verdict is against the arm that it is compared with."
)


def _name_widths(glance: Glance) -> tuple[float, float]:
    """Of the columns of arms and of controls, in characters."""
    cards = (*glance.cards, *glance.others)
    longest = [
        max((len(text) for text in texts), default=0)
        for texts in ([_arm(card) for card in cards], [card.control for card in cards])
    ]
    first, second = (min(BROAD, max(NARROW, length + 2)) for length in longest)
    return first, second


def _arm(card: Card) -> str:
    return f"{card.task}: {card.arm}" if card.task else card.arm


def _mark(reading: Reading) -> str:
    return reading.mark_words or reading.note


def _end(kind: str, value: float) -> float | str:
    """An end of an interval; of a ratio that says nothing any more, in words as on the card."""
    if kind == "ratio" and value < 1 / MOST_RATIO:
        return f"under {1 / MOST_RATIO:g}"
    return f"over {MOST_RATIO}" if kind == "ratio" and MOST_RATIO < value < math.inf else value


def _line_of(card: Card) -> dict[str, object]:
    line: dict[str, object] = {"arm": _arm(card), "control": card.control}
    for name, reading in zip(_NAMES, card.readings, strict=True):
        numbers = reading.numbers
        line |= {
            name: numbers.value,
            f"{name}_low": _end(numbers.kind, numbers.low),
            f"{name}_high": _end(numbers.kind, numbers.high),
            f"{name}_mark": _mark(reading),
            f"{name}_kind": numbers.kind,
        }
    way = card.head_start
    return line | {"head_start": " ".join(filter(None, (way.value, way.about)))}
