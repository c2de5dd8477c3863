"""How many times sooner arms reach targets than others, from the tables of a run.

In: trials and curves of one sweep, pairs of arms, targets. Out: a row a pair and target. Formulas
and sources: `statistics.times.speedup`; which trials pair and whose seconds may be compared is
decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import NamedTuple

import pandas as pd

from analysis.measures.conditions import same_conditions
from analysis.measures.times.paired import pair_by_seed
from analysis.measures.times.reached import times_to_targets
from analysis.measures.trials import arm_trials
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times import speedup as ratios
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.paired_times import PairedTimes
from analysis.statistics.times.speedup import LogRatio, Speedup


class At(NamedTuple):
    """Two arms at one target."""

    treatment: str
    control: str
    target: float


def speedup(
    times_treatment: pd.DataFrame, times_control: pd.DataFrame, rng: Rng | None = None
) -> Speedup:
    """`statistics.times.speedup.speedup` of the seeds that both arms have.

    Args:
        times_treatment, times_control: rows of `times_to_targets`, of one target, in one unit. In
            seconds only for trials that ran alike (`same_conditions`).

    Raises:
        InputError: a seed stands twice in one arm; no `rng` where `mean_interval` draws.
    """
    return ratios.speedup(pair_by_seed(times_treatment, times_control).times, rng)


def speedup_table(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    unit: str = "step",
    rng: Rng | None = None,
    known: Mapping[At, LogRatio] | None = None,
    course: Course = ACCURACY,
) -> pd.DataFrame:
    """`speedup` for each pair (treatment, control) at each target, in the order given.

    Columns treatment, control, target, unit and those of `Speedup`, where `bound` is "" for
    none. Only rows of `trials` whose stage is `arm` count (all, without that column); they
    are of one sweep. In seconds, a comparison in which a pair ran under different conditions
    (`same_conditions`) is NaN, and its note says so.

    Args:
        known: intervals that a comparison has of the same mean ratios. They are taken as they
            are, so that a report has one interval for one quantity.
    """
    arms = arm_trials(trials)
    times = times_to_targets(curves, arms, targets, (unit,), course)
    keys = [At(*pair, float(target)) for pair in pairs for target in targets]
    shared = [(known or {}).get(key) for key in keys]
    computed = ratios.speedups(_paired(times, keys), shared, rng)
    clashes = _clashes(arms, pairs) if unit == "train_time_s" else {}
    rows = []
    for key, ratio in zip(keys, computed, strict=True):
        shown = ratios.withheld(ratio, clashes.get(key[:2], ""))
        rows.append(key._asdict() | {"unit": unit} | asdict(shown) | {"bound": shown.bound or ""})
    columns = [*At._fields, "unit", *(f.name for f in fields(Speedup))]
    return pd.DataFrame(rows, columns=columns)


def _paired(times: pd.DataFrame, keys: Sequence[At]) -> list[PairedTimes]:
    """The times of both arms at each key; empty ones of an arm without trials."""
    at = dict(iter(times.groupby(["arm", "target"])))
    none = times.iloc[:0]
    return [
        pair_by_seed(
            at.get((key.treatment, key.target), none), at.get((key.control, key.target), none)
        ).times
        for key in keys
    ]


def _clashes(arms: pd.DataFrame, pairs: Sequence[Pair]) -> dict[tuple[str, str], str]:
    """Why the seconds of each pair may not be compared; empty where they may."""
    of_arm = {str(arm): rows for arm, rows in arms.groupby("arm")}
    none = arms.iloc[:0]
    return {
        (treatment, control): same_conditions(
            of_arm.get(treatment, none), of_arm.get(control, none)
        )
        for treatment, control in pairs
    }
