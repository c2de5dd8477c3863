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

from datasets.sheet.labels import Labels
from datasets.sheet.looks.doubts import doubts_of
from datasets.sheet.looks.other_order import look_like_no_digits, looks_like
from datasets.sheet.looks.shapes import NO_DIGIT, evidence, probabilities
from datasets.sheet.looks.spelled import rows_of_texts
from datasets.sheet.paper.ink import WORKING_SIDE, Ink, find_ink
from datasets.sheet.reading.regroup import Sheet, as_spelled, in_rows, of_one_label_a_row
from datasets.sheet.reading.sorted_rows import all_rows, rows_of_set
from datasets.sheet.strokes.cut import cut_out, pen_width
from datasets.sheet.strokes.marks import (
    Mark,
    digit_size,
    digits_and_small,
    find_marks,
    grouped,
    without_frames,
)
from datasets.sheet.strokes.noted import HEADING, SMALL, Noted
from datasets.sheet.strokes.split import split_tall
from datasets.sheet.strokes.walls import without_walls

MOST_PIECES = 5000  # of ink; more are a texture, and no sheet
_NARROWEST = 12  # pixels of the shorter side at working size: in less there is no row of digits
_SENSITIVITIES = (1.0, 1.7, 0.6)
_UPRIGHT = 0.15  # nats a digit in favour of the photograph as it lies
_CERTAIN = 1.3  # nats a digit: the photograph lies right, no other way up need be tried
_CONVINCING = 0.8  # nats a digit: no other sensitivity need be tried
_TURNED = 0.5  # nats a digit: a turned sheet is read only where it fits that well
_OTHER_SIZE = 0.25  # of the logarithm: sizes of digits that are worth a reading each
_WITH_TABLE = 5.0  # nats: what a reading of the dark surroundings must bring to be believed


@dataclass(frozen=True)
class Reading:
    """The digits of one photograph.

    `quarters`: counter-clockwise quarter turns that brought the sheet upright. `ink`: of the
    upright sheet. `rows`: the marks, row by row (column by column where labels go by column).
    `labels`: of each row, one character a mark; None where the rows do not fit the labels.
    `support`: evidence of the shapes for these labels, nats a digit; `left_out`: marks as large
    as digits that are none of the set; `doubts`: digits that a person should check. `with_table`:
    dark surroundings were searched for digits too. `looks_like`: where the rows fit and were
    refused: what is written there as it seems; empty where it looks like no digits at all.
    """

    quarters: int
    ink: Ink
    rows: tuple[tuple[Mark, ...], ...]
    labels: tuple[str, ...] | None
    support: float = 0.0
    left_out: tuple[Noted, ...] = ()
    doubts: tuple[Noted, ...] = ()
    with_table: bool = False
    looks_like: str | None = None

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
    if WORKING_SIDE * min(photo.shape[:2]) < _NARROWEST * max(photo.shape[:2]):
        return Reading(0, Ink.none(), (), None)
    by_turn, unfit = _readings_by_turn(photo, labels)
    if not by_turn:
        return unfit
    best = max(by_turn.values(), key=lambda reading: reading.total_support)
    if labels.has_digits and best.support <= (_TURNED if best.quarters else 0):
        if 0 not in by_turn:
            return unfit
        clearest = max(by_turn.values(), key=_clearness)
        looks_like = _looks_like_others(clearest, labels)
        if looks_like is not None:
            return replace(clearest, labels=None, looks_like=looks_like)
        best = by_turn[0]
    assert best.labels is not None, "only readings that fit were kept"
    cuts = [ink for row in _cut_rows(best) for ink in row]
    if look_like_no_digits(cuts, "".join(best.labels)):
        return replace(best, labels=None, looks_like="")
    return replace(best, doubts=doubts_of(best.ink, best.rows, best.labels))


def _readings_by_turn(photo: np.ndarray, labels: Labels) -> tuple[dict[int, Reading], Reading]:
    """Quarter turns → the best reading that fits the labels; and one that does not fit them.

    Further turns and sensitivities are tried until a reading convinces. Where no label is a digit
    shapes say nothing, and the first reading that fits is taken.
    """
    best: dict[int, Reading] = {}
    unfit: Reading | None = None
    for sensitivity in _SENSITIVITIES:
        inks = _inks(photo, sensitivity)
        for quarters in range(4 if labels.has_digits else 1):
            for reading in _readings(inks, quarters, labels):
                if reading.labels is None:
                    unfit = unfit or reading
                elif quarters not in best or reading.total_support > best[quarters].total_support:
                    best[quarters] = reading
            if best and (not labels.has_digits or _certain(best.get(0))):
                return {quarters: best[quarters]}, best[quarters]
        if any(reading.support > _CONVINCING for reading in best.values()):
            break
    return best, unfit or Reading(0, Ink.none(), (), None)


