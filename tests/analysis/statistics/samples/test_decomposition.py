"""The variance of one source: by hand, by scipy, and over simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.decomposition import component
from headstart.errors import InputError


def test_a_case_by_hand() -> None:
    """Differences 1, -3, 2: half of the mean of 1, 9, 4."""
    its = component([1.0, 2.0, 5.0, math.nan], [0.0, 5.0, 3.0, 1.0])
    assert (its.variance, its.n) == (pytest.approx(14 / 6), 3)
    low, high = 3 * its.variance / stats.chi2.ppf([0.975, 0.025], 3)
    assert (its.low, its.high) == pytest.approx((low, high))
    assert its.sd == pytest.approx(tuple(math.sqrt(v) for v in (its.variance, low, high)))


def test_equal_pairs_have_no_variance_but_what_rounding_hides() -> None:
    its = component([0.9, 0.8], [0.9, 0.8], grain=0.01)
    assert (its.variance, its.low) == (0, 0)
    assert its.high == pytest.approx(2 * 0.01**2 / 12 / stats.chi2.ppf(0.025, 2))
    assert component([1.0], [1.0]).high == 0, "without a grain nothing is hidden"


def test_without_a_pair_nothing_is_known() -> None:
    its = component([math.nan], [1.0])
    assert its.n == 0
    assert math.isnan(its.variance)
    with pytest.raises(InputError, match="1 and 2 values do not pair"):
        component([1.0], [1.0, 2.0])


def test_planted_variances_are_met_and_held() -> None:
    """1,000 studies of five bases: within a tenth of the variance, and .93 to .97 of intervals."""
    rng = np.random.default_rng(3)
    planted = {"split": 1.0, "order": 0.25}
    drawn = {s: math.sqrt(v) * rng.normal(size=(1000, 5)) for s, v in planted.items()}
    for source, variance in planted.items():
        base = drawn["split"] + drawn["order"]
        double = base - drawn[source] + math.sqrt(variance) * rng.normal(size=(1000, 5))
        made = [component(x, y) for x, y in zip(base, double, strict=True)]
        assert np.mean([one.variance for one in made]) == pytest.approx(variance, rel=0.1)
        assert 0.93 <= np.mean([one.low <= variance <= one.high for one in made]) <= 0.97
