"""Accuracy with doubt about both the seeds and the test images.

In: predictions of one arm, or of two, on the same test images at every seed. Out: the interval over
seeds alone, which speaks for new seeds on these very images, and beside it the interval over
seeds and images, which speaks for new images too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.pairs.scores import PredictionsById, paired_ids
from analysis.statistics.samples.arrays import Floats, Rng, Rows
from analysis.statistics.samples.intervals import CONFIDENCE, Interval, mean_interval
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions
from analysis.statistics.samples.resampling import draw_counts, student_quantile
from analysis.words import joined
from headstart.errors import InputError

N_RESAMPLES = 1_999
_BLOCK = 8_000_000  # numbers in memory at once


@dataclass(frozen=True)
class TwoWay:
    """One estimate with two intervals: over seeds, and over seeds and images."""

    seeds: Interval
    seeds_and_images: Interval


def accuracy_interval(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    arm: str,
    control: str | None = None,
    rng: Rng | None = None,
) -> TwoWay:
    """Mean accuracy of `arm`, or its paired difference from `control`, with both intervals.

    Over seeds: `mean_interval` of the trials' accuracies. Over seeds and images: the pigeonhole
    bootstrap (Owen 2007), in which seeds and images are drawn anew, each with replacement, and
    the shape of the result is used. Its width is corrected for what that bootstrap is known to
    get wrong at few seeds: draws of n seeds vary by (n - 1)/n too little and count the
    interaction of seeds and images three times, so deviations are scaled to the unbiased variance
    of a two-way layout, and from the normal to Student's t with Satterthwaite's degrees of freedom.

    One seed: the interval is over images alone, with a note. Test images that differ between
    trials: NaN for the second, with a note, since then the first has the doubt about images in
    it already. No trials: NaN.

    Args:
        trials: columns trial_id, arm, seed.
    """
    ids = paired_ids(predictions, trials, Pair(arm, arm if control is None else control))
    sides = [[predictions[i] for i in side] for side in (ids[:1] if control is None else ids)]
    if not sides[0]:
        nothing = Interval.unknown("no predictions")
        return TwoWay(nothing, nothing)
    accuracy = [np.array([(p.predicted == p.labels).mean() for p in side]) for side in sides]
    values = accuracy[0] if control is None else accuracy[0] - accuracy[1]
    seeds = mean_interval(values, rng=rng)
    table = _right(sides)
    if table is None:
        note = "test images differ between trials: the interval over seeds has that doubt in it"
        unknown = Interval.unknown(note, seeds.n)
        return TwoWay(seeds, replace(unknown, estimate=seeds.estimate))
    return TwoWay(seeds, _two_way(table, rng))


def _right(sides: list[list[Predictions]]) -> NDArray[np.int8] | None:
    """Right (1) or wrong (0) of each seed and image, less the control's; None: other images."""
    images = np.sort(sides[0][0].indices)
    tables = []
    for side in sides:
        rows = []
        for trial in side:
            order = np.argsort(trial.indices, kind="stable")
            if not np.array_equal(trial.indices[order], images):
                return None
            rows.append((trial.predicted == trial.labels)[order])
        tables.append(np.array(rows, dtype=np.int8))
    return tables[0] - tables[1] if len(tables) > 1 else tables[0]


def _two_way(table: NDArray[np.int8], rng: Rng | None) -> Interval:
    n_seeds = len(table)
    estimate = float(table.mean())
    variance, df = _variance(table)
    note = "one seed: over images alone" if n_seeds == 1 else ""
    if not variance > 0:
        note = joined(note, "no spread over seeds or images")
        return Interval(estimate, nan, nan, CONFIDENCE, "two-way bootstrap", n_seeds, note)
    if rng is None:
        raise InputError("accuracy_interval draws: pass rng=numpy.random.default_rng(SEED)")
    patterns, n_alike, sign = _patterns(table)
    drawn = sign * _pigeonhole(patterns, n_alike, rng) - estimate
    stretch = student_quantile(df, CONFIDENCE) / stats.norm.ppf((1 + CONFIDENCE) / 2)
    stretch *= np.sqrt(variance / drawn.var())
    tail = (1 - CONFIDENCE) / 2
    low, high = estimate + stretch * np.quantile(drawn, [tail, 1 - tail])
    bounds = (-1.0 if table.min() < 0 else 0.0), 1.0
    low, high = float(max(low, bounds[0])), float(min(high, bounds[1]))
    return Interval(estimate, low, high, CONFIDENCE, "two-way bootstrap", n_seeds, note)


def _variance(table: NDArray[np.int8]) -> tuple[float, float]:
    """Unbiased variance of the grand mean of a two-way layout, and its degrees of freedom."""
    n_seeds, n_images = table.shape
    values = table.astype(float)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    of_images = columns.var(ddof=1) / n_images if n_images > 1 else 0.0
    if n_seeds == 1:
        return float(of_images), float(max(n_images - 1, 1))
    of_seeds = rows.var(ddof=1) / n_seeds
    rest = values - rows[:, None] - columns + values.mean()
    both = (rest**2).sum() / ((n_seeds - 1) * max(n_images - 1, 1)) / (n_seeds * n_images)
    variance = max(of_seeds + of_images - both, of_seeds, of_images)
    parts = of_seeds**2 / (n_seeds - 1) + of_images**2 / max(n_images - 1, 1)
    return float(variance), float(variance**2 / parts) if parts else 1.0


def _patterns(table: NDArray[np.int8]) -> tuple[Floats, Floats, float]:
    """Images that were alike at every seed put together: patterns (n_seeds, k) and their numbers.

    The order of seeds, and which arm is which, are taken out: the returned sign says whether the
    table was turned over, so that no relabelling can change what is drawn.
    """
    ways = [(*_ordered(sign * table), sign) for sign in (1, -1)]
    patterns, n_alike, sign = min(ways, key=lambda way: (way[0].tobytes(), way[1].tobytes()))
    return patterns.astype(float), n_alike.astype(float), float(sign)


def _ordered(table: NDArray[np.int8]) -> tuple[NDArray[np.int8], Rows]:
    rows = sorted(range(len(table)), key=lambda i: table[i].tobytes())
    return np.unique(table[rows], axis=1, return_counts=True)


def _pigeonhole(patterns: Floats, n_alike: Floats, rng: Rng) -> Floats:
    """Grand means of tables whose seeds and images are drawn with replacement (n_resamples,)."""
    n_seeds, n_images = len(patterns), n_alike.sum()
    seeds = draw_counts(n_seeds, rng, N_RESAMPLES)
    of_pattern = seeds @ patterns / n_seeds
    block = max(1, _BLOCK // len(n_alike))  # of resamples at a time, for memory's sake
    means = []
    for first in range(0, N_RESAMPLES, block):
        part = of_pattern[first : first + block]
        images = rng.multinomial(int(n_images), n_alike / n_images, size=len(part))
        means.append((part * images).sum(axis=1) / n_images)
    return np.concatenate(means)
