"""Bootstrap-t and sign flips for many samples of one size at once.

In: columns of values. Out: critical values and p-values. Stands alone because everything that
draws random numbers for `intervals` and `compare` is here, with the one care that they all
need: values are sorted, centred, scaled and given a fixed sign before anything is drawn, so
that permuting seeds, swapping arms or changing units cannot change a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from scipy import special, stats

from analysis.statistics.samples.arrays import Floats, Rng

ALL_MULTISETS_UP_TO = 8  # 6,435 of them; every resample is one of these
EXACT_UP_TO = 16  # 2^15 sign patterns; the other half are their mirrors
N_RESAMPLES = 9_999  # (B + 1) α/2 is whole for the usual confidences: quantiles are draws
WIDEST = 3.0  # a bootstrap-t end is at most so many times as far away as Student's
_FIXED = 20_240_229  # draws that no user's seed decides
_CONSTANT = 1e-11  # a spread below this share of the largest value is rounding, not data
_MOST_AT_ONCE = 2_000_000  # numbers in one block of draws: 16 MB
_TIE = 1e-7  # in standard deviations: below this, two sorted samples mirror each other


def standardize(columns: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Sorted, centred, scaled copies of `columns` (n, k), turned so that a sign flip is gone.

    Returns (z (n, k), mean (k,), sd (k,) with ddof 1, sign (k,) of ±1) with
    `sort(column) == sort(mean + sign · sd · z)`. A column without spread has sd 0 and z 0.
    """
    ordered = np.sort(columns, axis=0)
    mean = ordered.mean(axis=0)
    sd = ordered.std(axis=0, ddof=1)
    sd = np.where(sd <= _CONSTANT * np.abs(ordered).max(axis=0), 0.0, sd)
    mean = np.where(sd > 0, mean, (ordered[0] + ordered[-1]) / 2)  # equal values: that value
    z = np.where(sd > 0, (ordered - mean) / np.where(sd > 0, sd, 1.0), 0.0)
    mirror = -z[::-1]
    differs = np.abs(z - mirror) > _TIE
    first = differs.argmax(axis=0)
    gap = np.take_along_axis(z - mirror, first[None], axis=0)[0]
    sign = np.where(differs.any(axis=0) & (gap < 0), -1.0, 1.0)
    return np.where(sign < 0, mirror, z), mean, sd, sign


def draw_counts(n: int, rng: Rng, n_resamples: int = N_RESAMPLES) -> Floats:
    """How often each of `n` values is in each resample: (n_resamples, n), rows sum to n."""
    index = rng.integers(0, n, (n_resamples, n))
    index += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(index.ravel(), minlength=n_resamples * n)
    return counts.astype(float).reshape(-1, n)


@cache
def every_resample(n: int) -> tuple[Floats, Floats]:
    """All resamples of `n` values without regard to order: counts (m, n) and their chances (m,).

    There are C(2n - 1, n) of them (126 for 5, 6,435 for 8), so nothing needs to be drawn. A
    resample in which value i stands k_i times has the chance n! / (∏ k_i! · nⁿ).
    """
    rows = np.array(list(combinations_with_replacement(range(n), n)))
    counts = np.stack([(rows == i).sum(axis=1) for i in range(n)], axis=1).astype(float)
    logs = special.gammaln(n + 1) - special.gammaln(counts + 1).sum(axis=1) - n * np.log(n)
    return counts, np.exp(logs)


def resamples(n: int, rng: Rng | None = None) -> tuple[Floats, Floats | None]:
    """Counts (m, n) of resamples, and their chances where they are all that exist (n ≤ 8).

    Beyond, 9,999 are drawn, from a generator that `n` alone decides where none is given.
    """
    if n <= ALL_MULTISETS_UP_TO:
        return every_resample(n)
    return draw_counts(n, np.random.default_rng([_FIXED, n]) if rng is None else rng), None


def bootstrap_t(
    z: Floats, counts: Floats, confidence: float, chances: Floats | None = None
) -> Floats:
    """Equal-tailed quantiles (2, k) of the bootstrapped t of standardized columns `z` (n, k).

    Efron & Tibshirani (1993), section 12.5. A resample without spread has t = ±∞ (0 when it
    also repeats the mean); the quantiles are then cut at `WIDEST` times Student's. `chances`
    (m,) of the resamples in `counts` (m, n) where they are not drawn but all that exist.
    """
    n = z.shape[0]
    mean = counts @ z / n
    variance = np.maximum(counts @ z**2 / n - mean**2, 0.0) / (n - 1)  # of the mean
    flat = variance < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / np.sqrt(variance)
    t = np.where(flat, np.where(np.abs(mean) < 1e-9, 0.0, np.copysign(np.inf, mean)), t)
    ends = _tails(t, (1 - confidence) / 2, chances)
    furthest = WIDEST * student_quantile(n - 1, confidence)
    return np.asarray(np.clip(ends, -furthest, furthest))


