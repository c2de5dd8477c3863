"""Accuracy with doubt about both the seeds and the test images.

In: predictions of one arm, or of two, on the same test images at every seed. Out: the interval over
seeds alone, which speaks for new seeds on these very images, and beside it the interval over
seeds and images, which speaks for new images too. It stands alone because it knows predictions;
the arithmetic is `samples.nested`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.samples.intervals import Interval, mean_interval
from analysis.statistics.samples.nested import nested_differences, nested_intervals
from analysis.statistics.samples.predictions import Predictions

OTHER_IMAGES = "test images differ between trials: the interval over seeds has that doubt in it"


@dataclass(frozen=True)
class TwoWay:
    """One estimate with two intervals: over seeds, and over seeds and images."""

    seeds: Interval
    seeds_and_images: Interval


def accuracy_interval(
    arm: Sequence[Predictions], control: Sequence[Predictions] | None = None
) -> TwoWay:
    """Mean accuracy of the trials of an arm, or its paired difference from `control`.

    `nested_intervals` of one arm, `nested_differences` of two, place i of both one seed. Test
    images that differ between trials: NaN for the second interval, with a note, since then the
    first has the doubt about images in it already. No trials: NaN.
    """
    if not arm:
        nothing = Interval.unknown("no predictions")
        return TwoWay(nothing, nothing)
    sides = [arm] if control is None else [arm, control]
    table = _right(sides)
    if table is not None:
        both = nested_intervals(table) if control is None else nested_differences(table)
        return TwoWay(*both)
    accuracy = [np.array([(p.predicted == p.labels).mean() for p in side]) for side in sides]
    values = accuracy[0] if control is None else accuracy[0] - accuracy[1]
    method = "auto" if control is None else "student"
    seeds = mean_interval(values, method=method).within(0.0 if control is None else -1.0, 1.0)
    unknown = Interval.unknown(OTHER_IMAGES, seeds.n)
    return TwoWay(seeds, replace(unknown, estimate=seeds.estimate))


def _right(sides: Sequence[Sequence[Predictions]]) -> NDArray[np.int8] | None:
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
