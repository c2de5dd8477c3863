"""`python -m harness.evaluate RUN --on NAME|FOLDER|ZIP`: a run's models on a test set met later.

In: a run folder and images that its networks have not seen. Out: accuracy of each arm with its
interval over seeds, by class, what is confused with what, the ensemble of the seeds, and files in
`RUN/evaluations/`. Thin: `evaluate_data` reads the images, `evaluate_models` the networks,
`evaluate_files` writes; the statistics are the report's own.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.evaluate_confusable import (
    Group,
    Pair,
    case_merged,
    confusable_pairs,
    look_alikes,
)
from harness.evaluate_data import Preparation, TestSet, preparation, read_test_set
from headstart.cli import run_command
from headstart.errors import EXIT_DONE, InputError
from headstart.files import write_json

if TYPE_CHECKING:
    import pandas as pd

    from analysis.intervals import Interval
    from analysis.load import Predictions
    from harness.evaluate_models import SavedModel

SEED = 0  # of the intervals' own draws: the same images give the same intervals
N_CLASSES_SHOWN = 8


@dataclass(frozen=True)
class Options:
    """The command line, parsed."""

    run: Path
    on: str
    csv: str | None
    arms: tuple[str, ...]
    ensemble: bool
    out: Path | None
    data: Path | None
    preprocess: str | None
    on_damaged: Literal["refuse", "skip"]
    device: str


@dataclass(frozen=True)
class Scores:
    """How one arm did.

    Attributes:
        arm: its name.
        class_names: of its networks.
        accuracies: of each network, by seed.
        seeds: mean accuracy with its interval over seeds, on these very images.
        images: the same with the interval over seeds and images.
        merged: accuracy with letter case merged; None where no classes merge.
        classes: one row a class: class_name, n_images, recall with interval, precision.
        counts: confusion, int64 (classes, classes), all networks together.
        pairs, groups: what is taken for what.
        ensemble, ensemble_merged: of the mean of the seeds' probabilities, interval over images.
        ensemble_pairs: what the ensemble takes for what.
    """

    arm: str
    class_names: tuple[str, ...]
    accuracies: tuple[float, ...]
    seeds: Interval
    images: Interval
    merged: Interval | None
    classes: pd.DataFrame
    counts: np.ndarray
    pairs: list[Pair]
    groups: list[Group]
    ensemble: Interval | None = None
    ensemble_merged: Interval | None = None
    ensemble_pairs: tuple[Pair, ...] = ()


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    from harness import evaluate_models  # torch: seconds, and no mistake above needs it

    sweep = evaluate_models.read_run(options.run)
    saved = evaluate_models.find_models(options.run, sweep, options.arms)
    tests = _test_sets(options, saved)
    answered = {}
    for number, model in enumerate(saved, 1):
        print(f"\r{number}/{len(saved)} networks", end="", file=sys.stderr, flush=True)
        test = tests[model.arm]
        answered[model.id] = evaluate_models.answers(
            model, test.images, test.labels, options.device
        )
    print(file=sys.stderr)
    scores = []
    for arm in dict.fromkeys(model.arm for model in saved):
        members = [model for model in saved if model.arm == arm]
        probabilities = {model.id: answered[model.id].probabilities for model in members}
        scores.append(score_arm(members, tests[arm], probabilities, options.ensemble))
    for line in describe(options, tests, saved, scores):
        print(line)
    losses = {trial_id: one.loss for trial_id, one in answered.items()}
    probabilities = {trial_id: one.probabilities for trial_id, one in answered.items()}
    print(_write(options, tests, saved, scores, probabilities, losses))
    return EXIT_DONE


def parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m harness.evaluate",
        description="Score the models of a run, those that validation chose, on a test set that "
        "they have not seen.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--on", required=True, metavar="NAME|FOLDER|ZIP",
        help="a data set of the catalogue with a test part of its own, or a folder or archive "
        "with one folder a class, or of flat image files with a CSV (file, label)",
    )  # fmt: skip
    parser.add_argument("--csv", metavar="FILE", help="the table of file names and labels")
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME", dest="arms",
        help="an arm or a pretrain stage; may be given several times (default: all arms)",
    )  # fmt: skip
    parser.add_argument(
        "--ensemble", action="store_true", help="also the mean of the seeds' probabilities"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/evaluations")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where data sets lie")
    parser.add_argument(
        "--preprocess", choices=("resize", "mnist_style"),
        help="instead of what the networks' own data went through",
    )  # fmt: skip
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave damaged images out, with a note"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = parser.parse_args(argv)
    if given.data is not None and not given.data.is_dir():
        raise InputError(f"--data {given.data}: no such folder")
    return Options(
        run=given.run, on=given.on, csv=given.csv, arms=tuple(given.arms),
        ensemble=given.ensemble, out=given.out, data=given.data, preprocess=given.preprocess,
        on_damaged="skip" if given.skip_damaged else "refuse", device=given.device,
    )  # fmt: skip


def score_arm(
    members: Sequence[SavedModel],
    test: TestSet,
    probabilities: dict[str, np.ndarray],
    ensemble: bool,
) -> Scores:
    """Accuracy, its intervals, classes, pairs and (asked for) the ensemble of one arm's networks.

    Args:
        members: the finished networks of one arm.
        test: what they were shown.
        probabilities: float (n, classes) of each, by trial id.
        ensemble: whether to put the networks together.
    """
    import pandas as pd

    from analysis.classification import accuracy_interval, confusion, score_intervals
    from analysis.intervals import mean_interval, proportion_interval

    rng = np.random.default_rng(SEED)
    arm, names = members[0].arm, members[0].class_names
    predictions = {m.id: _predictions(test, probabilities[m.id]) for m in members}
    trials = pd.DataFrame(
        [{"trial_id": m.id, "arm": arm, "seed": int(m.row["seed"])} for m in members]
    )
    both = accuracy_interval(predictions, trials, arm, rng=rng)
    found = score_intervals(predictions, trials, names, rng=rng, zero_division=float("nan"))
    counts = confusion(predictions, len(names)).pooled
    merge = case_merged(names)
    right = [float((p.predicted == p.labels).mean()) for p in predictions.values()]
    merged = None
    if merge is not None:
        shares = [_merged_accuracy(p, merge) for p in predictions.values()]
        merged = mean_interval(shares, rng=rng)
    scores = Scores(
        arm=arm,
        class_names=names,
        accuracies=tuple(right),
        seeds=both.seeds,
        images=both.seeds_and_images,
        merged=merged,
        classes=_by_class(found, names, test.labels),
        counts=counts,
        pairs=confusable_pairs(counts, names),
        groups=look_alikes(counts, names),
    )
    if not ensemble:
        return scores
    together = _predictions(test, mean_probabilities(list(probabilities.values())))
    n = len(test.labels)
    n_right = int((together.predicted == together.labels).sum())
    n_merged = None if merge is None else round(_merged_accuracy(together, merge) * n)
    pooled = confusion({"ensemble": together}, len(names)).pooled
    return replace(
        scores,
        ensemble=proportion_interval(n_right, n),
        ensemble_merged=None if n_merged is None else proportion_interval(n_merged, n),
        ensemble_pairs=tuple(confusable_pairs(pooled, names)),
    )


def mean_probabilities(each: Sequence[np.ndarray]) -> np.ndarray:
    """What an ensemble says: float32 (n, classes), the mean of its members' probabilities."""
    return np.mean(np.stack(each).astype(np.float64), axis=0).astype(np.float32)


