"""All numbers of a report, computed once: run tables in, tables of results out.

Nothing here formats or draws, and every estimate comes from the statistics files beside it
(`intervals`, `times`, `survival`, `speedup`, `compare`, `stability`, `classification`, `tasks`).
Randomness comes from one generator with a fixed seed, so that a run analysed twice gives the
same numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.asked import Asked, read_asked
from analysis.intervals import mean_interval
from analysis.learning import Learning, summarize_learning
from analysis.load import Runs
from analysis.survival import kaplan_meier, restricted_mean
from analysis.times import times_to_targets

SEED = 20_240_229  # of the resampling; any number would do, as long as it stays


@dataclass(frozen=True)
class Findings:
    """What a report says, as tables.

    score: the trials' column that is the final result, `test_accuracy` where anything was tested,
    else `best_val_accuracy`. arms: one row a task and arm. reached: one row a task, arm, target and
    unit. survival: Kaplan-Meier curves by task, arm, target. stamp: when the last trial ended.
    """

    runs: Runs
    asked: tuple[Asked, ...]
    score: str
    evidence: pd.DataFrame
    arms: pd.DataFrame
    reached: pd.DataFrame
    survival: pd.DataFrame
    learning: Learning
    stamp: str

    @property
    def tasks(self) -> list[str]:
        return [task for asked in self.asked for task in asked.tasks]

    @property
    def arm_names(self) -> list[str]:
        return list(dict.fromkeys(arm for asked in self.asked for arm in asked.arms))


def find(runs: Runs) -> Findings:
    """Compute everything the report needs from `runs`."""
    rng = np.random.default_rng(SEED)
    asked = read_asked(runs)
    evidence = runs.trials[runs.trials["stage"] == "arm"].reset_index(drop=True)
    curves = runs.curves[runs.curves["stage"] == "arm"]
    score = "test_accuracy" if evidence["test_accuracy"].notna().any() else "best_val_accuracy"
    times = _times(asked, curves, evidence)
    return Findings(
        runs=runs,
        asked=asked,
        score=score,
        evidence=evidence,
        arms=pd.DataFrame(_arm_rows(asked, evidence, score, rng)),
        reached=pd.DataFrame(_reached_rows(times, rng)),
        survival=_survival(times),
        learning=summarize_learning(curves, evidence),
        stamp=str(runs.trials["finished_at"].dropna().max()) if len(runs.trials) else "",
    )


def _arm_rows(
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
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan,
                f"{name}_n": 0, f"{name}_method": "", f"{name}_note": "no trial finished"}
    found = mean_interval(values, rng=rng)
    return {
        name: found.estimate,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_n": found.n,
        f"{name}_method": found.method,
        f"{name}_note": found.note,
    }


_CONSTANTS = ("model", "dataset", "initialize", "fine_tune", "n_parameters", "n_trainable",
              "n_train", "n_validation", "n_test", "device", "ran_as")


def _constants(rows: pd.DataFrame) -> dict[str, object]:
    """What the trials of an arm have in common; `a / b` where they differ."""
    known = {key: rows[key].dropna().unique() if key in rows else [] for key in _CONSTANTS}
    return {
        key: (values[0] if len(values) == 1 else " / ".join(sorted(map(str, values))))
        if len(values) else None
        for key, values in known.items()
    }


UNITS = ("step", "samples", "train_time_s")


def _times(asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """Times to every target of each sweep, in every unit, one row a trial."""
    parts = []
    for one in asked:
        trials = evidence[evidence["task"].isin(one.tasks)]
        part = times_to_targets(curves, trials, one.targets, UNITS)
        parts.append(part.merge(trials[["trial_id", "task"]], on="trial_id"))
    return pd.concat(parts, ignore_index=True)


def _reached_rows(times: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, object]]:
    rows = []
    keys = ["task", "arm", "target", "unit"]
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


def _survival(times: pd.DataFrame) -> pd.DataFrame:
    steps = times[times["unit"] == "step"]
    parts = [
        kaplan_meier(group).assign(task=task, arm=arm, target=target)
        for (task, arm, target), group in steps.groupby(["task", "arm", "target"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
