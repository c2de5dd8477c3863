"""Numbers of seeds: against statsmodels, a published figure, simulation; the pilot's doubt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.statistics.pairs.power import (
    MOST_SEEDS,
    equivalence_power,
    paired_power,
    plan,
    seeds_for_equivalence,
    seeds_for_half_width,
    seeds_for_p_better,
    seeds_to_detect,
)
from headstart.errors import InputError

NO_CURVES = pd.DataFrame({"trial_id": [], "step": []})


def pilot(n: int, first_seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    parts = [
        pd.DataFrame(
            {
                "trial_id": [f"{arm}{i}" for i in range(n)],
                "arm": arm,
                "seed": np.arange(n) + k * first_seed,
                "status": "done",
                "test_accuracy": draw.normal(0.98, 0.002, n),
            }
        )
        for k, arm in enumerate(("t", "c"))
    ]
    return pd.concat(parts, ignore_index=True)


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


def test_plan_speaks_for_its_pilot() -> None:
    trials = pilot(6)
    found = plan(trials, NO_CURVES, [("t", "c")], detect=0.001, half_width=0.001, p_better=0.75)
    assert list(found["question"]) == ["detect", "half_width", "p_better"]
    row = found.iloc[0]
    values = trials["test_accuracy"].to_numpy()
    assert row["sd"] == pytest.approx(np.std(values[:6] - values[6:], ddof=1))
    assert row["n_needed"] == seeds_to_detect(0.001, row["sd"])
    assert row["n_low"] < row["n_needed"] < row["n_high"]
    assert row["n_more"] == row["n_needed"] - 6
    assert f"{row['n_needed']:.0f} paired seeds to detect 0.001 with 80% power" in row["words"]
    assert found["n_needed"].iloc[2] == 29


def test_plan_with_one_pair_says_what_is_missing() -> None:
    row = plan(pilot(1), NO_CURVES, [("t", "c")], detect=0.001).iloc[0]
    assert math.isnan(row["n_needed"])
    assert "a spread needs 2" in row["words"]


def test_more_comparisons_need_more_seeds() -> None:
    few, many = (
        plan(pilot(6), NO_CURVES, [("t", "c")], detect=0.001, n_comparisons=m)["n_needed"].iloc[0]
        for m in (1, 12)
    )
    assert few < many


@pytest.mark.parametrize(
    ("given", "first_seed", "message"),
    [
        ({}, 0, "give at least one of detect, half_width, p_better"),
        ({"detect": -0.1}, 0, "must be above 0"),
        ({"p_better": 0.5}, 0, "not between 0.5 and 1"),
        ({"detect": 0.1}, 50, "do not pair"),
        ({"detect": 0.9, "metric": "steps_to_target", "targets": (0.9,)}, 0, "must be above 1"),
    ],
)
def test_bad_input_is_told_in_one_line(
    given: dict[str, Any], first_seed: int, message: str
) -> None:
    trials = pilot(4, first_seed)
    curves = pd.DataFrame({"trial_id": ["t0"], "step": [1], "val_accuracy": [0.95]})
    with pytest.raises(InputError, match=message):
        plan(trials, curves, [("t", "c")], **given)
