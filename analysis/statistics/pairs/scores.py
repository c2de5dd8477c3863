"""Accuracy, precision, recall and F1 by class, with intervals over seeds, and confusion matrices.

In: predictions on test images, `{trial_id: Predictions}`, and the `trials` table that says which
arm and seed each is of. Out: tables. Test images may differ between seeds: each trial is scored
on its own. Definitions are scikit-learn's, over all classes of the data set (`labels=` every
class), so that an average does not depend on which classes a small test set happens to hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan, sqrt

import numpy as np
import pandas as pd
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
from analysis.statistics.samples.pairing import Pair, pair_seeds
from analysis.statistics.samples.predictions import Predictions
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.shares import exact_share_interval
from analysis.statistics.samples.significance import holm
from headstart.errors import InputError

PredictionsById = Mapping[str, Predictions]

BY_CLASS = ("precision", "recall", "f1")
AVERAGES = ("macro", "weighted")
MORE = ("n", "method", "note")  # of an interval, in tables by class


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


def confusion(predictions: PredictionsById, n_classes: int) -> Confusion:
    """Pooled and mean confusion matrix of all given trials (those of one arm)."""
    counts = _counts(predictions, n_classes)
    shares = _divide(counts, counts.sum(axis=2, keepdims=True), nan)
    return Confusion(counts.sum(axis=0), _nan_mean(shares), len(counts))


def score_intervals(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    class_names: Sequence[str],
    rng: Rng | None = None,
    zero_division: float = 0.0,
) -> pd.DataFrame:
    """Mean over seeds of every score of each arm, with `mean_interval` over seeds.

    Args:
        trials: columns trial_id and arm; an arm without predictions has rows of NaN, with a note.
        zero_division: the value of a ratio without a denominator, as precision of a class that
            was never predicted: 0.0 (scikit-learn's too), 1.0 or NaN, which averages leave out.

    Returns:
        arm, scope, class_name ("" for averages), metric, estimate, low, high, n, method, note;
        arms sorted. scope is `all` (metric accuracy), `macro`, `weighted` (by true images) or
        `class` (metric precision, recall or f1). The interval is over seeds alone:
        `two_way.accuracy_interval` adds the doubt about images. Where all seeds are equal it is
        over the images (`column_intervals`).
    """
    rows = []
    for arm, members in trials.groupby("arm"):
        own = {i: predictions[i] for i in members["trial_id"] if i in predictions}
        table, names = _score_table(own, len(class_names), zero_division)
        intervals = column_intervals(table, rng, 0.0, _images_behind(own, len(class_names)))
        for (scope, index, metric), interval in zip(names, intervals, strict=True):
            class_name = class_names[index] if index >= 0 else ""
            identity = {"arm": arm, "scope": scope, "class_name": class_name, "metric": metric}
            rows.append(identity | interval.columns(also=MORE))
    columns = ["arm", "scope", "class_name", "metric", "estimate", "low", "high", *MORE]
    return pd.DataFrame(rows, columns=columns)


def class_differences(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    treatment: str,
    control: str,
    class_names: Sequence[str],
) -> pd.DataFrame:
    """In which classes the recall of two arms differs, Holm-adjusted over the classes.

    Paired by seed. The p-value is the paired t-test's, in which the spread of the differences is
    never taken below that of counting whole images (1/√6 of one image's share): with 15 images a
    class, seeds often agree exactly, and that is no certainty. The interval inverts that test,
    unadjusted.

    Returns:
        One row a class: class_name, class_index, n_pairs, n_images (mean a seed), recall_treatment,
        recall_control, difference, low, high, p_value, p_holm, differs (p_holm ≤ 0.05),
        note. NaN where a class is in no test set, and p NaN for one pair of seeds.
    """
    ids = paired_ids(predictions, trials, Pair(treatment, control))
    n_classes = len(class_names)
    sides = [_counts({i: predictions[i] for i in side}, n_classes, side) for side in ids]
    images = [counts.sum(axis=2) for counts in sides]
    recall = [
        _divide(np.diagonal(counts, axis1=1, axis2=2), n, nan)
        for counts, n in zip(sides, images, strict=True)
    ]
    difference = recall[0] - recall[1]
    n_images = _nan_mean(np.concatenate(images).astype(float))
    tests = [_paired_t(d, n) for d, n in zip(difference.T, n_images, strict=True)]
    intervals = [interval for interval, _ in tests]
    p_value = np.array([p for _, p in tests], dtype=float)
    p_holm = holm(p_value)
    return pd.DataFrame(
        {
            "class_name": list(class_names),
            "class_index": range(n_classes),
            "n_pairs": [interval.n for interval in intervals],
            "n_images": n_images,
            "recall_treatment": _nan_mean(recall[0]),
            "recall_control": _nan_mean(recall[1]),
            **pd.DataFrame([interval.columns("difference") for interval in intervals]),
            "p_value": p_value,
            "p_holm": p_holm,
            "differs": p_holm <= 1 - CONFIDENCE + 1e-12,
            "note": [interval.note for interval in intervals],
        }
    )


def paired_ids(
    predictions: PredictionsById, trials: pd.DataFrame, pair: Pair
) -> tuple[list[str], list[str]]:
    """Trial ids of both arms, aligned by seed, for the seeds where both have predictions."""
    known = trials[trials["trial_id"].isin(list(predictions))]
    treated, control = (known[known["arm"] == arm] for arm in pair)
    pairs = pair_seeds(treated, control)
    treated_ids: list[str] = treated["trial_id"].iloc[pairs.treatment].tolist()
    control_ids: list[str] = control["trial_id"].iloc[pairs.control].tolist()
    return treated_ids, control_ids


def _paired_t(differences: Floats, n_images: float) -> tuple[Interval, float]:
    """Student's interval of the mean difference of one class, and the p-value that it inverts."""
    d = np.sort(differences[~np.isnan(differences)])
    if not len(d):
        return Interval.unknown("in no test set"), nan
    if len(d) < 2:
        return mean_interval(d), nan
    error = max(float(d.std(ddof=1)), 1 / (sqrt(6) * n_images)) / sqrt(len(d))
    mean, df = float(d.mean()), len(d) - 1
    half = student_quantile(df, CONFIDENCE) * error
    interval = Interval(mean, mean - half, mean + half, CONFIDENCE, "student", len(d))
    return interval.within(-1.0, 1.0), float(2 * stats.t.sf(abs(mean) / error, df))


def _images_behind(predictions: PredictionsById, n_classes: int) -> Floats:
    """Images (n_scores,) that the scores of `_score_table` are shares of, in the smallest trial.

    Precision is of the images that were called so, recall and F1 of those that are so.
    """
    counts = _counts(predictions, n_classes)
    if not len(counts):
        return np.zeros(1 + len(BY_CLASS) * (len(AVERAGES) + n_classes))
    of_class, called = counts.sum(axis=2).min(axis=0), counts.sum(axis=1).min(axis=0)
    whole = np.full(1 + len(BY_CLASS) * len(AVERAGES), counts.sum(axis=(1, 2)).min())
    return np.concatenate([whole, called, of_class, of_class]).astype(float)


def _counts(predictions: PredictionsById, n_classes: int, ids: Sequence[str] | None = None) -> Ints:
    """Confusion counts of each trial (n_trials, true, predicted), by sorted id or as in `ids`."""
    ids = sorted(predictions) if ids is None else ids
    counts = np.zeros((len(ids), n_classes, n_classes), dtype=np.int64)
    for matrix, trial_id in zip(counts, ids, strict=True):
        labels, predicted = predictions[trial_id].labels, predictions[trial_id].predicted
        both = np.concatenate([labels, predicted])
        if len(both) and (both.min() < 0 or both.max() >= n_classes):
            raise InputError(
                f"trial {trial_id}: classes from {both.min()} to {both.max()} in its predictions, "
                f"but the data set has {n_classes} (0 to {n_classes - 1})"
            )
        matrix += np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(
            n_classes, n_classes
        )
    return counts


def _score_table(
    predictions: PredictionsById, n_classes: int, zero_division: float
) -> tuple[Floats, list[tuple[str, int, str]]]:
    """Scores (n_trials, n_scores), trials by sorted id, and (scope, class, metric) of each."""
    counts = _counts(predictions, n_classes)
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
    table: Floats, rng: Rng | None, least: float, n_images: Floats | None = None
) -> list[Interval]:
    """`mean_intervals` of the columns, cut at `least` and 1, beyond which no share can be.

    All NaN with a note for a column without a number. Where all seeds are equal, which is no
    certainty, Clopper and Pearson's interval over the `n_images` (k,) behind each column.
    """
    note = "no predictions" if not len(table) else "in no test set"
    intervals = [Interval.unknown(note)] * table.shape[1]
    known = np.flatnonzero((~np.isnan(table)).any(axis=0))
    if len(known):
        drawn = mean_intervals(table[:, known], rng=rng)
        for i, interval in zip(known.tolist(), drawn, strict=True):
            intervals[i] = interval.within(least, 1.0)
            n = 0.0 if n_images is None else n_images[i]
            if interval.method == "constant" and n >= 1:
                share = exact_share_interval(interval.estimate * n, n)
                intervals[i] = replace(share, method=OVER_IMAGES, n=interval.n, note=SAME)
    return intervals
