"""τ and regret of a forecast: by hand, against scipy, and what must hold."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.ordering import judge_order, weighted_quantiles


def test_two_starts_and_two_seeds_by_hand():
    """Seed 0 says the right order, seed 1 the wrong one; of 4 resamples 1 is of seed 1 alone."""
    scores = np.array([[2.0, 0.0], [0.0, 1.0]])  # means 1.0, 0.5: chooses the first
    results = np.array([[0.9, 0.8], [0.9, 0.8]])
    order = judge_order(scores, results)
    assert (order.tau.estimate, order.chosen, order.best) == (1.0, 0, 0)
    assert (order.tau.low, order.tau.high) == (-1.0, 1.0)
    assert order.regret.estimate == 0.0
    assert order.regret.high == pytest.approx(0.1)
    assert "τ is 1 (right order) or −1 (wrong order)" in order.tau.note
    assert "too narrow" in order.tau.note


def test_tau_is_scipys_and_intervals_are_of_all_resamples():
    rng = np.random.default_rng(3)
    scores, results = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    order = judge_order(scores, results)
    assert (
        order.tau.estimate == stats.weightedtau(scores.mean(axis=0), results.mean(axis=0)).statistic
    )
    taus, lost = [], []
    for rows in product(range(3), repeat=3):
        s, r = scores[list(rows)].mean(axis=0), results[list(rows)].mean(axis=0)
        taus.append(stats.weightedtau(s, r).statistic)
        lost.append(r.max() - r[s.argmax()])
    for interval, values in ((order.tau, taus), (order.regret, lost)):
        ends = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
        assert (interval.low, interval.high) == pytest.approx(tuple(ends))


def test_a_wrong_choice_costs_what_the_best_had_more():
    scores, results = np.array([[3.0, 1.0, 2.0]]), np.array([[0.5, 0.9, 0.7]])
    order = judge_order(scores, results)
    assert order.regret.estimate == pytest.approx(0.4)
    assert (order.chosen, order.best) == (0, 1)
    assert math.isnan(order.regret.low)
    assert "one seed" in order.tau.note


def test_seeds_in_another_order_change_nothing_and_equal_scores_have_no_tau():
    rng = np.random.default_rng(4)
    scores, results = rng.normal(size=(12, 4)), rng.normal(size=(12, 4))
    order = judge_order(scores, results)
    assert order.tau.low <= order.tau.estimate <= order.tau.high
    assert "too narrow" not in order.tau.note
    same = judge_order(np.ones((3, 4)), results[:3])
    assert math.isnan(same.tau.estimate)
    few = judge_order(scores[:5], results[:5]), judge_order(scores[4::-1], results[4::-1])
    assert (few[0].tau.low, few[0].regret.high) == pytest.approx(
        (few[1].tau.low, few[1].regret.high)
    )


def test_weighted_quantiles_are_values():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.5, 0.3])
    assert weighted_quantiles(values, weights, (0.5, 0.6, 0.95)) == [1.0, 2.0, 3.0]
