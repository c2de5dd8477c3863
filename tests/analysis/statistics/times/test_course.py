"""What may be measured, and how it is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.statistics.times.course import ACCURACY, COURSES

LOSS = COURSES["loss"]


def test_each_metric_has_its_columns_and_its_unit() -> None:
    assert list(COURSES) == [
        "accuracy", "balanced_accuracy", "macro_f1", "loss", "mean_average_precision", "micro_f1",
        "exact_match", "quadratic_kappa", "mae", "rmse", "r2",
    ]  # fmt: skip
    assert ACCURACY.finals == ("test_accuracy", "best_val_accuracy")
    assert all(c.column == f"val_{name}" for name, c in COURSES.items())
    lower = [name for name, c in COURSES.items() if c.lower_is_better]
    assert lower == ["loss", "mae", "rmse"]
    assert [name for name, c in COURSES.items() if not c.is_share] == [
        "loss", "quadratic_kappa", "mae", "rmse", "r2",
    ]  # fmt: skip
    assert COURSES["mae"].target(1.5) == "a mean absolute error of 1.5"
    assert COURSES["mae"].margin(2.5) == "±2.5"
    years = replace(COURSES["mae"], measured_in="years")
    alone = [c.target_alone(0.25) for c in (ACCURACY, LOSS, years)]
    assert alone == ["25 %", "0.25", "0.25 years"]
    assert [c.target(0.25) for c in (ACCURACY, LOSS)] == ["25 %", "a loss of 0.25"]
    assert [c.margin(0.002) for c in (ACCURACY, LOSS)] == ["±0.2 points", "±0.002"]
    assert [c.difference(0.0123) for c in (ACCURACY, LOSS)] == ["+1.23 points", "+0.0123"]
    assert LOSS.difference(-0.5) == "−0.500"


@pytest.mark.parametrize(
    ("name", "more", "less", "equal"),
    [
        ("accuracy", "more accurate", "less accurate", "as accurate"),
        ("macro_f1", "with a higher macro F1", "with a lower macro F1", "with the same macro F1"),
        ("r2", "with a higher R²", "with a lower R²", "with the same R²"),
        ("loss", "with a lower loss", "with a higher loss", "with the same loss"),
    ],
)
def test_the_end_is_said_in_the_words_of_the_metric(name, more, less, equal) -> None:
    course = COURSES[name]
    assert [course.ends("more"), course.ends("less"), course.ends("as")] == [more, less, equal]
