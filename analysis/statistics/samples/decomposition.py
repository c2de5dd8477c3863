"""How much of the spread over seeds comes from each source of randomness (Bouthillier 2021).

In: for each base trial its value, and the value of the same trial with one source drawn anew. Out:
a variance for each source, with its interval. It stands alone because its sample unit is neither
the trial nor the pair of arms but a trial and its double.

Model: a value is a sum of independent effects, one a source. A trial and its double then differ in
that source's effects alone, so half of their mean squared difference estimates its variance
(Jansen 1999, the total effect: with it come the interactions in which the source takes part). Each
base has a double of its own and draws of its own, so of normal effects k · estimate / variance is
chi-squared with k degrees of freedom, which gives the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from headstart.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Component:
    """The variance that one source brings, with the ends of its interval; NaN without any pair.

    `n` pairs of a trial and its double.
    """

    variance: float
    low: float
    high: float
    n: int

    @property
    def sd(self) -> tuple[float, float, float]:
        """Standard deviation and the ends of its interval."""
        return math.sqrt(self.variance), math.sqrt(self.low), math.sqrt(self.high)


def component(
    values: ArrayLike, doubles: ArrayLike, grain: float = 0.0, confidence: float = CONFIDENCE
) -> Component:
    """Variance of the source in which `doubles` differ from `values`, both (n,), by position.

    Estimator: half of the mean squared difference; its mean over studies is the source's variance.
    Interval: chi-squared with n degrees of freedom. It trusts that differences are near normal;
    those of two draws of one effect are symmetric, and their excess of kurtosis is half of it.
    A pair with a NaN is left out; without any, all is NaN. Where all pairs are equal the variance
    is 0, and its upper end is that of the rounding to steps of `grain` (one image's share).

    Raises:
        InputError: samples of unequal length.
    """
    x, y = np.asarray(values, dtype=float).ravel(), np.asarray(doubles, dtype=float).ravel()
    if len(x) != len(y):
        raise InputError(f"component: {len(x)} and {len(y)} values do not pair")
    difference = (x - y)[~np.isnan(x - y)]
    n = len(difference)
    if not n:
        return Component(math.nan, math.nan, math.nan, 0)
    variance = float(np.mean(np.sort(difference**2))) / 2
    tail = (1 - confidence) / 2
    low = n * variance / float(stats.chi2.isf(tail, n))
    rounding = grain**2 / 12  # of a difference of two rounded values, halved as above
    high = n * max(variance, rounding) / float(stats.chi2.isf(1 - tail, n))
    return Component(variance, low, high, n)
