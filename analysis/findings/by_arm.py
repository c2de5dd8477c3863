"""What a report says about single arms: counts, means with intervals, times to targets.

In: what was asked, and the evidence (trials of stage `arm`). Out: rows and frames by task and arm,
in the order in which the sweeps name them. The estimates are those of `intervals`, `reached` and
`survival`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.measures.redrawn import overlap_of
from analysis.measures.times.reached import UNITS, times_to_targets
from analysis.measures.times.survival import kaplan_meier, restricted_mean
from analysis.measures.trials import what_trains
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import (
    Interval,
    iqm_interval,
    mean_interval,
    median_interval,
)
from analysis.statistics.samples.redrawn import accuracy_interval, corrected
from analysis.statistics.times.course import Course
from headstart.metrics import range_of

MORE = ("n", "method", "note")  # of an interval, in the table by arm
_EQUAL = "all values are equal: no interval"


def in_order(frame: pd.DataFrame, asked: Iterable[Asked]) -> pd.DataFrame:
    """Rows by task and arm in the order in which the sweeps name them."""
    rank = {place: k for k, place in enumerate(_places(asked))}
    keys = [rank[pair] for pair in zip(frame["task"], frame["arm"].astype(str), strict=True)]
    return frame.iloc[np.argsort(keys, kind="stable")].reset_index(drop=True)


def _places(asked: Iterable[Asked]) -> dict[tuple[str, str], int | None]:
    """Each task and arm in the order in which the sweeps name them, with its number of seeds."""
    return {(task, arm): a.n_seeds for a in asked for task in a.tasks for arm in a.arms}


def arm_table(
    asked: Iterable[Asked], evidence: pd.DataFrame, score: str, is_share: bool = True
) -> pd.DataFrame:
    """A row a task and arm: how many trials, final score, time, and what its trials share.

    Of the score the mean, the median and the interquartile mean over the seeds that finished,
    with their intervals, whose draws the number of seeds decides: another arm moves none of them.
    Intervals end where the score (`range_of`) or a time does.
    """
    groups = dict(iter(evidence.groupby(["task", "arm"], sort=False)))
    none = evidence.iloc[:0]
    rows = []
    for (task, arm), n_seeds in _places(asked).items():
        trials = groups.get((task, arm), none)
        done = trials[trials["status"] == "done"]
        scores, times = _known(done[score]), _known(done["train_time_s"])
        overlap = overlap_of(trials)
        mean = final_interval(done, score, is_share)
        time = _wide(time_interval(times)) if len(times) else _nothing()
        rows.append(
            {"task": task, "arm": arm}
            | _counts(trials, n_seeds)
            | mean.columns("score", "score_", MORE)
            | _middle(scores, overlap, range_of(score))
            | time.columns("train_time_s", "train_time_s_", MORE)
            | _constants(trials)
        )
    return pd.DataFrame(rows)


def time_interval(times: Floats) -> Interval:
    """The mean of seconds, which are never below 0."""
    return mean_interval(times).within(0.0, math.inf)


def final_interval(done: pd.DataFrame, score: str, is_share: bool = True) -> Interval:
    """The mean of a score over the finished trials of one arm: the one interval that it has in a
    report. It ends where the score does (`range_of`); of fractions (`is_share`) at 0 and 1."""
    scores = _known(done[score]) if score in done else np.zeros(0)
    overlap = overlap_of(done)
    if not len(scores):
        return _nothing()
    if is_share:
        return accuracy_interval(scores, overlap, None, _fewest_images(done, score))
    plain = corrected(scores, overlap) if overlap else mean_interval(scores)
    return _wide(plain.within(*range_of(score)))


def _counts(rows: pd.DataFrame, n_seeds: int | None) -> dict[str, object]:
    status = rows["status"]
    return {
        "n_planned": len(rows) if n_seeds is None else max(n_seeds, len(rows)),
        "n_done": int((status == "done").sum()),
        "n_failed": int((status == "failed").sum()),
        "n_diverged": int((status == "diverged").sum()),
        "n_missing": 0 if n_seeds is None else max(0, n_seeds - len(rows)),
    }


def _known(values: pd.Series) -> Floats:
    return np.asarray(values.dropna(), dtype=float)


def _nothing() -> Interval:
    return replace(Interval.unknown("no trial finished"), method="")


def _fewest_images(done: pd.DataFrame, score: str) -> float:
    """Images that each score is a share of; NaN where the trials do not say."""
    name = "n_test" if score.startswith("test_") else "n_validation"
    return float(done[name].min()) if name in done and len(done) else math.nan


def _middle(
    scores: Floats, overlap: float, ends: tuple[float, float]
) -> dict[str, float | int | str]:
    """Median and interquartile mean of the final scores, with intervals where an honest one exists.

    A median has none below 6 seeds; neither has one that is known to hold where seeds redraw one
    pool of images, and then the note says so.
    """
    if not len(scores):
        median, iqm = _nothing(), _nothing()
    else:
        median, iqm = _wide(median_interval(scores)), _wide(iqm_interval(scores).within(*ends))
    if median.method == "range":
        median = _without(median, f"{len(scores)} seeds: too few for an interval of a median")
    if overlap:
        median, iqm = (_without(i, "seeds draw from one pool: no interval") for i in (median, iqm))
    return median.columns("median", "median_", ("note",)) | iqm.columns("iqm", "iqm_", ("note",))


def _wide(interval: Interval) -> Interval:
    """The interval; none where all values are equal, which promises no width of 0 for others."""
    return _without(interval, _EQUAL) if interval.low == interval.high else interval


def _without(interval: Interval, note: str) -> Interval:
    return replace(Interval.unknown(note, interval.n), estimate=interval.estimate)


_CONSTANTS = (
    *("model", "dataset", "initialize", "fine_tune", "n_parameters", "n_trainable"),
    *("n_train", "n_validation", "n_test", "device", "ran_as"),
)


def _constants(rows: pd.DataFrame) -> dict[str, object]:
    """What the trials of an arm have in common; `a / b` where they differ."""
    known = {key: rows[key].dropna().unique() if key in rows else [] for key in _CONSTANTS}
    known["fine_tune"] = what_trains(rows).unique()
    return {
        key: (values[0] if len(values) == 1 else " / ".join(sorted(map(str, values))))
        if len(values)
        else None
        for key, values in known.items()
    }


def times_of(
    asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame, course: Course
) -> pd.DataFrame:
    """Times to every target of each sweep, in every unit, one row a trial."""
    parts = []
    for a in asked:
        trials = evidence[evidence["task"].isin(a.tasks)]
        part = times_to_targets(curves, trials, a.targets, UNITS, course)
        parts.append(part.merge(trials[["trial_id", "task"]], on="trial_id"))
    return pd.concat(parts, ignore_index=True)


REACHED = (
    *("task", "arm", "target", "unit"),
    *("n", "n_reached", "budget", "mean", "low", "high", "method", "note"),
)


def reached_table(times: pd.DataFrame) -> pd.DataFrame:
    """A row a task, arm, target and unit: how many trials reached the target, and when."""
    rows = []
    keys = list(REACHED[:4])
    for identity, group in times.groupby(keys, sort=False):
        counts = {
            "n": len(group),
            "n_reached": int(group["reached"].sum()),
            "budget": group["budget"].max(),
        }
        mean = _wide(restricted_mean(group)).columns("mean", also=("method", "note"))
        rows.append(dict(zip(keys, identity, strict=True)) | counts | mean)
    return pd.DataFrame(rows, columns=list(REACHED))


SURVIVAL = (
    *("time", "share_reached", "low", "high", "at_risk", "n_censored"),
    *("task", "arm", "target"),
)


def survival_of(times: pd.DataFrame) -> pd.DataFrame:
    """Kaplan-Meier curves in steps, by task, arm and target."""
    steps = times[times["unit"] == "step"]
    parts = [
        kaplan_meier(group).assign(task=task, arm=arm, target=target)
        for (task, arm, target), group in steps.groupby(["task", "arm", "target"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SURVIVAL))
