"""A photograph and its labels → every digit on it, cut out and labelled.

In: a photograph, uint8 (H, W, 3), and `Labels`. Out: a `Reading`. Where shape alone cannot tell
(which way up the sheet is, whether two strokes are one digit or two, how faint a stroke may be),
several readings are made, and that which fits the labels best is taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from datasets.sheet_ink import Ink, find_ink
from datasets.sheet_labels import Labels
from datasets.sheet_marks import (
    Mark,
    digit_size,
    find_marks,
    group_strokes,
    join,
    split_tall,
    split_wide,
)
from datasets.sheet_rows import find_rows
from datasets.sheet_shapes import evidence

_SENSITIVITIES = (1.0, 1.7, 0.6)
_UPRIGHT = 0.15  # nats a digit in favour of the photograph as it lies
_CERTAIN = 1.3  # nats a digit: the photograph lies right, no other way up need be tried
_CONVINCING = 0.8  # nats a digit: no other sensitivity need be tried
_MNIST_PEN = 0.1  # thickness of a stroke over the longer side of the digit
_WITH_TABLE = 5.0  # nats: what a reading of the dark surroundings must bring to be believed
_FAR = 1.7  # usual distances in a row: a mark further out at its end may be dirt
_SPARSE = 0.34  # of the median row: a row of fewer marks may be dirt


@dataclass(frozen=True)
class Reading:
    """The digits of one photograph.

    `quarters`: counter-clockwise quarter turns that brought the sheet upright. `ink`: of the
    upright sheet. `rows`: the marks, row by row (column by column where labels go by column).
    `labels`: of each row, one character a mark; None where the rows do not fit the labels.
    `support`: evidence of the shapes for these labels, nats a digit; `ignored`: marks that were
    taken for dirt although they are as large as digits. `with_table`: dark surroundings were
    searched for digits too.
    """

    quarters: int
    ink: Ink
    rows: tuple[tuple[Mark, ...], ...]
    labels: tuple[str, ...] | None
    support: float = 0.0
    ignored: tuple[Mark, ...] = ()
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


def cut_out(ink: Ink, mark: Mark) -> np.ndarray:
    """The ink of one mark, uint8 (h, w), background 0, a firm stroke 255; with a soft edge."""
    margin = 3
    height, width = ink.darkness.shape
    top, left = max(mark.top - margin, 0), max(mark.left - margin, 0)
    bottom, right = min(mark.bottom + margin, height), min(mark.right + margin, width)
    inside = np.zeros((bottom - top, right - left), np.uint8)
    inside[mark.top - top : mark.bottom - top, mark.left - left : mark.right - left] = mark.mask
    inside = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    share = ink.darkness[top:bottom, left:right] / ink.peak
    return (np.clip((share - 0.1) / 0.7, 0, 1) * inside * 255).astype(np.uint8)


def thickened(ink: np.ndarray) -> np.ndarray:
    """A digit, uint8 (h, w), with strokes at least as thick as the thinnest that MNIST has.

    Few of MNIST's strokes are thinner than a tenth of the digit's longer side; a fine pen's are a
    twentieth, and fade when the digit is scaled down to 20 pixels.
    """
    missing = round(_MNIST_PEN * max(ink.shape) - _pen(np.pad(ink, 1) > 64))
    if missing < 1:
        return ink
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing + 1, missing + 1))
    return cv2.dilate(np.pad(ink, missing), kernel)


def original(upright: np.ndarray, ink: Ink, mark: Mark) -> np.ndarray:
    """The photograph around a mark, at its own resolution, uint8 (h, w, 3).

    `upright` is the photograph turned as `ink` is.
    """
    margin = 0.1 * mark.size
    top, left = (max(0, int((edge - margin) / ink.scale)) for edge in (mark.top, mark.left))
    bottom, right = (int((edge + margin) / ink.scale) + 1 for edge in (mark.bottom, mark.right))
    return upright[top:bottom, left:right].copy()


def _inks(photo: np.ndarray, sensitivity: float) -> list[Ink]:
    """The ink of the photograph; twice where it has a table, which may be a deep, sharp shadow."""
    ink = find_ink(photo, sensitivity)
    return [ink, find_ink(photo, sensitivity, off_table=False)] if ink.has_table else [ink]


def _readings(inks: Sequence[Ink], quarters: int, labels: Labels) -> Iterator[Reading]:
    """Readings of the inks when the sheet is turned by so many quarters."""
    for number, ink in enumerate(ink.turned(quarters) for ink in inks):
        pieces = find_marks(ink.mask)
        if not pieces:
            continue
        size, pen = digit_size(pieces), _pen(ink.mask)
        for marks in _tall_variants(group_strokes(pieces, size), size, pen):
            if marks:
                reading = _read(ink, quarters, marks, size, pen, labels)
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
    ink: Ink, quarters: int, marks: list[Mark], size: float, pen: float, labels: Labels
) -> Reading:
    lines, ignored = _in_lines(marks, size, labels)
    given = labels.of_lines([len(line) for line in lines])
    if given is not None and labels.kind in ("rows", "class"):
        usual = float(np.median([len(line) for line in lines]))
        lines = tuple(
            _regrouped(ink, line, label[0], size, pen, usual)
            for line, label in zip(lines, given, strict=True)
        )
        trimmed = [
            _without_far_ends(ink, line, label[0]) for line, label in zip(lines, given, strict=True)
        ]
        ignored += tuple(mark for _, ends in trimmed for mark in ends)
        lines = tuple(line for line, _ in trimmed)
        given = labels.of_lines([len(line) for line in lines])
    if given is None:
        return Reading(quarters, ink, lines, None, ignored=ignored)
    inks = [cut_out(ink, mark) for line in lines for mark in line]
    support = float(evidence(inks, "".join(given)).mean())
    if quarters == 0:
        support += _UPRIGHT + 2 / len(inks)
    return Reading(quarters, ink, lines, given, support, ignored)


def _in_lines(
    marks: Sequence[Mark], size: float, labels: Labels
) -> tuple[tuple[tuple[Mark, ...], ...], tuple[Mark, ...]]:
    """The marks by row, or by column where labels go by column, and those that are dirt.

    Where there are more rows than labels, rows of very few marks are taken for dirt: paper edges,
    stains, what lies beside the sheet.
    """
    kept, ignored = list(marks), list[Mark]()
    while True:
        x, y = np.array([mark.x for mark in kept]), np.array([mark.y for mark in kept])
        if labels.kind == "columns":
            x, y = y, x
        rows = find_rows(x, y, size, labels.n_lines)
        fewest = min(rows.indices, key=len)
        surplus = labels.n_lines is not None and len(rows.indices) > labels.n_lines
        if not surplus or len(fewest) > _SPARSE * float(np.median(rows.counts)):
            break
        ignored += [kept[i] for i in fewest]
        kept = [mark for i, mark in enumerate(kept) if i not in fewest]
    return tuple(tuple(kept[i] for i in row) for row in rows.indices), tuple(ignored)


def _regrouped(
    ink: Ink, line: Sequence[Mark], label: str, size: float, pen: float, usual: float
) -> tuple[Mark, ...]:
    """The row with neighbours joined and wide marks cut where that fits its label better.

    A row that has as many digits as `usual` is cut only on strong evidence: a wide mark in it is
    more likely one digit that was written over.
    """
    joined: list[Mark] = []
    for mark in line:
        if joined and _near(joined[-1], mark, size):
            whole = join((joined[-1], mark))
            if _fit(ink, [whole], label) > _fit(ink, [joined[-1], mark], label) + 1:
                joined[-1] = whole
                continue
        joined.append(mark)
    cut: list[Mark] = []
    least_gain = 2.0 if len(joined) < usual else 6.0
    for mark in joined:
        cut.extend(_cut_if_better(ink, mark, label, size, pen, least_gain))
    return tuple(cut)


def _without_far_ends(
    ink: Ink, line: tuple[Mark, ...], label: str
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    """The row without a first or last mark that stands far off and looks like something else."""
    ends: list[Mark] = []
    while len(line) >= 4:
        steps = np.diff([mark.x for mark in line])
        far = _FAR * float(np.median(steps))
        if steps[0] > far and _fit(ink, line[:1], label) < -0.5:
            ends.append(line[0])
            line = line[1:]
        elif steps[-1] > far and _fit(ink, line[-1:], label) < -0.5:
            ends.append(line[-1])
            line = line[:-1]
        else:
            break
    return line, tuple(ends)


def _near(a: Mark, b: Mark, size: float) -> bool:
    width = max(a.right, b.right) - min(a.left, b.left)
    height = max(a.bottom, b.bottom) - min(a.top, b.top)
    return b.left - a.right < 0.3 * size and width < 1.15 * size and height < 1.5 * size


def _cut_if_better(
    ink: Ink, mark: Mark, label: str, size: float, pen: float, least_gain: float
) -> list[Mark]:
    if mark.width < 0.85 * size:
        return [mark]
    best, best_fit = [mark], _fit(ink, [mark], label) + least_gain
    for n in range(2, 1 + max(2, round(mark.width / (0.6 * size)))):
        parts = split_wide(mark, n, pen)
        if parts and min(part.size for part in parts) > 0.5 * size:
            fit = _fit(ink, parts, label)
            if fit > best_fit:
                best, best_fit = parts, fit
    return best


def _fit(ink: Ink, marks: Sequence[Mark], label: str) -> float:
    return float(evidence([cut_out(ink, mark) for mark in marks], label * len(marks)).sum())


def _pen(mask: np.ndarray) -> float:
    """Thickness of a typical stroke, in pixels.

    Across a stroke of w pixels the distances to its edge run from 1 to w/2 and back, so their
    mean is (w + 2) / 4.
    """
    if not mask.any():
        return 2.0
    distances = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)[mask]
    return max(1.0, 4 * float(distances.mean()) - 2)
