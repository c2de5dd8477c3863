"""Numbers of seeds: against statsmodels, a published figure, simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.statistics.pairs.power import (
    MOST_SEEDS,
    equivalence_power,
    paired_power,
    seeds_for_equivalence,
    seeds_for_half_width,
    seeds_for_p_better,
    seeds_to_detect,
)
from headstart.errors import InputError


@pytest.mark.parametrize(("n", "effect"), [(5, 2.0), (10, 1.0), (30, 0.5), (200, 0.2)])
def test_power_equals_statsmodels(n: int, effect: float) -> None:
    two_sided = TTestPower().power(effect, n, 0.05)  # the far tail included: at most 1e-6 here
    assert paired_power(n, effect, 1.0) == pytest.approx(two_sided, abs=1e-5)


def test_power_is_what_simulation_finds() -> None:
    x = np.random.default_rng(1).normal(1.0, 1.0, (8, 20_000))
    p = stats.ttest_1samp(x, 0, alternative="greater").pvalue
    assert paired_power(8, 1.0, 1.0, 0.05, 4) == pytest.approx((p < 0.00625).mean(), abs=0.015)


def test_seeds_are_the_fewest_that_suffice() -> None:
    n = seeds_to_detect(0.001, 0.002, 0.8)
    assert paired_power(n, 0.001, 0.002) >= 0.8 > paired_power(n - 1, 0.001, 0.002)
    assert n == math.ceil(TTestPower().solve_power(0.5, alpha=0.05, power=0.8)) == 34
    n = seeds_for_half_width(0.0005, 0.002)
    widths = [stats.t.ppf(0.975, k - 1) * 0.002 / math.sqrt(k) for k in (n - 1, n)]
    assert widths[1] <= 0.0005 < widths[0]
    n = seeds_for_equivalence(0.001, 0.002)
    assert equivalence_power(n, 0.001, 0.002) >= 0.8 > equivalence_power(n - 1, 0.001, 0.002)


def test_equivalence_power_is_what_simulation_finds() -> None:
    x = np.random.default_rng(2).normal(0.0, 1.0, (20, 20_000))
    low = stats.ttest_1samp(x, -0.8, alternative="greater").pvalue
    high = stats.ttest_1samp(x, 0.8, alternative="less").pvalue
    found = (np.maximum(low, high) < 0.05).mean()
    assert equivalence_power(20, 0.8, 1.0) == pytest.approx(found, abs=0.02)


def test_29_pairs_as_published() -> None:
    assert seeds_for_p_better(0.75, power=0.95, alpha=0.05) == 29  # Bouthillier et al. (2021)


def test_no_number_of_seeds_finds_nothing() -> None:
    assert seeds_to_detect(1e-9, 1.0) == MOST_SEEDS
    assert seeds_to_detect(0.1, 0.0) == 2


def test_power_of_few_pairs_and_of_no_spread() -> None:
    assert (paired_power(1, 1.0, 1.0), equivalence_power(1, 1.0, 1.0)) == (0, 0)
    assert paired_power(2, 3.0, 1.0) == pytest.approx(TTestPower().power(3.0, 2, 0.05), abs=0.01)
    assert equivalence_power(2, 50.0, 1.0) > 0.5
    assert (paired_power(2, 0.1, 0.0), paired_power(2, 0.0, 0.0)) == (1, 0)
    assert equivalence_power(2, 0.1, 0.0) == 1
    assert equivalence_power(5, 0.1, 1.0) == 0  # never below
    assert paired_power(10, -1.0, 1.0) == paired_power(10, 1.0, 1.0)


def test_defaults_are_80_percent_power_and_5_percent_error() -> None:
    given = seeds_to_detect(0.5, 1.0, 0.8, 0.05, 1), seeds_for_equivalence(0.5, 1.0, 0.8, 0.05)
    assert (seeds_to_detect(0.5, 1.0), seeds_for_equivalence(0.5, 1.0)) == given
    assert seeds_for_half_width(0.5, 1.0) == seeds_for_half_width(0.5, 1.0, 0.95) == 18
    assert seeds_for_p_better() == seeds_for_p_better(0.75, 0.95, 0.05) == 29
    assert seeds_for_p_better(0.9, 0.8, 0.05) == 7  # (1.645 + 0.842)² / 6 / 0.16 = 6.4
    with pytest.raises(InputError, match=r"P\(better\) 1 is not between"):
        seeds_for_p_better(1)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9, 1000])
def test_the_search_ends_at_the_first_number_that_is_enough(n: int) -> None:
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    assert seeds_for_half_width(half * (1 + 1e-9), 1.0) == n
