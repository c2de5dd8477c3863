"""What stands in front of the rows and is no digit of the set: `0)`, `1.`, `2:`, a printed column.

In: the rows of a sheet. Out: the rows without it. A number at the head of each row is told by the
gap behind it that all rows share, and by a second sign: a bracket or a dot, another size or another
ink, or the number of digits that the row should hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.sheet.labels import Labels
from datasets.sheet.looks.unlike import angle, ink_colour
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.marks import Lines, Mark
from datasets.sheet.strokes.noted import ROW_LABEL, Noted

_MOST = 3  # marks in front of a row: two digits and a bracket
_USUAL = 1.15  # of the distance between neighbours: the gap behind numbers that look different
_WIDE = 1.3  # the same behind numbers that look like digits of the row
_LEAST_LINE = 5  # marks: a number, its sign and three digits; fewer tell nothing of each other
_LEAST_REST = 3  # digits of a row: fewer do not show that what stands before them is different
_SHARED = 0.75  # of the rows: what holds for so many holds for the sheet
_NARROW = 0.45  # shorter over longer side: a bracket, a stroke or a dash
_SMALL = 0.6  # of the number's size: another sign
_LYING = 1.2  # width over height: an arrow, which no digit is as flat as
_LOW = 0.75  # of the number's height: the same
_TIGHT = 0.8  # of the usual distance: the bracket stands closer to its number
_DOT = 0.3  # of the digit size
_OTHER_SIZE = 0.33  # of the logarithm: a factor of 1.4
_OTHER_INK = 0.2  # radians between the colours
_SLANTS = np.linspace(-0.35, 0.35, 29)  # of the gap down the page
_STROKES = "1Il|"  # digits and letters that look like a bracket


@dataclass(frozen=True)
class Heads:
    """`numbers`: how many marks at the head of each row stand before the gap. `step`: over it, as
    a multiple of the usual distance between neighbours."""

    numbers: tuple[int, ...]
    step: float


def without_row_labels(
    ink: Ink, lines: Lines, size: float, labels: Labels
) -> tuple[Lines, tuple[Noted, ...]]:
    """The rows without the labels that stand in front of them, and those labels."""
    heads = _heads(ink, lines, size, labels) if labels.kind != "columns" and lines else (0,)
    if not any(heads):
        return lines, ()
    pairs = list(zip(lines, heads, strict=True))
    left_out = tuple(Noted(mark, ROW_LABEL) for line, n in pairs for mark in line[:n])
    return tuple(line[n:] for line, n in pairs), left_out


def _heads(ink: Ink, lines: Lines, size: float, labels: Labels) -> tuple[int, ...]:
    """How many marks at the head of each row are no digits of it."""
    none = (0,) * len(lines)
    gap = _before_gap(lines, size)
    wanted = labels.expected(len(lines))
    if any(n is not None for n in wanted):
        surplus = tuple(len(m) - (n or len(m)) for m, n in zip(lines, wanted, strict=True))
        alone = tuple(2 if _opens_with_bracket(line) else 0 for line in lines)
        return _by_number(surplus, [gap.numbers, _bracketed(lines, labels), alone])
    if np.median([len(line) - n for line, n in zip(lines, gap.numbers, strict=True)]) < _LEAST_REST:
        return none
    bracketed = _bracketed(lines, labels)
    if any(bracketed):
        is_clear = gap.step >= _WIDE and _share(gap.numbers) >= _SHARED
        return gap.numbers if is_clear else bracketed
    if len(lines) < 2 or _share(gap.numbers) < _SHARED:
        return none
    if _has_dots(ink, lines, gap.numbers, size):
        return gap.numbers
    if gap.step >= _USUAL and _is_other(ink, lines, gap.numbers):
        return gap.numbers
    return gap.numbers if gap.step >= _WIDE and _leaves_alike(lines, gap.numbers, labels) else none


def _by_number(surplus: tuple[int, ...], choices: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The choice that takes away what the rows hold too much; nothing where none does."""
    for heads in choices:
        right = [n == more for n, more in zip(heads, surplus, strict=True)]
        if any(heads) and np.mean(right) >= _SHARED:
            return heads
    is_shared = len(surplus) > 1 and len(set(surplus)) == 1 and 0 < surplus[0] <= _MOST
    return surplus if is_shared else (0,) * len(surplus)


