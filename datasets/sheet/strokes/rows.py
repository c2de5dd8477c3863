"""Digits → rows in reading order, on pages that are slanted, bent or seen from the side.

In: the middle of each digit. Out: for each row the digits from left to right. One smooth warp is
fitted to the whole page (slant, bend, and a slant that changes down the page, as perspective
makes it); on the straightened page rows are what large gaps separate.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

_GAP = 0.4  # of the digit size: rows are at least this far apart once the page is straightened
_SLANTS = np.linspace(-0.32, 0.32, 65)  # rise over run
_BENDS = (-0.6, -0.3, 0.0, 0.3, 0.6)  # digit sizes, from the middle of the page to its sides
_FANS = (-0.1, -0.05, 0.0, 0.05, 0.1)  # change of slant from the middle of the page to its foot


@dataclass(frozen=True)
class Rows:
    """`indices`: for each row, top to bottom, the digits from left to right."""

    indices: tuple[tuple[int, ...], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Digits in each row."""
        return tuple(len(row) for row in self.indices)


def find_rows(x: np.ndarray, y: np.ndarray, size: float, n_rows: int | None = None) -> Rows:
    """Rows of the digits at (x, y), float (n,), pixels, n ≥ 1.

    Args:
        x, y: middles of the digits.
        size: a typical digit's, in pixels.
        n_rows: how many rows there should be. The gaps decide; this one only breaks a tie where
            the gaps allow it, so another number may come back.
    """
    levels = _straightened(x, y, size)
    order = np.argsort(levels, kind="stable")
    steps = np.diff(levels[order]) / size
    threshold = _threshold(steps, n_rows)
    row_of = np.empty(len(x), int)
    row_of[order] = np.concatenate(([0], np.cumsum(steps > threshold)))
    rows = []
    for row in range(row_of.max() + 1):
        members = np.flatnonzero(row_of == row)
        rows.append(tuple(members[np.argsort(x[members], kind="stable")].tolist()))
    return Rows(tuple(rows))


def _threshold(steps: np.ndarray, n_rows: int | None) -> float:
    """The step (in digit sizes) above which a new row begins."""
    if n_rows is None or n_rows - 1 > len(steps):
        return _GAP
    ordered = np.concatenate(([np.inf], np.sort(steps)[::-1], [0.0]))
    least, next_one = ordered[n_rows - 1], ordered[n_rows]
    if least >= 0.2 and next_one <= 0.7 * least and next_one < 0.8:
        return float((min(least, 2.0) + next_one) / 2)
    return _GAP


def _straightened(x: np.ndarray, y: np.ndarray, size: float) -> np.ndarray:
    """Heights (n,) on the page after the warp that lets the rows cover least of its height."""
    reach = max(float(np.ptp(x)), float(np.ptp(y)), size) / 2
    across, down = (x - np.median(x)) / reach, (y - np.median(y)) / reach
    basis = np.stack((across * reach, across**2 * size, across * down * reach))
    grid = np.array(list(itertools.product(_SLANTS, _BENDS, _FANS)))
    best = grid[_cover(y, basis, grid, size).argmin()]
    widths = np.array([0.01, 0.3, 0.05])
    moves = np.array(list(itertools.product((-1, -0.5, 0, 0.5, 1), repeat=3)))
    for _ in range(6):
        nearby = best + moves * widths
        best = nearby[_cover(y, basis, nearby, size).argmin()]
        widths = widths * 0.6
    straight: np.ndarray = y - best @ basis
    return straight


def _cover(y: np.ndarray, basis: np.ndarray, warps: np.ndarray, size: float) -> np.ndarray:
    """How much of the straightened page's height the digits cover, in digit sizes, (n_warps,).

    Each digit covers a quarter of its size up and down. A small charge on the warp itself keeps
    pages straight where nothing is gained.
    """
    levels = np.sort(y[None] - warps @ basis, axis=1)
    covered = np.minimum(np.diff(levels, axis=1), 0.5 * size).sum(axis=1) / size
    charged: np.ndarray = covered + np.abs(warps) @ np.array([1.0, 0.1, 1.0])
    return charged
