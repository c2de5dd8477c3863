"""What the report says about classes and images: which predictions are read, and what they give.

In: `Runs`, and the arms and pairs to look at. Out: `ClassTables`. Predictions are large, so they
are read for the first seeds of each arm only, one arm or pair at a time, and dropped again;
`ClassTables.n_read` says how many were read out of how many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.load import Runs
from analysis.statistics.classes.calibration import calibration_intervals
from analysis.statistics.classes.mistakes import mcnemar, often_wrong
from analysis.statistics.classes.two_way import accuracy_interval
from analysis.statistics.pairs.scores import (
    Confusion,
    class_differences,
    confusion,
    score_intervals,
)
from analysis.statistics.samples.predictions import Predictions

MOST_SEEDS = 40
MOST_WRONG = 24
Pair = tuple[str, str]
ById = Mapping[str, Predictions]

MOST_ARMS = 8
MOST_TASKS = 4


@dataclass(frozen=True)
class ClassTables:
    """Results by class and image; every frame has a column task.

    scores: `score_intervals`'s rows (arm, scope, class_name, metric, estimate, low, high, n).
    calibration: `calibration_intervals`'s. confusions: by (task, arm). differences: by (task,
    treatment, control), shares of the true class, treatment minus control. classes: rows of
    `class_differences`. images: a row a task and pair, two-way intervals and McNemar's test.
    wrong: by (task, arm), `often_wrong`'s rows with `fingerprint`. class_names: by (task, arm).
    n_read, n_trials: trials whose predictions were read, and finished trials of these arms.
    """

    scores: pd.DataFrame
    calibration: pd.DataFrame
    confusions: dict[tuple[str, str], Confusion]
    differences: dict[tuple[str, str, str], np.ndarray]
    classes: pd.DataFrame
    images: pd.DataFrame
    wrong: dict[tuple[str, str], pd.DataFrame]
    class_names: dict[tuple[str, str], tuple[str, ...]]
    n_read: int
    n_trials: int


def read_classes(
    runs: Runs,
    evidence: pd.DataFrame,
    arms: Mapping[str, Sequence[str]],
    pairs: Mapping[str, Sequence[Pair]],
    rng: np.random.Generator,
) -> ClassTables:
    """Tables by class for `arms` of each task, and for those `pairs` of which both are in them."""
    tables = ClassTables(
        pd.DataFrame(), pd.DataFrame(), {}, {}, pd.DataFrame(), pd.DataFrame(), {}, {}, 0, 0
    )
    found: dict[str, list[pd.DataFrame]] = {"scores": [], "calibration": [], "classes": []}
    images, n_read, n_trials = [], 0, 0
    for task, names in arms.items():
        done = evidence[(evidence["task"] == task) & (evidence["status"] == "done")]
        done = done[done["arm"].isin(list(names))].sort_values(["arm", "seed"], kind="stable")
        trials = done.groupby("arm", sort=False).head(MOST_SEEDS)
        predictions = _read(runs, trials)
        trials = trials[trials["trial_id"].isin(list(predictions))]
        n_read, n_trials = n_read + len(trials), n_trials + len(done)
        if trials.empty:
            continue
        for arm in names:
            members = trials[trials["arm"] == arm]
            if members.empty:
                continue
            _one_arm(runs, tables, task, arm, members, predictions)
            classes = tables.class_names[task, arm]
            found["scores"].append(
                score_intervals(predictions, members, classes, rng=rng).assign(task=task)
            )
            found["calibration"].append(
                calibration_intervals(predictions, members, rng=rng).assign(task=task)
            )
        for pair in pairs.get(task, ()):
            if all((task, arm) in tables.class_names for arm in pair):
                parts, row = _one_pair(tables, task, pair, trials, predictions, rng)
                found["classes"] += parts
                images.append(row)
    joined = {
        name: pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        for name, parts in found.items()
    }
    return ClassTables(
        joined["scores"],
        joined["calibration"],
        tables.confusions,
        tables.differences,
        joined["classes"],
        pd.DataFrame(images),
        tables.wrong,
        tables.class_names,
        n_read,
        n_trials,
    )


def _read(runs: Runs, trials: pd.DataFrame) -> dict[str, Predictions]:
    found = {trial_id: runs.predictions(trial_id) for trial_id in trials["trial_id"]}
    return {trial_id: one for trial_id, one in found.items() if one is not None}


def _one_arm(
    runs: Runs, tables: ClassTables, task: str, arm: str, members: pd.DataFrame, predictions: ById
) -> None:
    own = {trial_id: predictions[trial_id] for trial_id in members["trial_id"]}
    names = class_names(runs, members, own)
    tables.class_names[task, arm] = names
    tables.confusions[task, arm] = confusion(own, len(names))
    fingerprints = members["dataset_fingerprint"].astype(str).unique()
    wrong = often_wrong(own, MOST_WRONG)
    tables.wrong[task, arm] = wrong.assign(fingerprint=fingerprints[0])


def class_names(runs: Runs, members: pd.DataFrame, own: ById) -> tuple[str, ...]:
    """Names of the classes of an arm: of its trial records, else the class numbers."""
    record = runs.record(members["trial_id"].iloc[0])
    if record is not None and record.class_names:
        return record.class_names
    n = max(int(max(one.labels.max(), one.predicted.max())) + 1 for one in own.values())
    return tuple(str(k) for k in range(n))


def _one_pair(
    tables: ClassTables,
    task: str,
    pair: Pair,
    trials: pd.DataFrame,
    predictions: ById,
    rng: np.random.Generator,
) -> tuple[list[pd.DataFrame], dict[str, object]]:
    names = tables.class_names[task, pair[0]]
    identity = {"task": task, "treatment": pair[0], "control": pair[1]}
    parts = []
    if names == tables.class_names[task, pair[1]]:
        difference = tables.confusions[task, pair[0]].mean - tables.confusions[task, pair[1]].mean
        tables.differences[task, pair[0], pair[1]] = difference
        by_class = class_differences(predictions, trials, *pair, names, rng=rng)
        parts.append(by_class.assign(**identity))
    both = accuracy_interval(predictions, trials, *pair, rng=rng)
    test = mcnemar(predictions, trials, *pair)
    return parts, identity | {
        "difference": both.seeds.estimate,
        "low": both.seeds.low,
        "high": both.seeds.high,
        "images_low": both.seeds_and_images.low,
        "images_high": both.seeds_and_images.high,
        "mcnemar_z": test.z,
        "mcnemar_p": test.p_value,
        "n_images": test.n_images,
        "n_pairs": test.n_pairs,
        "note": "; ".join(filter(None, [both.seeds_and_images.note, test.note])),
    }


def pick_arms(arms: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Of the arms (columns arm, score) at most `MOST_ARMS`: controls, then the best in score."""
    names = arms["arm"].tolist()
    if len(names) <= MOST_ARMS:
        return names
    best = arms.sort_values("score", ascending=False, kind="stable")["arm"].tolist()
    chosen = [arm for arm in best if arm in controls][: MOST_ARMS // 2]
    chosen += [arm for arm in best if arm not in chosen][: MOST_ARMS - len(chosen)]
    return [name for name in names if name in chosen]
