"""All numbers of a report, computed once: run tables in, tables of results out.

Nothing here formats or draws, and every estimate comes from the statistics files beside it
(`intervals`, `times`, `survival`, `speedup`, `compare`, `stability`, `classification`, `tasks`).
Randomness comes from one generator with a fixed seed, so that a run analysed twice gives the
same numbers to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.asked import Asked, read_asked
from analysis.by_class import ClassTables, read_classes
from analysis.convergence import UNITS, kaplan_meier, restricted_mean, times_to_targets
from analysis.focus import MOST_TASKS, pick_arms
from analysis.intervals import mean_interval
from analysis.learning import Learning, summarize_learning
from analysis.load import Runs
from analysis.over_tasks import TaskTables, summarize_tasks
from analysis.pairs import PairTables, compare_pairs
from analysis.stability import compare_spreads, spread_over_seeds, within_runs

Search = tuple[str, str, pd.DataFrame, tuple[str, ...]]
SEED = 20_240_229  # of the resampling; any number would do, as long as it stays


@dataclass(frozen=True)
class Findings:
    """What a report says, as tables.

    score: the trials' column that is the final result, `test_accuracy` where anything was tested,
    else `best_val_accuracy`. arms: one row a task and arm. reached: one row a task, arm, target and
    unit. survival: Kaplan-Meier curves by task, arm, target. stability: spread over seeds by task
    and arm, with the means of what happens within runs. spreads: ratios of spreads by pair.
    searches: (sweep, arm, its search trials, the settings that varied). stamp: when the last
    trial ended.
    """

    runs: Runs
    asked: tuple[Asked, ...]
    score: str
    evidence: pd.DataFrame
    arms: pd.DataFrame
    reached: pd.DataFrame
    survival: pd.DataFrame
    learning: Learning
    pairs: PairTables
    stability: pd.DataFrame
    spreads: pd.DataFrame
    classes: ClassTables
    over_tasks: TaskTables
    searches: tuple[Search, ...]
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
    evidence = in_order(runs.trials[runs.trials["stage"] == "arm"], asked)
    curves = runs.curves[runs.curves["stage"] == "arm"]
    score = "test_accuracy" if evidence["test_accuracy"].notna().any() else "best_val_accuracy"
    times = _times(asked, curves, evidence)
    arms = pd.DataFrame(_arm_rows(asked, evidence, score, rng))
    pairs = compare_pairs(asked, runs.trials, curves, score, rng)
    return Findings(
        runs=runs,
        asked=asked,
        score=score,
        evidence=evidence,
        arms=arms,
        reached=pd.DataFrame(_reached_rows(times, rng), columns=list(REACHED)),
        survival=_survival(times),
        learning=summarize_learning(curves, evidence),
        pairs=pairs,
        stability=_stability(asked, curves, evidence, score),
        spreads=_spreads(pairs.comparisons, evidence, score, rng),
        classes=_classes(runs, evidence, arms, pairs, rng),
        over_tasks=summarize_tasks(
            evidence, list(dict.fromkeys(p for one in asked for p in one.pairs)), score, rng
        ),
        searches=_searches(runs.trials),
        stamp=_stamp(runs.trials),
    )


def in_order(frame: pd.DataFrame, asked: Iterable[Asked]) -> pd.DataFrame:
    """Rows by task and arm in the order in which the sweeps name them."""
    places = [(task, arm) for one in asked for task in one.tasks for arm in one.arms]
    rank = {place: k for k, place in enumerate(places)}
    keys = [rank[pair] for pair in zip(frame["task"], frame["arm"].astype(str), strict=True)]
    return frame.iloc[np.argsort(keys, kind="stable")].reset_index(drop=True)


def _stamp(trials: pd.DataFrame) -> str:
    """When the last trial ended, as the trials say; empty where none does."""
    ended = trials["finished_at"].dropna().astype(str) if "finished_at" in trials else []
    return max((text for text in ended if text), default="")


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
        return {
            name: np.nan,
            f"{name}_low": np.nan,
            f"{name}_high": np.nan,
            f"{name}_n": 0,
            f"{name}_method": "",
            f"{name}_note": "no trial finished",
        }
    found = mean_interval(values, rng=rng)
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


def _times(asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
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


def _reached_rows(times: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, object]]:
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


def _survival(times: pd.DataFrame) -> pd.DataFrame:
    steps = times[times["unit"] == "step"]
    parts = [
        kaplan_meier(group).assign(task=task, arm=arm, target=target)
        for (task, arm, target), group in steps.groupby(["task", "arm", "target"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SURVIVAL))


WITHIN = ("late_sd", "largest_drawdown", "n_loss_spikes", "generalisation_gap")


def _stability(
    asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame, score: str
) -> pd.DataFrame:
    """`spread_over_seeds` by task, and each arm's mean over its trials of `within_runs`."""
    parts = []
    for task in (task for one in asked for task in one.tasks):
        trials = evidence[evidence["task"] == task]
        if trials.empty:
            continue
        inside = within_runs(curves[curves["task"] == task], trials)
        means = inside.groupby("arm")[list(WITHIN)].mean().reset_index()
        parts.append(spread_over_seeds(trials, score).merge(means, on="arm").assign(task=task))
    columns = ["task", "arm", "sd", *WITHIN]
    if not parts:
        return pd.DataFrame(columns=columns)
    return in_order(pd.concat(parts, ignore_index=True), asked)


