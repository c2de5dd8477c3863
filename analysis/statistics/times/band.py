"""From when to when is one learning curve above the other? A band over their whole difference.

In: paired differences of two curves, one row a pair of seeds, one column an evaluation that both
have. Out: a `Band`: the mean difference with a simultaneous band, which in 95 of 100 studies holds
the true difference at every evaluation at once. It needs no target, so nothing is censored, and no
ratio of times, so a head start at step 0 counts as what it is. It stands alone because it speaks of
curves as a whole, where the comparisons speak of single numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from analysis.statistics.samples.arrays import Bools, Floats
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.resampling import all_signs, student_quantile
from headstart.errors import InputError

FEWEST_PAIRS = 4  # of three, the band left 0 in .07 of studies of equal curves
FLIPS_FROM = 8  # pairs: sign flips as strong as rotations
ALL_FLIPS_UP_TO = 13  # 4,096 patterns; beyond, as many are drawn as below
N_DRAWS = 4_999
_FIXED = 20_240_229
_MOST_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Band:
    """A mean difference of curves with its simultaneous band.

    Attributes:
        mean, low, high: (n_evaluations,); low and high are NaN where no band can be had.
        n: pairs. critical: the band is mean ± critical · error.
        note: what to know.
    """

    mean: Floats
    low: Floats
    high: Floats
    n: int
    critical: float
    confidence: float = CONFIDENCE
    note: str = ""

    @property
    def ahead(self) -> Bools:
        """Where the whole band is above 0 (n_evaluations,)."""
        return self.low > 0

    @property
    def behind(self) -> Bools:
        """Where the whole band is below 0 (n_evaluations,)."""
        return self.high < 0


def difference_band(
    differences: Floats,
    least_variance: Floats | float = 0.0,
    wider: float = 1.0,
    confidence: float = CONFIDENCE,
) -> Band:
    """The simultaneous band of the mean of `differences` (n_pairs, n_evaluations), no NaNs.

    mean ± c · wider · error, error = SD (ddof 1) / √n, the variance never below `least_variance`,
    what counting whole images leaves. c is the quantile of the largest |t| over all evaluations
    when the rows, about their mean, are turned at random: by signs from 8 pairs on (all patterns
    up to 13, else 4,999 drawn), below by rotations of the sphere (Langsrud 2005), which hold
    exactly for normal differences. c is never below Student's for a single evaluation. The draws
    depend on the number of pairs alone, so the same data give the same band.

    Fewer than 4 pairs: means without a band, with a note. An evaluation at which all differences
    are 0 and images are not counted has no error: its band is the point 0.

    Raises InputError for an empty table or a NaN in it.
    """
    table = np.asarray(differences, dtype=float)
    if table.ndim != 2 or not table.size or np.isnan(table).any():
        raise InputError("difference_band: a table (pairs, evaluations) without gaps is needed")
    n = len(table)
    mean = np.sort(table, axis=0).mean(axis=0)
    far = ((table - mean) ** 2).sum(axis=1)
    table = table[np.argsort(far, kind="stable")]  # neither order nor sign decides the draws
    if n < FEWEST_PAIRS:
        unknown = np.full(len(mean), math.nan)
        note = f"{n} of {FEWEST_PAIRS} pairs that a band needs"
        return Band(mean, unknown, unknown, n, math.nan, confidence, note)
    variance = np.maximum(table.var(axis=0, ddof=1), least_variance)
    error = np.sqrt(variance / n)
    critical = _critical(table - mean, variance, confidence)
    half = critical * wider * error
    return Band(mean, mean - half, mean + half, n, critical, confidence)


def _critical(centred: Floats, variance: Floats, confidence: float) -> float:
    """The quantile of the largest |t| over evaluations; at least that of one evaluation."""
    n = len(centred)
    single = student_quantile(n - 1, confidence)
    spread = centred.std(axis=0) > 1e-12 * np.abs(centred).max()
    if spread.sum() < 2:
        return single
    # What is centred has lost a dimension, and a t of it a degree of freedom: residuals of a
    # mean are blown up by √(n / (n − 1)), so that their second moments are those of the errors.
    rows = centred[:, spread] * math.sqrt(n / (n - 1))
    least = np.where((centred**2).sum(axis=0) < (n - 1) * variance * (1 - 1e-9), variance, 0.0)
    draws = _turned(n)
    largest = np.concatenate(
        [
            _largest_t(part, rows, least[spread])
            for part in np.array_split(draws, 1 + draws.shape[0] * rows.shape[1] // _MOST_AT_ONCE)
        ]
    )
    rank = min(len(largest), math.ceil((len(largest) + 1) * confidence)) - 1
    return max(single, float(np.sort(largest)[rank]))


def _turned(n: int) -> Floats:
    """Unit vectors (n_draws, n) along which the rows are summed."""
    if FLIPS_FROM <= n <= ALL_FLIPS_UP_TO:
        return np.asarray(all_signs(n) / math.sqrt(n))
    rng = np.random.default_rng([_FIXED, n])
    if n >= FLIPS_FROM:
        signs = 2.0 * rng.integers(0, 2, (N_DRAWS, n)) - 1.0
        return np.asarray(signs / math.sqrt(n))
    drawn: Floats = rng.normal(size=(N_DRAWS, n))
    length: Floats = np.sqrt((drawn**2).sum(axis=1, keepdims=True))
    return drawn / length


def _largest_t(directions: Floats, rows: Floats, least: Floats) -> Floats:
    """The largest |t| over evaluations for each direction: z / √((ΣD² − z²) / (n − 1))."""
    n = len(rows)
    z = directions @ rows
    variance = np.maximum(((rows**2).sum(axis=0) - z**2) / (n - 1), least)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(z) / np.sqrt(variance)
    return np.asarray(np.nan_to_num(t, nan=0.0, posinf=np.inf).max(axis=1))


def stretches(where: Bools, at: Floats) -> list[tuple[float, float]]:
    """First and last place in `at` of each run of evaluations at which `where` holds."""
    runs = groupby(range(len(where)), key=lambda k: bool(where[k]))
    members = [list(run) for holds, run in runs if holds]
    return [(float(at[run[0]]), float(at[run[-1]])) for run in members]
