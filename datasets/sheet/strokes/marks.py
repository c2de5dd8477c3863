"""Strokes → digits: which connected pieces of ink belong together, and which hold two digits.

In: the mask of strokes. Out: `Mark`s, one for each digit as far as shape alone can tell. All
lengths are measured against the size of the sheet's own digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import cv2
import numpy as np

MOST_NEAR = 10_000  # pairs of pieces near to each other; sheets have a few for each digit
_LEAST_AREA = 10  # pixels
_SPECK = 0.4  # of the digit size: a mark smaller than this is no digit
_FRAME_INK = 0.2  # of its box: what is drawn around others is mostly empty
_LEAST_FRAMED, _MOST_FRAMED = 0.04, 0.5  # of the frame's size: the digits within
_N_FRAMED = 3
_FRAMED_INK = 0.1  # of the frame's ink: what the digits within have together
_SIGN = 0.2  # of the digit size: what is smaller is dirt, whatever it is
_SIGN_INK = 0.04  # of a typical digit's ink
_FLAT = 3.5  # width over height: flatter ink is a rest of a line
_STRAIGHT = 0.1  # shorter over longer side of the least rectangle around a line of a table
_LONG = 3.0  # of the digit size: such a line, which may be as thick as the digits' strokes
_STROKES = 4.0  # thicknesses of a stroke: a digit is larger, a speck smaller
_FRAGMENT = 0.5  # of the digit size: a piece smaller than this belongs to a bigger one


@dataclass(frozen=True)
class Mark:
    """Connected or grouped ink: bool `mask` (h, w) whose upper left pixel is at (left, top)."""

    left: int
    top: int
    mask: np.ndarray

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def x(self) -> float:
        """Middle of the box, in pixels from the left."""
        return self.left + self.width / 2

    @property
    def y(self) -> float:
        """Middle of the box, in pixels from the top."""
        return self.top + self.height / 2

    @property
    def size(self) -> int:
        """Longer side of the box, in pixels."""
        return int(max(self.mask.shape))

    @cached_property
    def area(self) -> int:
        """Pixels of ink."""
        return int(self.mask.sum())

    @cached_property
    def outline(self) -> np.ndarray:
        """float32 (n, 2): points (x, y) of the outline, enough for distances."""
        contours, _ = cv2.findContours(
            self.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        points = np.concatenate(contours)[:, 0].astype(np.float32)
        corner = np.array([self.left, self.top], np.float32)
        return points[:: max(1, len(points) // 150)] + corner

    def part(self, pixels: np.ndarray) -> Mark | None:
        """The mark of those of its pixels where the bool (h, w) `pixels` holds; None if empty."""
        mask = self.mask & pixels
        if not mask.any():
            return None
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(rows[0]), int(columns[0])
        return Mark(
            self.left + left, self.top + top, mask[top : rows[-1] + 1, left : columns[-1] + 1]
        )


Lines = tuple[tuple[Mark, ...], ...]  # the marks of each row (column), in reading order


def find_marks(mask: np.ndarray) -> list[Mark]:
    """The connected pieces of a bool (H, W) mask, tiny ones left out."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    marks = []
    for i, (left, top, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        if area >= _LEAST_AREA:
            patch = labels[top : top + height, left : left + width] == i
            marks.append(Mark(left, top, patch))
    return marks


def without_frames(pieces: Sequence[Mark]) -> list[Mark]:
    """The pieces less those that are drawn around others: tables, boxes, frames of a board."""
    return [piece for piece in pieces if not _is_frame(piece, pieces)]


def _is_frame(piece: Mark, pieces: Sequence[Mark]) -> bool:
    if piece.area > _FRAME_INK * piece.width * piece.height:
        return False
    inside = [
        other
        for other in pieces
        if piece.left < other.left
        and other.right < piece.right
        and piece.top < other.top
        and other.bottom < piece.bottom
        and _LEAST_FRAMED * piece.size < other.size < _MOST_FRAMED * piece.size
    ]
    ink = sum(other.area for other in inside)
    return len(inside) >= _N_FRAMED and ink > _FRAMED_INK * piece.area


def digit_size(marks: Sequence[Mark]) -> float:
    """Longer side of a typical digit, in pixels: the median, each mark weighted by its ink.

    Weighting by ink lets a few digits outvote a hundred specks. The lines of a table, which have
    more ink than the digits in it, do not count: straight, and much longer than all the rest.
    """
    straight = [mark for mark in marks if _fill(mark) < _STRAIGHT]
    others = [mark for mark in marks if _fill(mark) >= _STRAIGHT]
    usual = _median_size(others) if others else 0.0
    if not straight or usual < _STROKES * np.median([mark.area / mark.size for mark in straight]):
        return _median_size(marks)  # beside specks straight strokes are ones
    return _median_size([*others, *(mark for mark in straight if mark.size <= _LONG * usual)])


def _median_size(marks: Sequence[Mark]) -> float:
    """Median of the longer sides, each weighted by the mark's ink."""
    sizes = np.array([mark.size for mark in marks], float)
    weights = np.array([mark.area for mark in marks], float)
    order = np.argsort(sizes)
    heaviness = np.cumsum(weights[order])
    return float(sizes[order][np.searchsorted(heaviness, heaviness[-1] / 2)])


def grouped(pieces: Sequence[Mark], size: float) -> list[Mark]:
    """Pieces → digits, signs and dirt: separate bars and broken strokes joined, long lines dropped.

    None at all where more pieces lie near to each other than on any sheet: a texture, or noise.
    """
    pieces = [piece for piece in pieces if not _is_long_line(piece, size)]
    near = list(islice(_near_boxes(pieces, 0.3 * size), MOST_NEAR + 1))
    if len(near) > MOST_NEAR:
        return []
    groups = [[i] for i in range(len(pieces))]
    group_of = list(range(len(pieces)))
    joined = list(pieces)  # each group as one mark
    for gap, i, j in sorted(_near_pairs(pieces, near, 0.3 * size)):
        a, b = group_of[i], group_of[j]
        if a == b or not _belong_together(joined[a], joined[b], gap, size):
            continue
        joined[a] = join((joined[a], joined[b]))
        groups[a] += groups[b]
        for k in groups[b]:
            group_of[k] = a
        groups[b] = []
    return [joined[g] for g, group in enumerate(groups) if group]


def digits_and_small(groups: Sequence[Mark], size: float) -> tuple[list[Mark], list[Mark]]:
    """Groups of strokes → those as large as digits, and smaller or flat ones that may be signs."""
    digits = _without_specks(groups, size)
    kept = {id(digit) for digit in digits}
    typical = float(np.median([digit.area for digit in digits])) if digits else 0.0
    least = (_SIGN * size, _SIGN_INK * typical)
    small = [g for g in groups if id(g) not in kept and g.size > least[0] and g.area > least[1]]
    return digits, small


def join(marks: Iterable[Mark]) -> Mark:
    """One mark that holds the ink of all."""
    marks = list(marks)
    left, top = min(m.left for m in marks), min(m.top for m in marks)
    right, bottom = max(m.right for m in marks), max(m.bottom for m in marks)
    mask = np.zeros((bottom - top, right - left), bool)
    for m in marks:
        mask[m.top - top : m.bottom - top, m.left - left : m.right - left] |= m.mask
    return Mark(left, top, mask)


def _is_long_line(mark: Mark, size: float) -> bool:
    """An edge of paper, a line of a table or a rest of a printed line: long, and thin for that."""
    thickness, fill = mark.area / mark.size, _fill(mark)
    thin = mark.size > 2.2 * size and thickness < 0.12 * size and fill < 0.5
    return thin or (mark.size > _LONG * size and fill < _STRAIGHT)


def _fill(mark: Mark) -> float:
    """Shorter side of the least turned rectangle around the mark, over its longer side."""
    _, (a, b), _ = cv2.minAreaRect(mark.outline)
    return min(a, b) / max(a, b, 1)


def _near_pairs(
    pieces: Sequence[Mark], near: Iterable[tuple[int, int]], reach: float
) -> list[tuple[float, int, int]]:
    """(gap in pixels, i, j) of those pairs whose ink is at most `reach` apart."""
    gaps = ((_distance(pieces[i], pieces[j]), i, j) for i, j in near)
    return [pair for pair in gaps if pair[0] <= reach]


def _near_boxes(pieces: Sequence[Mark], reach: float) -> Iterator[tuple[int, int]]:
    """All pairs of pieces whose boxes are at most `reach` apart."""
    boxes = np.array([(m.left, m.top, m.right, m.bottom) for m in pieces]).reshape(-1, 4)
    for i, box in enumerate(boxes):
        after = boxes[i + 1 :]
        apart = np.maximum(box[:2] - after[:, 2:], after[:, :2] - box[2:]).max(axis=1)
        yield from ((i, j) for j in (i + 1 + np.flatnonzero(apart <= reach)).tolist())


def _distance(a: Mark, b: Mark) -> float:
    between = a.outline[:, None] - b.outline[None]
    return float(np.sqrt((between**2).sum(-1).min()))


def _belong_together(a: Mark, b: Mark, gap: float, size: float) -> bool:
    """Whether two pieces at this distance are strokes of one digit."""
    small, large = sorted((a, b), key=lambda mark: mark.size)
    width = max(a.right, b.right) - min(a.left, b.left)
    height = max(a.bottom, b.bottom) - min(a.top, b.top)
    if small.size < _FRAGMENT * size:
        grows = width > 1.25 * size or height > 1.45 * size
        if grows and (width, height) != (large.width, large.height):
            return False
        is_stroke = small.size > 0.15 * size and small.area > 0.02 * size * size * 0.5
        return gap <= (0.3 if is_stroke else 0.08) * size
    if width > 1.05 * size or height > 1.4 * size or gap > 0.18 * size:
        return False
    side_by_side = min(a.right, b.right) - max(a.left, b.left) < 0.3 * min(a.width, b.width)
    both_whole = min(a.height, b.height) > 0.75 * height
    return not (side_by_side and both_whole)


def _without_specks(digits: Sequence[Mark], size: float) -> list[Mark]:
    large = [digit for digit in digits if digit.size >= _SPECK * size]
    if not large:
        return []
    typical = float(np.median([digit.area for digit in large]))
    return [
        digit
        for digit in large
        if digit.area > 0.1 * typical and digit.width < _FLAT * digit.height
    ]
