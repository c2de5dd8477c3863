"""Aggregates over tasks: by hand, against rliable, invariances, coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rliable import metrics
from scipy import stats

from analysis.statistics.pairs.tasks import (
    aggregate,
    aggregate_arms,
    aggregate_interval,
    improvement_over_tasks,
    performance_profile,
    probability_of_improvement,
)
from headstart.errors import InputError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


SCORES = rng(1).beta(8, 2, (7, 5))  # runs × tasks


def test_iqm_by_hand() -> None:
    assert aggregate([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]) == pytest.approx(4.5)


@pytest.mark.parametrize("name", ["iqm", "mean", "median"])
def test_aggregates_equal_rliable(name: str) -> None:
    expected = getattr(metrics, f"aggregate_{name}")(SCORES)
    assert aggregate(SCORES, name) == pytest.approx(expected, abs=1e-12)


def test_improvement_equals_rliable() -> None:
    other = np.round(rng(2).beta(7, 2, (6, 5)), 1)
    found = probability_of_improvement(np.round(SCORES, 1), other, rng=rng())
    expected = metrics.probability_of_improvement(np.round(SCORES, 1), other)
    assert found.estimate == pytest.approx(expected, abs=1e-12)
    assert found.low <= found.estimate <= found.high


def test_profile_equals_rliable_definitions() -> None:
    at = [0.5, 0.75, 0.9]
    runs = performance_profile(SCORES, at, rng=rng())
    assert list(runs["share"]) == [np.mean(tau < SCORES) for tau in at]
    assert ((runs["low"] >= 0) & (runs["low"] <= runs["share"])).all()
    assert ((runs["share"] <= runs["high"]) & (runs["high"] <= 1)).all()


def test_stratified_percentiles_equal_a_loop() -> None:
    found = aggregate_interval(SCORES, rng=rng(3), method="percentile", n_resamples=4_000)
    generator = rng(4)
    drawn = []
    for _ in range(4_000):
        rows = generator.integers(0, 7, (7, 5))
        drawn.append(stats.trim_mean(np.take_along_axis(SCORES, rows, axis=0), 0.25, axis=None))
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)


def test_permuting_negating_and_scaling_change_nothing() -> None:
    found = aggregate_interval(SCORES, rng=rng(5), n_resamples=2_000)
    for changed, sign in ((rng(1).permutation(SCORES), 1.0), (-SCORES, -1.0), (50 * SCORES, 50.0)):
        other = aggregate_interval(changed, rng=rng(5), n_resamples=2_000)
        ends = sorted((sign * found.low, sign * found.high))
        assert (other.low, other.high) == pytest.approx(ends, abs=1e-9)


def test_swapping_arms_turns_improvement_over() -> None:
    other = rng(6).beta(8, 2, (4, 5))
    found = probability_of_improvement(SCORES, other, rng=rng(7))
    swapped = probability_of_improvement(other, SCORES, rng=rng(7))
    assert (1 - swapped.high, 1 - swapped.low) == pytest.approx((found.low, found.high), abs=1e-9)


def test_constant_scores_and_single_runs() -> None:
    found = aggregate_interval(np.full((4, 3), 0.9), rng=rng())
    assert (found.low, found.high) == (0.9, 0.9)
    found = aggregate_interval([[0.9], [0.8]], rng=rng())
    assert math.isnan(found.low)
    assert "2 tasks have one run" in found.note


@pytest.mark.parametrize("n_runs", [5, 10])
def test_iqm_covers_what_it_promises(n_runs: int) -> None:
    """At least 92 % within four standard errors of 400 sets; rliable's percentiles: 89 %."""
    draw, hits, n_sets = rng(8), 0, 400
    centres, spreads = np.linspace(0.7, 0.9, 10), np.linspace(0.02, 0.08, 10)
    truth = aggregate(centres + spreads * draw.normal(size=(100_000, 10)))
    for _ in range(n_sets):
        scores = centres + spreads * draw.normal(size=(n_runs, 10))
        found = aggregate_interval(scores, rng=draw, n_resamples=1_000)
        hits += found.low <= truth <= found.high
    slack = 4 * math.sqrt(0.92 * 0.08 / n_sets)
    assert 0.92 - slack < hits / n_sets < 0.98 + slack / 2


def table() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"task": task, "stage": "arm", "arm": arm, "seed": seed, "test_accuracy": score}
            for task in ("large", "small", "tiny")
            for arm, top in (("t", 0.9), ("c", 0.8))
            for seed, score in enumerate(top + np.array([0.0, 0.01, 0.02]))
            if (task, arm) != ("tiny", "c")
        ]
    )


def test_only_tasks_of_all_arms_count() -> None:
    found = aggregate_arms(table(), ("t", "c"), rng=rng()).set_index(["arm", "statistic"])
    assert (found["n_tasks"] == 2).all()
    assert found.loc[("t", "mean"), "estimate"] == pytest.approx(0.91)
    better = improvement_over_tasks(table(), [("t", "c")], rng=rng()).iloc[0]
    assert (better["p_better"], better["n_tasks"], better["n_runs"]) == (1.0, 2, 12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate([[0.9], []]), "at least one score in every task"),
        (lambda: aggregate([[0.9, math.inf]]), "finite"),
        (lambda: aggregate([[0.9]], "mode"), "not one of iqm, mean"),
        (lambda: aggregate_interval([[0.9]], rng=rng(), method="bca"), "auto, percentile"),
        (lambda: probability_of_improvement([[1.0]], [[1.0]] * 2, rng=rng()), "do not match"),
        (lambda: aggregate_arms(table(), ("t", "x"), rng=rng()), "no task has scores of all"),
        (lambda: aggregate_arms(table(), ("t",), "speed", rng=rng()), "not a column"),
    ],
)
def test_bad_input_is_told_in_one_line(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
