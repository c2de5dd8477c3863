"""Aggregates over tasks: by hand, against rliable, invariances, coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from rliable import metrics
from scipy import stats

from analysis.statistics.pairs import aggregates
from analysis.statistics.pairs.aggregates import (
    aggregate,
    aggregate_interval,
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
    assert runs.share.tolist() == [np.mean(tau < SCORES) for tau in at]
    assert ((runs.low >= 0) & (runs.low <= runs.share)).all()
    assert ((runs.share <= runs.high) & (runs.high <= 1)).all()


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate([[0.9], []]), "at least one score in every task"),
        (lambda: aggregate([[0.9, math.inf]]), "finite"),
        (lambda: aggregate([]), "at least one score in every task"),
        (lambda: aggregate([[0.9]], "mode"), "not one of iqm, mean"),
        (lambda: aggregate_interval([[0.9]], rng=rng(), method="bca"), "auto, percentile"),
        (lambda: probability_of_improvement([[1.0]], [[1.0]] * 2, rng=rng()), "do not match"),
    ],
)
def test_bad_input_is_told_in_one_line(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def student(df: float, confidence: float = 0.95) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, df))


@pytest.mark.parametrize(("sizes", "n", "df"), [([7, 7, 7, 7, 7], 7, 30), ([4, 1, 6], 5, 8)])
def test_auto_stretches_percentiles_by_what_few_runs_lose(
    sizes: list[int], n: int, df: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [rng(k).normal(size=size) for k, size in enumerate(sizes)]
    for confidence in (0.95, 0.8):
        monkeypatch.setattr(aggregates, "CONFIDENCE", confidence)
        auto, plain = (
            aggregate_interval(scores, "mean", rng=rng(3), method=method, n_resamples=1_500)
            for method in ("auto", "percentile")
        )
        factor = math.sqrt(n / (n - 1)) * student(df, confidence)
        factor /= stats.norm.ppf((1 + confidence) / 2)
        expected = [auto.estimate + factor * (e - plain.estimate) for e in (plain.low, plain.high)]
        assert [auto.low, auto.high] == pytest.approx(expected)
        assert (auto.method, plain.method) == ("stratified auto", "stratified percentile")
        assert (auto.n, auto.confidence) == (sum(sizes), confidence)
    assert ("1 tasks have one run" in auto.note) == (1 in sizes)
    assert bool(auto.note) == (1 in sizes)


def test_percentiles_at_80_percent_equal_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "CONFIDENCE", 0.8)
    plain = aggregate_interval(SCORES, "median", rng=rng(3), method="percentile", n_resamples=4_000)
    index = rng(4).integers(0, 7, (4_000, 7, 5))
    drawn = np.median(np.take_along_axis(SCORES[None], index, axis=1).mean(axis=1), axis=1)
    assert (plain.low, plain.high) == pytest.approx(np.quantile(drawn, [0.1, 0.9]), abs=0.006)
    assert plain.estimate == pytest.approx(np.median(SCORES.mean(axis=0)))


@pytest.mark.parametrize("n_runs", [256, 257, 65_536, 65_537])
def test_tasks_of_many_runs_are_drawn_whole(n_runs: int) -> None:
    scores = np.arange(n_runs, dtype=float)
    drawn = aggregate_interval([scores], "mean", rng=rng(), method="percentile", n_resamples=2)
    assert drawn.low == pytest.approx(scores.mean(), rel=0.3)
    assert drawn.high == pytest.approx(scores.mean(), rel=0.3)


def test_unequal_tasks_and_missing_runs_by_hand() -> None:
    scores = [[1.0, math.nan, 3.0], [10.0], [4.0, 5.0, 6.0, 7.0]]
    assert aggregate(scores, "mean") == pytest.approx((2 + 10 + 5.5) / 3)
    assert aggregate(scores, "median") == pytest.approx(5.5)
    assert aggregate(scores) == pytest.approx((4 + 5 + 6 + 3 + 7) / 5)
    assert aggregate(np.array([[1.0, 2.0], [3.0, 6.0]]), "median") == 3.0


def test_profile_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "N_FEWER", 1_500)
    scores = [[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5]]
    profile = performance_profile(scores, [0.0, 0.2, 0.3, 0.5], rng=rng())
    assert profile.threshold.tolist() == [0.0, 0.2, 0.3, 0.5]
    assert profile.share.tolist() == [1.0, 0.625, 0.375, 0.0]  # above it, not at it
    assert profile.low.tolist()[::3] == profile.high.tolist()[::3] == [1.0, 0.0]
    # Binomial inside each task: SD of the share over 8 runs, stretched by few runs.
    sd = math.sqrt((4 * 0.5 * 0.5 + 4 * 0.75 * 0.25) / 64)
    half = (profile.high - profile.low)[1] / 2
    assert half == pytest.approx(math.sqrt(4 / 3) * student(6) * sd, rel=0.15)
    monkeypatch.setattr(aggregates, "CONFIDENCE", 0.5)
    narrow = performance_profile(scores, 0.2, rng=rng())
    assert narrow.high[0] - narrow.low[0] < half


def test_improvement_by_hand() -> None:
    """Shares of wins by task: (1 + ½ + 1 + 1) / 4 and (0 + ½) / 2."""
    better = probability_of_improvement([[2.0, 3.0], [5.0]], [[1.0, 2.0], [6.0, 5.0]], rng=rng())
    assert better.estimate == pytest.approx((3.5 / 4 + 0.25) / 2)
    assert (better.n, better.method, better.confidence) == (7, "stratified auto", 0.95)
    assert "1 tasks have one run" in better.note
    assert 0 <= better.low < better.estimate < better.high <= 1


def test_interval_of_improvement_equals_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregates, "CONFIDENCE", 0.8)
    monkeypatch.setattr(aggregates, "N_FEWER", 4_000)
    other = rng(6).beta(7, 3, (4, 2))
    better = probability_of_improvement(SCORES[:, :2], other, rng=rng(7))
    draw = rng(8)
    drawn = []
    for _ in range(4_000):
        x = np.take_along_axis(SCORES[:, :2], draw.integers(0, 7, (7, 2)), axis=0)
        y = np.take_along_axis(other, draw.integers(0, 4, (4, 2)), axis=0)
        drawn.append((x[:, None] > y[None]).mean())
    lost = np.mean([7, 7, 4, 4]) / (np.mean([7, 7, 4, 4]) - 1)
    factor = math.sqrt(lost) * student(18, 0.8) / stats.norm.ppf(0.9)
    ends = better.estimate + factor * (np.quantile(drawn, [0.1, 0.9]) - better.estimate)
    assert (better.low, better.high) == pytest.approx(np.clip(ends, 0, 1), abs=0.02)


def test_paired_runs_are_redrawn_together() -> None:
    """Seeds that go up and down together: their P(better) is surer than that of runs apart."""
    draw = np.random.default_rng(1)
    control = [draw.normal(0, 1, 8) for _ in range(3)]
    treatment = [c + 0.3 + draw.normal(0, 0.05, 8) for c in control]
    apart, together = (
        probability_of_improvement(treatment, control, rng=rng(2), paired=paired)
        for paired in (False, True)
    )
    assert together.estimate == pytest.approx(apart.estimate)
    assert together.high - together.low < 0.8 * (apart.high - apart.low)
    turned = probability_of_improvement(control, treatment, rng=rng(2), paired=True)
    assert (1 - turned.high, 1 - turned.low) == pytest.approx((together.low, together.high))
    order = [draw.permutation(8) for _ in range(3)]
    mixed = [[side[k][o] for k, o in enumerate(order)] for side in (treatment, control)]
    again = probability_of_improvement(*mixed, rng=rng(2), paired=True)
    assert (again.low, again.high) == (together.low, together.high)
    with pytest.raises(InputError, match="as many in both arms"):
        probability_of_improvement([[1.0, 2.0]], [[1.0]], rng=draw, paired=True)
