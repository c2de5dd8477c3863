"""How large the largest |t| of several comparisons gets by chance: Westfall and Young's max-|t|.

In: paired scores of comparisons that share their seeds. Out: p-values among them (step-down), and
the factor c of `estimate ± c · error` that holds for all of them at once. It stands alone because
it knows neither arms nor metrics.

Comparisons of one control and of one curve go up and down together, so the largest of nine |t| is
smaller than that of nine separate ones. What it would be by chance is drawn from the scores:
from `FEWEST_TO_FLIP` pairs on over sign flips, which need symmetry alone; for fewer, where flips
are too few, over random rotations (Langsrud 2005), which need normal scores. The draws are fixed:
the scores are scaled, turned and sorted first, so that permuting seeds, swapping arms and changing
units change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from analysis.statistics.samples.arrays import Floats, Rows
from analysis.statistics.samples.resampling import all_signs

FEWEST = 3  # pairs; of two no rotation tells the shape
FEWEST_TO_FLIP = 8  # 7 pairs have 64 patterns: too few to be sure at a part of 5 %
MOST_TO_FLIP_ALL = 14  # 2^13 patterns; the other half are their mirrors
N_DRAWS = 9_999
_STREAM = 20_240_229  # of the fixed draws; any number would do, as long as it stays
_AT_ONCE = 2_000_000  # numbers in one block of draws: 16 MB
_LEAST = 1e-12  # chance of one row
_SAME = 1e-9  # two |t| nearer than this share are equal


@dataclass(frozen=True)
class MaxT:
    """Largest |t| by chance. order: rows by falling |t|. maxima: (n_draws, k), in column j the
    largest of the rows from the j-th on. exact: the draws are all patterns, with the seen one.
    centred: (n_draws,) the largest of all rows around their own means, at n - 2 degrees of freedom.
    """

    order: Rows
    maxima: Floats
    exact: bool
    centred: Floats
    n: int

    def p_values(self, t: Floats) -> Floats:
        """Step-down adjusted p of each row: |t| (k,) in their own order."""
        seen = np.abs(t)[self.order]
        hits = (self.maxima * (1 + _SAME) >= seen).sum(axis=0)
        n = len(self.maxima)
        steps = hits / n if self.exact else (hits + 1) / (n + 1)
        p = np.empty(len(t))
        p[self.order] = np.minimum(np.maximum.accumulate(steps), 1.0)
        return p

    def critical(self, step: int, level: float) -> float:
        """Above this |t| the row of that step (0: all rows) has a p of at most `level`."""
        column, n = self.maxima[:, step], len(self.maxima)
        most = int(np.floor(level * n + _SAME)) if self.exact else -1
        most = most if self.exact else int(np.floor(level * (n + 1) + _SAME)) - 1
        return _largest(column, most) * (1 + _SAME)

    def together(self, level: float) -> float:
        """Above this |t| lies no row with a chance of 1 - `level`, whatever its true mean is.

        Differences that are there make scores look alike, so c is taken from the scores around
        their own means. They have lost a degree of freedom: the chance of one row that goes with
        their c is turned into a |t| at n - 1.
        """
        beyond = _largest(self.centred, int(np.floor(level * (N_DRAWS + 1) + _SAME)) - 1)
        if not np.isfinite(beyond):
            return float("inf")
        alone = special.stdtr(self.n - 2, -beyond)
        return float(-special.stdtrit(self.n - 1, max(alone, _LEAST)))


def max_t(scores: Floats, least: Floats, t: Floats, level: float) -> MaxT:
    """The largest |t| by chance of paired scores.

    Args:
        scores: (n, k), row i of all columns one seed; n ≥ `FEWEST`.
        least: (k,) variance below which no column's is taken (its rounding).
        t: (k,) as seen; only its order counts.
        level: at which it will be asked. Where all sign flips together are too few for it,
            rotations take their place.
    """
    unit, floor = _canonical(scores, least)
    order = np.argsort(-np.abs(t), kind="stable")
    unit, floor = unit[:, order], floor[order]
    directions, exact = _directions(len(scores), level)
    maxima = np.empty((len(directions), unit.shape[1]))
    size = max(1, _AT_ONCE // max(unit.shape))
    for first in range(0, len(directions), size):
        part = np.abs(directions[first : first + size] @ unit)
        part /= np.sqrt(np.maximum((1 - part**2) / (len(unit) - 1), floor))
        maxima[first : first + size] = np.maximum.accumulate(part[:, ::-1], axis=1)[:, ::-1]
    return MaxT(order, maxima, exact, _centred(unit, floor), len(scores))


def _centred(unit: Floats, floor: Floats) -> Floats:
    """The largest |t| of rotations of the columns around their means."""
    n = len(unit)
    residuals = unit - unit.mean(axis=0)
    length = (residuals**2).sum(axis=0)
    directions = _rotations(n) - _rotations(n).mean(axis=1, keepdims=True)
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    largest = np.empty(len(directions))
    size = max(1, _AT_ONCE // max(unit.shape))
    for first in range(0, len(directions), size):
        part = np.abs(directions[first : first + size] @ residuals)
        part /= np.sqrt(np.maximum((length - part**2) / (n - 2), floor))
        largest[first : first + size] = part.max(axis=1)
    return largest


def _largest(values: Floats, place: int) -> float:
    """The value that `place` others are above: infinite for less than none, 0 for all."""
    if place < 0:
        return float("inf")
    rank = len(values) - 1 - place
    return float(np.partition(values, rank)[rank]) if rank >= 0 else 0.0


def _canonical(scores: Floats, least: Floats) -> tuple[Floats, Floats]:
    """Columns of length 1 that point up, rows sorted, and the floors on that scale."""
    length = np.sqrt((np.sort(scores, axis=0) ** 2).sum(axis=0))
    length = np.where(length > 0, length, 1.0)
    unit = scores / length
    mean, skew = (np.sort(unit**power, axis=0).sum(axis=0) for power in (1, 3))
    turn = np.where(np.abs(mean) > _SAME, mean, skew)
    unit = np.where(turn < 0, -unit, unit)
    rounded = np.round(unit, 9)
    weight = np.round((unit**2).sum(axis=1), 9)
    rows = np.lexsort((*rounded.T[::-1], weight))
    floor = np.maximum(least / length**2, np.finfo(float).tiny)
    return unit[rows], floor


def _directions(n: int, level: float) -> tuple[Floats, bool]:
    """Unit vectors (n_draws, n) along which scores are summed, and whether they are all signs."""
    if n < FEWEST_TO_FLIP or (n <= MOST_TO_FLIP_ALL and level * 2 ** (n - 1) < 2):
        return _rotations(n), False
    return _flips(n), n <= MOST_TO_FLIP_ALL


@lru_cache(maxsize=8)
def _rotations(n: int) -> Floats:
    drawn = np.random.default_rng([_STREAM, n, 0]).standard_normal((N_DRAWS, n))
    return np.asarray(drawn / np.sqrt((drawn**2).sum(axis=1, keepdims=True)))


@lru_cache(maxsize=8)
def _flips(n: int) -> Floats:
    if n <= MOST_TO_FLIP_ALL:
        return np.asarray(all_signs(n) / np.sqrt(n))
    signs = np.random.default_rng([_STREAM, n, 1]).integers(0, 2, (N_DRAWS, n))
    return np.asarray((2.0 * signs - 1.0) / np.sqrt(n))
