"""How results are named and written in every table: units, metrics, estimates, targets.

In: values of `Findings`. Out: texts. It stands alone because the tables of arms, pairs and classes
share it.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.findings.learning import METRICS
from analysis.report.tables import Column, of_kind
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import metric_name
from analysis.statistics.times.course import ACCURACY, COURSES, Course

UNIT_WORDS = {"step": "Steps", "samples": "Images", "train_time_s": "Seconds"}
TIME_KINDS = {"step": "count", "samples": "count", "train_time_s": "seconds"}
SCORE_WORDS = {
    name: f"{part} {course.words}"
    for course in COURSES.values()
    for name, part in zip(course.finals, ("Test", "Best validation"), strict=True)
}
SCORE_WORDS["best_val_loss"] = "Validation loss at the chosen step"
PARTS = {"n_train": "to train", "n_validation": "to validate", "n_test": "to test"}
PAIR = of_kind("text", treatment="Treatment", control="Control")


def task_column(findings: Findings) -> list[Column]:
    return [Column("task", "Task")] if len(findings.tasks) > 1 else []


def score_heading(findings: Findings) -> str:
    """`Test accuracy`, `Test mean absolute error (years)`."""
    return SCORE_WORDS[findings.score] + findings.course.of_unit


def curve_names(findings: Findings) -> dict[str, str]:
    """The measures of learning curves, each with its heading; that of the sweep first."""
    course = findings.course
    measured = {course.column: f"Validation {course.words}{course.of_unit}"}
    return measured | {key: name for key, name in METRICS.items() if key not in measured}


def curve_kind(findings: Findings, metric: str) -> str:
    """How a value of a learning curve is written (`words.write`)."""
    if metric == findings.course.column:
        return findings.course.kind
    return "percent" if metric.endswith("accuracy") else "number"


def target_column(findings: Findings) -> Column:
    """The column of targets: `Target`, `Target (years)`."""
    return Column("target", f"Target{findings.course.of_unit}", findings.course.target_kind)


def metric_words(metric: str, target: float, course: Course = ACCURACY, test_set: str = "") -> str:
    """`Steps to 97 %`, `Test accuracy`, `Mean validation accuracy over training`."""
    return words.sentence(metric_name(metric, target, course, test_set)).rstrip(".")


def verdict_text(row: Comparison) -> str:
    """`better`, `worse`, `equivalent` or `not known`; with what the row shows by itself alone."""
    if row.verdict != "inconclusive":
        return row.verdict
    alone = row.state == "by itself" and row.direction
    return f"not known ({row.direction} by itself)" if alone else "not known"


def estimate_text(row: Comparison) -> str:
    """`+0.06 points [−0.90, +0.93]`, `at least 1.57× [1.44, ∞]`."""
    if math.isnan(row.estimate):
        return words.NOTHING
    if row.is_time:
        ratio = words.interval("ratio", row.estimate, row.low, row.high)
        return f"{row.bound_words}{ratio}"
    number, *ends = words.interval(row.kind, row.estimate, row.low, row.high).split(" ", 1)
    return " ".join([f"{number}{row.behind}", *ends])


def common_text(row: Any) -> str:
    """`+0.06 points [−0.90, +0.93]`: of a row of `Findings.over_tasks.together`."""
    kind = "points" if row.unit == "fraction" else "signed"
    number, *ends = words.interval(kind, row.estimate, row.low, row.high).split(" ", 1)
    return " ".join([number, *(["points"] if kind == "points" else []), *ends])


def together_text(row: Comparison) -> str:
    """`[−1.20, +1.31]`: the interval that holds for all rows of the question at once."""
    if math.isnan(row.low_question) or math.isnan(row.estimate):
        return words.NOTHING
    text = words.interval(row.kind, row.estimate, row.low_question, row.high_question)
    return text[text.index("[") :]


def interval_texts(
    rows: pd.DataFrame, kind: str = "", key: str = "estimate", prefix: str = ""
) -> list[str]:
    """For each row its interval, with its `bound` before it; as times in the row's unit where no
    kind is given."""
    kinds = [kind or TIME_KINDS[unit] for unit in rows["unit"]]
    bounds = rows["bound"] if "bound" in rows else [""] * len(rows)
    columns = (rows[name] for name in (key, f"{prefix}low", f"{prefix}high"))
    return [words.interval(*values) for values in zip(kinds, *columns, bounds, strict=True)]


def reached_texts(rows: pd.DataFrame) -> list[str]:
    """For each row of `Findings.reached`: how many trials reached the target, and when."""
    columns = (rows[name] for name in ("unit", "n", "n_reached", "mean", "low", "high"))
    return [_reached(*values) for values in zip(*columns, strict=True)]


def _reached(unit: str, n: int, n_reached: int, mean: float, low: float, high: float) -> str:
    """`540 [500, 590]`; `≥ 812, 5 of 8 reached it`; `not reached (0 of 8)`."""
    kind = TIME_KINDS[unit]
    if not n_reached:
        return f"not reached (0 of {n})"
    if n_reached == n:
        return words.interval(kind, mean, low, high)
    return f"≥ {words.write(kind, mean)}, {n_reached} of {n} reached it"


def uses_text(uses: float, low: float, high: float, bound: str = "") -> str:
    """Whole uses until the pretraining is paid for: `5 (4 to 7)`; where `saved` is a `bound`, or
    an end is open, `1 to 11`, `at least 15`.

    A use is whole, so none is below 1.
    """
    if math.isnan(uses):
        return words.NOTHING
    if math.isnan(low):
        other = {"at least": "at most ", "at most": "at least "}.get(bound, "")
        return f"{other}{_whole(uses)}"
    first, last = _whole(low), _whole(high)
    if math.isinf(high):
        return f"at least {first}" if low > 1 else words.NOTHING
    if first == last:
        return first
    return f"{first} to {last}" if bound else f"{_whole(uses)} ({first} to {last})"


def _whole(uses: float) -> str:
    return words.write("count", max(1.0, math.ceil(uses)) if math.isfinite(uses) else uses)
