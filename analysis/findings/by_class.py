"""What the report says about classes and images: which predictions are read, and what they give.

In: `Runs`, and the arms and pairs to look at. Out: `ClassTables`. Predictions are large, so they
are read for the first seeds of each arm only, one arm or pair at a time, and dropped again;
`ClassTables.n_read` says how many were read out of how many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.findings.load import Runs
from analysis.measures.classes.calibration import calibration_intervals
from analysis.measures.classes.mistakes import mcnemar, often_wrong
from analysis.measures.classes.scores import class_differences, confusion, score_intervals
from analysis.measures.classes.two_way import accuracy_interval
from analysis.statistics.classes.scores import Confusion
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions
from analysis.words import joined

MOST_SEEDS = 40
MOST_WRONG = 24
MOST_ARMS = 8
MOST_TASKS = 4
ById = Mapping[str, Predictions]


@dataclass
class ClassTables:
    """Results by class and image; every frame has a column task.

    scores: `score_intervals`'s rows (arm, scope, class_name, metric, estimate, low, high, n).
    calibration: `calibration_intervals`'s. confusions: by (task, arm). differences: by (task,
    treatment, control), shares of the true class, treatment minus control. classes: rows of
    `class_differences`. images: a row a task and pair, two-way intervals and McNemar's test.
    wrong: by (task, arm), `often_wrong`'s rows with `fingerprint`. class_names: by (task, arm).
    n_read, n_trials: trials whose predictions were read, and finished trials of these arms.
    """

    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusions: dict[tuple[str, str], Confusion] = field(default_factory=dict)
    differences: dict[tuple[str, str, str], Floats] = field(default_factory=dict)
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: pd.DataFrame = field(default_factory=pd.DataFrame)
    wrong: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    class_names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    n_read: int = 0
    n_trials: int = 0


def read_classes(
    runs: Runs,
    evidence: pd.DataFrame,
    arms: Mapping[str, Sequence[str]],
    pairs: Mapping[str, Sequence[Pair]],
) -> ClassTables:
    """Tables by class for `arms` of each task, and for those `pairs` of which both are in them."""
    tables = ClassTables()
    for task, names in arms.items():
        done = evidence[(evidence["task"] == task) & (evidence["status"] == "done")]
        done = done[done["arm"].isin(list(names))].sort_values(["arm", "seed"], kind="stable")
        trials = done.groupby("arm", sort=False).head(MOST_SEEDS)
        read = {trial_id: runs.predictions(trial_id) for trial_id in trials["trial_id"]}
        predictions = {key: answers for key, answers in read.items() if answers is not None}
        trials = trials[trials["trial_id"].isin(list(predictions))]
        tables.n_read += len(trials)
        tables.n_trials += len(done)
        for arm in names:
            members = trials[trials["arm"] == arm]
            if len(members):
                shown = class_names(runs, members, predictions)
                _add_arm(tables, (task, arm), members, shown, predictions)
        for pair in pairs.get(task, ()):
            if all((task, arm) in tables.class_names for arm in pair):
                _add_pair(tables, task, pair, trials, predictions)
    return tables


def _add_arm(
    tables: ClassTables,
    place: tuple[str, str],
    members: pd.DataFrame,
    names: tuple[str, ...],
    predictions: ById,
) -> None:
    own = {trial_id: predictions[trial_id] for trial_id in members["trial_id"]}
    tables.class_names[place] = names
    tables.confusions[place] = confusion(own, len(names))
    fingerprint = members["dataset_fingerprint"].astype(str).iloc[0]
    tables.wrong[place] = often_wrong(own, MOST_WRONG).assign(fingerprint=fingerprint)
    scores = score_intervals(predictions, members, names)
    tables.scores = _longer(tables.scores, scores.assign(task=place[0]))
    calibration = calibration_intervals(predictions, members)
    tables.calibration = _longer(tables.calibration, calibration.assign(task=place[0]))


def _add_pair(
    tables: ClassTables, task: str, pair: Pair, trials: pd.DataFrame, predictions: ById
) -> None:
    names, others = (tables.class_names[task, arm] for arm in pair)
    identity = {"task": task, **pair._asdict()}
    if names == others:
        means = [tables.confusions[task, arm].mean for arm in pair]
        tables.differences[task, pair.treatment, pair.control] = means[0] - means[1]
        by_class = class_differences(predictions, trials, *pair, names)
        tables.classes = _longer(tables.classes, by_class.assign(**identity))
    both = accuracy_interval(predictions, trials, *pair)
    test = mcnemar(predictions, trials, *pair)
    row = {
        **identity,
        **both.seeds.columns("difference"),
        "images_low": both.seeds_and_images.low,
        "images_high": both.seeds_and_images.high,
        "mcnemar_z": test.z,
        "mcnemar_p": test.p_value,
        "n_images": test.n_images,
        "n_pairs": test.n_pairs,
        "note": joined(both.seeds_and_images.note, test.note),
    }
    tables.images = _longer(tables.images, pd.DataFrame([row]))


def _longer(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, rows], ignore_index=True) if len(table) else rows


def class_names(runs: Runs, members: pd.DataFrame, predictions: ById) -> tuple[str, ...]:
    """Names of the classes of an arm: of its trial records, else the class numbers."""
    record = runs.record(members["trial_id"].iloc[0])
    if record is not None and record.class_names:
        return record.class_names
    own = [predictions[trial_id] for trial_id in members["trial_id"]]
    n = max(int(max(p.labels.max(), p.predicted.max())) + 1 for p in own)
    return tuple(str(k) for k in range(n))


def named(intervals: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of estimate, low and high with `name` in the names of these columns."""
    ends = {end: f"{name}_{end}" for end in ("low", "high")}
    return intervals.rename(columns={"estimate": name, **ends})


def pick_arms(arms: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Of the arms (columns arm, score) at most `MOST_ARMS`: controls, then the best in score."""
    names: list[str] = arms["arm"].tolist()
    if len(names) <= MOST_ARMS:
        return names
    best = arms.sort_values("score", ascending=False, kind="stable")["arm"].tolist()
    chosen = [arm for arm in best if arm in controls][: MOST_ARMS // 2]
    chosen += [arm for arm in best if arm not in chosen][: MOST_ARMS - len(chosen)]
    return [name for name in names if name in chosen]