def describe(
    options: Options, tests: dict[str, TestSet], saved: Sequence[SavedModel], scores: list[Scores]
) -> list[str]:
    """What the command prints."""
    test = tests[scores[0].arm]
    present = len(np.unique(test.labels))
    lines = [
        f"{options.run} on {options.on}: {len(test.labels)} images of {present} classes; "
        f"{_prepare(saved[0], options).words()}"
    ]
    lines += [f"  note: {note}" for note in test.notes]
    for one in scores:
        lines += ["", *_describe_arm(one)]
    return lines


def _describe_arm(one: Scores) -> list[str]:
    n = len(one.accuracies)
    lines = [f"{one.arm}: {n} network{'s' * (n > 1)}, of {n} seed{'s' * (n > 1)}"]
    lines.append(f"  accuracy, mean over seeds   {_with(one.seeds)}  over seeds, these images")
    lines.append(f"                              {_with(one.images)}  over seeds and images")
    lines.append("  each seed                   " + "  ".join(_pc(a) for a in one.accuracies))
    if one.merged is not None:
        lines.append(f"  letter case merged          {_with(one.merged)}  over seeds")
    if one.ensemble is not None:
        lines.append(f"  ensemble of {n:<3}             {_with(one.ensemble)}  over images")
    if one.ensemble_merged is not None:
        lines.append(f"    letter case merged        {_with(one.ensemble_merged)}  over images")
    tested = one.classes[one.classes["n_images"] > 0].sort_values("recall", kind="stable")
    shown = tested.head(N_CLASSES_SHOWN)
    worst = [f"{row.class_name} {_pc(row.recall)}" for row in shown.itertuples()]
    lines.append("  hardest classes             " + "  ".join(worst))
    pairs = [f"{p.first}/{p.second} {p.n_swapped}" for p in one.pairs]
    lines.append("  most confused (images)      " + ("  ".join(pairs) or "none"))
    for group in one.groups:
        lines.append(
            f"  {'/'.join(group.classes):<8} right {_pc(group.n_right / group.n_images)}, "
            f"taken for each other {_pc(group.n_inside / group.n_images)}"
        )
    return lines


