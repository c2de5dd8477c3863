"""What a report says about single arms: counts, means with intervals, times to targets.

In: what was asked, and the evidence (trials of stage `arm`). Out: rows and frames by task and arm,
in the order in which the sweeps name them. The estimates are those of `intervals` and
`convergence`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.samples.redrawn import accuracy_interval, overlap_of
from analysis.statistics.times.convergence import (
    UNITS,
    kaplan_meier,
    restricted_mean,
    times_to_targets,
)

SCORES = ("test_accuracy", "best_val_accuracy")


def in_order(frame: pd.DataFrame, asked: Iterable[Asked]) -> pd.DataFrame:
    """Rows by task and arm in the order in which the sweeps name them."""
    places = [(task, arm) for one in asked for task in one.tasks for arm in one.arms]
    rank = {place: k for k, place in enumerate(places)}
    keys = [rank[pair] for pair in zip(frame["task"], frame["arm"].astype(str), strict=True)]
    return frame.iloc[np.argsort(keys, kind="stable")].reset_index(drop=True)


def arm_rows(
    asked: Iterable[Asked], evidence: pd.DataFrame, score: str, rng: np.random.Generator
) -> list[dict[str, object]]:
    groups = dict(iter(evidence.groupby(["task", "arm"], sort=False)))
    none = evidence.iloc[:0]
    return [
        {"task": task, "arm": arm}
        | _counts(groups.get((task, arm), none), one.n_seeds)
        | _interval("score", groups.get((task, arm), none), score, rng)
        | _interval("train_time_s", groups.get((task, arm), none), "train_time_s", rng)
        | _constants(groups.get((task, arm), none))
        for one in asked
        for task in one.tasks
        for arm in one.arms
    ]


def _counts(rows: pd.DataFrame, n_seeds: int | None) -> dict[str, object]:
    status = rows["status"]
    return {
        "n_planned": len(rows) if n_seeds is None else max(n_seeds, len(rows)),
        "n_done": int((status == "done").sum()),
        "n_failed": int((status == "failed").sum()),
        "n_diverged": int((status == "diverged").sum()),
        "n_missing": 0 if n_seeds is None else max(0, n_seeds - len(rows)),
    }


def _interval(
    name: str, rows: pd.DataFrame, column: str, rng: np.random.Generator
) -> dict[str, object]:
    """Mean and interval over the seeds that finished; all NaN where none did."""
    values = rows.loc[rows["status"] == "done", column].dropna().to_numpy(dtype=float)
    if not len(values):
        return {
            name: np.nan,
            f"{name}_low": np.nan,
            f"{name}_high": np.nan,
            f"{name}_n": 0,
            f"{name}_method": "",
            f"{name}_note": "no trial finished",
        }
    found = (
        accuracy_interval(values, overlap_of(rows), rng=rng)
        if column in SCORES
        else mean_interval(values, rng=rng)
    )
    return {
        name: found.estimate,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_n": found.n,
        f"{name}_method": found.method,
        f"{name}_note": found.note,
    }


_CONSTANTS = (
    "model",
    "dataset",
    "initialize",
    "fine_tune",
    "n_parameters",
    "n_trainable",
    "n_train",
    "n_validation",
    "n_test",
    "device",
    "ran_as",
)


def _constants(rows: pd.DataFrame) -> dict[str, object]:
    """What the trials of an arm have in common; `a / b` where they differ."""
    known = {key: rows[key].dropna().unique() if key in rows else [] for key in _CONSTANTS}
    return {
        key: (values[0] if len(values) == 1 else " / ".join(sorted(map(str, values))))
        if len(values)
        else None
        for key, values in known.items()
    }


def times_of(asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """Times to every target of each sweep, in every unit, one row a trial."""
    parts = []
    for one in asked:
        trials = evidence[evidence["task"].isin(one.tasks)]
        part = times_to_targets(curves, trials, one.targets, UNITS)
        parts.append(part.merge(trials[["trial_id", "task"]], on="trial_id"))
    return pd.concat(parts, ignore_index=True)


REACHED = (
    "task",
    "arm",
    "target",
    "unit",
    "n",
    "n_reached",
    "budget",
    "mean",
    "low",
    "high",
    "method",
    "note",
)


def reached_rows(times: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, object]]:
    rows = []
    keys = list(REACHED[:4])
    for identity, group in times.groupby(keys, sort=False):
        found = restricted_mean(group, rng=rng)
        rows.append(
            dict(zip(keys, identity, strict=True))
            | {
                "n": len(group),
                "n_reached": int(group["reached"].sum()),
                "budget": group["budget"].max(),
                "mean": found.estimate,
                "low": found.low,
                "high": found.high,
                "method": found.method,
                "note": found.note,
            }
        )
    return rows


SURVIVAL = (
    "time",
    "share_reached",
    "low",
    "high",
    "at_risk",
    "n_censored",
    "task",
    "arm",
    "target",
)


def survival_of(times: pd.DataFrame) -> pd.DataFrame:
    steps = times[times["unit"] == "step"]
    parts = [
        kaplan_meier(group).assign(task=task, arm=arm, target=target)
        for (task, arm, target), group in steps.groupby(["task", "arm", "target"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SURVIVAL))
