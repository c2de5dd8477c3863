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
    low, high = max(0, row["n_low"] - 6), row["n_high"] - 6
    assert row["words"] == (
        "t against c, test_accuracy: 6 seeds cannot tell how many: to detect 0.001 with 80 % power "
        f"between {low:,.0f} and {high:,.0f} more"
    )
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


def test_plan_in_full_for_scores() -> None:
    trials = pilot(6)
    table = plan(trials, NO_CURVES, [("t", "c")], detect=1.0, half_width=1e-7, p_better=0.9)
    assert list(table.columns) == [
        "task", "treatment", "control", "metric", "target", "question", "value", "n_pilot", "sd",
        "sd_low", "sd_high", "n_needed", "n_low", "n_high", "n_more", "words",
    ]  # fmt: skip
    first, second, third = (row for _, row in table.iterrows())
    assert (first["task"], first["treatment"], first["control"]) == ("", "t", "c")
    assert (first["metric"], first["value"], first["n_pilot"]) == ("test_accuracy", 1.0, 6)
    assert math.isnan(first["target"])
    assert (first["n_needed"], first["n_more"]) == (2, 0)  # 6 are more than enough
    ends = first["sd"] * np.sqrt(5 / stats.chi2.ppf([0.975, 0.025], 5))
    assert (first["sd_low"], first["sd_high"]) == pytest.approx(tuple(ends))
    assert first["words"] == (
        "t against c, test_accuracy: 6 seeds are enough to detect 1 with 80 % power"
    )
    assert second["words"] == (
        "t against c, test_accuracy: for a 95 % interval of ±1e-07 over 10,000 more seeds"
    )
    assert third["n_needed"] == seeds_for_p_better(0.9)
    assert third["words"] == (
        f"t against c, test_accuracy: {seeds_for_p_better(0.9)} paired seeds "
        "to show P(better) > 0.5 where it is 0.9 (95 % power)"
    )


def test_plan_asks_for_the_power_and_comparisons_that_are_given() -> None:
    given = {"detect": 0.001, "power": 0.9, "n_comparisons": 3}
    row = plan(pilot(6), NO_CURVES, [("t", "c")], **given).iloc[0]
    needed = [seeds_to_detect(0.001, row[sd], 0.9, 0.05, 3) for sd in ("sd", "sd_low", "sd_high")]
    assert row[["n_needed", "n_low", "n_high"]].tolist() == needed
    width = plan(pilot(6), NO_CURVES, [("t", "c")], half_width=0.001).iloc[0]
    assert width["n_needed"] == seeds_for_half_width(0.001, width["sd"])


def test_a_pilot_without_spread_is_as_coarse_as_its_images() -> None:
    trials = pilot(2).assign(test_accuracy=0.9, n_test=100)
    row = plan(trials, NO_CURVES, [("t", "c")], detect=0.01).iloc[0]
    least = math.sqrt(0.01**2 / 6)
    assert row[["sd", "sd_low", "sd_high"]].tolist() == pytest.approx([least] * 3)
    one = plan(pilot(1), NO_CURVES, [("t", "c")], p_better=0.75).iloc[0]
    assert (one["n_needed"], one["n_more"], one["n_pilot"]) == (29, 28, 1)
    assert math.isnan(one["sd"])


def test_times_are_planned_by_their_logarithms() -> None:
    trials = pilot(4)
    curves = pd.DataFrame(
        [
            {"trial_id": name, "step": step, "val_accuracy": 0.95 if step >= at else 0.5}
            for name, at in zip(
                trials["trial_id"], [100, 150, 200, 150, 300, 300, 200, 400], strict=True
            )
            for step in range(50, 450, 50)
        ]
    )
    given = {"metric": "steps_to_target", "targets": (0.9,), "detect": 1.2, "half_width": 1.1}
    table = plan(trials, curves, [("t", "c")], p_better=0.75, **given)
    sd = np.std(np.log([3, 2, 1, 8 / 3]), ddof=1)
    assert table["sd"].tolist() == pytest.approx([sd] * 3)
    needed = [seeds_to_detect(math.log(1.2), sd), seeds_for_half_width(math.log(1.1), sd), 29]
    assert table["n_needed"].tolist() == needed
    assert table["target"].tolist() == [0.9] * 3
    assert table["words"].iloc[0].startswith("t against c, steps_to_target 0.9: ")
    with pytest.raises(InputError, match="detect 1 for a time is a factor and must be above 1"):
        plan(trials, curves, [("t", "c")], **(given | {"detect": 1}))


def test_zero_is_no_difference_to_look_for() -> None:
    with pytest.raises(InputError, match="half_width 0 must be above 0"):
        plan(pilot(4), NO_CURVES, [("t", "c")], half_width=0)
