"""Intervals of shares: against scipy and statsmodels, half hits, and what is refused."""

from __future__ import annotations

import math

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.shares import exact_share_interval, proportion_interval
from headstart.errors import InputError


def said(interval: Interval) -> tuple[str, int, float, str]:
    return interval.method, interval.n, interval.confidence, interval.note


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 10), (10, 10), (1, 1000)])
def test_proportion_equals_statsmodels(hits: int, n: int) -> None:
    low, high = proportion_confint(hits, n, method="wilson")
    found = proportion_interval(hits, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_no_trials_have_no_share() -> None:
    none = proportion_interval(0, 0, 0.8)
    assert math.isnan(none.estimate)
    assert said(none) == ("Wilson", 0, 0.8, "no trials")
    assert said(proportion_interval(1.5, 3, 0.8)) == ("Wilson", 3, 0.8, "")


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (5, 5), (3, 7), (19, 20)])
def test_exact_shares_equal_scipy(hits: int, n: int) -> None:
    exact = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    found = exact_share_interval(hits, n)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert said(found) == ("Clopper-Pearson", n, 0.95, "")
    assert said(exact_share_interval(0, 0)) == ("Clopper-Pearson", 0, 0.95, "no trials")


def test_shares_with_half_hits_and_trials_that_are_worth_less() -> None:
    interval = proportion_interval(1.25, 2.5, 0.8)
    z = float(stats.norm.ppf(0.9))
    half = z * math.sqrt(2.5 * 0.25 + z**2 / 4) / (2.5 + z**2)
    assert (interval.low, interval.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert (interval.estimate, interval.n) == (0.5, 2)
    assert proportion_interval(0, 4).low == 0
    assert proportion_interval(4, 4).high == 1
    with pytest.raises(InputError, match="-1 of 2: hits must be between"):
        proportion_interval(-1, 2)


def test_more_hits_than_trials_and_wrong_confidences_are_refused() -> None:
    for interval in (proportion_interval, exact_share_interval):
        with pytest.raises(InputError, match="3 of 2: hits must be between 0 and n"):
            interval(3, 2)
        with pytest.raises(InputError, match="confidence 95 is not between 0 and 1"):
            interval(1, 2, 95)
