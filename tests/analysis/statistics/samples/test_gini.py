"""Gini's mean difference: by hand, against scipy's jackknife, what has no interval."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.gini import mean_difference, mean_difference_interval


def test_by_hand() -> None:
    """1, 2, 4: the three differences 1, 3 and 2 have the mean 2."""
    assert mean_difference(np.array([4.0, 1.0, 2.0])) == pytest.approx(2)
    x = np.random.default_rng(1).standard_t(3, 9)
    expected = np.mean([abs(a - b) for a, b in combinations(x, 2)])
    assert mean_difference(x) == pytest.approx(expected)


def test_the_interval_is_the_jackknife_of_its_logarithm() -> None:
    x = np.array([1.0, 2.0, 4.0, 4.5])
    logs = [math.log(mean_difference(np.delete(x, i))) for i in range(4)]
    error = math.sqrt(3 / 4 * sum((v - np.mean(logs)) ** 2 for v in logs))  # the jackknife's
    half = stats.t.ppf(0.975, 3) * error
    found = mean_difference_interval(x)
    ends = [found.estimate * math.exp(s * half) for s in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends)


def test_units_do_not_matter_and_missing_values_are_left_out() -> None:
    x = np.random.default_rng(2).normal(size=7)
    found, wide = mean_difference_interval(x), mean_difference_interval([*(5 - 3 * x), math.nan])
    assert (wide.low, wide.high, wide.n) == pytest.approx((3 * found.low, 3 * found.high, 7))


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0, 5.0], [2.0] * 6])
def test_too_few_different_values_have_no_interval(values: list[float]) -> None:
    found = mean_difference_interval(values)
    assert math.isnan(found.low)
    assert found.note == "too few different values: no interval"
    assert found.estimate >= 0
    assert math.isnan(mean_difference_interval([1.0]).estimate)
