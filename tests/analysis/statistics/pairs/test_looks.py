"""Planned looks: the level of each, intervals at it, what sweeps say, the chance of a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.pairs.looks import (
    chance_of_verdict,
    level_of_a_look,
    simulated_level,
    smallest_p,
    widening,
)
from headstart.settings import LOOKS


def test_one_look_is_the_usual_test() -> None:
    assert level_of_a_look((9,)) == pytest.approx(0.05)
    assert widening(9, (9,)) == pytest.approx(1)
    assert widening(9) == widening(1, LOOKS) == 1


def test_the_widened_error_is_the_level_of_a_look() -> None:
    """|mean| / (widening · error) passes the 5 % point where p is under .0103."""
    for n in (5, 12, 60):
        t = float(stats.t.ppf(1 - 0.0103 / 2, n - 1))
        assert t / widening(n, LOOKS) == pytest.approx(stats.t.ppf(0.975, n - 1))
        one_sided = float(stats.t.ppf(1 - 0.0112, n - 1))
        assert one_sided / widening(n, LOOKS, sides=1) == pytest.approx(stats.t.ppf(0.95, n - 1))


def test_the_smallest_p_over_looks_is_that_of_whole_samples() -> None:
    """Sums of blocks against samples of single values: the same distribution at each quantile."""
    draw, looks = np.random.default_rng(1), (3, 4, 9)
    values = draw.normal(size=(40_000, 9))
    whole = np.min([stats.ttest_1samp(values[:, :n], 0, axis=1).pvalue for n in looks], axis=0)
    ours = smallest_p(looks, 40_000, draw)
    for q in (0.05, 0.2, 0.5, 0.8):
        assert np.quantile(ours, q) == pytest.approx(np.quantile(whole, q), rel=0.06)


@pytest.mark.slow
def test_the_level_of_the_usual_looks_is_what_simulation_finds() -> None:
    """Slow: it simulates many experiments."""
    assert level_of_a_look(LOOKS) == 0.0103
    assert 0.0103 <= simulated_level(LOOKS) <= 0.0108
    assert level_of_a_look(LOOKS, sides=1) == 0.0112
    assert 0.0112 <= simulated_level(LOOKS, sides=1) <= 0.0117
    two = level_of_a_look((10_000, 20_000))  # nearly normal: Pocock's constant for two looks
    assert two == pytest.approx(0.0294, rel=0.02)


def test_the_chance_of_a_verdict_is_what_simulated_futures_give() -> None:
    """Mean and SD are drawn from what 12 pairs say of them, then the mean of all 60 pairs."""
    draw, n, last, mean, sd = np.random.default_rng(2), 12, 60, 0.3, 1.0
    true_sd = sd * np.sqrt((n - 1) / draw.chisquare(n - 1, 200_000))
    true_mean = draw.normal(mean, true_sd / math.sqrt(n))
    further = draw.normal(true_mean, true_sd / math.sqrt(last - n))
    ends = (n * mean + (last - n) * further) / last
    beyond = stats.t.ppf(1 - 0.0103 / 2, last - 1) * sd / math.sqrt(last)
    expected = (np.abs(ends) > beyond).mean()
    assert chance_of_verdict(mean, sd, n, LOOKS) == pytest.approx(expected, abs=0.004)
    inside = 0.5 - stats.t.ppf(1 - 0.0112, last - 1) * sd / math.sqrt(last)
    both = ((np.abs(ends) > beyond) | (np.abs(ends) < inside)).mean()
    found = chance_of_verdict(mean, sd, n, LOOKS, margin=0.5)
    assert found == pytest.approx(min(1.0, (np.abs(ends) < inside).mean() + expected), abs=0.004)
    assert found >= both - 0.004


def test_a_chance_is_known_only_of_a_spread_and_before_the_end() -> None:
    for n, sd in ((1, 1.0), (60, 1.0), (12, 0.0), (12, math.nan)):
        assert math.isnan(chance_of_verdict(0.1, sd, n, LOOKS))
    assert chance_of_verdict(0.0, 1.0, 40, LOOKS) < 0.01
    assert chance_of_verdict(1.0, 1.0, 12, LOOKS) > 0.98
    alone, among = (chance_of_verdict(0.3, 1.0, 12, LOOKS, n_tests=n) for n in (1, 6))
    assert among < alone
    assert chance_of_verdict(0.3, 1.0, 12, LOOKS, overlap=0.25) < alone
