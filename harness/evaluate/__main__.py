"""`python -m harness.evaluate RUN --on NAME|PATH`: a run's models on a test set met later.

In: a run folder and images that its networks have not seen. Out: accuracy of each arm with its
interval over seeds, by class, what is confused with what, the ensemble of the seeds, and files in
`RUN/evaluations/`. Thin: `test_sets` reads the images, `models` the networks, `report` says it in
words and `files` writes; the statistics are the analysis's own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.target import TargetSettings
from harness.evaluate.confusable import case_merged, confusable_pairs, look_alikes
from harness.evaluate.options import OWN, Networks, Options, parse
from harness.evaluate.report import Scores, describe, prepare, summary
from harness.evaluate.test_sets import Preparation, TestSet, read_test_set
from headstart.cli import run_command
from headstart.errors import EXIT_DONE, InputError
from headstart.files import atomic_path, write_json
from headstart.metrics import WITHOUT_ACCURACY

if TYPE_CHECKING:
    import pandas as pd

    from analysis.statistics.samples.intervals import Interval
    from analysis.statistics.samples.predictions import Predictions
    from harness.evaluate.models import Answers, SavedModel

SEED = 0  # of the intervals' own draws: the same images give the same intervals


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    from harness.evaluate import of_targets
    from harness.evaluate.models import read_run  # torch: no mistake above needs it
    from harness.evaluate.networks import networks_of

    sweep = read_run(options.run, options.code)
    networks = options.networks or _usual(options) if sweep.refit else options.networks
    saved, said = networks_of(options.run, sweep, options.arms, networks)
    has_classes = not of_targets.kind_of(options, saved)
    if said:
        print(said)
    tests, answered = _own_test_parts(saved) if options.on == OWN else _shown(options, saved)
    if not has_classes:
        of_arms = of_targets.score_arms(saved, tests, answered, sweep.labels, options.ensemble)
        for line in of_targets.describe(options, tests, saved, of_arms):
            print(line)
        print(of_targets.write(options, tests, saved, of_arms, answered))
        return EXIT_DONE
    scores = []
    for arm in dict.fromkeys(model.arm for model in saved):
        members = [model for model in saved if model.arm == arm]
        probabilities = {model.id: answered[model.id].probabilities for model in members}
        score = score_arm(members, tests[arm], probabilities, options.ensemble)
        scores.append(replace(score, label=sweep.labels.get(arm, "")))
    for line in describe(options, tests, saved, scores):
        print(line)
    print(_write(options, tests, saved, scores, answered))
    return EXIT_DONE


def _usual(options: Options) -> Networks:
    """Which networks of a sweep with refits are scored where the user says nothing."""
    return "selected" if options.on == OWN else "refitted"


def score_arm(
    members: Sequence[SavedModel],
    test: TestSet,
    probabilities: dict[str, np.ndarray],
    ensemble: bool,
) -> Scores:
    """Accuracy, its intervals, classes, pairs and (asked for) the ensemble of one arm's networks.

    `members` are its finished networks; `probabilities` what each says of the test images, float
    (n, classes) by trial id.
    """
    import pandas as pd

    from analysis.measures.classes.scores import confusion, score_intervals
    from analysis.measures.classes.two_way import accuracy_interval
    from analysis.statistics.samples.nested import nested_intervals
    from analysis.statistics.samples.shares import proportion_interval
    from harness.evaluate.models import mean_probabilities

    rng = np.random.default_rng(SEED)
    arm, names = members[0].arm, members[0].class_names
    predictions = {m.id: _predictions(test, probabilities[m.id]) for m in members}
    trials = pd.DataFrame([{"trial_id": m.id, "arm": arm, "seed": m.row.seed} for m in members])
    both = accuracy_interval(predictions, trials, arm)
    by_class = score_intervals(predictions, trials, names, rng=rng, zero_division=float("nan"))
    counts = confusion(predictions, len(names)).pooled
    right = [float((p.predicted == p.labels).mean()) for p in predictions.values()]
    of_order = _of_order(members, test, probabilities) if members[0].row.target else {}
    merge, merged = case_merged(names), None
    if merge is not None:
        merged, _ = nested_intervals(
            np.array([merge[p.predicted] == merge[p.labels] for p in predictions.values()], np.int8)
        )
    scores = Scores(
        arm=arm,
        class_names=names,
        accuracies=tuple(right),
        seeds=both.seeds,
        images=both.seeds_and_images,
        merged=merged,
        classes=_by_class(by_class, names, test.labels),
        counts=counts,
        pairs=confusable_pairs(counts, names),
        groups=look_alikes(counts, names),
        of_order=of_order,
    )
    if not ensemble:
        return scores
    together = _predictions(test, mean_probabilities(list(probabilities.values())))
    n = len(test.labels)
    if merge is not None:
        n_merged = round(_merged_accuracy(together, merge) * n)
        scores = replace(scores, ensemble_merged=proportion_interval(n_merged, n))
    n_right = int((together.predicted == together.labels).sum())
    pooled = confusion({"ensemble": together}, len(names)).pooled
    return replace(
        scores,
        ensemble=proportion_interval(n_right, n),
        ensemble_pairs=tuple(confusable_pairs(pooled, names)),
    )


def _of_order(
    members: Sequence[SavedModel], test: TestSet, probabilities: dict[str, np.ndarray]
) -> dict[str, Interval]:
    """What only ordered classes have, with intervals over seeds."""
    import pandas as pd

    from analysis.findings.by_arm import final_interval
    from harness.evaluate.models import Answers, scored

    names, kind = ("quadratic_kappa", "mae"), members[0].row.target
    own = [scored(Answers(probabilities[m.id], 0.0), test.right, kind).columns() for m in members]
    table = pd.DataFrame(own, columns=list(names), dtype=float)
    return {name: final_interval(table, name, is_share=False) for name in names}


def _shown(
    options: Options, saved: Sequence[SavedModel]
) -> tuple[dict[str, TestSet], dict[str, Answers]]:
    """Test sets by arm, and what each network says of them, by trial id."""
    from harness.evaluate.models import answers

    tests, answered = _test_sets(options, saved), {}
    tests = _without_training_images(options, saved, tests)
    for number, model in enumerate(saved, 1):
        print(f"\r{number}/{len(saved)} networks", end="", file=sys.stderr, flush=True)
        test = tests[model.arm]
        answered[model.id] = answers(model, test.images, test.right, options.device)
    print(file=sys.stderr)
    return tests, answered


def _without_training_images(
    options: Options, saved: Sequence[SavedModel], tests: dict[str, TestSet]
) -> dict[str, TestSet]:
    """The test sets, with a warning where refitted networks were trained on some of the images.

    Raises:
        InputError: they were trained on most of them.
    """
    from harness.evaluate.models import n_trained_on

    for model in saved:
        test = tests[model.arm]
        if model.row.stage != "refit" or not (n := n_trained_on(model, test.images)):
            continue
        text = f"{n:,} of {len(test.labels):,} images are among those that '{model.arm}' was " \
            f"refitted on (seed {model.row.seed})"  # fmt: skip
        if 2 * n > len(test.labels):
            raise InputError(f"--on {options.on}: {text}, so they test nothing; --networks "
                             "selected scores the networks of the trials")  # fmt: skip
        tests = {**tests, model.arm: replace(test, warnings=(*test.warnings, text))}
    return tests


def _own_test_parts(saved: Sequence[SavedModel]) -> tuple[dict[str, TestSet], dict[str, Answers]]:
    """The same, of the test part that the trials had, where the seeds of an arm share it."""
    from harness.evaluate.models import own_answers

    tests: dict[str, TestSet] = {}
    answered = {}
    for model in saved:
        rows, right, answered[model.id] = own_answers(model)
        name = model.row.dataset
        is_wanted = model.row.target in WITHOUT_ACCURACY
        test = TestSet(
            name=OWN,
            images=np.empty((len(rows), 0, 0, 0), np.uint8),  # the trials have looked at them
            labels=np.arange(len(rows)) if is_wanted else right,
            files=tuple(f"{name}/{row}" for row in rows.tolist()),
            fingerprint=model.row.dataset_fingerprint,
            wanted=right if is_wanted else None,
        )
        if tests.setdefault(model.arm, test).files != test.files:
            raise InputError(
                f"--on {OWN}: the seeds of '{model.arm}' were tested on different images, and "
                "would have trained on each other's; leave split out of `vary` in the sweep"
            )
    return tests, answered


def _test_sets(options: Options, saved: Sequence[SavedModel]) -> dict[str, TestSet]:
    """For each arm the test set as its networks know images; read once for all that agree."""
    read: dict[tuple[Preparation, tuple[str, ...], TargetSettings | None], TestSet] = {}
    tests: dict[str, TestSet] = {}
    for model in saved:
        target = model.data.options.target
        key = (prepare(model, options.preprocess), model.class_names, target)
        if key not in read:
            read[key] = read_test_set(
                options.on,
                model.class_names,
                key[0],
                csv=options.csv,
                data_dir=options.data,
                on_damaged=options.on_damaged,
                pairs=options.settings,
                part=options.part,
                target=target,
            )
        if tests.setdefault(model.arm, read[key]) is not read[key]:
            raise InputError(
                f"{options.run}: networks of '{model.arm}' were trained on different data sets or "
                "classes, and cannot be scored as seeds of one arm"
            )
    return tests


def _predictions(test: TestSet, probabilities: np.ndarray) -> Predictions:
    from analysis.statistics.samples.predictions import Predictions

    return Predictions(
        indices=np.arange(len(test.labels)),
        labels=test.labels,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
    )


def _merged_accuracy(given: Predictions, merge: np.ndarray) -> float:
    return float((merge[given.predicted] == merge[given.labels]).mean())


def _by_class(scores: pd.DataFrame, names: Sequence[str], labels: np.ndarray) -> pd.DataFrame:
    """One row a class, in the network's order."""
    import pandas as pd

    of_class = scores[scores["scope"] == "class"]
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
    answered: dict[str, Answers],
) -> str:
    """Write every file; returns the line that says where they are."""
    from harness.evaluate import files
    from harness.evaluate.models import mean_probabilities, scored

    folder = files.output_folder(options.run, options.out)
    name = files.set_stem(tests[scores[0].arm].name, is_own=options.on == OWN)
    rows, answers = [], []
    for model in saved:
        test, names, answer = tests[model.arm], model.class_names, answered[model.id]
        merge = case_merged(names)
        given = _predictions(test, answer.probabilities)
        merged = None if merge is None else _merged_accuracy(given, merge)
        own = scored(answer, test.labels, model.row.target)
        rows.append(files.trial_row(model, test, own, merged))
        who = {"arm": model.arm, "seed": model.row.seed, "trial_id": model.id}
        answers += files.prediction_rows(who, test, names, answer.probabilities)
    for score in scores:
        if score.ensemble is not None:
            each = [answered[m.id].probabilities for m in saved if m.arm == score.arm]
            who = {"arm": score.arm, "seed": None, "trial_id": "ensemble"}
            together = mean_probabilities(each)
            answers += files.prediction_rows(who, tests[score.arm], score.class_names, together)
        file_name = files.stem(name, "confusion", score.arm)
        files.write_confusion(folder, file_name, score.counts, score.class_names)
        _draw_confusion(folder, file_name, score)
    files.write_trial_rows(folder / f"{name}.parquet", rows)
    files.write_predictions(folder / f"{name}-predictions.parquet", answers)
    classes = [[s.arm, *row] for s in scores for row in s.classes.itertuples(index=False)]
    header = ["arm", *scores[0].classes.columns]
    files.write_csv(folder / f"{name}-classes.csv", header, classes)
    pairs = [[s.arm, p.first, p.second, p.n_swapped, p.n_images] for s in scores for p in s.pairs]
    header = ["arm", "class", "other", "n_swapped", "n_images"]
    files.write_csv(folder / f"{name}-pairs.csv", header, pairs)
    write_json(folder / f"{name}.json", summary(options, tests, saved, scores))
    return f"\nWritten: {folder / name}.* (trials, predictions, classes, pairs, confusion)"


def _draw_confusion(folder: Path, file_name: str, score: Scores) -> None:
    from analysis.figures.classes import confusion
    from analysis.figures.rows import largest_mistake
    from analysis.figures.style import drawing, new_figure

    size = min(9.0, max(3.6, 0.15 * len(score.class_names)))
    n = score.counts.sum(axis=1, keepdims=True)
    shares = np.divide(score.counts, n, out=np.full(score.counts.shape, np.nan), where=n > 0)
    with drawing():
        figure, axes = new_figure(size * 1.2, size)
        confusion(axes[0, 0], shares, score.class_names, score.shown, largest_mistake([shares]))
        with atomic_path(folder / f"{file_name}.png") as path:
            figure.savefig(path, format="png", dpi=110, facecolor="white")


if __name__ == "__main__":
    run_command(main)