def _test_sets(options: Options, saved: Sequence[SavedModel]) -> dict[str, TestSet]:
    """For each arm the test set as its networks know images; read once for all that agree."""
    read: dict[tuple[Preparation, tuple[str, ...]], TestSet] = {}
    tests: dict[str, TestSet] = {}
    for model in saved:
        key = (_prepare(model, options), model.class_names)
        if key not in read:
            read[key] = read_test_set(
                options.on,
                model.class_names,
                key[0],
                csv=options.csv,
                data_dir=options.data,
                on_damaged=options.on_damaged,
            )
        if tests.setdefault(model.arm, read[key]) is not read[key]:
            raise InputError(
                f"{options.run}: networks of '{model.arm}' were trained on different data sets or "
                "classes, and cannot be scored as seeds of one arm"
            )
    return tests


def _prepare(model: SavedModel, options: Options) -> Preparation:
    info = model.info
    return preparation(model.data, info.image_size, info.channels, options.preprocess)


def _predictions(test: TestSet, probabilities: np.ndarray) -> Predictions:
    from analysis.load import Predictions

    return Predictions(
        indices=np.arange(len(test.labels)),
        labels=test.labels,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
    )


def _merged_accuracy(one: Predictions, merge: np.ndarray) -> float:
    return float((merge[one.predicted] == merge[one.labels]).mean())


def _by_class(found: pd.DataFrame, names: Sequence[str], labels: np.ndarray) -> pd.DataFrame:
    """One row a class, in the network's order."""
    import pandas as pd

    of_class = found[found["scope"] == "class"]
    recall = of_class[of_class["metric"] == "recall"].set_index("class_name").reindex(names)
    precision = of_class[of_class["metric"] == "precision"].set_index("class_name").reindex(names)
    return pd.DataFrame(
        {
            "class_name": list(names),
            "n_images": np.bincount(labels, minlength=len(names)),
            "recall": recall["estimate"].to_numpy(),
            "recall_low": recall["low"].to_numpy(),
            "recall_high": recall["high"].to_numpy(),
            "precision": precision["estimate"].to_numpy(),
        }
    )


