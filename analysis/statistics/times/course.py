"""What is measured at every evaluation, and at the end: one entry a metric that a sweep may name.

In: the name in `measure: {metric: …}`. Out: a `Course`: its column of the curves, the columns of
its final value, which side is better and how it is written. It stands alone because times, areas,
comparisons and words ask the same things of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis import words
from headstart.metrics import LOWER_IS_BETTER


@dataclass(frozen=True)
class Course:
    """One metric over training.

    Attributes:
        name: in a sweep file. words: in a sentence.
        column: of the curves; on validation images.
        finals: columns of the trials: on test images; on validation images at the chosen step.
        lower_is_better: a target is then reached from above.
        is_share: a fraction, which is written in percent, and differences of it in points.
        unit: of a difference.
        measured_in: what values are measured in, as the data entry says it (`years`), or "".
    """

    name: str
    words: str
    column: str
    finals: tuple[str, str]
    lower_is_better: bool = False
    is_share: bool = True
    unit: str = "fraction"
    measured_in: str = ""

    @property
    def of_unit(self) -> str:
        """` (years)`, to stand behind the name in a heading; nothing where no unit is known."""
        return f" ({self.measured_in})" if self.measured_in else ""

    @property
    def of_difference(self) -> str:
        """` (points)` or ` (years)`: the unit of a difference or a spread, as `of_unit` has it."""
        return " (points)" if self.is_share else self.of_unit

    @property
    def kind(self) -> str:
        """How a value is written (`words.write`)."""
        return "percent" if self.is_share else "number"

    @property
    def spread_kind(self) -> str:
        """How a spread is written in a table whose heading has the unit."""
        return "points_plain" if self.is_share else "number"

    @property
    def target_kind(self) -> str:
        """How a target is written in a table."""
        return "target" if self.is_share else "chosen"

    @property
    def behind(self) -> str:
        """` years`, to stand behind a number; nothing where no unit is known."""
        return f" {self.measured_in}" if self.measured_in else ""

    def difference(self, value: float) -> str:
        """`+0.34 points`, `+0.012`, or `+0.012 years`."""
        if self.is_share:
            return f"{words.points(value)} points"
        return f"{words.signed(value)}{self.behind}"

    def margin(self, value: float) -> str:
        """`±0.1 points`, `±0.01`, or `±0.01 years`."""
        return f"±{100 * value:.3g} points" if self.is_share else f"±{value:.3g}{self.behind}"

    def ends(self, word: Literal["more", "less", "as"]) -> str:
        """How an end is said: `more accurate`, `with a lower loss`, `as accurate`."""
        if self.name == "accuracy":
            return f"{word} accurate"
        if word == "as":
            return f"with the same {self.words}"
        higher = (word == "more") is not self.lower_is_better
        return f"with a {'higher' if higher else 'lower'} {self.words}"

    def target(self, value: float) -> str:
        """`97.5 %`, `a loss of 0.2`, or `a mean absolute error of 10 years`."""
        if self.is_share:
            return words.target(value)
        return f"a {self.words} of {value:g}{self.behind}"

    def target_alone(self, value: float) -> str:
        """`97.5 %`, `0.2` or `10 years`: a target where the metric is named beside it."""
        return words.target(value) if self.is_share else f"{words.chosen(value)}{self.behind}"


def _course(name: str, text: str, unit: str = "fraction") -> Course:
    finals = (f"test_{name}", f"best_val_{name}")
    is_share = unit == "fraction"
    return Course(name, text, f"val_{name}", finals, name in LOWER_IS_BETTER, is_share, unit)


COURSES = {
    course.name: course
    for course in (
        _course("accuracy", "accuracy"),
        _course("balanced_accuracy", "balanced accuracy"),
        _course("macro_f1", "macro F1"),
        _course("loss", "loss", "nats"),
        _course("mean_average_precision", "mean average precision"),
        _course("micro_f1", "micro F1"),
        _course("exact_match", "exact match"),
        _course("quadratic_kappa", "quadratic kappa", "kappa"),
        _course("mae", "mean absolute error", "the target's unit"),
        _course("rmse", "root mean squared error", "the target's unit"),
        _course("r2", "R²", "R²"),
    )
}
ACCURACY = COURSES["accuracy"]
