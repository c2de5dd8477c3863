"""What arms can be compared on: the metrics, each with its unit, direction and grain.

In: a name. Out: a `Metric`. It stands alone so that a new metric is one new entry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from analysis.statistics.pairs.questions import Question
from analysis.statistics.times.course import COURSES, Course
from headstart.errors import InputError, did_you_mean
from headstart.metrics import ONLY_OF_TARGETS


@dataclass(frozen=True)
class Metric:
    """One thing to compare arms on.

    `source` is a column of `trials`, `area`, or the unit of a time to target. Times are compared
    as ratios, everything else as differences. `granule` is the column whose inverse is the
    smallest step that the metric can take (a share of n images), "" where it has none. Of a
    `spread` two arms' mean differences of two seeds are compared, by their logarithms; an `event`
    is 1 in the trials in which it happened, 0 in the others.
    """

    name: str
    source: str
    unit: str
    higher_is_better: bool
    is_time: bool = False
    has_margin: bool = False
    granule: str = ""
    # Of a network that knows nothing of the classes; "": nobody can say it.
    chance: Literal["share", "entropy", ""] = "share"
    asks: Question | None = None  # its question, where that does not follow from the source
    kind: Literal["", "spread", "event"] = ""

    @property
    def furthest(self) -> float:
        """The largest difference of two values that there can be."""
        return _FURTHEST.get(self.unit, math.inf)

    @property
    def is_course(self) -> bool:
        """Whether it is about the way through training, which an untrained arm has not."""
        return self.source in _COURSES

    def along(self, course: Course) -> Metric:
        """The metric where `course` is what a sweep measures: the margin is in its unit."""
        if self.source != "area":
            if self.source == "late_noise":
                return replace(self, unit=course.unit)
            its = self.name in course.finals
            return replace(self, has_margin=its or (self.has_margin and course.unit == self.unit))
        return replace(self, unit=course.unit, higher_is_better=not course.lower_is_better)

    @property
    def counts_failures(self) -> bool:
        """Whether a trial that broke off can be put at chance: of a final value alone."""
        return self.has_margin and self.question in ("final", "outside")

    @property
    def is_of_test_part(self) -> bool:
        """Whether it is measured on images of the pool that the training images are drawn from."""
        return self.question in ("final", "overfitting") or self.name.startswith(CORRUPTED)

    @property
    def question(self) -> Question:
        """The question of a report that its rows belong to."""
        return self.asks or ("way" if self.is_course else "final")


_SHARES = ("accuracy", "balanced_accuracy", "macro_f1")
_ACCURACIES = {f"test_{name}": "n_test" for name in _SHARES}
_ACCURACIES |= {f"best_val_{name}": "n_validation" for name in _SHARES}
_ACCURACIES |= {"final_val_accuracy": "n_validation"}
_TIMES = {"steps_to_target": "step", "samples_to_target": "samples"}
_TIMES |= {"train_time_s_to_target": "train_time_s"}
_FURTHEST = {"fraction": 1.0, "kappa": 2.0}  # of shares in 0 … 1, of a kappa in −1 … 1
_UNITS = {"step": "steps", "samples": "samples", "train_time_s": "s"}
_COURSES = ("area", *_UNITS)
METRICS: dict[str, Metric] = {
    **{
        name: Metric(name, name, "fraction", True, has_margin=True, granule=granule)
        for name, granule in _ACCURACIES.items()
    },
    "area_under_curve": Metric("area_under_curve", "area", "fraction", True),
    **{
        name: Metric(name, name, "nats", False, chance="entropy")
        for name in ("test_loss", "best_val_loss")
    },
    **{
        name: Metric(name, source, _UNITS[source], False, is_time=True)
        for name, source in _TIMES.items()
    },
}
METRICS |= {
    name: Metric(
        name, name, course.unit, not course.lower_is_better, has_margin=course.is_share, chance="",
        granule=granule if course.name == "exact_match" else "",
    )
    for course in map(COURSES.__getitem__, ONLY_OF_TARGETS)
    for name, granule in zip(course.finals, ("n_test", "n_validation"), strict=True)
}  # fmt: skip
# Beside the final value and the way there: two further questions, in columns that findings add.
STABILITY = ("spread_over_seeds", "noise_within_a_run", "broken_runs")
OVERFITTING = ("accuracy_gap", "loss_gap", "end_accuracy_gap", "loss_rise")
_SPREAD, _NOISE, _BROKEN = STABILITY
METRICS |= {
    _SPREAD: Metric(_SPREAD, "final_value", "log ratio", False, asks="stability", kind="spread"),
    _NOISE: Metric(_NOISE, "late_noise", "fraction", False, asks="stability"),
    _BROKEN: Metric(_BROKEN, "broken", "fraction", False, asks="stability", kind="event"),
}
METRICS |= {
    name: Metric(name, name, unit, False, has_margin=True, granule=granule, asks="overfitting")
    for name, unit, granule in (
        ("accuracy_gap", "fraction", "n_validation"),
        ("loss_gap", "nats", ""),
        ("end_accuracy_gap", "fraction", "n_validation"),
        ("loss_rise", "nats", ""),
    )
}
# On further test sets: other data, and the own test images made worse. `test_set` says which.
OUTSIDE, CORRUPTED = "outside_", "corrupted_"
METRICS |= {
    f"{where}{name}": Metric(
        f"{where}{name}", f"{where}{name}", "nats" if name == "loss" else "fraction",
        name != "loss", has_margin=True, granule="" if name == "loss" else "n_outside",
        chance="entropy" if name == "loss" else "share", asks="outside",
    )
    for where in (OUTSIDE, CORRUPTED)
    for name in (*_SHARES, "loss")
}  # fmt: skip
METRICS |= {
    f"{where}{name}": Metric(
        f"{where}{name}", f"{where}{name}", COURSES[name].unit, not COURSES[name].lower_is_better,
        has_margin=True, granule="n_outside" if name == "exact_match" else "", chance="",
        asks="outside",
    )
    for where in (OUTSIDE, CORRUPTED)
    for name in ONLY_OF_TARGETS
}  # fmt: skip
DEFAULT_METRICS = ("test_accuracy", "area_under_curve", "steps_to_target")


def metric_of(name: str) -> Metric:
    """The metric of that name. Raises InputError for one that does not exist."""
    if name not in METRICS:
        raise InputError(
            f"metric '{name}' is not one of {', '.join(METRICS)}{did_you_mean(name, METRICS)}"
        )
    return METRICS[name]