def _tails(t: Floats, tail: float, chances: Floats | None) -> Floats:
    """The values (2, k) beyond which `tail` of the values `t` (m, k) lie on either side."""
    if chances is None:
        rank = int(np.floor((len(t) + 1) * tail)) - 1
        return np.partition(t, [rank, len(t) - 1 - rank], axis=0)[[rank, len(t) - 1 - rank]]
    order = np.argsort(t, axis=0, kind="stable")
    ordered, weight = np.take_along_axis(t, order, axis=0), chances[order]
    low = (np.cumsum(weight, axis=0) >= tail - 1e-12).argmax(axis=0)
    high = len(t) - 1 - (np.cumsum(weight[::-1], axis=0) >= tail - 1e-12).argmax(axis=0)
    return np.take_along_axis(ordered, np.stack([low, high]), axis=0)


def student_quantile(df: float, confidence: float) -> float:
    """Two-sided critical value of Student's t: 2.776 for df 4 and confidence 0.95."""
    return float(special.stdtrit(df, (1 + confidence) / 2))


def sign_flip_test(differences: Floats, rng: Rng) -> tuple[Floats, float, Floats]:
    """Two-sided sign-flip permutation test that each column of `differences` (n, k) is around 0.

    Fisher's randomization test of paired data: the share of the 2^n sign patterns whose mean is
    at least as far from 0 as the one seen. Exact for n ≤ 16; beyond, from 9,999 random patterns
    as (hits + 1) / (draws + 1) (Phipson & Smyth 2010).

    Returns (p (k,), floor: the smallest p that n pairs can have, error (k,): the Monte Carlo
    standard error of p, 0 where exact). A column of zeros has p = 1.
    """
    n = len(differences)
    size = np.sort(np.abs(differences), axis=0)  # of |d| only: swapping the arms changes nothing
    size = size / np.where(size[-1] > 0, size[-1], 1.0)
    seen = np.abs(np.sort(differences, axis=0).sum(axis=0))
    seen = seen / np.where(differences.any(axis=0), np.abs(differences).max(axis=0), 1.0)
    if n <= EXACT_UP_TO:
        patterns = all_signs(n)
        hits = (np.abs(patterns @ size) >= seen - 1e-9).sum(axis=0)
        return hits / len(patterns), 2.0 / 2**n, np.zeros(len(hits))
    hits = np.zeros(differences.shape[1])
    for patterns in _random_signs(n, rng):
        hits += (np.abs(patterns @ size) >= seen - 1e-9).sum(axis=0)
    p = (hits + 1) / (N_RESAMPLES + 1)
    return p, 1.0 / (N_RESAMPLES + 1), np.sqrt(p * (1 - p) / N_RESAMPLES)


def _random_signs(n: int, rng: Rng) -> Iterator[Floats]:
    """`N_RESAMPLES` random rows of ±1, some at a time: thousands of pairs need not fit at once."""
    rows = max(1, _MOST_AT_ONCE // n)
    for done in range(0, N_RESAMPLES, rows):
        shape = (min(rows, N_RESAMPLES - done), n)
        yield rng.integers(0, 2, shape).astype(np.float64) * 2.0 - 1.0


def signed_rank_test(differences: Floats) -> Floats:
    """Wilcoxon's two-sided signed-rank test of each column of `differences` (n, k): p (k,).

    Zeros are dropped and ties have mean ranks. Up to n = 16 exact over all sign patterns, ties
    or not; beyond, `scipy.stats.wilcoxon`: exact to n = 50 where no two sizes tie, else its
    normal approximation. A column of zeros has p = 1.
    """
    size = np.where(differences == 0, np.nan, np.abs(differences))
    ranks = np.nan_to_num(stats.rankdata(size, axis=0, nan_policy="omit"))
    if len(differences) <= EXACT_UP_TO:
        seen = np.abs((np.sign(differences) * ranks).sum(axis=0))
        return np.asarray((np.abs(all_signs(len(ranks)) @ ranks) >= seen - 1e-9).mean(axis=0))
    p = np.ones(differences.shape[1])
    for k in np.flatnonzero(differences.any(axis=0)):
        d = differences[:, k][differences[:, k] != 0]
        tied = len(np.unique(np.abs(d))) < len(d)
        method = "approx" if tied or len(d) > 50 else "exact"
        p[k] = stats.wilcoxon(d, method=method).pvalue
    return p


def all_signs(n: int) -> Floats:
    """All 2^(n-1) patterns (2^(n-1), n) of ±1 whose first entry is +1."""
    bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n - 1) & 1
    return np.hstack([np.ones((len(bits), 1)), 1.0 - 2.0 * bits])
