"""Comparisons of plain arrays: by scipy, as a table of arms, and the message for bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics import compare
from headstart.errors import InputError

DRAW = np.random.default_rng(5)
CONTROL = DRAW.normal(0.9, 0.01, 7)
ONE, TWO = CONTROL + DRAW.normal(0.01, 0.006, 7), CONTROL + DRAW.normal(0.004, 0.006, 7)


def test_two_arrays_are_the_paired_t_test_and_its_interval() -> None:
    row = compare(ONE, CONTROL)
    reference = stats.ttest_rel(ONE, CONTROL)
    ends = reference.confidence_interval(0.95)
    assert (row.estimate, row.p_value) == pytest.approx(((ONE - CONTROL).mean(), reference.pvalue))
    assert (row.low, row.high) == pytest.approx((ends.low, ends.high))
    assert (row.p_question, row.state, row.n_pairs) == (row.p_value, "shown", 7)


def test_a_table_of_arms_is_one_question() -> None:
    table = {"control": CONTROL, "one": ONE, "two": TWO}
    rows = compare(table, "control")
    assert [(row.treatment, row.control) for row in rows] == [
        ("one", "control"), ("two", "control"),
    ]  # fmt: skip
    assert rows[0].p_value == pytest.approx(compare(ONE, CONTROL).p_value)
    assert all(row.p_question > row.p_value for row in rows[1:])
    assert all(row.low_question < row.low < row.high < row.high_question for row in rows)
    frame = pd.DataFrame(table).T
    assert compare(frame, "control")[1].p_question == rows[1].p_question


def test_ratios_margins_losses_and_missing_values() -> None:
    times, slow = np.array([10.0, 20, 40, 20]), np.array([20.0, 60, 80, 60])
    row = compare(times, slow, ratio=True)
    assert row.estimate == pytest.approx(math.sqrt(6))
    assert row.low > 1
    equal = compare(CONTROL + DRAW.normal(0, 0.0005, 7), CONTROL, margin=0.01)
    assert equal.state == "equivalent"
    loss = compare(CONTROL - 0.1 + DRAW.normal(0, 0.01, 7), CONTROL, higher_is_better=False)
    assert (loss.verdict, loss.estimate < 0) == ("better", True)
    missing = compare([math.nan, *ONE[1:]], CONTROL)
    assert (missing.n_pairs, missing.note) == (6, "1 pair left out: no value")
    assert "equivalent within ±0.01," in equal.verdict_words
    assert compare([0.5] * 4, [0.5] * 4, grain=0.01).high > 0


def test_equal_arms_of_unknown_grain_claim_nothing() -> None:
    """0.1 + 0.2 is 0.3 for whoever counts images."""
    for treated in ([0.3] * 4, [0.1 + 0.2] * 4):
        row = compare(treated, [0.3] * 4, margin=0.01)
        assert (row.estimate, row.verdict) == (0, "inconclusive")
        assert math.isnan(row.low)
        assert "without any spread there is no interval and no test" in row.verdict_words


def test_what_is_no_grain_and_no_margin_is_refused() -> None:
    for grain in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="is no step of a value"):
            compare(ONE, CONTROL, grain=grain)
    with pytest.raises(InputError, match="ratios have none"):
        compare([1.0, 2, 3], [2.0, 3, 4], ratio=True, margin=0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([0.1, 0.2], [0.1]), "2 values of 'treatment' and 1 of 'control' do not pair"),
        (({"a": [1.0], "b": [1.0]}, "c"), "control 'c' is not one of a, b"),
        (({"a": [1.0], "b": [1.0]}, [1.0]), "is not one of a, b"),
        ((["x"], [1.0]), "the values of 'treatment' are not numbers"),
        (([[1.0]], [1.0]), "'treatment' has an array of shape"),
        (([math.inf], [1.0]), "'treatment' has infinite values"),
    ],
)
def test_bad_input_is_told_in_one_line(given: tuple[Any, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as found:
        compare(*given)
    assert "\n" not in str(found.value)


def test_ratios_need_values_above_0() -> None:
    with pytest.raises(InputError, match="ratios need values above 0, and 'control' has others"):
        compare([1.0, 2.0], [0.0, 1.0], ratio=True)
