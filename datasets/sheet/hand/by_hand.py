"""A read sheet and what a person says of it → the sheet put right.

In: a `Reading` and the `Correction` of its photograph. Out: a `Reading` with the dropped marks gone
and the placed digits in their rows. It stands alone because what a person says holds however the
sheet was read: nothing is asked of the reader but its marks, its rows and its labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from datasets.sheet.hand.boxes import Frame
from datasets.sheet.hand.corrections import Correction, Placed
from datasets.sheet.hand.fates import Fates, fates_of_marks
from datasets.sheet.paper.ink import Ink, find_ink
from datasets.sheet.photos import Photo
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark, find_marks, join
from headstart.errors import DataError

_FAINT = 0.4  # of the darkest ink in a box that the reader saw no stroke in
_SPECK, _SCRAP = 0.03, 0.15  # of the largest piece in a box; a scrap reaches the box's edge
_LEAST_DARKNESS = 0.03  # share of the light; less is bare paper
_NEW_ROW = 0.75  # of the digit's longer side, from the nearest row


@dataclass(frozen=True)
class _Digit:
    """A mark with its label; None: nobody has said one."""

    mark: Mark
    label: str | None


def corrected(reading: Reading, photo: Photo, correction: Correction | None) -> Reading:
    """The reading of `photo` with a person's correction; the same one where there is none.

    A mark goes where over half of its ink lies in boxes of the correction. Where a box is that of
    the marks which go for it, they are the digit, as they are; else all ink in it is, but for that
    of digits which stay, of marks that were dropped inside of it, specks, and ends of strokes that
    come in from outside. Labels of other digits stay;
    where the sheet had none, they follow from the places of all digits, as far as these fit now,
    and are None otherwise.

    Raises:
        DataError: a box has no ink in it, or no digit is left.
    """
    if correction is None or correction == Correction():
        return reading
    if not reading.ink.mask.size:  # it was taken for no sheet
        reading = replace(reading, ink=find_ink(photo.image))
    fates = fates_of_marks(reading, photo, correction)
    marks = _marks(reading, photo, correction.digits, fates)
    rows = _rows(reading, correction.digits, marks, fates, photo.noun == "column")
    if not rows:
        raise DataError(f"{photo.path}: the corrections leave no digit on it; leave it out")
    kept = {id(digit.mark) for row in rows for digit in row}
    return replace(
        reading,
        ink=_firm(reading.ink, marks),
        rows=tuple(tuple(digit.mark for digit in row) for row in rows),
        labels=_labels(reading, photo, rows),
        left_out=tuple(item for item in reading.left_out if id(item.mark) not in fates.gone),
        doubts=tuple(item for item in reading.doubts if id(item.mark) in kept),
    )


def _marks(reading: Reading, photo: Photo, digits: Sequence[Placed], fates: Fates) -> list[Mark]:
    """The mark of each placed digit."""
    tolerance = 1 + math.ceil(reading.ink.scale)  # boxes are in whole pixels of the photograph
    exact = [
        join(claim) if claim and _is_box_of(frame, claim, tolerance) else None
        for frame, claim in zip(fates.frames, fates.claims, strict=True)
    ]
    staying = [mark for row in reading.rows for mark in row if id(mark) not in fates.gone]
    others = _covered((*staying, *(mark for mark in exact if mark)), reading.ink.mask.shape)
    marks = []
    for placed, frame, mark, erased in zip(digits, fates.frames, exact, fates.erased, strict=True):
        taken = others | _covered(erased, others.shape) if erased else others
        mark = mark or _ink_in(frame, reading.ink, taken)
        if mark is None:
            raise DataError(f"{placed.where}: {photo.path} has no ink in the box {placed.box}")
        marks.append(mark)
    return marks


def _is_box_of(frame: Frame, marks: Sequence[Mark], tolerance: int) -> bool:
    edges = (
        min(mark.left for mark in marks), min(mark.top for mark in marks),
        max(mark.right for mark in marks), max(mark.bottom for mark in marks),
    )  # fmt: skip
    return all(abs(a - b) <= tolerance for a, b in zip(frame, edges, strict=True))


def _covered(marks: Iterable[Mark], shape: tuple[int, ...]) -> np.ndarray:
    """bool (H, W): the ink of the marks."""
    covered = np.zeros(shape, bool)
    for mark in marks:
        covered[mark.top : mark.bottom, mark.left : mark.right] |= mark.mask
    return covered


def _ink_in(frame: Frame, ink: Ink, others: np.ndarray) -> Mark | None:
    """The ink in a frame, but for that of other digits; where no stroke was seen, what is dark."""
    left, top, right, bottom = frame
    free = ~others[top:bottom, left:right]
    pieces = find_marks(ink.mask[top:bottom, left:right] & free)
    if not pieces:
        darkness = ink.darkness[top:bottom, left:right] * free
        level = max(_LEAST_DARKNESS, _FAINT * float(np.percentile(darkness, 99)))
        pieces = find_marks(darkness > level)
    if not pieces:
        return None
    mark = join(_without_scraps(pieces, right - left, bottom - top))
    return Mark(mark.left + left, mark.top + top, mark.mask)


def _without_scraps(pieces: Sequence[Mark], width: int, height: int) -> list[Mark]:
    """Pieces of a box without specks, and without ends of strokes that come in from outside."""
    largest = max(piece.area for piece in pieces)

    def is_whole(piece: Mark) -> bool:
        comes_in = min(piece.left, piece.top) == 0 or piece.right == width or piece.bottom == height
        return piece.area >= (_SCRAP if comes_in else _SPECK) * largest

    return [piece for piece in pieces if is_whole(piece)]


def _firm(ink: Ink, marks: Sequence[Mark]) -> Ink:
    """The ink, with those digits as dark as the others in which the reader saw no stroke."""
    darkness = ink.darkness.copy()
    for mark in marks:
        rows, columns = slice(mark.top, mark.bottom), slice(mark.left, mark.right)
        if not (ink.mask[rows, columns] & mark.mask).any():
            part = darkness[rows, columns]
            level = float(np.percentile(part[mark.mask], 80))
            if 0 < level < ink.peak:
                part[mark.mask] = np.minimum(part[mark.mask] * (ink.peak / level), 1.0)
    return replace(ink, darkness=darkness)


def _rows(
    reading: Reading, digits: Sequence[Placed], marks: Sequence[Mark], fates: Fates, by_column: bool
) -> list[list[_Digit]]:
    """The digits that stay and those that were placed, row by row, without empty rows."""
    row_of = {id(mark): n for n, row in enumerate(reading.rows) for mark in row}
    rows = [
        [_Digit(m, label) for m, label in zip(row, of_row, strict=True) if id(m) not in fates.gone]
        for row, of_row in zip(reading.rows, _known(reading), strict=True)
    ]
    apart: list[_Digit] = []
    for placed, mark, claim in zip(digits, marks, fates.claims, strict=True):
        row = next((row_of[id(old)] for old in claim if id(old) in row_of), None)
        digit = _Digit(mark, placed.label)
        apart.append(digit) if row is None else rows[row].append(digit)
    rows = [row for row in rows if row]
    for digit in apart:
        _put_into_row(rows, digit, by_column)
    return [sorted(row, key=lambda digit: _place(digit, by_column)[0]) for row in rows]


def _place(digit: _Digit, by_column: bool) -> tuple[float, float]:
    """(along the row, across the rows), in working pixels."""
    mark = digit.mark
    return (mark.y, mark.x) if by_column else (mark.x, mark.y)


def _put_into_row(rows: list[list[_Digit]], digit: _Digit, by_column: bool) -> None:
    """Append to the row in which the digit lies, or insert a new row where it lies in none."""
    along, across = _place(digit, by_column)

    def away(other: _Digit) -> float:
        """How far a digit of a row is, in which those beside it count more than those far along."""
        their_along, their_across = _place(other, by_column)
        return math.hypot(0.3 * (their_along - along), their_across - across)

    nearest = [min(row, key=away) for row in rows]
    offsets = [across - _place(other, by_column)[1] for other in nearest]
    best = min(range(len(rows)), key=lambda n: away(nearest[n]), default=None)
    if best is not None and abs(offsets[best]) < _NEW_ROW * digit.mark.size:
        rows[best].append(digit)
        return
    rows.insert(sum(offset > 0 for offset in offsets), [digit])


def _known(reading: Reading) -> list[list[str | None]]:
    """The label of each digit; None where the rows did not fit the labels."""
    if reading.labels is None:
        return [[None] * len(row) for row in reading.rows]
    return [list(label) for label in reading.labels]


def _labels(
    reading: Reading, photo: Photo, rows: Sequence[Sequence[_Digit]]
) -> tuple[str, ...] | None:
    """The labels of each row; None where some digits have none and their places say none.

    Places say nothing where the rows fitted the labels and yet the reader refused the sheet.
    """
    was_refused = reading.labels is None and photo.labels.of_lines(reading.counts) is not None
    by_place = None if was_refused else photo.labels.of_lines([len(row) for row in rows])
    labels = [
        "".join(digit.label or (by_place[n][k] if by_place else "") for k, digit in enumerate(row))
        for n, row in enumerate(rows)
    ]
    fits = all(len(label) == len(row) for label, row in zip(labels, rows, strict=True))
    return tuple(labels) if fits else None
