"""Pairs of times by hand: what lies between which ends, and how a mean of them is to be read."""

from __future__ import annotations

from math import inf, isnan, log, nan
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.times.paired_times import Ends, Median, PairedTimes, mean_intervals_of
from analysis.statistics.times.times import Times


def pairs(
    treatment: list[float], control: list[float], missed: tuple[list[int], list[int]], **more: Any
) -> PairedTimes:
    """Times of pairs; `missed` are the places that did not reach the target."""
    sides = [
        Times(np.array(time, float), ~np.isin(np.arange(len(time)), places), **more)
        for time, places in zip((treatment, control), missed, strict=True)
    ]
    return PairedTimes(*sides)


def ends(least: list[float], most: list[float]) -> Ends:
    return Ends(np.array(least, float), np.array(most, float))


@pytest.mark.parametrize(
    ("least", "most", "value", "bound", "reading"),
    [
        (2.0, 2.0, 2.0, None, 2.0),
        (2.0, inf, nan, "at least", 2.0),
        (-inf, 3.0, nan, "at most", 3.0),
        (-inf, inf, nan, None, nan),
        (2.0, 3.0, nan, None, nan),
        (nan, nan, nan, None, nan),
    ],
)
def test_a_median_is_a_number_or_a_bound_or_nothing(
    least: float, most: float, value: float, bound: str | None, reading: float
) -> None:
    median = Median(least, most, 0.0, 0.0)
    assert median.bound == bound
    np.testing.assert_equal((median.value, median.reading), (value, reading))


@pytest.mark.parametrize(
    ("least", "most", "known", "bound", "values"),
    [
        ([1, 2], [1, 2], True, None, [1, 2]),
        ([1, 2], [1, inf], True, "at least", [1, 2]),
        ([-inf, 2], [1, 2], True, "at most", [1, 2]),
        ([-inf, 2], [1, inf], False, None, [nan, nan]),
        ([-inf, -inf], [inf, inf], False, None, [nan, nan]),
        ([], [], False, None, []),
    ],
)
def test_a_mean_of_ends_is_a_number_or_a_bound_or_nothing(
    least: list[float], most: list[float], known: bool, bound: str | None, values: list[float]
) -> None:
    found = ends(least, most)
    assert (found.known, found.bound) == (known, bound)
    np.testing.assert_array_equal(found.values, values)


def test_the_limits_of_a_median_are_order_statistics() -> None:
    """Of 6 pairs at 95 % the least and the most: 2 · 0.5⁶ is 3 %."""
    six = ends([5, 1, 4, 2, 3, 6], [6, 7, 5, 3, 4, 2]).median()
    assert six == Median(3.5, 4.5, 1.0, 7.0)
    five = ends([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).median()
    assert (five.least, five.most) == (3.0, 3.0)
    assert isnan(five.low)
    assert isnan(five.high)
    none = ends([], []).median()
    assert all(isnan(value) for value in (none.least, none.most, none.low, none.high))


@pytest.mark.parametrize("n", [8, 9, 20, 35])
def test_limits_of_a_median_cover_and_the_next_ones_do_not(n: int) -> None:
    values = np.arange(1.0, n + 1)
    found = Ends(values, values).median()
    rank = int(found.low)
    assert found.high == n + 1 - rank
    assert 1 - 2 * stats.binom.cdf(rank - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(rank, n, 0.5) < 0.95


def test_a_median_of_open_ends() -> None:
    found = ends([1, 2, 3, -inf, -inf, -inf], [1, 2, 3, 4, 5, inf]).median()
    assert (found.least, found.most, found.low, found.high) == (-inf, 3.5, -inf, inf)
    assert (found.bound, found.reading) == ("at most", 3.5)


def test_ratios_and_differences_lie_between_these_ends() -> None:
    """Reached by both, by the treatment, by the control, by none; a time that is not known."""
    five = pairs([10, 10, 50, 50, nan], [40, 50, 40, 50, 40], ([2, 3, 4], [1, 3]))
    ratios, saved = five.log_ratios(), five.saved()
    np.testing.assert_allclose(ratios.least, [log(4), log(5), -inf, -inf, -inf])
    np.testing.assert_allclose(ratios.most, [log(4), inf, log(0.8), inf, inf])
    np.testing.assert_array_equal(saved.least, [30, 40, -inf, -inf, -inf])
    np.testing.assert_array_equal(saved.most, [30, inf, -10, inf, 40])


def test_a_trial_that_was_there_at_once_lies_below_its_own_first_evaluation() -> None:
    sides, missed = ([0, 0, 8, 0], [40, 0, 0, 4]), ([3], [])
    unknown = pairs(*sides, missed).log_ratios()
    np.testing.assert_array_equal(unknown.least[:2], [-inf, 0])
    ratios = pairs(*sides, missed, first=np.full(4, 4.0)).log_ratios()
    np.testing.assert_allclose(ratios.least, [log(10), 0, -inf, -inf])
    np.testing.assert_allclose(ratios.most, [inf, 0, log(0.5), inf])


def test_the_least_variance_is_that_of_the_distance_between_evaluations() -> None:
    """Steps of 6 and of 12: 36/12 + 144/12."""
    sides = [Times(np.ones(3), np.ones(3, bool), since=np.array([k, k, nan])) for k in (6.0, 12.0)]
    assert PairedTimes(*sides).least_variance() == 15
    assert PairedTimes(sides[0], Times(np.ones(3), np.ones(3, bool))).least_variance() == 0


def test_intervals_of_samples_are_those_of_each_alone() -> None:
    samples = [
        np.array([1.0, 2.0, 4.0]), np.array([3.0, nan, 1.0]), np.array([]),
        np.array([5.0, 5.5, 9.0]), np.array([1.0, 3.0]),
    ]  # fmt: skip
    found = mean_intervals_of(samples, None)
    for place in (0, 3, 4):
        alone = mean_interval(samples[place])
        assert (found[place].estimate, found[place].low, found[place].high) == pytest.approx(
            (alone.estimate, alone.low, alone.high)
        )
        assert found[place].confidence == 0.95
    for place in (1, 2):
        assert isnan(found[place].estimate)
        assert found[place].n == 0
    assert mean_intervals_of([], None) == []
    (single,) = mean_intervals_of([np.array([7.0])], None)
    assert (single.estimate, single.n) == (7.0, 1)