def _certain(reading: Reading | None) -> bool:
    return reading is not None and reading.support > _CERTAIN


def _cut_rows(reading: Reading) -> list[list[np.ndarray]]:
    return [[cut_out(reading.ink, mark) for mark in row] for row in reading.rows]


def _clearness(reading: Reading) -> float:
    """How clearly the marks are digits, whichever, in nats a mark."""
    inks = [ink for row in _cut_rows(reading) for ink in row]
    shares = probabilities(inks)[:, :NO_DIGIT].max(axis=1)
    return float(np.log(np.maximum(shares, 0.01)).mean()) + (
        _UPRIGHT if not reading.quarters else 0
    )


def _looks_like_others(reading: Reading, labels: Labels) -> str | None:
    """What stands there if it clearly is not what the labels say; empty where it is no digits."""
    assert reading.labels is not None, "only readings that fit are asked"
    rows = _cut_rows(reading)
    if look_like_no_digits([ink for row in rows for ink in row], "".join(reading.labels)):
        return ""
    return looks_like(rows, reading.labels) if labels.kind != "class" else None


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
        pieces, pen = without_walls(without_frames(pieces)), pen_width(ink.mask)
        for size in _sizes(pieces, labels):
            for sheet in _sheets(ink, pieces, size, pen, labels):
                yield replace(_read(sheet, labels, quarters), with_table=number > 0)


def _sizes(pieces: Sequence[Mark], labels: Labels) -> list[float]:
    """How large the digits may be: as most ink is, and as the largest pieces are."""
    sizes = [digit_size(pieces)]
    n = labels.n_expected
    if n is not None and len(pieces) >= n:
        largest = sorted(pieces, key=lambda piece: -piece.area)[:n]
        size = float(np.median([piece.size for piece in largest]))
        if abs(np.log(size / sizes[0])) > _OTHER_SIZE:
            sizes.append(size)
    return sizes


def _sheets(
    ink: Ink, pieces: Sequence[Mark], size: float, pen: float, labels: Labels
) -> Iterator[Sheet]:
    """The rows that the pieces may stand in, if digits are of this size."""
    digits, small = digits_and_small(grouped(pieces, size), size)
    for marks in _tall_variants(digits, size, pen):
        for lines, left_out in rows_of_set(ink, marks, size, labels) if marks else ():
            yield Sheet(ink, size, pen, lines, in_rows(lines, small, size, labels), left_out)
        if labels.kind == "text" and marks:
            lines = all_rows(marks, size)
            chosen = rows_of_texts(ink, lines, labels.lines, size, pen)
            if chosen is not None:
                rows = tuple(lines[i] for i in chosen)
                rest = [m for i, line in enumerate(lines) if i not in chosen for m in line]
                left_out = tuple(Noted(mark, HEADING) for mark in rest)
                yield Sheet(ink, size, pen, rows, in_rows(rows, small, size, labels), left_out)


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


def _read(sheet: Sheet, labels: Labels, quarters: int) -> Reading:
    given = labels.of_lines([len(line) for line in sheet.lines])
    if labels.kind == "text":
        sheet = as_spelled(sheet, labels)
    elif given is not None and labels.kind in ("rows", "class"):
        sheet = of_one_label_a_row(sheet, labels, [label[0] for label in given])
    ink, lines = sheet.ink, sheet.lines
    left_out = (*sheet.left_out, *(Noted(mark, SMALL) for row in sheet.small for mark in row))
    given = labels.of_lines([len(line) for line in lines])
    if given is None:
        return Reading(quarters, ink, lines, None, left_out=left_out)
    inks = [cut_out(ink, mark) for line in lines for mark in line]
    support = float(evidence(inks, "".join(given)).mean())
    if quarters == 0:
        support += _UPRIGHT + 2 / len(inks)
    return Reading(quarters, ink, lines, given, support, left_out)
