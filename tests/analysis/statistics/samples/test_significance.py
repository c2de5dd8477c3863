"""The tests of one comparison against scipy and statsmodels, and at their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.significance import (
    hedges_g,
    holm,
    most_without_one,
    p_better_interval,
    p_better_words,
    pairing_worth,
    sign_test,
    t_tests,
    three_probabilities,
)


def test_holm_by_hand_and_against_statsmodels() -> None:
    p = np.array([0.04, 0.01, math.nan, 0.03, 0.9])
    adjusted = holm(p)
    assert adjusted.tolist() == pytest.approx([0.09, 0.04, math.nan, 0.09, 0.9], nan_ok=True)
    known = ~np.isnan(p)
    assert adjusted[known] == pytest.approx(multipletests(p[known], method="holm")[1])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert np.isnan(holm(np.array([math.nan]))).all()
    assert holm(np.array([])).tolist() == []


@pytest.mark.parametrize("sign", [1, -1])
def test_t_tests_equal_scipy_and_statsmodels(sign: int) -> None:
    d = sign * np.random.default_rng(1).normal(0.3, 1.0, 9)
    error = d.std(ddof=1) / 3
    tests = t_tests(d.mean(), error, 8, 0.5)
    reference = stats.ttest_1samp(d, 0)
    assert (tests.t, tests.p_value) == pytest.approx((reference.statistic, reference.pvalue))
    assert tests.p_equivalence == pytest.approx(ttost_paired(d, np.zeros(9), -0.5, 0.5)[0])
    assert (tests.mean_score, tests.margin) == (d.mean(), 0.5)
    without = t_tests(d.mean(), error, 8, None)
    assert (without.t, without.p_value, without.mean_score) == (
        tests.t, tests.p_value, tests.mean_score,
    )  # fmt: skip
    assert math.isnan(without.margin)
    assert math.isnan(without.p_equivalence)


@pytest.mark.parametrize(
    ("mean", "t", "p", "p_equivalence"),
    [
        (0.0, 0.0, 1.0, 0.0),
        (0.2, math.inf, 0.0, 0.0),
        (-0.2, -math.inf, 0.0, 0.0),
        (0.5, math.inf, 0.0, 0.5),  # exactly the margin
        (-2.0, -math.inf, 0.0, 1.0),
    ],
)
def test_a_difference_without_error(mean: float, t: float, p: float, p_equivalence: float) -> None:
    tests = t_tests(mean, 0.0, 4, 0.5)
    assert (tests.t, tests.p_value, tests.p_equivalence) == (t, p, p_equivalence)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.5, 0.9, "not significant"),
        (0.1, 0.5, "not significant"),
        (0.51, 0.76, "better, meaningful"),
        (0.51, 0.75, "better, too rarely to matter"),
        (0.24, 0.49, "worse, meaningful"),
        (0.25, 0.49, "worse, too rarely to matter"),
    ],
)
def test_words_beside_a_half_and_three_quarters(low: float, high: float, words: str) -> None:
    assert p_better_words(Interval(low, low, high, 0.95, "Wilson", 9)) == words


@pytest.mark.parametrize("df", [2, 3, 9, 40])
def test_hedges_factor_is_that_of_gamma_functions(df: int) -> None:
    factor = math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))
    assert hedges_g(0.3, 0.2, df) == pytest.approx(1.5 * factor)


def test_hedges_g_without_freedom_or_spread() -> None:
    assert math.isnan(hedges_g(0.3, 0.2, 1))
    assert math.isfinite(hedges_g(0.3, 0.2, 1.5))
    ends = [hedges_g(mean, 0.0, 4) for mean in (0.0, 0.1, -0.1)]
    assert ends == [0, math.inf, -math.inf]


def test_p_better_leaves_ties_out_and_agrees_with_the_sign_test() -> None:
    five = p_better_interval(5, 0)
    assert (five.estimate, five.low) == (1, pytest.approx(0.025 ** (1 / 5)))
    assert p_better_words(five) == "not significant"
    assert five.note == "too few pairs to exclude chance"
    assert p_better_words(p_better_interval(6, 0)) == "better, meaningful"
    assert p_better_words(p_better_interval(0, 0)) == "no pair differs"
    for wins in range(13):
        by_test = stats.binomtest(wins, 12).pvalue <= 0.05
        assert (p_better_words(p_better_interval(wins, 12 - wins)) != "not significant") == by_test


@pytest.mark.parametrize(("won", "lost"), [(5, 0), (0, 5), (7, 2), (3, 3), (1, 0)])
def test_sign_test_is_the_exact_binomial(won: int, lost: int) -> None:
    assert sign_test(won, lost) == pytest.approx(stats.binomtest(won, won + lost).pvalue)
    assert sign_test(0, 0) == 1


def test_none_of_five_leaves_45_percent_possible() -> None:
    assert most_without_one(5) == pytest.approx(0.4507, abs=1e-4)
    ends = stats.binomtest(0, 12, alternative="less").proportion_ci(0.95)
    assert most_without_one(12) == pytest.approx(ends.high)
    assert most_without_one(0) == 1


def test_three_probabilities_are_baycomps_correlated_t() -> None:
    """Ten differences, 20 test and 80 training images: rho 0.2, so the variance is 1/10 + 1/4."""
    d = np.array([0.02, 0.01, 0.03, -0.01, 0.0, 0.02, 0.04, 0.01, 0.0, 0.02])
    scale = math.sqrt((1 / 10 + 0.2 / 0.8) * d.var(ddof=1))
    posterior = stats.t(9, loc=d.mean(), scale=scale)
    expected = posterior.cdf(-0.01), posterior.cdf(0.01) - posterior.cdf(-0.01), posterior.sf(0.01)
    error = d.std(ddof=1) / math.sqrt(10) * math.sqrt(1 + 10 * 0.25)
    found = three_probabilities(float(d.mean()), error, 9, 0.01)
    assert found == pytest.approx(expected)
    assert sum(found) == pytest.approx(1)
    assert all(math.isnan(p) for p in three_probabilities(0.1, 0.0, 9, 0.01))
    assert all(math.isnan(p) for p in three_probabilities(0.1, 0.1, 9, math.nan))


def test_what_pairing_is_worth_by_hand() -> None:
    """Arms 1, 2, 3 and 1, 3, 5: variances 1 and 4, differences 0, -1, -2 with variance 1."""
    treated, control = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0])
    assert pairing_worth(treated, control) == pytest.approx(5)
    assert pairing_worth(treated, control[::-1]) == pytest.approx(5 / 9)
    assert math.isnan(pairing_worth(treated, treated + 1))
    assert math.isnan(pairing_worth(treated[:2], control[:2]))
