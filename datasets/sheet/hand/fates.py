"""What becomes of the marks that were read when a person has spoken.

In: a `Reading` and the `Correction` of its photograph. Out: which marks go, and which placed digit
each of them becomes a part of. It stands alone because the sheet put right and the page on which it
is put right must agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.sheet.hand.boxes import Frame, frame_of
from datasets.sheet.hand.corrections import Correction
from datasets.sheet.photos import Photo
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark

_GONE = 0.5  # of a mark's ink: where more lies in boxes of the person's, the person's count


@dataclass(frozen=True)
class Fates:
    """What becomes of the marks that were read, when a person has spoken.

    `frames`: of the placed digits. `gone`: the marks that do not stay, by their identity, in the
    order of the rows. `claims`: for each frame those that its digit is made of. `erased`: for each
    frame those that were dropped inside of it.
    """

    frames: Sequence[Frame]
    gone: Mapping[int, Mark]
    claims: Sequence[Sequence[Mark]]
    erased: Sequence[Sequence[Mark]]


def fates_of_marks(reading: Reading, photo: Photo, correction: Correction) -> Fates:
    """What becomes of each mark that was read."""
    frames = [frame_of(placed.box, photo, reading) for placed in correction.digits]
    dropped = [frame_of(drop.box, photo, reading) for drop in correction.drops]
    area = np.zeros(reading.ink.mask.shape, bool)
    for left, top, right, bottom in (*frames, *dropped):
        area[top:bottom, left:right] = True
    marks = _all_marks(reading)
    gone = {id(mark): mark for mark in marks if _inside(mark, area).sum() > _GONE * mark.area}
    inside = [(drop, _mostly_in(drop, gone.values())) for drop in dropped]
    erased = [_erased(frame, inside) for frame in frames]
    return Fates(frames, gone, _claims(gone.values(), frames, erased), erased)


def _all_marks(reading: Reading) -> list[Mark]:
    """The digits, row by row, then what was left out."""
    left_out = [item.mark for item in reading.left_out]
    return [*(mark for row in reading.rows for mark in row), *left_out]


def _mostly_in(frame: Frame, marks: Iterable[Mark]) -> list[Mark]:
    return [mark for mark in marks if _share(mark, frame) > _GONE]


def _erased(frame: Frame, dropped: Sequence[tuple[Frame, list[Mark]]]) -> list[Mark]:
    """The marks in dropped boxes that lie inside of a frame."""
    left, top, right, bottom = frame
    inner = {
        id(mark): mark
        for drop, marks in dropped
        if marks and left <= drop.left and top <= drop.top and drop != frame
        if drop.right <= right and drop.bottom <= bottom
        for mark in marks
    }
    return list(inner.values())


def _inside(mark: Mark, area: np.ndarray) -> np.ndarray:
    inside: np.ndarray = mark.mask & area[mark.top : mark.bottom, mark.left : mark.right]
    return inside


def _share(mark: Mark, frame: Frame) -> float:
    """How much of a mark's ink lies in a frame, 0..1."""
    left, top, right, bottom = frame
    if left >= mark.right or right <= mark.left or top >= mark.bottom or bottom <= mark.top:
        return 0.0
    rows = slice(max(0, top - mark.top), max(0, bottom - mark.top))
    columns = slice(max(0, left - mark.left), max(0, right - mark.left))
    return float(mark.mask[rows, columns].sum()) / mark.area


def _claims(
    gone: Iterable[Mark], frames: Sequence[Frame], erased: Sequence[Sequence[Mark]]
) -> list[list[Mark]]:
    """For each frame the marks that go for it: each for that which holds most of its ink.

    Of two that hold all of it the smaller one has it: a narrow digit may lie in its neighbour's
    box.
    """
    claims: list[list[Mark]] = [[] for _ in frames]
    taken = [{id(mark) for mark in marks} for marks in erased]
    for mark in gone:
        shares = [
            (_share(mark, frame), -_area(frame), -i)
            for i, frame in enumerate(frames)
            if id(mark) not in taken[i]
        ]
        best = max(shares, default=(0.0, 0, 0))
        if best[0] > 0:
            claims[-best[2]].append(mark)
    return claims


def _area(frame: Frame) -> int:
    return (frame.right - frame.left) * (frame.bottom - frame.top)


def idle_drops(reading: Reading, photo: Photo, correction: Correction | None) -> list[str]:
    """A note on each dropped box in which there is no mark at all; `reading` is uncorrected."""
    marks = _all_marks(reading)
    return [
        f"{drop.where}: {photo.path}: nothing was found in the box {drop.box} that could be dropped"
        for drop in (correction.drops if correction else ())
        if not _mostly_in(frame_of(drop.box, photo, reading), marks)
    ]
