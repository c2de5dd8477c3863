"""How the networks of a run do that say several labels or numbers: metrics, intervals and files.

In: the networks, their test sets and answers. Out: `MetricScores` of each arm, lines for people and
the files of `RUN/evaluations/`. It stands apart from what counts classes, since nothing here is
right or wrong as a whole: no confusions, no hardest classes, no shares of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from datasets.target import BETWEEN
from harness.evaluate import files
from harness.evaluate.options import OWN, Options
from harness.evaluate.report import IntervalLike, command_line, heading, interval_json, prepared
from harness.evaluate.test_sets import TestSet
from headstart.errors import InputError
from headstart.files import write_json
from headstart.metrics import OF_TARGETS, WITHOUT_ACCURACY

if TYPE_CHECKING:
    from harness.evaluate.models import Answers, SavedModel
    from headstart.rows import LaterTestRow

THERE = 0.5  # the probability from which on a label is said to be there


@dataclass(frozen=True)
class MetricScores:
    """How one arm did.

    Attributes:
        arm: its name. label: what people read in its place.
        kind: of the target. unit: of its numbers; may be empty.
        values: by metric, that of each network, by seed; NaN where it is not defined.
        seeds: by metric the mean, with its interval over seeds, on these very images.
        ensemble: by metric, of the mean of the networks' answers; empty where it was not asked for.
        by_label: of several labels, each one's images, and mean average precision over networks.
    """

    arm: str
    label: str
    kind: str
    unit: str
    values: Mapping[str, tuple[float, ...]]
    seeds: Mapping[str, IntervalLike]
    ensemble: Mapping[str, float]
    by_label: tuple[tuple[str, int, float], ...] = ()


def kind_of(options: Options, saved: Sequence[SavedModel]) -> str:
    """The target of all these networks, where they say no classes; else empty.

    Raises:
        InputError: they have targets of several kinds, or numbers in several units.
    """
    kinds = {
        (model.row.target if model.row.target in WITHOUT_ACCURACY else "", unit_of(model)): model
        for model in saved
    }
    if len(kinds) > 1:
        arms = " and ".join(f"'{model.arm}'" for model in list(kinds.values())[:2])
        raise InputError(f"{options.run}: {arms} have different targets, and one table has one; "
                         "give arms that share theirs with --arm")  # fmt: skip
    return next(iter(kinds))[0]


def unit_of(model: SavedModel) -> str:
    """Of the numbers that a network says; empty of anything else."""
    return str((model.row.target_scale or {}).get("unit", ""))


def score_arms(
    saved: Sequence[SavedModel],
    tests: Mapping[str, TestSet],
    answered: Mapping[str, Answers],
    labels: Mapping[str, str],
    ensemble: bool,
) -> list[MetricScores]:
    """Every arm's scores; `answered` is by trial id, `labels` are what people read."""
    arms = dict.fromkeys(model.arm for model in saved)
    return [
        _score(
            [model for model in saved if model.arm == arm],
            tests[arm], answered, labels.get(arm, ""), ensemble,
        )
        for arm in arms
    ]  # fmt: skip


def _score(
    members: Sequence[SavedModel],
    test: TestSet,
    answered: Mapping[str, Answers],
    label: str,
    ensemble: bool,
) -> MetricScores:
    import pandas as pd

    from analysis.findings.by_arm import final_interval
    from analysis.statistics.times.course import COURSES
    from harness.evaluate.models import Answers, mean_probabilities, scored

    kind = members[0].row.target
    names = (*OF_TARGETS[kind], "loss")
    own = [scored(answered[m.id], test.right, kind).columns() for m in members]
    table = pd.DataFrame(own, columns=list(names), dtype=float).add_prefix("test_")
    table["n_test"] = len(test.right)
    together: dict[str, float] = {}
    if ensemble:
        mean = mean_probabilities([answered[m.id].probabilities for m in members])
        score = scored(Answers(mean, float("nan")), test.right, kind).columns()
        together = {name: value for name in names if (value := score[name]) is not None}
    return MetricScores(
        arm=members[0].arm,
        label=label,
        kind=kind,
        unit=unit_of(members[0]),
        values={name: tuple(table[f"test_{name}"]) for name in names},
        seeds={
            name: final_interval(table, f"test_{name}", COURSES[name].is_share) for name in names
        },
        ensemble=together,
        by_label=tuple(_by_label(members, test, answered)) if kind == "labels" else (),
    )


def _by_label(
    members: Sequence[SavedModel], test: TestSet, answered: Mapping[str, Answers]
) -> Iterator[tuple[str, int, float]]:
    from harness.training.target_scores import average_precision

    for k, name in enumerate(members[0].class_names):
        is_there = test.right[:, k] > THERE
        each = [average_precision(answered[m.id].probabilities[:, k], is_there) for m in members]
        yield name, int(is_there.sum()), float(np.mean(each))


