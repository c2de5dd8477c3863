"""Accuracy, precision, recall and F1 by class, and confusion matrices, from counts.

In: confusion counts of trials, int64 (n_trials, n_classes, n_classes): true classes by predicted
ones. Out: scores of each trial, and intervals over trials. Definitions are scikit-learn's, over all
classes of the data set (`labels=` every class), so that an average does not depend on which classes
a small test set happens to hold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Ints, Rng
from analysis.statistics.samples.intervals import (
    CONFIDENCE,
    Interval,
    mean_interval,
    mean_intervals,
)
from analysis.statistics.samples.nested import OVER_IMAGES, SAME
from analysis.statistics.samples.redrawn import METHOD, NOTE, corrected
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.shares import exact_share_interval
from analysis.statistics.samples.significance import holm
from headstart.errors import InputError

BY_CLASS = ("precision", "recall", "f1")
AVERAGES = ("macro", "weighted")


@dataclass(frozen=True)
class Confusion:
    """Confusion over trials; rows are true classes, columns predicted ones.

    pooled: int64 (n_classes, n_classes), images of all trials together. mean: float, the same
    shape, mean over trials of each row as shares of its true class; NaN for a class that no test
    set has. `n_trials` of them.
    """

    pooled: Ints
    mean: Floats
    n_trials: int


def count_answers(labels: Ints, predicted: Ints, n_classes: int) -> Ints:
    """Confusion counts (n_classes, n_classes) of one trial's labels and answers, (n_images,) each.

    Raises InputError for a class outside 0 … n_classes - 1.
    """
    both = np.concatenate([labels, predicted])
    if len(both) and (both.min() < 0 or both.max() >= n_classes):
        raise InputError(
            f"classes from {both.min()} to {both.max()} in its predictions, "
            f"but the data set has {n_classes} (0 to {n_classes - 1})"
        )
    flat = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes)


def confusion(counts: Ints) -> Confusion:
    """Pooled and mean confusion matrix of the trials."""
    shares = _divide(counts, counts.sum(axis=2, keepdims=True), nan)
    return Confusion(counts.sum(axis=0), _nan_mean(shares), len(counts))


@dataclass(frozen=True)
class RecallDifferences:
    """By class, (n_classes,) each: mean images a seed, mean recall of both arms, the interval of
    the mean paired difference, its p, and the p adjusted over the classes (Holm)."""

    n_images: Floats
    treatment: Floats
    control: Floats
    intervals: list[Interval]
    p_value: Floats
    p_holm: Floats


def recall_differences(treatment: Ints, control: Ints, overlap: float = 0.0) -> RecallDifferences:
    """In which classes the recall of two arms differs: trial i of both has one seed.

    The p-value is the paired t-test's, in which the spread of the differences is never taken below
    that of counting whole images (1/√6 of one image's share): with 15 images a class, seeds often
    agree exactly, and that is no certainty. The interval inverts that test, unadjusted. Where seeds
    redraw one pool of images (`overlap` above 0) both are corrected for it. NaN where a class is in
    no test set, and p NaN for one pair of seeds.
    """
    images = [counts.sum(axis=2) for counts in (treatment, control)]
    recall = [
        _divide(np.diagonal(counts, axis1=1, axis2=2), n, nan)
        for counts, n in zip((treatment, control), images, strict=True)
    ]
    difference = recall[0] - recall[1]
    n_images = _nan_mean(np.concatenate(images).astype(float))
    tests = [_paired_t(d, n, overlap) for d, n in zip(difference.T, n_images, strict=True)]
    p_value = np.array([p for _, p in tests], dtype=float)
    means = _nan_mean(recall[0]), _nan_mean(recall[1])
    return RecallDifferences(n_images, *means, [i for i, _ in tests], p_value, holm(p_value))


def _paired_t(differences: Floats, n_images: float, overlap: float) -> tuple[Interval, float]:
    """Student's interval of the mean difference of one class, and the p-value that it inverts."""
    d = np.sort(differences[~np.isnan(differences)])
    if not len(d):
        return Interval.unknown("in no test set"), nan
    if len(d) < 2:
        return mean_interval(d), nan
    error = max(float(d.std(ddof=1)), 1 / (sqrt(6) * n_images)) * sqrt(1 / len(d) + overlap)
    mean, df = float(d.mean()), len(d) - 1
    half = student_quantile(df, CONFIDENCE) * error
    method, note = (METHOD, NOTE) if overlap else ("student", "")
    interval = Interval(mean, mean - half, mean + half, CONFIDENCE, method, len(d), note)
    return interval.within(-1.0, 1.0), float(2 * stats.t.sf(abs(mean) / error, df))


def images_behind(counts: Ints) -> Floats:
    """Images (n_scores,) that the scores of `score_table` are shares of, in the smallest trial.

    Precision is of the images that were called so, recall and F1 of those that are so.
    """
    if not len(counts):
        return np.zeros(1 + len(BY_CLASS) * (len(AVERAGES) + counts.shape[1]))
    of_class, called = counts.sum(axis=2).min(axis=0), counts.sum(axis=1).min(axis=0)
    whole = np.full(1 + len(BY_CLASS) * len(AVERAGES), counts.sum(axis=(1, 2)).min())
    return np.concatenate([whole, called, of_class, of_class]).astype(float)


def score_table(
    counts: Ints, zero_division: float = 0.0
) -> tuple[Floats, list[tuple[str, int, str]]]:
    """Scores (n_trials, n_scores), and (scope, class, metric) of each; class -1 for averages.

    scope is `all` (accuracy), `macro`, `weighted` (by true images) or `class`. zero_division: the
    value of a ratio without a denominator; NaN is left out of averages. So is a class that a trial
    neither has among its images nor predicts: its scores are NaN (scikit-learn leaves it out, too).
    """
    n_classes = counts.shape[1]
    right = np.diagonal(counts, axis1=1, axis2=2)
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    by_class = np.stack(
        [
            _divide(right, called, zero_division),
            _divide(right, true, zero_division),
            _divide(2 * right, true + called, zero_division),
        ],
        axis=1,
    )  # (n_trials, metric, class)
    by_class[np.broadcast_to(((true + called) == 0)[:, None, :], by_class.shape)] = nan
    weights = np.broadcast_to(true[:, None, :], by_class.shape)
    parts = [
        _divide(right.sum(axis=1), true.sum(axis=1), nan)[:, None],
        _average(by_class, np.ones_like(by_class)),
        _average(by_class, weights),
        by_class.reshape(len(counts), len(BY_CLASS) * n_classes),
    ]
    names = [("all", -1, "accuracy")]
    names += [(scope, -1, metric) for scope in AVERAGES for metric in BY_CLASS]
    names += [("class", k, metric) for metric in BY_CLASS for k in range(n_classes)]
    return np.concatenate(parts, axis=1), names


def _average(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over the last axis, of the values that are numbers; NaN where none is."""
    known = ~np.isnan(values)
    total = np.where(known, weights, 0.0).sum(axis=-1)
    return _divide(np.where(known, values * weights, 0.0).sum(axis=-1), total, nan)


def _divide(top: NDArray[np.number], bottom: NDArray[np.number], otherwise: float) -> Floats:
    bottom = np.broadcast_to(bottom, top.shape)
    shares = np.full(top.shape, otherwise, dtype=float)
    np.divide(top, bottom, out=shares, where=bottom > 0)
    return shares


def _nan_mean(values: Floats) -> Floats:
    """Mean over the first axis of what is a number; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "mean of empty slice" is the NaN we want
        return np.asarray(np.nanmean(values, axis=0))


def column_intervals(
    table: Floats,
    rng: Rng | None,
    least: float,
    n_images: Floats | None = None,
    overlap: float = 0.0,
) -> list[Interval]:
    """`mean_intervals` of the columns, cut at `least` and 1, beyond which no share can be; those
    of seeds that redraw one pool of images are `corrected` (`overlap` above 0).

    All NaN with a note for a column without a number. Where all seeds are equal, which is no
    certainty, Clopper and Pearson's interval over the `n_images` (k,) behind each column.
    """
    note = "no predictions" if not len(table) else "in no test set"
    intervals = [Interval.unknown(note)] * table.shape[1]
    known = np.flatnonzero((~np.isnan(table)).any(axis=0))
    if len(known):
        columns = table[:, known]
        if overlap:
            drawn = [corrected(column[~np.isnan(column)], overlap) for column in columns.T]
        else:
            drawn = mean_intervals(columns, rng=rng)
        for i, interval in zip(known.tolist(), drawn, strict=True):
            intervals[i] = interval.within(least, 1.0)
            n = 0.0 if n_images is None else n_images[i]
            if interval.method == "constant" and n >= 1:
                share = exact_share_interval(interval.estimate * n, n)
                intervals[i] = replace(share, method=OVER_IMAGES, n=interval.n, note=SAME)
    return intervals
