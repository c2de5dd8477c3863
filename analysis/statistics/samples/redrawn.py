"""Seeds that redraw training and test images from one pool: how far their results depend.

In: values over seeds and their overlap, the ratio n_test / n_train that the corrected resampled
t-test adds to 1 / n seeds; 0 where the test images stand apart or stay the same. Out: intervals. It
stands apart because intervals, tests and caveats must agree on it.

Of two seeds that draw from one pool, each trains on images on which the other is tested. The
spread over seeds then promises more than it holds: n seeds are worth fewer than n. Nadeau and
Bengio (2003, section 3) estimate the correlation by n_test / (n_test + n_train), which makes the
variance of the mean (1/n + n_test/n_train) times that over seeds. Here only `train` counts as
training images, though validation images decide settings and checkpoints, and the pool may hold
more than one seed uses: both make the intervals too wide rather than too narrow.
"""

from __future__ import annotations

import math
from dataclasses import replace

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval, mean_interval
from analysis.statistics.samples.nested import OVER_IMAGES, SAME
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.shares import exact_share_interval

METHOD = "corrected resampled t"
NOTE = "seeds draw from one pool of images: corrected resampled t (Nadeau and Bengio 2003)"


def widening(n: int, overlap: float) -> float:
    """How many times as wide as for independent seeds: √(1 + n · overlap)."""
    return math.sqrt(1 + n * overlap)


def seeds_worth(n: int, overlap: float) -> float:
    """How many independent seeds `n` of them are worth."""
    return n / (1 + n * overlap)


def corrected(values: Floats, overlap: float) -> Interval:
    """The mean over seeds with its corrected resampled t interval, n - 1 degrees of freedom.

    `values`: (n,) fractions or differences of them, no NaNs. One value has no interval; constant
    data has zero width, which the method says ("constant").
    """
    plain = mean_interval(values, method="student")
    if plain.n == 1 or plain.low == plain.high:
        return plain
    sd = float(values.std(ddof=1))
    half = student_quantile(plain.n - 1, CONFIDENCE) * sd * math.sqrt(1 / plain.n + overlap)
    mean = plain.estimate
    return Interval(mean, mean - half, mean + half, CONFIDENCE, METHOD, plain.n, NOTE)


def accuracy_interval(
    values: Floats, overlap: float, rng: Rng | None = None, n_images: float = math.nan
) -> Interval:
    """Of the mean of accuracies: `mean_interval` where seeds are independent (overlap 0), else
    `corrected`, cut at 0 and 1, beyond which no accuracy lies.

    Seeds that are all equal on `n_images` test images each are no certainty: the interval is then
    Clopper and Pearson's over the images of one seed.
    """
    if len(values) > 1 and values.min() == values.max() and n_images >= 1:
        share = exact_share_interval(round(values[0] * n_images), n_images)
        return replace(share, method=OVER_IMAGES, n=len(values), note=SAME)
    if not overlap:
        return mean_interval(values, rng=rng).within(0.0, 1.0)
    return corrected(values, overlap).within(0.0, 1.0)