def _write(
    options: Options,
    tests: dict[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[Scores],
    probabilities: dict[str, np.ndarray],
    losses: dict[str, float],
) -> str:
    """Write every file; returns the line that says where they are."""
    from harness import evaluate_files as files

    folder = files.output_folder(options.run, options.out)
    name = files.stem(tests[scores[0].arm].name)
    rows, answers = [], []
    for model in saved:
        test, names = tests[model.arm], model.class_names
        merge = case_merged(names)
        one = _predictions(test, probabilities[model.id])
        right = float((one.predicted == one.labels).mean())
        merged = None if merge is None else _merged_accuracy(one, merge)
        rows.append(files.trial_row(model, test, right, losses[model.id], merged))
        who = {"arm": model.arm, "seed": int(model.row["seed"]), "trial_id": model.id}
        answers += files.prediction_rows(who, test, names, probabilities[model.id])
    for score in scores:
        if score.ensemble is not None:
            each = [probabilities[model.id] for model in saved if model.arm == score.arm]
            who = {"arm": score.arm, "seed": None, "trial_id": "ensemble"}
            together = mean_probabilities(each)
            answers += files.prediction_rows(who, tests[score.arm], score.class_names, together)
        stem = files.stem(name, "confusion", score.arm)
        files.write_confusion(folder, stem, score.counts, score.class_names)
        _draw_confusion(folder, stem, score)
    files.write_trial_rows(folder / f"{name}.parquet", rows)
    files.write_predictions(folder / f"{name}-predictions.parquet", answers)
    classes = [[s.arm, *row] for s in scores for row in s.classes.itertuples(index=False)]
    header = ["arm", *scores[0].classes.columns]
    files.write_csv(folder / f"{name}-classes.csv", header, classes)
    pairs = [[s.arm, p.first, p.second, p.n_swapped, p.n_images] for s in scores for p in s.pairs]
    header = ["arm", "class", "other", "n_swapped", "n_images"]
    files.write_csv(folder / f"{name}-pairs.csv", header, pairs)
    write_json(folder / f"{name}.json", _summary(options, tests, saved, scores))
    return f"\nWritten: {folder / name}.* (trials, predictions, classes, pairs, confusion)"


def _summary(
    options: Options,
    tests: dict[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[Scores],
) -> dict[str, Any]:
    """The numbers that were printed, and what they were made of."""
    test = tests[scores[0].arm]
    return {
        "run": str(options.run),
        "on": options.on,
        "command": shlex.join(["python", "-m", "harness.evaluate", *sys.argv[1:]]),
        "n_test": len(test.labels),
        "fingerprint": test.fingerprint,
        "notes": list(test.notes),
        "prepared": {m.arm: asdict(_prepare(m, options)) for m in saved},
        "arms": {
            s.arm: {
                "accuracies": s.accuracies,
                "over_seeds": asdict(s.seeds),
                "over_seeds_and_images": asdict(s.images),
                "case_merged": s.merged and asdict(s.merged),
                "ensemble": s.ensemble and asdict(s.ensemble),
                "ensemble_case_merged": s.ensemble_merged and asdict(s.ensemble_merged),
                "groups": [asdict(group) for group in s.groups],
                "pairs": [asdict(pair) for pair in s.pairs],
                "ensemble_pairs": [asdict(pair) for pair in s.ensemble_pairs],
            }
            for s in scores
        },
    }


def _draw_confusion(folder: Path, stem: str, score: Scores) -> None:
    from analysis.figures.classes import confusion
    from analysis.figures.style import drawing, new_figure
    from headstart.files import atomic_path

    size = min(9.0, max(3.6, 0.15 * len(score.class_names)))
    with drawing():
        figure, axes = new_figure(size * 1.2, size)
        confusion(axes[0, 0], score.counts, score.class_names, score.arm)
        with atomic_path(folder / f"{stem}.png") as path:
            figure.savefig(path, format="png", dpi=110, facecolor="white")


def _with(interval: Interval) -> str:
    if np.isnan(interval.low):
        return f"{_pc(interval.estimate)} (no interval: {interval.note or 'one value'})"
    return f"{_pc(interval.estimate)} ({_pc(interval.low)} to {_pc(interval.high)})"


def _pc(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


if __name__ == "__main__":
    run_command(main)