def describe(
    options: Options,
    tests: Mapping[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[MetricScores],
) -> Iterator[str]:
    """What the command prints."""
    test, first = tests[scores[0].arm], scores[0]
    in_unit = f" in {first.unit}" if first.unit else ""
    what = {"number": f"a number each{in_unit}", "labels": f"{len(saved[0].class_names)} labels"}
    yield from heading(options, test, f"images with {what[first.kind]}", saved[0])
    for score in scores:
        n = len(next(iter(score.values.values())))
        yield ""
        networks = f"{n} network{'s' * (n > 1)}"
        yield f"{score.label or score.arm}: {networks}, mean over seeds, on these images"
        width = max(len(_name(name)) for name in score.values)
        for name, values in score.values.items():
            each = "  ".join(_written(name, value) for value in values)
            line = f"  {_name(name):<{width}}  {_with(score, name)}; each seed: {each}"
            if name in score.ensemble:
                line += f"; ensemble: {_written(name, score.ensemble[name])}"
            yield line
        if score.by_label:
            there = [each for each in score.by_label if each[1]]
            hardest = sorted(there, key=lambda each: each[2])[:8]
            shown = "  ".join(f"{label} {_written('exact_match', p)}" for label, _, p in hardest)
            yield f"  lowest average precision: {shown}"


def _name(metric: str) -> str:
    from analysis.statistics.times.course import COURSES

    return COURSES[metric].words


def _with(score: MetricScores, metric: str) -> str:
    interval = score.seeds[metric]
    if np.isnan(interval.estimate):
        return "not defined on these images"
    unit = f" {score.unit}" if score.unit and metric in ("mae", "rmse") else ""
    mean = f"{_written(metric, interval.estimate)}{unit}"
    if np.isnan(interval.low):
        return f"{mean} (no interval: {interval.note or 'one value'})"
    low, high = (_written(metric, end) for end in (interval.low, interval.high))
    return f"{mean} ({low} to {high})"


def _written(metric: str, value: float) -> str:
    from analysis.statistics.times.course import COURSES

    if np.isnan(value):
        return "–"
    return f"{100 * value:.1f} %" if COURSES[metric].is_share else f"{value:.4g}"


def write(
    options: Options,
    tests: Mapping[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[MetricScores],
    answered: Mapping[str, Answers],
) -> str:
    """Write every file; returns the line that says where they are."""
    folder = files.output_folder(options.run, options.out)
    name = files.set_stem(tests[scores[0].arm].name, is_own=options.on == OWN)
    files.write_trial_rows(
        folder / f"{name}.parquet", [_row(m, tests[m.arm], answered[m.id]) for m in saved]
    )
    rows = [row for m in saved for row in _answer_rows(m, tests[m.arm], answered[m.id])]
    files.write_predictions(folder / f"{name}-predictions.parquet", rows)
    labels = [[s.arm, *each] for s in scores for each in s.by_label]
    if labels:
        header = ["arm", "label", "n_images", "average_precision"]
        files.write_csv(folder / f"{name}-labels.csv", header, labels)
    write_json(folder / f"{name}.json", _summary(options, tests, saved, scores))
    return f"\nWritten: {folder / name}.* (trials, predictions{', labels' * bool(labels)})"


def _row(model: SavedModel, test: TestSet, answer: Answers) -> LaterTestRow:
    from harness.evaluate.models import scored

    return files.trial_row(model, test, scored(answer, test.right, model.row.target), None)


def _answer_rows(model: SavedModel, test: TestSet, answer: Answers) -> Iterator[dict[str, object]]:
    who = {"arm": model.arm, "seed": model.row.seed, "trial_id": model.id}
    names = model.class_names
    for file, right, said in zip(test.files, test.right, answer.probabilities, strict=True):
        row = {**who, "file": file}
        if model.row.target == "number":
            unit = unit_of(model)
            yield {**row, "right": float(right[0]), "predicted": float(said[0]), "unit": unit}
        else:
            yield {**row, "label": _named(names, right), "predicted": _named(names, said),
                   **{f"p_{n}": float(p) for n, p in zip(names, said, strict=True)}}  # fmt: skip


def _named(names: Sequence[str], shares: np.ndarray) -> str:
    return BETWEEN[0].join(n for n, share in zip(names, shares, strict=True) if share >= THERE)


def _summary(
    options: Options,
    tests: Mapping[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[MetricScores],
) -> dict[str, object]:
    """The numbers that were printed, and what they were made of."""
    return {
        **command_line(options, tests[scores[0].arm]),
        "prepared": prepared(options, saved),
        "target": scores[0].kind,
        "unit": scores[0].unit,
        "arms": {
            s.arm: {
                "values": {name: [None if np.isnan(v) else v for v in each]
                           for name, each in s.values.items()},
                "over_seeds": {name: interval_json(each) for name, each in s.seeds.items()},
                "ensemble": dict(s.ensemble),
            }
            for s in scores
        },
    }  # fmt: skip
