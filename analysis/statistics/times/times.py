"""When each trial first reaches a target, and what its whole learning curve amounts to.

In: the tables of a run, `curves` (one row an evaluation) and `trials` (one row a trial). Out: one
row a trial, in the order of `trials`. A trial that never reaches the target is censored: its row
says `reached` False and stands at its budget. Every function sorts the curves once and then works
on whole columns, for ten thousand trials as for ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Bools, Floats, Rows
from analysis.statistics.times.course import ACCURACY, Course
from headstart.errors import InputError

UNITS = ("step", "samples", "train_time_s")
_ROUNDING = 1e-9  # of an accuracy: a share of whole images and a target are rounded unlike


@dataclass(frozen=True)
class OrderedCurves:
    """Curves sorted by trial and step, column by column as they are asked for.

    Row r of a column belongs to row `trial[r]` of the table of trials. `first[i]` is the first row
    of trial i and `count[i]` how many rows it has (0 for a trial that left no curve).
    """

    curves: pd.DataFrame
    order: Rows | slice
    trial: Rows
    first: Rows
    count: Rows

    def column(self, name: str) -> Floats:
        values: Floats = self.curves[name].to_numpy(dtype=float)
        return values[self.order]

    def last(self, name: str) -> Floats:
        """The last value of a column for each trial; NaN for a trial without a curve."""
        values = np.full(len(self.count), np.nan)
        has = self.count > 0
        values[has] = self.column(name)[(self.first + self.count - 1)[has]]
        return values


def order_curves(curves: pd.DataFrame, trials: pd.DataFrame) -> OrderedCurves:
    """Sort `curves` by trial (as in `trials`) and step, and find where each trial begins.

    Rows whose trial is not in `trials` are left out.
    """
    codes, names = pd.factorize(curves["trial_id"])
    row_of = pd.Index(trials["trial_id"]).get_indexer(pd.Index(names))
    trial = row_of[codes] if len(names) else np.empty(0, dtype=np.intp)
    step = curves["step"].to_numpy()
    same = trial[1:] == trial[:-1]
    order: Rows | slice = slice(None)
    if (trial < 0).any() or ((trial[1:] < trial[:-1]) | (same & (step[1:] < step[:-1]))).any():
        order = np.lexsort((step, trial))
        order = order[trial[order] >= 0]
    trial = trial[order]
    count = np.bincount(trial, minlength=len(trials))
    return OrderedCurves(curves, order, trial, np.cumsum(count) - count, count)


def times_to_targets(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    targets: Sequence[float],
    units: Sequence[str] = ("step",),
    course: Course = ACCURACY,
) -> pd.DataFrame:
    """The first evaluation of each trial whose validation accuracy is at or above each target.

    Or another metric of `course`; one of which less is better, at or below.

    Args:
        curves: columns trial_id, step, that of `course` and `units`; in any order of rows.
        trials: columns trial_id, arm, seed, status; `stage` and `task` (or `sweep`) where there
            is more than one. One row of the result for each, also for those without a curve.
        targets: accuracies, as fractions; or of `course`.
        units: of `step`, `samples`, `train_time_s`.

    Returns:
        A row a unit, target and trial, in this order: trial_id, arm, seed, time (float, in
        `unit`), reached (bool), budget (float), target, unit. A trial that never reaches the
        target is censored at its budget, the position of its last evaluation: time = budget.
        A last column `first` has the position of its first evaluation after step 0, which is the
        latest that a trial which was at the target at time 0 can have been there.
        `failed` and `diverged` trials count as never reached, whatever their curve says, and
        their budget is the longest of the finished trials of their arm (of their sweep, where
        the arm has none), not where they broke off; NaN where nothing finished. An accuracy of
        NaN reaches nothing.

    Raises:
        InputError: an unknown unit, or a trial id that stands twice in `trials`.
    """
    _check(trials, units)
    ordered = order_curves(curves, trials)
    parts = []
    for unit in units:
        budget = _budgets(ordered, trials, unit)
        first = _after_start(ordered, unit, budget)
        for target in targets:
            part = _times(ordered, trials, float(target), unit, budget, course)
            parts.append(part.assign(target=float(target), unit=unit, first=first))
    return pd.concat(parts, ignore_index=True) if parts else _empty_times()


def since_evaluation_before(
    curves: pd.DataFrame, trials: pd.DataFrame, times: Floats, unit: str = "step"
) -> Floats:
    """How much each time is later than the evaluation before it: what is not known of it.

    Args:
        times: (n_trials,) in the order of `trials`, or (n_targets, n_trials); in `unit`.

    Returns:
        Of the same shape, in `unit`; the time itself where nothing was evaluated before, NaN for
        NaN.
    """
    ordered = order_curves(curves, trials)
    position = ordered.column(unit)
    before = np.zeros(times.shape)
    for its_times, its_before in zip(np.atleast_2d(times), np.atleast_2d(before), strict=True):
        rows = np.flatnonzero(position < its_times[ordered.trial])
        its_before[ordered.trial[rows]] = position[rows]  # the last written is the latest
    return times - before


def area_under_curve(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    unit: str = "step",
    start: float | None = None,
    until: float | None = None,
    course: Course = ACCURACY,
) -> pd.DataFrame:
    """Mean validation accuracy over training: the area under the curve over its width.

    Or the mean of another metric of `course`, in its unit.

    The trapezoid rule between evaluations, from `start` to `until`: by default the latest first
    and the earliest last evaluation of the finished trials, so that all are measured over one
    span (give only trials that are to be compared). Inside a segment the curve is a straight line.

    Returns:
        trial_id, arm, seed, area. NaN for failed and diverged trials, for trials
        whose curve does not cover the span, and where an accuracy inside it is NaN.
    """
    _check(trials, (unit,))
    ordered = order_curves(curves, trials)
    x, y = ordered.column(unit), ordered.column(course.column)
    done = _done(trials) & (ordered.count > 1)
    first = np.full(len(trials), np.nan)
    first[done] = x[ordered.first[done]]
    last = np.where(done, ordered.last(unit), np.nan)
    if done.any():
        start = float(np.nanmax(first)) if start is None else start
        until = float(np.nanmin(last)) if until is None else until
    area = np.full(len(trials), np.nan)
    if start is not None and until is not None and start < until:
        covered = (first <= start) & (last >= until)
        area[covered] = _areas(ordered.trial, x, y, start, until, len(trials))[covered]
        area /= until - start
    return _identity(trials).assign(area=area)


def _areas(trial: Rows, x: Floats, y: Floats, start: float, until: float, n_trials: int) -> Floats:
    """Area under each trial's broken line between `start` and `until`."""
    inside = (trial[1:] == trial[:-1]) & (x[1:] > start) & (x[:-1] < until)
    left, right = np.flatnonzero(inside), np.flatnonzero(inside) + 1
    low, high = np.maximum(x[left], start), np.minimum(x[right], until)
    middle = ((low + high) / 2 - x[left]) / (x[right] - x[left])
    height = y[left] + middle * (y[right] - y[left])  # of a straight line, at the middle
    return np.bincount(trial[left], height * (high - low), minlength=n_trials).astype(float)


