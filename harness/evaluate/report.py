"""What an evaluation found, in words for the terminal and as one mapping for a file.

In: `Scores` of each arm. Out: lines and a JSON-ready mapping. Apart from `__main__.py`, which
computes the scores, because it needs none of the analysis.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from datasets.base import Preprocess
from harness.evaluate.confusable import Group, Pair
from harness.evaluate.options import Options
from harness.evaluate.test_sets import Preparation, TestSet, preparation
from headstart.private import without_secrets

if TYPE_CHECKING:
    import pandas as pd

    from harness.evaluate.models import SavedModel

N_CLASSES_SHOWN = 8


class IntervalLike(Protocol):
    """What is used of an interval of the analysis."""

    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def note(self) -> str: ...


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
        label: what people read in place of the arm's name; empty: the name.
        of_order: of ordered classes: `quadratic_kappa` and `mae`, mean with interval over seeds.
    """

    arm: str
    class_names: tuple[str, ...]
    accuracies: tuple[float, ...]
    seeds: IntervalLike
    images: IntervalLike
    merged: IntervalLike | None
    classes: pd.DataFrame
    counts: np.ndarray
    pairs: list[Pair]
    groups: list[Group]
    ensemble: IntervalLike | None = None
    ensemble_merged: IntervalLike | None = None
    ensemble_pairs: tuple[Pair, ...] = ()
    label: str = ""
    of_order: Mapping[str, IntervalLike] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return self.label or self.arm


def prepare(model: SavedModel, preprocess: Preprocess | None) -> Preparation:
    """How images are made like those of the model's own data."""
    return preparation(model.data, model.kept_size, model.channels, preprocess)


def describe(
    options: Options, tests: dict[str, TestSet], saved: Sequence[SavedModel], scores: list[Scores]
) -> list[str]:
    """What the command prints."""
    test = tests[scores[0].arm]
    present = len(np.unique(test.labels))
    lines = heading(options, test, f"images of {present} classes", saved[0])
    for score in scores:
        lines += ["", *_describe_arm(score)]
    return lines


def heading(options: Options, test: TestSet, of_what: str, model: SavedModel) -> list[str]:
    """What was shown to which networks, `of_what` in words, and what must be said of it."""
    lines = [
        f"{options.run} on {options.on}: {len(test.labels)} {of_what}; "
        f"{prepare(model, options.preprocess).words()}"
    ]
    lines += [f"  warning: {warning}" for warning in test.warnings]
    lines += [f"  note: {note}" for note in test.notes]
    return lines


def _describe_arm(score: Scores) -> list[str]:
    n = len(score.accuracies)
    lines = [f"{score.shown}: {n} network{'s' * (n > 1)}, of {n} seed{'s' * (n > 1)}"]
    lines += _describe_mean(score)
    lines.append("  each seed                   " + "  ".join(_pc(a) for a in score.accuracies))
    for name, each in score.of_order.items():
        said = {"quadratic_kappa": "quadratic kappa", "mae": "mean error, in places"}[name]
        lines.append(f"  {said:<28}{_plain(each)}  over seeds, these images")
    if score.merged is not None:
        lines.append(f"  letter case merged          {_with(score.merged)}  over seeds")
    if score.ensemble is not None:
        lines.append(f"  ensemble of {n:<3}             {_with(score.ensemble)}  over images")
    if score.ensemble_merged is not None:
        lines.append(f"    letter case merged        {_with(score.ensemble_merged)}  over images")
    tested = score.classes[score.classes["n_images"] > 0].sort_values("recall", kind="stable")
    shown = tested.head(N_CLASSES_SHOWN)
    worst = [f"{row.class_name} {_pc(row.recall)}" for row in shown.itertuples()]
    lines.append("  hardest classes             " + "  ".join(worst))
    pairs = [f"{p.first}/{p.second} {p.n_swapped}" for p in score.pairs]
    lines.append("  most confused (images)      " + ("  ".join(pairs) or "none"))
    for group in score.groups:
        lines.append(
            f"  {'/'.join(group.classes):<8} right {_pc(group.n_right / group.n_images)}, "
            f"taken for each other {_pc(group.n_inside / group.n_images)}"
        )
    return lines


def _describe_mean(score: Scores) -> list[str]:
    """The mean accuracy; on one line where seeds that all agree leave only doubt about images."""
    head, tail = "  accuracy, mean over seeds   ", "over seeds and images"
    if score.seeds == score.images:
        return [f"{head}{_with(score.images)}  over images (all seeds equal)"]
    lines = [f"{head}{_with(score.seeds)}  over seeds, these images"]
    return [*lines, f"{' ' * len(head)}{_with(score.images)}  {tail}"]


def summary(
    options: Options,
    tests: dict[str, TestSet],
    saved: Sequence[SavedModel],
    scores: Sequence[Scores],
) -> dict[str, object]:
    """The numbers that were printed, and what they were made of."""
    return {
        **command_line(options, tests[scores[0].arm]),
        "prepared": prepared(options, saved),
        "arms": {
            s.arm: {
                "accuracies": s.accuracies,
                **_measures(s),
                "over_seeds": interval_json(s.seeds),
                "over_seeds_and_images": interval_json(s.images),
                "case_merged": interval_json(s.merged),
                "ensemble": interval_json(s.ensemble),
                "ensemble_case_merged": interval_json(s.ensemble_merged),
                "groups": [asdict(group) for group in s.groups],
                "pairs": [asdict(pair) for pair in s.pairs],
                "ensemble_pairs": [asdict(pair) for pair in s.ensemble_pairs],
            }
            for s in scores
        },
    }


def _measures(score: Scores) -> dict[str, object]:
    """What only ordered classes have."""
    of_order = {name: interval_json(each) for name, each in score.of_order.items()}
    return {"of_order": of_order} if of_order else {}


def command_line(options: Options, test: TestSet) -> dict[str, object]:
    """What was evaluated on what, and by which command."""
    return {
        "run": str(options.run),
        "on": options.on,
        "command": without_secrets(shlex.join(["python", "-m", "harness.evaluate", *sys.argv[1:]])),
        "n_test": len(test.labels),
        "fingerprint": test.fingerprint,
        "notes": list(test.notes),
        "warnings": list(test.warnings),
    }


def prepared(options: Options, saved: Sequence[SavedModel]) -> dict[str, object]:
    """By arm how images are made like those of its own data."""
    return {model.arm: asdict(prepare(model, options.preprocess)) for model in saved}


def interval_json(interval: IntervalLike | None) -> dict[str, object] | None:
    return None if interval is None else dict(vars(interval))


def _with(interval: IntervalLike) -> str:
    if np.isnan(interval.low):
        return f"{_pc(interval.estimate)} (no interval: {interval.note or 'one value'})"
    return f"{_pc(interval.estimate)} ({_pc(interval.low)} to {_pc(interval.high)})"


def _plain(interval: IntervalLike) -> str:
    if np.isnan(interval.low):
        return f"{interval.estimate:.4g} (no interval: {interval.note or 'one value'})"
    return f"{interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _pc(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"