def _before_gap(lines: Lines, size: float) -> Heads:
    """The marks before the widest straight gap that runs down the page near the heads of the rows.

    The gap may lean. It must have at most three marks of each row before it, and at least one of
    nearly every row.
    """
    marks = [(mark, row) for row, line in enumerate(lines) for mark in line]
    left = np.array([mark.left for mark, _ in marks], float)
    right = np.array([mark.right for mark, _ in marks], float)
    y = np.array([mark.y for mark, _ in marks])
    rows = np.array([row for _, row in marks])
    best, numbers = 0.0, np.zeros(len(lines), int)
    for slant in _SLANTS:
        shift = slant * (y - y.mean())
        order = np.argsort(left - shift)
        starts, ends = (left - shift)[order], np.maximum.accumulate((right - shift)[order])
        for cut in np.flatnonzero(starts[1:] - ends[:-1] > best):
            before = np.bincount(rows[order[: cut + 1]], minlength=len(lines))
            if before.max() <= _MOST and np.mean(before > 0) >= _SHARED:
                best, numbers = float(starts[cut + 1] - ends[cut]), before
    heads = tuple(min(int(n), len(line) - 1) for n, line in zip(numbers, lines, strict=True))
    steps = [
        (line[n].x - line[n - 1].x) / _pitch(line[n:], size)
        for line, n in zip(lines, heads, strict=True)
        if n
    ]
    return Heads(heads, float(np.median(steps)) if steps else 0.0)


def _bracketed(lines: Lines, labels: Labels) -> tuple[int, ...]:
    """Two marks of each row where the second is a sign close to the first, in row after row.

    A bracket, a stroke, a dash, an arrow. A row of ones says nothing, and neither does a sheet
    where slim or small marks stand everywhere.
    """
    none = (0,) * len(lines)
    names = labels.lines if labels.kind == "rows" else labels.text * len(lines)
    telling = [
        line
        for line, name in zip(lines, names, strict=False)
        if name not in _STROKES and len(line) >= _LEAST_LINE
    ]
    if len(telling) < 2 or np.mean([_opens_with_bracket(line) for line in telling]) < _SHARED:
        return none
    others = [_is_sign(mark, line[0]) for line in telling for mark in line[2:]]
    if np.mean(others) > 0.3:
        return none
    return tuple(2 if _opens_with_bracket(line) else 1 for line in lines)


def _opens_with_bracket(line: Sequence[Mark]) -> bool:
    if len(line) < 3 or not _is_sign(line[1], line[0]):
        return False
    return line[1].x - line[0].x < _TIGHT * _pitch(line[2:], line[2].x - line[0].x)


def _has_dots(ink: Ink, lines: Lines, heads: Sequence[int], size: float) -> bool:
    """Whether a dot or a colon follows the number in most rows, and hardly any other digit."""
    dots, others = list[bool](), list[bool]()
    for line, n in _with_head(lines, heads):
        behind = [_dot_behind(ink, a, b.left, size) for a, b in itertools.pairwise(line)]
        dots.append(behind[n - 1])
        others += behind[n:]
    return float(np.mean(dots)) >= _SHARED and sum(others) <= 0.2 * len(others)


def _dot_behind(ink: Ink, mark: Mark, end: int, size: float) -> bool:
    if end <= mark.left:  # the next digit stands over this one
        return False
    box = ink.mask[mark.top : mark.bottom + round(0.2 * size), mark.left : end]
    _, _, stats, middles = cv2.connectedComponentsWithStats(box.astype(np.uint8), connectivity=8)
    sizes = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    is_dot = (sizes <= _DOT * size) & (stats[1:, cv2.CC_STAT_AREA] >= 4)
    return bool((is_dot & (middles[1:, 0] > 0.7 * mark.width)).any())


def _is_other(ink: Ink, lines: Lines, heads: Sequence[int]) -> bool:
    """Whether what stands before the gap has another size or another ink than what follows."""
    parts = [(line[:n], line[n:]) for line, n in _with_head(lines, heads)]
    sizes = [
        np.log(max(m.size for m in head) / np.median([m.size for m in body]))
        for head, body in parts
    ]
    first, rest = ([m for part in parts for m in part[i]] for i in (0, 1))
    turned = angle(ink_colour(ink, first), ink_colour(ink, rest))
    return bool(abs(float(np.median(sizes))) > _OTHER_SIZE or turned > _OTHER_INK)


def _leaves_alike(lines: Lines, heads: Sequence[int], labels: Labels) -> bool:
    """Whether all rows are as long as they are likely to be, and only without their heads."""
    rest = {len(line) - n for line, n in zip(lines, heads, strict=True)}
    whole = {len(line) for line in lines}
    return rest == {labels.likely} or (len(lines) > 2 and len(rest) == 1 and len(whole) > 1)


def _with_head(lines: Lines, heads: Sequence[int]) -> list[tuple[tuple[Mark, ...], int]]:
    return [(line, n) for line, n in zip(lines, heads, strict=True) if n]


def _share(heads: Sequence[int]) -> float:
    return float(np.mean([n > 0 for n in heads]))


def _pitch(line: Sequence[Mark], otherwise: float) -> float:
    steps = np.diff([mark.x for mark in line])
    return float(np.median(steps)) if len(steps) else otherwise


def _is_sign(mark: Mark, number: Mark) -> bool:
    """Whether a mark behind a number is slim, flat or much smaller: a bracket, a dash, an arrow."""
    shorter = min(mark.width, mark.height)
    is_flat = mark.width > _LYING * mark.height and mark.height < _LOW * number.height
    return is_flat or shorter <= _NARROW * mark.size or mark.size < _SMALL * number.size
