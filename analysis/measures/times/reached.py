"""When each trial first reaches a target, and what its whole learning curve amounts to.

In: the tables of a run, `curves` (one row an evaluation) and `trials` (one row a trial). Out: one
row a trial, in the order of `trials`. A trial that never reaches the target is censored: its row
says `reached` False and stands at its budget. It stands alone because a time is read from the
tables here and nowhere else; every function sorts the curves once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Bools, Floats, Rows
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.curves import Layout, first_at_target, mean_heights, since_row_before
from analysis.statistics.times.times import Times
from headstart.errors import InputError

UNITS = ("step", "samples", "train_time_s")


@dataclass(frozen=True)
class OrderedCurves:
    """Curves sorted by trial and step, column by column as they are asked for.

    `layout` says which rows of a column are those of which row of the table of trials.
    """

    curves: pd.DataFrame
    order: Rows | slice
    layout: Layout

    def column(self, name: str) -> Floats:
        values: Floats = self.curves[name].to_numpy(dtype=float)
        return values[self.order]


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
    return OrderedCurves(curves, order, Layout.of(trial[order], len(trials)))


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
    return since_row_before(ordered.layout, ordered.column(unit), times)


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
    area = mean_heights(ordered.layout, x, y, _done(trials), start, until)
    return _identity(trials).assign(area=area)


def _times(
    ordered: OrderedCurves,
    trials: pd.DataFrame,
    target: float,
    unit: str,
    budget: Floats,
    course: Course,
) -> pd.DataFrame:
    """One row a trial."""
    values = ordered.column(course.column)
    row = first_at_target(ordered.layout, values, target, course.lower_is_better)
    reached = (row >= 0) & _done(trials)
    time = budget.copy()
    time[reached] = ordered.column(unit)[row[reached]]
    return _identity(trials).assign(time=time, reached=reached, budget=budget)


def _after_start(ordered: OrderedCurves, unit: str, budget: Floats) -> Floats:
    """The first position above 0 of each trial; its budget where it has none."""
    position = ordered.column(unit)
    row = ordered.layout.first_where(position > 0)
    return np.where(row >= 0, position[row] if len(position) else np.nan, budget)


def _budgets(ordered: OrderedCurves, trials: pd.DataFrame, unit: str) -> Floats:
    """Each finished trial's last position; for the others the longest of their arm or sweep."""
    own = pd.Series(np.where(_done(trials), ordered.layout.last(ordered.column(unit)), np.nan))
    sweep = [trials[name].to_numpy() for name in ("task", "sweep", "stage") if name in trials]
    for keys in ([*sweep, trials["arm"].to_numpy()], sweep):
        longest = own.groupby(keys).transform("max") if keys else own.max()
        own = own.fillna(longest)
    return np.asarray(own, dtype=float)


def times_of_rows(rows: pd.DataFrame) -> Times:
    """Rows of `times_to_targets`, of one arm and target, as arrays in their order.

    `first` may be missing, and `since` and `budget` too, where nobody asks for them.
    """
    columns = {
        name: rows[name].to_numpy(dtype=float)
        for name in ("budget", "first", "since")
        if name in rows
    }
    return Times(rows["time"].to_numpy(dtype=float), rows["reached"].to_numpy(bool), **columns)


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
