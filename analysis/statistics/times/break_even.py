"""When the head start has paid for the pretraining.

In: times to a target of two arms (`times.times_to_targets`) and the table of all trials. Out: what
one use of the pretrained network saves, what the pretraining cost, and how many uses pay for it.
A use is one trial that starts from the pretrained network in place of random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, nan, sqrt

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.paired_times import (
    Bound,
    PairedTimes,
    mean_intervals_of,
    pair_by_seed,
)
from analysis.statistics.times.speedup import same_conditions
from analysis.statistics.times.times import since_evaluation_before, times_to_targets
from analysis.words import joined


@dataclass(frozen=True)
class BreakEven:
    """What pretraining cost against what it saved, over pairs of one seed.

    saved: control time minus treatment time, for one use. cost: of the pretraining of one seed.
    net: saved minus cost, so above 0 already the first use pays. `bound` says how to read `saved`
    and `net` (None, `at least`, `at most`); `uses` that pay for the pretraining are bounded the
    other way round, and infinite where nothing is saved. NaN where something is not known.
    """

    saved: Interval
    cost: Interval
    net: Interval
    bound: Bound
    uses: float
    uses_low: float
    uses_high: float
    n_pairs: int
    note: str

    def columns(self) -> dict[str, float | int | str]:
        """As a row of a table; `bound` is "" for none."""
        row: dict[str, float | int | str] = {}
        for name, interval in (("saved", self.saved), ("cost", self.cost), ("net", self.net)):
            row |= interval.columns(name, f"{name}_")
        names = ("uses", "uses_low", "uses_high", "n_pairs", "note")
        return row | {"bound": self.bound or ""} | {name: getattr(self, name) for name in names}


def break_even(
    times_treatment: pd.DataFrame,
    times_control: pd.DataFrame,
    trials: pd.DataFrame,
    unit: str = "step",
    rng: Rng | None = None,
) -> BreakEven:
    """Steps or seconds saved on the way to a target, against those that pretraining took.

    Saved and net: Student's t over seeds, with a variance that is never below what the distance
    between evaluations leaves (column `since` of the times, where there is one); or a bound where
    trials never reached the target (as in `speedup`). Cost: the whole training of the trial that
    the treatment's trial started from (`parent_id`), and of those that one started from in turn.
    Uses: mean cost / mean saved, with Fieller's (1954) interval for a ratio of paired means, cut at
    0. The search for hyperparameters is not in the cost.

    Args:
        times_treatment, times_control: of one target, in `unit`; `since`, the distance of each time
            to the evaluation before it.
        trials: all trials, with trial_id, parent_id, seed, status, steps, batch_size,
            n_train, train_time_s and the conditions of `same_conditions`.
        unit: `step`, `samples` (images trained on) or
            `train_time_s`: NaN with a note unless pretraining and both arms ran alike. Steps of
            different batch sizes are not the same work; compare samples then.
    """
    pairs = pair_by_seed(times_treatment, times_control)
    ends = pairs.saved()
    parents = _ancestors(pairs.treatment["trial_id"], trials)
    cost, cost_note = _cost(parents, trials, unit)
    clash = _clash(pairs, parents, trials) if unit == "train_time_s" else ""
    saved = np.full(len(pairs), nan) if clash else ends.values
    cost = np.full(len(pairs), nan) if clash else cost
    bound = None if clash else ends.bound
    least = _least_variance(pairs)
    intervals = [
        _at_least(interval, values, least if values is not cost else 0.0)
        for values in (saved, cost, saved - cost)
        for interval in mean_intervals_of([values], rng)
    ]
    unknown = "" if ends.known or not len(pairs) else "the mean saved is not known"
    uses, uses_low, uses_high = _uses(saved, cost, bound, least)
    return BreakEven(
        saved=_opened(intervals[0], bound),
        cost=intervals[1],
        net=_opened(intervals[2], bound),
        bound=bound,
        uses=uses,
        uses_low=uses_low,
        uses_high=uses_high,
        n_pairs=len(pairs),
        note=joined(clash, cost_note, unknown, pairs.describe()),
    )


def break_even_table(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    unit: str = "step",
    rng: Rng | None = None,
    course: Course = ACCURACY,
) -> pd.DataFrame:
    """`break_even` for each pair (treatment, control) at each target, in the order given.

    Columns treatment, control, target, unit; saved, cost and net, each with _low and _high;
    bound ("" for none), uses, uses_low, uses_high, n_pairs, note.
    """
    arms = trials[trials["stage"] == "arm"]
    times = times_to_targets(curves, arms, targets, (unit,), course)
    by_target = times["time"].to_numpy().reshape(len(targets), -1)
    since = since_evaluation_before(curves, arms, by_target, unit) if len(targets) else by_target
    times = times.assign(since=since.ravel())
    rows = []
    for treatment, control in pairs:
        for target in targets:
            at = times[times["target"] == target]
            sides = [at[at["arm"] == arm] for arm in (treatment, control)]
            result = break_even(sides[0], sides[1], trials, unit, rng=rng)
            identity = {"treatment": treatment, "control": control, "target": target, "unit": unit}
            rows.append(identity | result.columns())
    return pd.DataFrame(rows)


def _ancestors(trial_ids: pd.Series, trials: pd.DataFrame) -> list[list[str]]:
    """For each trial the ids of the trials it started from, nearest first, as far as known."""
    parent = dict(zip(trials["trial_id"], trials["parent_id"].fillna(""), strict=True))
    lines = []
    for trial_id in trial_ids:
        line: list[str] = []
        above = parent.get(trial_id, "")
        while above and above not in line:
            line.append(above)
            above = parent.get(above, "")
        lines.append(line)
    return lines


def _cost(parents: list[list[str]], trials: pd.DataFrame, unit: str) -> tuple[Floats, str]:
    """What the pretraining of each pair took, and a note; NaN where it is not in the table."""
    column = {"step": "steps", "train_time_s": "train_time_s"}
    amount = _samples(trials) if unit == "samples" else trials[column[unit]]
    took = dict(zip(trials["trial_id"], amount.astype(float), strict=True))
    cost = np.array([sum(took.get(p, nan) for p in line) if line else nan for line in parents])
    if np.isnan(cost).any():
        return cost, "the treatment did not start from a trial of this table: cost not known"
    if len(cost) > 1 and len({tuple(line) for line in parents}) == 1:
        return cost, "one pretraining served all seeds: its variation is not in the interval"
    return cost, ""


def _samples(trials: pd.DataFrame) -> pd.Series:
    """Images trained on; the last batch of an epoch holds what is left of the training part."""
    per_epoch = np.ceil(trials["n_train"] / trials["batch_size"])
    whole, rest = trials["steps"] // per_epoch, trials["steps"] % per_epoch
    return whole * trials["n_train"] + rest * trials["batch_size"]


def _clash(pairs: PairedTimes, parents: list[list[str]], trials: pd.DataFrame) -> str:
    """Empty where the arms and the pretraining ran alike, else what differs."""
    treatment, control = (
        trials[trials["trial_id"].isin(times["trial_id"])]
        for times in (pairs.treatment, pairs.control)
    )
    lines = [
        (seed, above)
        for seed, line in zip(pairs.treatment["seed"], parents, strict=True)
        for above in line
    ]
    started = pd.DataFrame(lines, columns=["seed", "trial_id"])
    pretraining = started.merge(trials.drop(columns="seed"), on="trial_id")
    return same_conditions(treatment, control) or same_conditions(treatment, pretraining)


def _least_variance(pairs: PairedTimes) -> float:
    """Of a difference of two times, each known to the evaluation before it; 0 where unknown."""
    sides = pairs.treatment, pairs.control
    if not len(pairs) or any("since" not in side for side in sides):
        return 0.0
    return float(sum(np.nanmean(side["since"].to_numpy(dtype=float) ** 2) for side in sides)) / 12


def _at_least(interval: Interval, values: Floats, least: float) -> Interval:
    """The interval at the SD that rounding alone leaves, where that of the values is below it."""
    n = interval.n
    if n < 2 or np.isnan(values).any() or values.var(ddof=1) >= least:
        return interval
    half = student_quantile(n - 1, CONFIDENCE) * sqrt(least / n)
    middle = interval.estimate
    return replace(interval, low=middle - half, high=middle + half, method="student", note="")


def _opened(interval: Interval, bound: Bound) -> Interval:
    """The interval with the end open that the bound leaves open."""
    if bound == "at least":
        return replace(interval, high=inf)
    return replace(interval, low=-inf) if bound == "at most" else interval


def _uses(saved: Floats, cost: Floats, bound: Bound, least: float) -> tuple[float, float, float]:
    """Mean cost / mean saved and its limits; a bound on what is saved opens one of them."""
    if not len(saved) or np.isnan(saved + cost).any():
        return nan, nan, nan
    estimate = float(cost.mean() / saved.mean()) if saved.mean() > 0 else inf
    low, high = _fieller(cost, saved, least)
    if bound == "at least":
        low = 0.0
    if bound == "at most":
        high = inf
    return estimate, low, high


def _fieller(top: Floats, bottom: Floats, least: float = 0.0) -> tuple[float, float]:
    """The r ≥ 0 for which `mean(top - r · bottom) = 0` is not rejected, from least to most.

    Paired t-test with n - 1 degrees of freedom; the variance of `bottom` is at least `least`. NaN
    for one pair. No such r: both infinite.
    """
    n = len(top)
    if n < 2:
        return nan, nan
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    (v_top, v_both), (_, v_bottom) = np.cov(top, bottom) * t**2 / n
    v_bottom = max(v_bottom, least * t**2 / n)
    mean_top, mean_bottom = top.mean(), bottom.mean()
    # a r² - 2 b r + c ≤ 0
    a, b, c = mean_bottom**2 - v_bottom, mean_top * mean_bottom - v_both, mean_top**2 - v_top
    root = sqrt(max(b * b - a * c, 0.0))
    if a > 0:  # the mean of `bottom` is surely not 0: both limits are finite, if above 0
        least, most = (b - root) / a, (b + root) / a
        return (inf, inf) if most < 0 else (max(least, 0.0), most)
    if c <= 0:  # neither mean is surely not 0: nothing is rejected
        return 0.0, inf
    return ((b - root) / a, inf) if a < 0 else (inf, inf)
