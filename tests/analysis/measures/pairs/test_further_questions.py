"""Stability and overfitting as questions: the rows by hand and by scipy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.measures.pairs.compare import compare_all
from analysis.statistics.pairs.metrics import METRICS, OVERFITTING, STABILITY
from analysis.statistics.samples.gini import (
    log_pseudo_values,
    mean_difference,
    mean_difference_interval,
)
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import COURSES

NO_CURVES = pd.DataFrame(columns=["trial_id", "step", "val_accuracy"])


def compared(metric: str, column: str, treated: list[float], control: list[float], shift: int = 0):
    parts = [
        pd.DataFrame({"arm": arm, "seed": np.arange(len(values)) + first, column: values})
        for arm, values, first in (("t", treated, 0), ("c", control, shift))
    ]
    trials = pd.concat(parts, ignore_index=True).assign(status="done")
    trials["trial_id"] = [f"{k}" for k in range(len(trials))]
    (row,) = compare_all(trials, NO_CURVES, [Pair("t", "c")], [], None, metrics=(metric,))
    return row


def test_questions_of_the_metrics() -> None:
    assert {METRICS[name].question for name in STABILITY} == {"stability"}
    assert {METRICS[name].question for name in OVERFITTING} == {"overfitting"}
    assert METRICS["test_accuracy"].question == "final"


def test_pseudo_values_are_those_of_the_interval() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    pseudo = log_pseudo_values(x)
    # without the 1: mean difference of 2, 4, 8 is (2 + 4 + 6) / 3 = 4; of all it is 23 / 6
    assert pseudo[0] == pytest.approx(4 * math.log(23 / 6) - 3 * math.log(4))
    interval = mean_difference_interval(x)
    half = stats.t.ppf(0.975, 3) * pseudo.std(ddof=1) / 2
    assert interval.high == pytest.approx(mean_difference(x) * math.exp(half))
    assert np.isnan(log_pseudo_values(np.array([1.0, 1.0, 1.0, 2.0]))).all()
    assert np.isnan(log_pseudo_values(np.array([1.0, 2.0]))).all()


def test_two_spreads_are_a_ratio_by_the_t_test_of_pseudo_values() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=9), 3 * rng.normal(size=9)
    row = compared("spread_over_seeds", "final_value", list(x), list(y))
    d = log_pseudo_values(x) - log_pseudo_values(y)
    test = stats.ttest_1samp(d, 0)
    ends = test.confidence_interval(0.95)
    assert row.p_value == pytest.approx(test.pvalue)
    assert (row.estimate, row.low, row.high) == pytest.approx((d.mean(), ends.low, ends.high))
    assert (row.verdict, row.unit, row.kind) == ("better", "log ratio", "log_ratio")
    other = compared("spread_over_seeds", "final_value", list(100 + 7 * x), list(7 * y))
    assert other.estimate == pytest.approx(row.estimate), "neither place nor scale matters"
    turned = compared("spread_over_seeds", "final_value", list(y), list(x))
    assert turned.verdict == "worse"
    assert turned.estimate == pytest.approx(-row.estimate)


def test_an_arm_without_spread_is_no_test() -> None:
    row = compared("spread_over_seeds", "final_value", [1.0] * 5, [1.0, 2, 3, 4, 5])
    assert math.isnan(row.p_value)
    assert "an arm without any spread" in row.note
    assert row.verdict == "inconclusive"


def test_broken_runs_are_compared_exactly() -> None:
    row = compared("broken_runs", "broken", [1.0, 1, 1, 1, 0], [0.0] * 5)
    assert row.p_value == pytest.approx(0.125), "4 of 4 pairs: 2 / 2⁴, and a t-test would say 0.016"
    assert (row.estimate, row.verdict) == (pytest.approx(0.8), "inconclusive")
    assert (row.low, row.high) == pytest.approx((2 * 0.4 * 0.025**0.25 * 2 - 0.8, 0.8))
    assert (row.low_question, row.high_question) == pytest.approx((row.low, row.high))
    more = compared("broken_runs", "broken", [1.0] * 6 + [0.0], [0.0] * 7)
    assert more.p_value == pytest.approx(2 / 2**6)
    assert (more.verdict, more.low > 0) == ("worse", True), "the interval inverts the test"
    same = compared("broken_runs", "broken", [1.0, 0, 0, 0], [1.0, 0, 0, 0])
    assert (same.p_value, same.estimate) == (1, 0)
    assert same.high == -same.low == pytest.approx(1 - 0.025 ** (1 / 4))
    none = compared("broken_runs", "broken", [0.0] * 5, [0.0] * 5)
    assert math.isnan(none.p_value)
    assert "no trial" in none.note
    apart = compared("broken_runs", "broken", [1.0] * 5 + [0.0], [0.0] * 6, shift=50)
    assert not apart.paired
    assert math.isnan(apart.p_value)


def test_less_gap_is_better() -> None:
    treated = [0.01, 0.02, 0.015, 0.012, 0.02]
    row = compared("accuracy_gap", "accuracy_gap", treated, [0.2, 0.21, 0.22, 0.2, 0.19])
    assert row.verdict == "better"
    assert row.estimate == pytest.approx(np.mean(treated) - 0.204)
    assert row.question == "overfitting"


def test_equivalence_of_gaps_costs_that_of_final_values_nothing() -> None:
    rng = np.random.default_rng(6)
    n = 8
    trials = pd.DataFrame(
        {
            "arm": np.repeat(["t", "u", "c"], n), "seed": np.tile(np.arange(n), 3),
            "trial_id": [f"{k}" for k in range(3 * n)], "status": "done",
            "test_accuracy": rng.normal(0.9, 0.002, 3 * n),
            "accuracy_gap": rng.normal(0.05, 0.001, 3 * n),
            "end_accuracy_gap": rng.normal(0.06, 0.001, 3 * n),
        }
    )  # fmt: skip
    pairs = [Pair("t", "c"), Pair("u", "c")]

    def rows(*metrics: str):
        found = compare_all(trials, NO_CURVES, pairs, [], 0.003, metrics=metrics)
        return {(row.metric, row.treatment): row for row in found}

    alone, gaps = rows("test_accuracy"), rows("accuracy_gap", "end_accuracy_gap")
    for key, row in rows("test_accuracy", "accuracy_gap", "end_accuracy_gap").items():
        before = (alone | gaps)[key]
        assert row.p_equivalence_holm == before.p_equivalence_holm
        assert (row.p_question, row.n_more) == (before.p_question, before.n_more)
        assert row.margin == 0.003
    assert {row.verdict for row in gaps.values()} == {"equivalent"}


def test_a_rise_of_loss_has_a_margin_only_where_loss_is_measured() -> None:
    assert METRICS["end_accuracy_gap"].along(COURSES["accuracy"]).has_margin
    assert not METRICS["loss_rise"].along(COURSES["accuracy"]).has_margin
    assert METRICS["loss_rise"].along(COURSES["loss"]).has_margin
    assert not METRICS["end_accuracy_gap"].along(COURSES["loss"]).has_margin
    assert not METRICS["end_accuracy_gap"].counts_failures, "a gap at chance is none"
