"""The band over a difference of curves: by hand, equal curves, what has no band, stretches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.times.band import difference_band, stretches
from headstart.errors import InputError


def test_of_one_evaluation_it_is_students_interval() -> None:
    """Differences 1, 2, 3, 6: mean 3, SD 2.1602."""
    d = np.array([1.0, 2.0, 3.0, 6.0])
    ends = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    band = difference_band(d[:, None])
    assert (band.low[0], band.high[0]) == pytest.approx((ends.low, ends.high))
    assert band.n == 4


def test_over_all_sign_flips_by_hand() -> None:
    """8 pairs, 3 evaluations: the largest |t| of each of the 256 patterns, by a plain loop.

    c is the 245th of 256 (⌈257 · .95⌉).
    """
    table = np.random.default_rng(7).normal([0.0, 0.5, 1.0], [1.0, 2.0, 0.5], (8, 3))
    residuals = table - table.mean(axis=0)
    largest = []
    for signs in itertools.product([-1, 1], repeat=8):
        each = [stats.ttest_1samp(np.multiply(signs, r), 0).statistic for r in residuals.T]
        largest.append(max(abs(t) for t in each))
    c = sorted(largest)[244]
    assert c > stats.t.ppf(0.975, 7)
    band = difference_band(table)
    assert band.critical == pytest.approx(c)
    half = c * table.std(axis=0, ddof=1) / math.sqrt(8)
    assert band.low == pytest.approx(table.mean(axis=0) - half)
    assert band.high == pytest.approx(table.mean(axis=0) + half)
    assert band.ahead.tolist() == (table.mean(axis=0) > half).tolist()


def test_equal_columns_need_no_more_than_one_and_many_unlike_ones_do() -> None:
    draw = np.random.default_rng(1)
    one = draw.normal(size=(10, 1))
    same = difference_band(np.repeat(one, 30, axis=1)).critical
    assert same == pytest.approx(difference_band(one).critical, rel=0.06)
    unlike = difference_band(draw.normal(size=(10, 30))).critical
    bonferroni = stats.t.ppf(1 - 0.025 / 30, 9)
    assert same < unlike < 1.1 * bonferroni


def made(n: int, draw: np.random.Generator) -> np.ndarray:
    """Differences of equal curves: a level of each seed, a drift, the noise of each evaluation."""
    drift = np.cumsum(draw.normal(size=(n, 15)), axis=1) / 4
    return 0.5 * draw.normal(size=(n, 1)) + drift + 0.5 * draw.normal(size=(n, 15))


@pytest.mark.parametrize("n", [4, 9])
def test_equal_curves_are_rarely_told_apart(n: int) -> None:
    """Anywhere outside in at most 6 % of 300 studies, within three standard errors."""
    draw = np.random.default_rng(n)
    bands = [difference_band(made(n, draw)) for _ in range(300)]
    share = np.mean([(b.ahead | b.behind).any() for b in bands])
    assert share <= 0.06 + 3 * math.sqrt(0.06 * 0.94 / 300)


@pytest.mark.parametrize("n", [4, 5, 12, 20])
def test_seeds_may_change_places_arms_swap_and_units_grow(n: int) -> None:
    draw = np.random.default_rng(2)
    table = made(n, draw) + 0.3
    band = difference_band(table)
    again = difference_band(table[draw.permutation(n)])
    assert (again.low, again.high) == (pytest.approx(band.low), pytest.approx(band.high))
    scaled = difference_band(7 * table)
    assert scaled.low == pytest.approx(7 * band.low)
    turned = difference_band(-table)
    assert turned.high == pytest.approx(-band.low)


def test_equal_differences_of_few_images_are_no_certainty() -> None:
    table = np.full((5, 3), 0.02)
    table[:, 0] = 0.0
    band = difference_band(table, least_variance=0.01**2 / 6)
    half = stats.t.ppf(0.975, 4) * 0.01 / math.sqrt(30)
    assert band.low == pytest.approx(np.array([0, 0.02, 0.02]) - half)
    wide = difference_band(table, least_variance=0.01**2 / 6, wider=1.5)
    assert wide.low == pytest.approx(np.array([0, 0.02, 0.02]) - 1.5 * half)


def test_two_pairs_have_means_and_no_band() -> None:
    band = difference_band(np.array([[0.1, 0.2], [0.3, 0.2]]))
    assert band.mean.tolist() == pytest.approx([0.2, 0.2])
    assert np.isnan(band.low).all()
    assert not band.ahead.any()
    assert band.note == "2 of 4 pairs that a band needs"


def test_stretches_name_their_first_and_last_evaluation() -> None:
    where = np.array([False, True, True, False, True])
    assert stretches(where, np.array([0.0, 25, 50, 75, 100])) == [(25, 50), (100, 100)]
    assert stretches(np.zeros(3, dtype=bool), np.arange(3.0)) == []


@pytest.mark.parametrize("table", [np.zeros((0, 3)), np.zeros(3), np.array([[1.0, math.nan]])])
def test_tables_with_gaps_are_refused(table: np.ndarray) -> None:
    with pytest.raises(InputError, match="without gaps"):
        difference_band(table)
