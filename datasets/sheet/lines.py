"""Printed lines of ruled and squared paper, and straight paper edges: found, so they can go.

In: darkness and a mask of everything that may be ink. Out: a mask of the line pixels that are not
also a stroke. Lines are straight and much longer than any stroke, at any angle near the axes.
"""

from __future__ import annotations

import cv2
import numpy as np

_LENGTH = 0.2  # of the longer side: no stroke of a digit is that long and that straight
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


def _across(darkness: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The same for lines near horizontal only."""
    long_runs = _long_runs(faint)
    taken = np.zeros_like(long_runs)
    if not long_runs.any():
        return taken
    runs = _vertical_runs(faint)
    ridge = cv2.dilate(darkness, np.ones((7, 1), np.uint8))  # the middle of a line, not its sides
    n, labels, stats, _ = cv2.connectedComponentsWithStats(
        long_runs.astype(np.uint8), connectivity=8
    )
    for line in range(1, n):
        left, top, width, height, _ = stats[line].tolist()
        box = (slice(max(0, top - _REACH), top + height + _REACH), slice(left, left + width))
        inside = labels[box] == line
        on_line = inside & faint[box]
        if on_line.any():
            thickness = float(np.median(runs[box][on_line]))
            grey = float(np.median(ridge[box][on_line]))
            reach = np.ones((2 * min(round(thickness / 2) + 3, _REACH) + 1, 5), np.uint8)
            near = cv2.dilate(inside.astype(np.uint8), reach) > 0
            thin = runs[box] <= 1.5 * thickness + 1
            taken[box] |= near & faint[box] & thin & (darkness[box] < 1.35 * grey)
    return taken


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
