"""What the report says about classes and images: which predictions are read, and what they give.

In: `Runs`, and the arms and pairs to look at. Out: `ClassTables`. Predictions are large, so they
are read for the first seeds of each arm only, one arm or pair at a time, and dropped again;
`ClassTables.n_read` says how many were read out of how many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

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
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions
from analysis.words import joined

MOST_SEEDS = 40
MOST_WRONG = 24
MOST_ARMS = 8
MOST_TASKS = 4
ById = Mapping[str, Predictions]


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
    differences: dict[tuple[str, str, str], Floats]
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
    collected = _Collected(runs, rng)
    n_read, n_trials = 0, 0
    for task, names in arms.items():
        done = evidence[(evidence["task"] == task) & (evidence["status"] == "done")]
        done = done[done["arm"].isin(list(names))].sort_values(["arm", "seed"], kind="stable")
        trials = done.groupby("arm", sort=False).head(MOST_SEEDS)
        predictions = _read(runs, trials)
        trials = trials[trials["trial_id"].isin(list(predictions))]
        n_read, n_trials = n_read + len(trials), n_trials + len(done)
        for arm in names:
            members = trials[trials["arm"] == arm]
            if len(members):
                collected.add_arm(task, arm, members, predictions)
        for pair in pairs.get(task, ()):
            if all((task, arm) in collected.class_names for arm in pair):
                collected.add_pair(task, pair, trials, predictions)
    return collected.tables(n_read, n_trials)


@dataclass
class _Collected:
    """What `ClassTables` is made of, as it comes in arm by arm and pair by pair."""

    runs: Runs
    rng: np.random.Generator
    scores: list[pd.DataFrame] = field(default_factory=list)
    calibration: list[pd.DataFrame] = field(default_factory=list)
    confusions: dict[tuple[str, str], Confusion] = field(default_factory=dict)
    differences: dict[tuple[str, str, str], Floats] = field(default_factory=dict)
    classes: list[pd.DataFrame] = field(default_factory=list)
    images: list[dict[str, object]] = field(default_factory=list)
    wrong: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    class_names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def add_arm(self, task: str, arm: str, members: pd.DataFrame, predictions: ById) -> None:
        own = {trial_id: predictions[trial_id] for trial_id in members["trial_id"]}
        names = class_names(self.runs, members, own)
        self.class_names[task, arm] = names
        self.confusions[task, arm] = confusion(own, len(names))
        fingerprint = members["dataset_fingerprint"].astype(str).iloc[0]
        self.wrong[task, arm] = often_wrong(own, MOST_WRONG).assign(fingerprint=fingerprint)
        scores = score_intervals(predictions, members, names, rng=self.rng)
        self.scores.append(scores.assign(task=task))
        calibration = calibration_intervals(predictions, members, rng=self.rng)
        self.calibration.append(calibration.assign(task=task))

    def add_pair(self, task: str, pair: Pair, trials: pd.DataFrame, predictions: ById) -> None:
        names, others = (self.class_names[task, arm] for arm in pair)
        identity = {"task": task, **pair._asdict()}
        if names == others:
            means = [self.confusions[task, arm].mean for arm in pair]
            self.differences[task, pair.treatment, pair.control] = means[0] - means[1]
            by_class = class_differences(predictions, trials, *pair, names, rng=self.rng)
            self.classes.append(by_class.assign(**identity))
        both = accuracy_interval(predictions, trials, *pair, rng=self.rng)
        test = mcnemar(predictions, trials, *pair)
        self.images.append(
            identity
            | both.seeds.columns("difference")
            | {
                "images_low": both.seeds_and_images.low,
                "images_high": both.seeds_and_images.high,
                "mcnemar_z": test.z,
                "mcnemar_p": test.p_value,
                "n_images": test.n_images,
                "n_pairs": test.n_pairs,
                "note": joined(both.seeds_and_images.note, test.note),
            }
        )

    def tables(self, n_read: int, n_trials: int) -> ClassTables:
        scores, calibration, classes = (
            pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
            for parts in (self.scores, self.calibration, self.classes)
        )
        return ClassTables(
            scores,
            calibration,
            self.confusions,
            self.differences,
            classes,
            pd.DataFrame(self.images),
            self.wrong,
            self.class_names,
            n_read,
            n_trials,
        )


def _read(runs: Runs, trials: pd.DataFrame) -> dict[str, Predictions]:
    """By trial id; trials that left no predictions are not in it."""
    read = {trial_id: runs.predictions(trial_id) for trial_id in trials["trial_id"]}
    return {trial_id: answers for trial_id, answers in read.items() if answers is not None}


def class_names(runs: Runs, members: pd.DataFrame, own: ById) -> tuple[str, ...]:
    """Names of the classes of an arm: of its trial records, else the class numbers."""
    record = runs.record(members["trial_id"].iloc[0])
    if record is not None and record.class_names:
        return record.class_names
    n = max(int(max(p.labels.max(), p.predicted.max())) + 1 for p in own.values())
    return tuple(str(k) for k in range(n))


def pick_arms(arms: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Of the arms (columns arm, score) at most `MOST_ARMS`: controls, then the best in score."""
    names: list[str] = arms["arm"].tolist()
    if len(names) <= MOST_ARMS:
        return names
    best = arms.sort_values("score", ascending=False, kind="stable")["arm"].tolist()
    chosen = [arm for arm in best if arm in controls][: MOST_ARMS // 2]
    chosen += [arm for arm in best if arm not in chosen][: MOST_ARMS - len(chosen)]
    return [name for name in names if name in chosen]
