"""Accuracy with doubt about seeds and about test images: an interval inside an interval.

In: right or wrong of each seed on each image, all seeds on the same images. Out: the interval over
seeds alone, and the one over seeds and images, which is never the narrower of the two. It stands
alone because it knows arrays only; `two_way` makes them from predictions.

Both ends of the second lie at a distance from the estimate whose square is

    (distance over seeds)² + z² · max(0, variance of images − variance of the interaction)

The spread over seeds holds the interaction of seeds and images already, and so does the spread over
images: it is taken off once. In simulation 95 % intervals covered .93 to 1.00 (benchmarks/nested).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.samples.intervals import CONFIDENCE, Interval, mean_interval
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.shares import exact_share_interval

NESTED = "seeds and images, nested"
OVER_IMAGES = "Clopper-Pearson over the images"
SAME = "all seeds are equally accurate: the interval is over the images"


def nested_intervals(right: NDArray[np.int8]) -> tuple[Interval, Interval]:
    """Mean accuracy: the interval over seeds, and that over seeds and images.

    Args:
        right: (n_seeds, n_images) of 1 (right) and 0 (wrong).

    Both lie within 0 to 1. One seed: the first is NaN, the second Clopper and Pearson's over the
    images. Seeds that are all equally accurate have no spread to go by: both are that one, which
    has never zero width. Otherwise the first is `mean_interval`.
    """
    n_seeds, n_images = right.shape
    accuracy = right.mean(axis=1)
    if n_seeds == 1 or np.ptp(right.sum(axis=1)) == 0:
        share = exact_share_interval(round(float(right.sum()) / n_seeds), n_images)
        note = "one seed: over images alone" if n_seeds == 1 else SAME
        images = replace(share, method=OVER_IMAGES, n=n_seeds, note=note)
        return (mean_interval(accuracy) if n_seeds == 1 else images), images
    seeds = mean_interval(accuracy).within(0.0, 1.0)
    return seeds, _around(seeds, _of_images(right)).within(0.0, 1.0)


def nested_differences(difference: NDArray[np.int8]) -> tuple[Interval, Interval]:
    """Mean paired difference of two accuracies: over seeds, and over seeds and images.

    Args:
        difference: (n_seeds, n_images) of right (treatment) − right (control): −1, 0 or 1.

    Over seeds it is Student's interval, which the paired t-test inverts; its SD is never taken
    below what counting whole images leaves, 1 / (√6 · n_images). One seed: over images alone, at
    least as wide as what no image in n_images allows.
    """
    n_seeds, n_images = difference.shape
    values = np.sort(difference.mean(axis=1))
    mean = float(values.mean())
    if n_seeds == 1:
        least = exact_share_interval(0, n_images).high
        half = max(_Z * math.sqrt(_of_images(difference)), least)
        note = "one seed: over images alone"
        images = Interval(mean, mean - half, mean + half, CONFIDENCE, NESTED, 1, note)
        return mean_interval(values), images.within(-1.0, 1.0)
    sd = max(float(values.std(ddof=1)), 1 / (math.sqrt(6) * n_images))
    half = student_quantile(n_seeds - 1, CONFIDENCE) * sd / math.sqrt(n_seeds)
    seeds = Interval(mean, mean - half, mean + half, CONFIDENCE, "student", n_seeds)
    return (seeds.within(-1.0, 1.0), _around(seeds, _of_images(difference)).within(-1.0, 1.0))


_Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


def _around(seeds: Interval, of_images: float) -> Interval:
    """The interval over seeds with the doubt about images around it, end by end."""
    low, high = (
        math.sqrt((end - seeds.estimate) ** 2 + _Z**2 * of_images)
        for end in (seeds.low, seeds.high)
    )
    mean = seeds.estimate
    return replace(seeds, low=mean - low, high=mean + high, method=NESTED)


def _of_images(table: NDArray[np.int8]) -> float:
    """Variance of the grand mean that images alone cause: of (n_seeds, n_images) values.

    The mean square of images less that of the interaction, over all values (two-way analysis of
    variance without replication); of one seed nothing can be taken off.
    """
    n_seeds, n_images = table.shape
    if n_images < 2:
        return 0.0
    values = table.astype(float)
    columns = values.mean(axis=0)
    of_images = float(columns.var(ddof=1) / n_images)
    if n_seeds == 1:
        return of_images
    rest = values - values.mean(axis=1, keepdims=True) - columns + values.mean()
    both = (rest**2).sum() / ((n_seeds - 1) * (n_images - 1)) / (n_seeds * n_images)
    return max(0.0, of_images - float(both))
