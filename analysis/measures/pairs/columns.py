"""The values that arms are compared on, from the tables of trials and curves.

In: the trials and curves of one task, metrics, targets. Out: a `Column` for each, with the smallest
step of its values. It stands alone because which column, time or curve a metric is read from is
decided here; who pairs with whom is the business of `contrasts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.measures.conditions import numbered_conditions
from analysis.measures.times.reached import (
    area_under_curve,
    since_evaluation_before,
    times_to_targets,
)
from analysis.statistics.pairs.metrics import Metric
from analysis.statistics.pairs.sides import Column
from analysis.statistics.times.course import Course


def columns_of(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: Sequence[Metric],
    targets: Sequence[float],
    course: Course,
) -> Iterator[Column]:
    """A column for each metric, and of a time for each target; none where there is no value.

    Args:
        trials: those of one task; the values of a column are in their order.
        curves: of these trials.
    """
    for metric in metrics:
        if metric.is_time and not targets:
            continue
        if metric.is_time:
            alike = numbered_conditions(trials) if metric.source == "train_time_s" else None
            times = times_to_targets(curves, trials, targets, (metric.source,), course)
            columns = (times[name].to_numpy() for name in ("time", "reached", "budget", "first"))
            time, reached, budget, first = (c.reshape(len(targets), -1) for c in columns)
            since = since_evaluation_before(curves, trials, time, metric.source)
            for i, target in enumerate(map(float, targets)):
                yield Column(
                    metric, target, time[i], since[i], reached[i], budget[i], first[i], alike
                )
        elif metric.source == "area":
            area = area_under_curve(curves, trials, course=course)["area"].to_numpy(dtype=float)
            yield Column(metric, math.nan, area, _area_step(trials, curves, course))
        elif metric.source in trials:
            values = trials[metric.source].to_numpy(dtype=float)
            of_curve = metric.source == "late_noise"
            step = _area_step(trials, curves, course) if of_curve else 0.0
            yield Column(metric, math.nan, values, step or _granule(trials, metric))


def _granule(trials: pd.DataFrame, metric: Metric) -> float:
    """1 over the number of images that the metric is a share of; 0 where that is not known."""
    if metric.granule not in trials:
        return 0.0
    n_images = trials[metric.granule].max()
    return 1.0 / float(n_images) if n_images > 0 else 0.0


def _area_step(trials: pd.DataFrame, curves: pd.DataFrame, course: Course) -> float:
    """What counting whole validation images leaves to a mean over as many evaluations as trials
    have; 0 where it is not known, or the metric is no share of images."""
    n_images = trials["n_validation"].max() if "n_validation" in trials else 0
    n_evaluations = curves.groupby("trial_id").size().median() if len(curves) else 0
    if not (course.is_share and n_images > 0 and n_evaluations > 0):
        return 0.0
    return 1.0 / (float(n_images) * math.sqrt(float(n_evaluations)))
