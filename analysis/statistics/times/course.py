"""What is measured at every evaluation, and at the end: one entry a metric that a sweep may name.

In: the name in `measure: {metric: …}`. Out: a `Course`: its column of the curves, the columns of
its final value, which side is better and how it is written. It stands alone because times, areas,
comparisons and words ask the same things of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis import words


@dataclass(frozen=True)
class Course:
    """One metric over training.

    Attributes:
        name: in a sweep file. words: in a sentence.
        column: of the curves; on validation images.
        finals: columns of the trials: on test images; on validation images at the chosen step.
        lower_is_better: a target is then reached from above.
        is_share: a fraction, which is written in percent, and differences of it in points.
    """

    name: str
    words: str
    column: str
    finals: tuple[str, str]
    lower_is_better: bool = False
    is_share: bool = True

    @property
    def kind(self) -> str:
        """How a value is written (`words.write`)."""
        return "percent" if self.is_share else "number"

    @property
    def target_kind(self) -> str:
        """How a target is written in a table."""
        return "target" if self.is_share else "number"

    @property
    def unit(self) -> str:
        """Of a difference."""
        return "fraction" if self.is_share else "nats"

    def difference(self, value: float) -> str:
        """`+0.34 points`, or `+0.012`."""
        return f"{words.points(value)} points" if self.is_share else words.signed(value)

    def margin(self, value: float) -> str:
        """`±0.1 points`, or `±0.01`."""
        return f"±{100 * value:.3g} points" if self.is_share else f"±{value:.3g}"

    def end(self, verdict: str, control: str) -> str:
        """How a verdict about the final value is said: `ends more accurate than …`."""
        more, less = ("lower", "higher") if self.lower_is_better else ("higher", "lower")
        form, same = f"with a {{}} {self.words}", f"with the same {self.words} as"
        if self.name == "accuracy":
            more, less, form, same = "more", "less", "{} accurate", "as accurate as"
        either = form.format(f"{more} or {less}")
        return {
            "better": f"ends {form.format(more)} than {control}",
            "worse": f"ends {form.format(less)} than {control}",
            "equivalent": f"ends {same} {control}, within the margin",
            "inconclusive": f"is not shown to end {either} than {control}",
        }[verdict]

    def target(self, value: float) -> str:
        """`97.5 %`, or `a loss of 0.2`."""
        return words.target(value) if self.is_share else f"a {self.words} of {value:g}"


def _course(name: str, text: str, low: bool = False) -> Course:
    finals = (f"test_{name}", f"best_val_{name}")
    return Course(name, text, f"val_{name}", finals, low, not low)


COURSES = {
    course.name: course
    for course in (
        _course("accuracy", "accuracy"),
        _course("balanced_accuracy", "balanced accuracy"),
        _course("macro_f1", "macro F1"),
        _course("loss", "loss", low=True),
    )
}
ACCURACY = COURSES["accuracy"]
