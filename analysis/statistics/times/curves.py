"""Learning curves as columns: when each first reaches a target, and the area under it.

In: the values of all evaluations, sorted by trial and step, and which rows belong to which trial.
Out: one value a trial. Every function works on whole columns, for ten thousand trials as for ten;
it stands alone because times, areas and restlessness mean the same by a curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.statistics.samples.arrays import Bools, Floats, Rows

_ROUNDING = 1e-9  # of an accuracy: a share of whole images and a target are rounded unlike


@dataclass(frozen=True)
class Layout:
    """Which rows are which trial's.

    trial: (n_rows,) the trial of each row, ascending. first: (n_trials,) the first row of each
    trial. count: (n_trials,) how many rows it has (0 for a trial without a curve).
    """

    trial: Rows
    first: Rows
    count: Rows

    @classmethod
    def of(cls, trial: Rows, n_trials: int) -> Layout:
        """Of the trial of each row (n_rows,), ascending from 0 to below `n_trials`."""
        count = np.bincount(trial, minlength=n_trials)
        return cls(trial, np.cumsum(count) - count, count)

    def last(self, values: Floats) -> Floats:
        """The last of the `values` (n_rows,) of each trial; NaN for a trial without a curve."""
        last = np.full(len(self.count), np.nan)
        has = self.count > 0
        last[has] = values[(self.first + self.count - 1)[has]]
        return last

    def first_where(self, hit: Bools) -> Rows:
        """The first row of each trial where `hit` (n_rows,); -1 where there is none."""
        rows = np.flatnonzero(hit)
        first = np.full(len(self.count), -1)
        first[self.trial[rows[::-1]]] = rows[::-1]  # of equal indices numpy keeps the last written
        return first


def first_at_target(
    layout: Layout, values: Floats, target: float, lower_is_better: bool = False
) -> Rows:
    """The first row (n_trials,) at or above the target (or at or below it); -1 for none.

    A NaN reaches nothing.
    """
    sign = -1.0 if lower_is_better else 1.0
    return layout.first_where(sign * values >= sign * target - _ROUNDING)


def since_row_before(layout: Layout, position: Floats, times: Floats) -> Floats:
    """How much each time is later than the evaluation before it: what is not known of it.

    Args:
        position: (n_rows,). times: (n_trials,) or (n_targets, n_trials), in the same unit.

    Returns:
        Of the shape of `times`; the time itself where nothing was evaluated before, NaN for NaN.
    """
    before = np.zeros(times.shape)
    for its_times, its_before in zip(np.atleast_2d(times), np.atleast_2d(before), strict=True):
        rows = np.flatnonzero(position < its_times[layout.trial])
        its_before[layout.trial[rows]] = position[rows]  # the last written is the latest
    return times - before


def mean_heights(
    layout: Layout, x: Floats, y: Floats, done: Bools, start: float | None, until: float | None
) -> Floats:
    """Mean of y over x of each trial (n_trials,): the area under its curve over the width.

    The trapezoid rule between evaluations, from `start` to `until`: by default the latest first and
    the earliest last x of the trials that are `done`. NaN for the others, for curves that do not
    cover the span, and where a y inside it is NaN.
    """
    done = done & (layout.count > 1)
    first = np.full(len(layout.count), np.nan)
    first[done] = x[layout.first[done]]
    last = np.where(done, layout.last(x), np.nan)
    if done.any():
        start = float(np.nanmax(first)) if start is None else start
        until = float(np.nanmin(last)) if until is None else until
    heights = np.full(len(layout.count), np.nan)
    if start is not None and until is not None and start < until:
        covered = (first <= start) & (last >= until)
        heights[covered] = _areas(layout, x, y, start, until)[covered]
        heights /= until - start
    return heights


def _areas(layout: Layout, x: Floats, y: Floats, start: float, until: float) -> Floats:
    """Area under each trial's broken line between `start` and `until`."""
    trial = layout.trial
    inside = (trial[1:] == trial[:-1]) & (x[1:] > start) & (x[:-1] < until)
    left, right = np.flatnonzero(inside), np.flatnonzero(inside) + 1
    low, high = np.maximum(x[left], start), np.minimum(x[right], until)
    middle = ((low + high) / 2 - x[left]) / (x[right] - x[left])
    height = y[left] + middle * (y[right] - y[left])  # of a straight line, at the middle
    weights = height * (high - low)
    return np.bincount(trial[left], weights, minlength=len(layout.count)).astype(float)