def _spreads(
    comparisons: pd.DataFrame, evidence: pd.DataFrame, score: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Ratios of the spreads of paired arms, for pairs that share seeds."""
    rows = comparisons[(comparisons["metric"] == score) & (comparisons["n_pairs"] > 1)]
    parts = [
        compare_spreads(
            evidence[evidence["task"] == task],
            list(zip(group["treatment"], group["control"], strict=True)),
            score,
            rng=rng,
        ).assign(task=task)
        for task, group in rows.groupby("task", sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _classes(
    runs: Runs,
    evidence: pd.DataFrame,
    arms: pd.DataFrame,
    pairs: PairTables,
    rng: np.random.Generator,
) -> ClassTables:
    """Tables by class for the first tasks, their best arms and those of their comparisons."""
    done = arms[arms["n_done"] > 0]
    tasks = list(dict.fromkeys(done["task"]))[:MOST_TASKS]
    compared = pairs.comparisons.drop_duplicates(["task", "treatment", "control"])
    controls = compared.groupby("task")["control"].agg(set).to_dict()
    wanted = {task: pick_arms(done[done["task"] == task], controls.get(task, ())) for task in tasks}
    by_task = {
        task: list(zip(rows["treatment"], rows["control"], strict=True))
        for task, rows in compared.groupby("task", sort=False)
    }
    return read_classes(runs, evidence, wanted, by_task, rng)


SETTINGS = ("learning_rate", "batch_size", "epochs", "fine_tune")


def _searches(trials: pd.DataFrame) -> tuple[Search, ...]:
    """Search trials by sweep and arm; settings are the columns and drawn values that differ."""
    found = []
    searched = trials[trials["stage"] == "search"]
    for (sweep, arm), rows in searched.groupby(["sweep", "arm"]):
        drawn = pd.DataFrame([_drawn(text) for text in rows["grid"]], index=rows.index)
        rows = rows.drop(columns=[key for key in drawn if key in rows]).join(drawn)
        names = [*SETTINGS, *(key for key in drawn if key not in SETTINGS)]
        settings = [key for key in names if key in rows and len(set(rows[key].astype(str))) > 1]
        if settings and rows["best_val_accuracy"].notna().any():
            found.append((str(sweep), str(arm), rows.reset_index(drop=True), tuple(settings)))
    return tuple(found)


def _drawn(grid: str) -> dict[str, object]:
    """What a search trial drew, by the last part of each key: `train.batch_size` → batch_size."""
    point = json.loads(grid) if grid.startswith("{") else {}
    return {key.rsplit(".", 1)[-1]: value for key, value in point.items()}
