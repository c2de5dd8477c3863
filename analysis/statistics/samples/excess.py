"""How far accuracies over seeds vary beyond what a finite test set alone would cause.

In: accuracies over seeds, and the sizes of their test sets. Out: `ExcessVariance`. The sample unit
is the seed; variances have ddof 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.samples.intervals import sd_interval
from headstart.errors import InputError


@dataclass(frozen=True)
class ExcessVariance:
    """Variance over seeds, and what is left of it without binomial noise of the test set.

    `excess` may be below 0: it is not cut, so that its mean over many studies is right. `p_value`
    is for "the test set's size alone explains the spread", small when seeds differ by more.
    """

    n: int
    note: str
    variance: float = nan
    binomial: float = nan
    excess: float = nan
    low: float = nan
    high: float = nan
    p_value: float = nan


def excess_variance(accuracies: ArrayLike, n_test: ArrayLike) -> ExcessVariance:
    """How far the variance of accuracies over seeds exceeds the noise of a finite test set.

    A network that is right with probability p on `n_test` independent images has a measured
    accuracy of variance p(1 - p)/n_test. That is a baseline for "stable" (Jordan 2023, "Calibrated
    chaos"): 0.10 points at p = 0.99 and 10,000 images. Excess: sample variance (ddof 1) minus
    the mean over seeds of that. Interval: `sd_interval` squared, minus the same. Test: Fisher's
    index of dispersion, sum of (accuracy - mean)² / binomial against chi-squared with n - 1
    degrees of freedom, upper tail.

    Seeds that share their test images share the images' difficulty too, so that even without
    any difference in quality they vary less than the baseline: the excess is then an
    underestimate, and the test errs towards no excess. With redrawn test sets it is exact.

    Args:
        accuracies: (n,) fractions, NaNs are left out. n_test: test images of each, or of all.

    Raises:
        InputError: an accuracy outside 0 to 1 (percent?), or a test set without images.
    """
    p = np.asarray(accuracies, dtype=float).ravel()
    size = np.broadcast_to(np.asarray(n_test, dtype=float), p.shape)[~np.isnan(p)]
    p = np.sort(p[~np.isnan(p)])
    if ((p < 0) | (p > 1)).any() or (size < 1).any():
        raise InputError("excess_variance: accuracies are fractions from 0 to 1, n_test at least 1")
    if not len(p):
        return ExcessVariance(0, "no values")
    binomial = float((p.mean() * (1 - p.mean()) / size).mean())
    if len(p) == 1:
        return ExcessVariance(1, "one value: no spread", binomial=binomial)
    variance = float(p.var(ddof=1))
    sd = sd_interval(p)
    df = len(p) - 1
    p_value = float(stats.chi2.sf(df * variance / binomial, df)) if binomial > 0 else nan
    excess, low, high = (square - binomial for square in (variance, sd.low**2, sd.high**2))
    return ExcessVariance(len(p), sd.note, variance, binomial, excess, low, high, p_value)
