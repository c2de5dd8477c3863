"""Variance beyond that of a finite test set: a published figure, scipy, simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.samples.excess import excess_variance
from analysis.statistics.samples.intervals import sd_interval
from headstart.errors import InputError

curves_of = st.lists(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8), min_size=1, max_size=4
)


def test_jordans_baseline() -> None:
    found = excess_variance([0.989, 0.990, 0.991], 10_000)
    assert math.sqrt(found.binomial) == pytest.approx(0.000995, abs=1e-6)


def test_excess_is_the_index_of_dispersion_test() -> None:
    accuracies = np.array([0.80, 0.85, 0.90, 0.70, 0.95])
    found = excess_variance(accuracies, 100)
    binomial = accuracies.mean() * (1 - accuracies.mean()) / 100
    chi2 = ((accuracies - accuracies.mean()) ** 2).sum() / binomial
    assert found.p_value == pytest.approx(stats.chi2.sf(chi2, 4), abs=1e-12)
    # Of counts in a 2 × 5 table it is the chi-squared test of homogeneity.
    right = np.rint(100 * accuracies)
    table = stats.chi2_contingency(np.stack([right, 100 - right]), correction=False)
    assert found.p_value == pytest.approx(table.pvalue, abs=1e-12)
    spread = sd_interval(accuracies)
    assert found.low == pytest.approx(spread.low**2 - binomial)
    assert found.high == pytest.approx(spread.high**2 - binomial)


def test_excess_is_right_on_average() -> None:
    rng = np.random.default_rng(4)
    quality = rng.normal(0.9, 0.02, (800, 10))
    accuracies = rng.binomial(500, quality) / 500
    mean = np.mean([excess_variance(row, 500).excess for row in accuracies])
    assert mean == pytest.approx(0.02**2, rel=0.1)
    plain = rng.binomial(500, 0.9, (800, 10)) / 500
    rejected = np.mean([excess_variance(row, 500).p_value < 0.05 for row in plain])
    assert rejected == pytest.approx(0.05, abs=0.025)


def test_excess_of_little_or_wrong_data() -> None:
    assert math.isnan(excess_variance([], 100).excess)
    assert math.isnan(excess_variance([0.9], 100).excess)
    assert math.isnan(excess_variance([1.0, 1.0], 100).p_value)
    with pytest.raises(InputError, match="accuracies are fractions"):
        excess_variance([90, 91], 100)


def test_excess_of_none_one_and_two_values() -> None:
    none, one = excess_variance([math.nan], 100), excess_variance([0.9, math.nan], [100, 0])
    assert (none.n, none.note, one.n, one.note) == (0, "no values", 1, "one value: no spread")
    assert one.binomial == pytest.approx(0.0009)
    two = excess_variance([0.8, math.nan, 0.9], [100, 0, 400])
    assert (two.n, two.variance) == (2, pytest.approx(0.005))
    assert two.binomial == pytest.approx(0.85 * 0.15 * (1 / 100 + 1 / 400) / 2)
    assert two.note == sd_interval([0.8, 0.9]).note
    assert excess_variance([0.0, 1.0], 1).variance == 0.5  # the ends, and one image, are allowed


@pytest.mark.parametrize(("accuracies", "n_test"), [([0.5, 1.5], 100), ([-0.5], 100), ([0.5], 0)])
def test_shares_outside_0_to_1_and_empty_test_sets_are_refused(
    accuracies: list[float], n_test: int
) -> None:
    with pytest.raises(InputError, match="n_test at least 1"):
        excess_variance(accuracies, n_test)
