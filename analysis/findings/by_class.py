"""What the report says about classes and images: which predictions are read, and what they give.

In: `Runs`, all arms, and those arms and pairs to look at closely. Out: `ClassTables`. Predictions
are large, so they are read for the first seeds of each arm only, one arm at a time, and dropped
again but for the arms of pairs; `ClassTables.n_read` says how many were read out of how many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.findings.load import Runs
from analysis.measures.classes.calibration import calibration_intervals
from analysis.measures.classes.mistakes import mcnemar, often_wrong
from analysis.measures.classes.scores import class_differences, confusion, score_intervals
from analysis.measures.classes.two_way import accuracy_interval
from analysis.measures.redrawn import overlap_of
from analysis.statistics.classes.scores import Confusion
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions
from analysis.words import joined

MOST_SEEDS = 40
MOST_TRIALS = 2000  # read in all: with more than 50 arms fewer seeds of each
MOST_WRONG = 24
MOST_ARMS = 8
MOST_TASKS = 4
ById = Mapping[str, Predictions]


@dataclass
class ClassTables:
    """Results by class and image; every frame has a column task.

    scores: `score_intervals`'s rows (arm, scope, class_name, metric, estimate, low, high, n) of
    every arm that left predictions; the accuracy is that of the table by arm, over all seeds.
    calibration: `calibration_intervals`'s. confusions: by (task, arm), every arm. Of the arms that
    are looked at closely: differences: by (task, treatment, control), shares of the true class,
    treatment minus control. classes: rows of `class_differences`. images: a row a task and pair,
    two-way intervals and McNemar's test. wrong: by (task, arm), `often_wrong`'s rows with
    `fingerprint`. class_names: by (task, arm). closely: (task, arm) of these arms, the most
    telling. most_seeds: read of an arm. n_read, n_trials: trials whose predictions were read, and
    finished trials.
    """

    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusions: dict[tuple[str, str], Confusion] = field(default_factory=dict)
    differences: dict[tuple[str, str, str], Floats] = field(default_factory=dict)
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: pd.DataFrame = field(default_factory=pd.DataFrame)
    wrong: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    class_names: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    closely: tuple[tuple[str, str], ...] = ()
    most_seeds: int = MOST_SEEDS
    n_read: int = 0
    n_trials: int = 0


def read_classes(
    runs: Runs,
    evidence: pd.DataFrame,
    arms: Mapping[str, Sequence[str]],
    pairs: Mapping[str, Sequence[Pair]],
    accuracies: pd.DataFrame,
) -> ClassTables:
    """Tables by class of every arm that finished, and for `arms` of each task, the most telling,
    what it takes to look at images; for those `pairs` of which both are in them, differences.

    `accuracies`: columns task, arm, score, score_low, score_high, score_n, of the table by arm
    where its score is the accuracy on test images: one estimate stands in both places.
    """
    done = evidence[evidence["status"] == "done"]
    most = most_seeds(done)
    closely = tuple((task, arm) for task, names in arms.items() for arm in names)
    tables = ClassTables(closely=closely, most_seeds=most, n_trials=len(done))
    for task, rows in done.groupby("task", sort=False):
        read: dict[str, Predictions] = {}
        for arm, members in rows.groupby("arm", sort=False):
            own = _read(runs, first_seeds(members, most))
            if own:
                known = members[members["trial_id"].isin(list(own))]
                _add_arm(tables, (str(task), str(arm)), known, class_names(runs, known, own), own)
            if (task, arm) in closely:
                read |= own
        known = rows[rows["trial_id"].isin(list(read))]
        for pair in pairs.get(str(task), ()):
            if all((task, arm) in closely and (task, arm) in tables.class_names for arm in pair):
                _add_pair(tables, str(task), pair, known, read)
    if len(tables.scores) and len(accuracies):
        tables.scores = _with_accuracies(tables.scores, accuracies)
    return tables


def most_seeds(done: pd.DataFrame) -> int:
    """Of how many seeds of each arm predictions are read, of these finished trials."""
    places = done[["task", "arm"]].drop_duplicates()
    return max(1, min(MOST_SEEDS, MOST_TRIALS // max(1, len(places))))


def first_seeds(members: pd.DataFrame, most: int) -> list[str]:
    """The trials of one arm whose predictions are read."""
    return [*members.sort_values("seed", kind="stable")["trial_id"].head(most).astype(str)]


def _read(runs: Runs, trial_ids: Iterable[str]) -> dict[str, Predictions]:
    read = ((trial_id, runs.predictions(trial_id)) for trial_id in trial_ids)
    return {trial_id: answers for trial_id, answers in read if answers is not None}


def _with_accuracies(scores: pd.DataFrame, accuracies: pd.DataFrame) -> pd.DataFrame:
    """The scores with the accuracy of each arm, and its interval, as the table by arm has them."""
    names = {"score": "estimate", "score_low": "low", "score_high": "high", "score_n": "n"}
    known = accuracies.dropna(subset="score").set_index(["task", "arm"]).rename(columns=names)
    places = scores.set_index(["task", "arm"]).index
    same = (scores["scope"] == "all").to_numpy() & places.isin(known.index)
    columns = list(names.values())
    scores = scores.copy()
    scores.loc[same, columns] = known.loc[places[same], columns].to_numpy()
    return scores.astype({"n": int})


def with_comparisons(images: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """The table of images with the differences over seeds that the comparisons have: one estimate
    and one interval for one quantity. Not where predictions of fewer pairs of seeds were read."""
    if images.empty or comparisons.empty:
        return images
    rows = comparisons[comparisons["metric"] == "test_accuracy"].dropna(subset="estimate")
    names = {"estimate": "difference", "low": "low", "high": "high"}
    keys = ["task", "treatment", "control", "n_pairs"]
    known = rows.set_index(keys)[list(names)].rename(columns=names)
    places = images.set_index(keys).index
    same = places.isin(known.index)
    images = images.copy()
    images.loc[same, list(known)] = known.loc[places[same]].to_numpy()
    for end, outer in (("low", np.minimum), ("high", np.maximum)):  # never the narrower of the two
        images[f"images_{end}"] = outer(images[f"images_{end}"], images[end])
    return images


def _add_arm(
    tables: ClassTables,
    place: tuple[str, str],
    members: pd.DataFrame,
    names: tuple[str, ...],
    own: ById,
) -> None:
    tables.n_read += len(own)
    tables.class_names[place] = names
    tables.confusions[place] = confusion(own, len(names))
    overlap = overlap_of(members)
    scores = score_intervals(own, members, names, overlap=overlap)
    tables.scores = _longer(tables.scores, scores.assign(task=place[0]))
    calibration = calibration_intervals(own, members, overlap=overlap)
    tables.calibration = _longer(tables.calibration, calibration.assign(task=place[0]))
    if place in tables.closely:
        fingerprint = members["dataset_fingerprint"].astype(str).iloc[0]
        tables.wrong[place] = often_wrong(own, MOST_WRONG).assign(fingerprint=fingerprint)


def _add_pair(
    tables: ClassTables, task: str, pair: Pair, trials: pd.DataFrame, predictions: ById
) -> None:
    names, others = (tables.class_names[task, arm] for arm in pair)
    identity = {"task": task, **pair._asdict()}
    if names == others:
        means = [tables.confusions[task, arm].mean for arm in pair]
        tables.differences[task, pair.treatment, pair.control] = means[0] - means[1]
        overlap = overlap_of(trials[trials["arm"].isin(list(pair))])
        by_class = class_differences(predictions, trials, *pair, names, overlap)
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
