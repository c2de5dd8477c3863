"""Bootstrap-t and sign flips for many samples of one size at once.

In: columns of values. Out: critical values and p-values. Stands alone because everything that
draws random numbers for `intervals` and `compare` is here, with the one care that they all
need: values are sorted, centred, scaled and given a fixed sign before anything is drawn, so
that permuting seeds, swapping arms or changing units cannot change a result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

N_RESAMPLES = 9_999  # (B + 1) α/2 is whole for the usual confidences: quantiles are draws
WIDEST = 3.0  # a bootstrap-t end is at most so many times as far away as Student's
_CONSTANT = 1e-11  # a spread below this share of the largest value is rounding, not data
_TIE = 1e-7  # in standard deviations: below this, two sorted samples mirror each other


def standardize(columns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Sorted, centred, scaled copies of `columns` (n, k), turned so that a sign flip is gone.

    Returns (z (n, k), mean (k,), sd (k,) with ddof 1, sign (k,) of ±1) with
    `sort(column) == sort(mean + sign · sd · z)`. A column without spread has sd 0 and z 0.
    """
    ordered = np.sort(columns, axis=0)
    mean = ordered.mean(axis=0)
    sd = ordered.std(axis=0, ddof=1)
    sd = np.where(sd <= _CONSTANT * np.abs(ordered).max(axis=0), 0.0, sd)
    z = np.where(sd > 0, (ordered - mean) / np.where(sd > 0, sd, 1.0), 0.0)
    mirror = -z[::-1]
    differs = np.abs(z - mirror) > _TIE
    first = differs.argmax(axis=0)
    gap = np.take_along_axis(z - mirror, first[None], axis=0)[0]
    sign = np.where(differs.any(axis=0) & (gap < 0), -1.0, 1.0)
    return np.where(sign < 0, mirror, z), mean, sd, sign


def draw_counts(n: int, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> FloatArray:
    """How often each of `n` values is in each bootstrap resample: (n_resamples, n), rows sum to n."""
    index = rng.integers(0, n, (n_resamples, n))
    index += n * np.arange(n_resamples)[:, None]
    return np.bincount(index.ravel(), minlength=n_resamples * n).reshape(-1, n).astype(float)


def bootstrap_t(z: FloatArray, counts: FloatArray, confidence: float) -> FloatArray:
    """Equal-tailed quantiles (2, k) of the bootstrapped t of standardized columns `z` (n, k).

    Efron & Tibshirani (1993), section 12.5. A resample without spread has t = ±∞ (0 when it
    also repeats the mean); the quantiles are then cut at `WIDEST` times Student's.
    """
    n = z.shape[0]
    mean = counts @ z / n
    variance = np.maximum(counts @ z**2 / n - mean**2, 0.0) / (n - 1)  # of the mean
    flat = variance < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / np.sqrt(variance)
    t = np.where(flat, np.where(np.abs(mean) < 1e-9, 0.0, np.copysign(np.inf, mean)), t)
    rank = int(np.floor((len(t) + 1) * (1 - confidence) / 2)) - 1
    ends = np.partition(t, [rank, len(t) - 1 - rank], axis=0)[[rank, len(t) - 1 - rank]]
    furthest = WIDEST * student_quantile(n - 1, confidence)
    return np.clip(ends, -furthest, furthest)


def student_quantile(df: float, confidence: float) -> float:
    """Two-sided critical value of Student's t: 2.776 for df 4 and confidence 0.95."""
    return float(stats.t.ppf((1 + confidence) / 2, df))