def _times(
    ordered: OrderedCurves,
    trials: pd.DataFrame,
    target: float,
    unit: str,
    budget: Floats,
    course: Course,
) -> pd.DataFrame:
    """One row a trial."""
    sign = -1.0 if course.lower_is_better else 1.0
    values = sign * ordered.column(course.column)
    row = _first_hit(ordered, values >= sign * target - _ROUNDING)
    reached = (row >= 0) & _done(trials)
    time = budget.copy()
    time[reached] = ordered.column(unit)[row[reached]]
    return _identity(trials).assign(time=time, reached=reached, budget=budget)


def _after_start(ordered: OrderedCurves, unit: str, budget: Floats) -> Floats:
    """The first position above 0 of each trial; its budget where it has none."""
    position = ordered.column(unit)
    row = _first_hit(ordered, position > 0)
    return np.where(row >= 0, position[row] if len(position) else np.nan, budget)


def _first_hit(ordered: OrderedCurves, hit: Bools) -> Rows:
    """The first row of each trial where `hit`; -1 where there is none."""
    rows = np.flatnonzero(hit)
    first = np.full(len(ordered.count), -1)
    first[ordered.trial[rows[::-1]]] = rows[::-1]  # of equal indices numpy keeps the last written
    return first


def _budgets(ordered: OrderedCurves, trials: pd.DataFrame, unit: str) -> Floats:
    """Each finished trial's last position; for the others the longest of their arm or sweep."""
    own = pd.Series(np.where(_done(trials), ordered.last(unit), np.nan))
    sweep = [trials[name].to_numpy() for name in ("task", "sweep", "stage") if name in trials]
    for keys in ([*sweep, trials["arm"].to_numpy()], sweep):
        longest = own.groupby(keys).transform("max") if keys else own.max()
        own = own.fillna(longest)
    return np.asarray(own, dtype=float)


def _done(trials: pd.DataFrame) -> Bools:
    return np.asarray(trials["status"] == "done", dtype=bool)


def _identity(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[["trial_id", "arm", "seed"]].reset_index(drop=True)


def _empty_times() -> pd.DataFrame:
    names = ("trial_id", "arm", "seed", "time", "reached", "budget", "target", "unit", "first")
    kinds = ("str", "str", "int64", "float64", "bool", "float64", "float64", "str", "float64")
    return pd.DataFrame(columns=names).astype(dict(zip(names, kinds, strict=True)))


def _check(trials: pd.DataFrame, units: Sequence[str]) -> None:
    for unit in units:
        if unit not in UNITS:
            raise InputError(f"unit '{unit}' is not one of {', '.join(UNITS)}")
    twice = trials["trial_id"][trials["trial_id"].duplicated()]
    if len(twice):
        raise InputError(f"trial '{twice.iloc[0]}' stands twice in the table of trials")
