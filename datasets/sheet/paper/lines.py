"""Printed lines of ruled and squared paper, and straight paper edges: found, so they can go.

In: darkness and a mask of everything that may be ink. Out: a mask of the line pixels that are not
also a stroke. Lines are straight, at any angle near the axes, and long across the page, or one of
several alike, or run off its edge. The stem of a digit in a close-up can be as long as short lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_LENGTH = 0.2  # of the longer side: what is shorter is no line
_ACROSS = 0.85  # of the side along which it runs: a line that long is printed, if it is thin
_SOME_WAY = 0.35  # of that side: the same for one of several, or one that runs off the page
_THIN = 0.015  # of its length: a line's thickness; strokes are thicker
_BROAD = 0.06  # of its length: no line is thicker, however far it runs; a broad pen is
_SEVERAL = 3
_EDGE = 0.02  # of that side: what ends this close to the edge of the photograph runs off it
_REACH = 12  # pixels: a line is nowhere further from where it was found
_SLOPES = np.arange(-0.24, 0.2401, 0.01)  # rise over run; a line of _LENGTH tells such steps apart


def printed_lines(darkness: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels of long straight lines near horizontal or near vertical.

    Where a stroke crosses or covers a line the pixels are left to the stroke: there the mask is
    thicker across the line than the line itself, or clearly darker.
    """
    flat = _across(darkness, faint)
    upright = _across(np.ascontiguousarray(darkness.T), np.ascontiguousarray(faint.T)).T
    lines: np.ndarray = flat | upright
    return lines


@dataclass(frozen=True)
class _Run:
    """A straight run near horizontal: where it lies, how thick it is, how dark, how it slopes."""

    box: tuple[slice, slice]
    inside: np.ndarray
    thickness: float
    grey: float
    slope: float
    middle: float  # height at which it would cross the middle of the page

    @property
    def ends(self) -> tuple[int, int]:
        return self.box[1].start, self.box[1].stop


def _across(darkness: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The same for lines near horizontal only."""
    long_runs = _long_runs(faint)
    taken = np.zeros_like(long_runs)
    if not long_runs.any():
        return taken
    lengths = _vertical_runs(faint)
    for run in _printed(_runs(darkness, faint, long_runs, lengths), faint.shape[1]):
        reach = np.ones((2 * min(round(run.thickness / 2) + 3, _REACH) + 1, 5), np.uint8)
        near = cv2.dilate(run.inside.astype(np.uint8), reach) > 0
        thin = lengths[run.box] <= 1.5 * run.thickness + 1
        taken[run.box] |= near & faint[run.box] & thin & (darkness[run.box] < 1.35 * run.grey)
    return taken


def _runs(
    darkness: np.ndarray, faint: np.ndarray, long_runs: np.ndarray, lengths: np.ndarray
) -> list[_Run]:
    ridge = cv2.dilate(darkness, np.ones((7, 1), np.uint8))  # the middle of a line, not its sides
    n, labels, stats, _ = cv2.connectedComponentsWithStats(
        long_runs.astype(np.uint8), connectivity=8
    )
    runs = []
    for number in range(1, n):
        left, top, width, height, _ = stats[number].tolist()
        box = (slice(max(0, top - _REACH), top + height + _REACH), slice(left, left + width))
        inside = labels[box] == number
        on_line = inside & faint[box]
        if on_line.any():
            y, x = np.nonzero(inside)
            slope, start = np.polyfit(x, y, 1) if width > 1 else (0.0, y.mean())
            middle = box[0].start + start + slope * (faint.shape[1] / 2 - left)
            thickness = float(np.median(lengths[box][on_line]))
            grey = float(np.median(ridge[box][on_line]))
            runs.append(_Run(box, inside, thickness, grey, float(slope), float(middle)))
    return runs


def _printed(runs: Sequence[_Run], side: int) -> list[_Run]:
    """Those runs that belong to printed lines of a page so wide, not to a digit."""
    lines = _collinear(runs, side)
    thin = [line for line in lines if _thickness(line) <= max(_THIN * _span(line), 2.5)]
    some_way = [line for line in thin if _span(line) > _SOME_WAY * side]
    printed = []
    for line in lines:
        n_edges = sum((_first(line) < _EDGE * side, _last(line) > (1 - _EDGE) * side))
        is_thin = any(line is other for other in thin)
        is_long = is_thin and _span(line) > _ACROSS * side
        is_some_way = is_thin and _span(line) > _SOME_WAY * side
        runs_through = n_edges == 2 and _thickness(line) <= max(_BROAD * _span(line), 2.5)
        if runs_through or is_long or (is_some_way and (n_edges or len(some_way) >= _SEVERAL)):
            printed += line
    return printed


def _collinear(runs: Sequence[_Run], side: int) -> list[list[_Run]]:
    """Runs that continue each other, as pieces of one line between crossing strokes do."""
    lines: list[list[_Run]] = []
    for run in sorted(runs, key=lambda run: -(run.ends[1] - run.ends[0])):
        for line in lines:
            near = abs(run.middle - line[0].middle) < _REACH + 0.01 * side
            if near and abs(run.slope - line[0].slope) < 0.03:
                line.append(run)
                break
        else:
            lines.append([run])
    return lines


def _first(line: Sequence[_Run]) -> int:
    return min(run.ends[0] for run in line)


def _last(line: Sequence[_Run]) -> int:
    return max(run.ends[1] for run in line)


def _span(line: Sequence[_Run]) -> int:
    """From the first to the last pixel of a line, gaps included."""
    return _last(line) - _first(line)


def _thickness(line: Sequence[_Run]) -> float:
    return float(np.median([run.thickness for run in line]))


def _long_runs(faint: np.ndarray) -> np.ndarray:
    """Opening with a long line of every slope, at half size; back at full size."""
    height, width = faint.shape
    half = cv2.resize(
        faint.astype(np.uint8), (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    half = cv2.morphologyEx(half, cv2.MORPH_CLOSE, np.ones((1, 7), np.uint8))
    length = int(_LENGTH * max(half.shape))
    opened = np.zeros_like(half)
    for slope in _SLOPES:
        opened = np.maximum(opened, _open_along(half, float(slope), length))
    return cv2.resize(opened, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _open_along(mask: np.ndarray, slope: float, length: int) -> np.ndarray:
    """Opening with a line of `length` pixels that rises by `slope`: shear, open, shear back."""
    height, width = mask.shape
    spare = int(abs(slope) * width) + 1
    shift = spare if slope > 0 else 0
    shear = np.array([[1, 0, 0], [-slope, 1, shift]], np.float32)
    size = (width, height + spare)
    sheared = cv2.warpAffine(mask, shear, size, flags=cv2.INTER_NEAREST)
    opened = cv2.morphologyEx(sheared, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    if not opened.any():
        return np.zeros_like(mask)
    back = np.array([[1, 0, 0], [slope, 1, -shift]], np.float32)
    return cv2.warpAffine(opened, back, (width, height), flags=cv2.INTER_NEAREST)


def _vertical_runs(mask: np.ndarray) -> np.ndarray:
    """int32 (H, W): for each set pixel the length of the vertical run it belongs to, else 0."""
    height, width = mask.shape
    above = np.zeros((height, width), np.int32)
    below = np.zeros((height, width), np.int32)
    for y in range(height):
        above[y] = (above[y - 1] + 1 if y else 1) * mask[y]
    for y in range(height - 1, -1, -1):
        below[y] = (below[y + 1] + 1 if y < height - 1 else 1) * mask[y]
    lengths: np.ndarray = (above + below - 1) * mask
    return lengths
