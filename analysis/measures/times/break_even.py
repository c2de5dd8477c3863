"""When the head start has paid for the pretraining, from the tables of a run.

In: times to a target of two arms (`reached.times_to_targets`) and the table of all trials. Out:
`BreakEven` of each pair, whose formulas are those of `statistics.times.break_even`. From which
trials a treatment descends, and what those took, is read here. A use is one trial that starts from
the pretrained network in place of random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd

from analysis.measures.conditions import same_conditions
from analysis.measures.times.paired import PairedRows, pair_by_seed
from analysis.measures.times.reached import since_evaluation_before, times_to_targets
from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times import break_even as statistics
from analysis.statistics.times.break_even import BreakEven
from analysis.statistics.times.course import ACCURACY, Course


def break_even(
    times_treatment: pd.DataFrame,
    times_control: pd.DataFrame,
    trials: pd.DataFrame,
    unit: str = "step",
    rng: Rng | None = None,
) -> BreakEven:
    """Steps or seconds saved on the way to a target, against those that pretraining took.

    Cost: the whole training of the trial that the treatment's trial started from (`parent_id`), and
    of those that one started from in turn. The search for hyperparameters is not in the cost.

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
    lines = _ancestors(pairs.treatment["trial_id"], trials)
    cost, note = _cost(lines, trials, unit)
    clash = _clash(pairs, lines, trials) if unit == "train_time_s" else ""
    return statistics.break_even(pairs.times, cost, clash, note, rng)


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


def _cost(lines: list[list[str]], trials: pd.DataFrame, unit: str) -> tuple[Floats, str]:
    """What the pretraining of each pair took, and a note; NaN where it is not in the table."""
    column = {"step": "steps", "train_time_s": "train_time_s"}
    amount = _samples(trials) if unit == "samples" else trials[column[unit]]
    took = dict(zip(trials["trial_id"], amount.astype(float), strict=True))
    cost = np.array([sum(took.get(p, nan) for p in line) if line else nan for line in lines])
    if np.isnan(cost).any():
        return cost, "the treatment did not start from a trial of this table: cost not known"
    if len(cost) > 1 and len({tuple(line) for line in lines}) == 1:
        return cost, "one pretraining served all seeds: its variation is not in the interval"
    return cost, ""


def _samples(trials: pd.DataFrame) -> pd.Series:
    """Images trained on; the last batch of an epoch holds what is left of the training part."""
    per_epoch = np.ceil(trials["n_train"] / trials["batch_size"])
    whole, rest = trials["steps"] // per_epoch, trials["steps"] % per_epoch
    return whole * trials["n_train"] + rest * trials["batch_size"]


def _clash(pairs: PairedRows, lines: list[list[str]], trials: pd.DataFrame) -> str:
    """Empty where the arms and the pretraining ran alike, else what differs."""
    treatment, control = (
        trials[trials["trial_id"].isin(times["trial_id"])]
        for times in (pairs.treatment, pairs.control)
    )
    above = [
        (seed, ancestor)
        for seed, line in zip(pairs.treatment["seed"], lines, strict=True)
        for ancestor in line
    ]
    started = pd.DataFrame(above, columns=["seed", "trial_id"])
    pretraining = started.merge(trials.drop(columns="seed"), on="trial_id")
    return same_conditions(treatment, control) or same_conditions(treatment, pretraining)
