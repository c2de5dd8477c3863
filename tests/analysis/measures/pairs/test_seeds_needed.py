"""Numbers of seeds from a table of trials: the pilot's doubt, times, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.measures.pairs.seeds_needed import plan
from analysis.statistics.pairs.power import (
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
