"""A photograph and its labels → every digit on it, cut out and labelled.

In: a photograph, uint8 (H, W, 3), and `Labels`. Out: a `Reading`. Where shape alone cannot tell
(which way up the sheet is, whether two strokes are one digit or two, how faint a stroke may be),
several readings are made, and that which fits the labels best is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from datasets.sheet.crossed_out import unlike_neighbours, without_crossed_out
from datasets.sheet.cut import cut_out, pen_width
from datasets.sheet.ink import Ink, find_ink
from datasets.sheet.labels import Labels
from datasets.sheet.marks import Mark, digit_size, find_marks, group_strokes, split_tall
from datasets.sheet.noted import DIRT, Noted
from datasets.sheet.regroup import regrouped, without_far_ends
from datasets.sheet.shapes import evidence
from datasets.sheet.sorted_rows import Lines, rows_of_set

MOST_PIECES = 5000  # of ink; more are a texture, and no sheet
_SENSITIVITIES = (1.0, 1.7, 0.6)
_UPRIGHT = 0.15  # nats a digit in favour of the photograph as it lies
_CERTAIN = 1.3  # nats a digit: the photograph lies right, no other way up need be tried
_CONVINCING = 0.8  # nats a digit: no other sensitivity need be tried
_WITH_TABLE = 5.0  # nats: what a reading of the dark surroundings must bring to be believed


@dataclass(frozen=True)
class Reading:
    """The digits of one photograph.

    `quarters`: counter-clockwise quarter turns that brought the sheet upright. `ink`: of the
    upright sheet. `rows`: the marks, row by row (column by column where labels go by column).
    `labels`: of each row, one character a mark; None where the rows do not fit the labels.
    `support`: evidence of the shapes for these labels, nats a digit; `left_out`: marks as large
    as digits that are none of the set; `doubts`: digits that a person should check. `with_table`:
    dark surroundings were searched for digits too.
    """

    quarters: int
    ink: Ink
    rows: tuple[tuple[Mark, ...], ...]
    labels: tuple[str, ...] | None
    support: float = 0.0
    left_out: tuple[Noted, ...] = ()
    doubts: tuple[Noted, ...] = ()
    with_table: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        """Digits in each row."""
        return tuple(len(row) for row in self.rows)

    @property
    def total_support(self) -> float:
        """Evidence of all digits together, in nats: what readings are compared by."""
        return self.support * sum(self.counts) - (_WITH_TABLE if self.with_table else 0.0)


def read_sheet(photo: np.ndarray, labels: Labels) -> Reading:
    """Find and label the digits of a photograph, uint8 (H, W, 3).

    `labels` of the result is None where no reading fits; its rows are then those of the
    photograph as it lies, for the message and the contact sheet.
    """
    reading = _best_reading(photo, labels)
    if reading.labels is None:
        return reading
    return replace(reading, doubts=unlike_neighbours(reading.ink, reading.rows, reading.labels))


def _best_reading(photo: np.ndarray, labels: Labels) -> Reading:
    best = Reading(0, Ink.none(), (), None)
    unfit: Reading | None = None
    for sensitivity in _SENSITIVITIES:
        inks = _inks(photo, sensitivity)
        for quarters in range(4):
            for reading in _readings(inks, quarters, labels):
                if reading.labels is None:
                    unfit = unfit or reading
                elif best.labels is None or reading.total_support > best.total_support:
                    best = reading
            if best.labels and quarters == 0 and best.support > _CERTAIN:
                return best
        if best.labels and best.support > _CONVINCING:
            return best
    if best.labels and best.support > 0:
        return best
    if unfit is None or (best.labels and best.quarters == 0):
        return replace(best, labels=None)
    return unfit


def _inks(photo: np.ndarray, sensitivity: float) -> list[Ink]:
    """The ink of the photograph; twice where it has a table, which may be a deep, sharp shadow."""
    ink = find_ink(photo, sensitivity)
    return [ink, find_ink(photo, sensitivity, off_table=False)] if ink.has_table else [ink]


def _readings(inks: Sequence[Ink], quarters: int, labels: Labels) -> Iterator[Reading]:
    """Readings of the inks when the sheet is turned by so many quarters."""
    for number, ink in enumerate(ink.turned(quarters) for ink in inks):
        pieces = find_marks(ink.mask)
        if not 0 < len(pieces) <= MOST_PIECES:
            continue
        size, pen = digit_size(pieces), pen_width(ink.mask)
        for marks in _tall_variants(group_strokes(pieces, size), size, pen):
            for lines, left_out in rows_of_set(ink, marks, size, labels) if marks else ():
                reading = _read(ink, quarters, lines, left_out, size, pen, labels)
                yield replace(reading, with_table=number > 0)


def _tall_variants(marks: list[Mark], size: float, pen: float) -> Iterator[list[Mark]]:
    """The marks as they are, and with tall ones cut where digits of two rows may touch."""
    yield marks
    cut = [
        (split_tall(mark, max(2, round(mark.height / size)), pen) or [mark])
        if mark.height > 1.5 * size
        else [mark]
        for mark in marks
    ]
    if any(len(parts) > 1 for parts in cut):
        yield list(itertools.chain.from_iterable(cut))


def _read(
    ink: Ink,
    quarters: int,
    lines: Lines,
    left_out: tuple[Noted, ...],
    size: float,
    pen: float,
    labels: Labels,
) -> Reading:
    if labels.kind == "text":
        lines, crossed_out = without_crossed_out(ink, lines, None, labels.expected(len(lines)))
        left_out += crossed_out
    given = labels.of_lines([len(line) for line in lines])
    if given is not None and labels.kind in ("rows", "class"):
        usual = float(np.median([len(line) for line in lines]))
        lines = tuple(
            regrouped(ink, line, label[0], size, pen, usual)
            for line, label in zip(lines, given, strict=True)
        )
        trimmed = [
            without_far_ends(ink, line, label[0]) for line, label in zip(lines, given, strict=True)
        ]
        left_out += tuple(Noted(mark, DIRT) for _, ends in trimmed for mark in ends)
        lines = tuple(line for line, _ in trimmed)
        wanted = labels.expected(len(lines))
        names = [label[0] for label in given]
        lines, crossed_out = without_crossed_out(ink, lines, names, wanted)
        left_out += crossed_out
        given = labels.of_lines([len(line) for line in lines])
    if given is None:
        return Reading(quarters, ink, lines, None, left_out=left_out)
    inks = [cut_out(ink, mark) for line in lines for mark in line]
    support = float(evidence(inks, "".join(given)).mean())
    if quarters == 0:
        support += _UPRIGHT + 2 / len(inks)
    return Reading(quarters, ink, lines, given, support, left_out)
