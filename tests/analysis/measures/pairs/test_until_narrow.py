"""Seeds until sure: when it stops, how far it goes next, that it keeps its coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.measures.pairs.until_narrow import decide
from analysis.statistics.pairs.sequential import Until
from analysis.statistics.samples.intervals import mean_interval
from headstart.errors import InputError
from headstart.settings import AT_LEAST, AT_MOST

NO_CURVES = pd.DataFrame({"trial_id": [], "step": []})
PAIRS = [("t", "c")]


def rule(
    metric: str, half_width: float, at_least: int = AT_LEAST, at_most: int = AT_MOST, **more: Any
) -> Until:
    """The rule of a sweep whose file leaves the numbers of seeds out."""
    return Until(metric, half_width, at_least, at_most, **more)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def trials_with(differences: Any) -> pd.DataFrame:
    """Two arms whose paired differences are these; NaN: the treatment failed."""
    n = len(differences)
    return pd.DataFrame(
        {
            "trial_id": [f"{arm}{i}" for arm in "ct" for i in range(n)],
            "arm": ["c"] * n + ["t"] * n,
            "seed": [*range(n)] * 2,
            "status": "done",
            "test_accuracy": np.concatenate([np.full(n, 0.9), 0.9 + np.asarray(differences)]),
        }
    )


def test_stops_where_the_widened_interval_is_narrow() -> None:
    d = rng(1).normal(0, 0.001, 10)
    decision = decide(trials_with(d), NO_CURVES, PAIRS, rule("test_accuracy", 0.01))
    plain = mean_interval(d, method="student")
    assert decision.stop
    assert decision.met
    assert decision.n_seeds_next == decision.n_seeds == 10
    wide = 1.1 * (plain.high - plain.low) / 2
    assert decision.half_widths[0] == pytest.approx(wide)
    assert decision.text.startswith("stopped after 10 seeds: every comparison")


def test_the_widest_comparison_decides() -> None:
    narrow = trials_with(rng(1).normal(0, 0.0005, 10))
    wide = trials_with(rng(2).normal(0, 0.01, 10)).query("arm == 't'")
    trials = pd.concat([narrow, wide.assign(arm="w", trial_id=[f"w{i}" for i in range(10)])])
    until = rule("test_accuracy", 0.002)
    assert decide(trials, NO_CURVES, PAIRS, until).stop
    both = decide(trials, NO_CURVES, [*PAIRS, ("w", "c")], until)
    assert not both.stop
    assert both.n_seeds_next > 10


def test_stops_at_the_most_and_says_that_it_is_wide() -> None:
    until = rule("test_accuracy", 1e-6, at_least=4, at_most=12)
    decision = decide(trials_with(rng(3).normal(0, 1, 12)), NO_CURVES, PAIRS, until)
    assert decision.stop
    assert not decision.met
    assert "the most allowed: 1 interval is wider" in decision.text


def test_failed_trials_cost_seeds_not_a_decision() -> None:
    d = rng(4).normal(0, 0.001, 10)
    d[:9] = math.nan
    decision = decide(trials_with(d), NO_CURVES, PAIRS, rule("test_accuracy", 0.01))
    assert math.isnan(decision.half_widths[0])
    assert not decision.stop
    assert decision.n_seeds_next == 14


def test_equal_values_of_few_images_are_no_certainty() -> None:
    trials = trials_with(np.zeros(8)).assign(n_test=100)
    decision = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", 0.001))
    assert not decision.stop
    assert decision.half_widths[0] > 0.003


def test_half_width_of_equal_values_by_hand() -> None:
    """100 images: each value is known to 0.01, so a difference has the variance 2 · 0.01² / 12."""
    trials = trials_with(np.zeros(8)).assign(n_test=100)
    half = 1.1 * 2.364624 * math.sqrt(0.01**2 / 6 / 8)  # Student's t, 7 degrees of freedom
    decision = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", 0.01))
    assert decision.half_widths == (pytest.approx(half),)
    assert (decision.stop, decision.n_seeds, decision.n_seeds_next) == (True, 8, 8)
    wide = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", half / 2.99))
    assert (wide.stop, wide.met, wide.n_seeds_next) == (False, False, 40)  # 8 + 7.94 · 8 / 2
    assert wide.text.startswith("8 seeds are not enough for ±0.00125")
    assert wide.text.endswith(" on test_accuracy: next up to 40")


def test_an_interval_as_wide_as_asked_is_narrow() -> None:
    trials = trials_with(rng(1).normal(0, 0.001, 9))
    width = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", 1.0)).half_widths[0]
    decision = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", width))
    assert decision.met
    assert "every comparison's interval is within" in decision.text


def test_few_seeds_and_the_most_seeds() -> None:
    two = trials_with([0.0, 0.001])
    until = rule("test_accuracy", 1.0, at_least=2, at_most=2)
    assert decide(two, NO_CURVES, PAIRS, until).half_widths[0] > 0
    three = rule("test_accuracy", 1.0, at_least=3)
    early = decide(two, NO_CURVES, PAIRS, three)
    assert (early.stop, early.met, early.n_seeds_next) == (False, False, 3)
    over = decide(two, NO_CURVES, PAIRS, rule("test_accuracy", 1e-6, 2, 2))
    assert (over.stop, over.met, over.n_seeds_next) == (True, False, 2)


def test_splits_redrawn_from_one_pool_are_wider() -> None:
    trials = trials_with(rng(1).normal(0, 0.001, 9))
    until = rule("test_accuracy", 1.0)
    plain = decide(trials, NO_CURVES, PAIRS, until).half_widths[0]
    pooled = decide(trials.assign(overlap=0.25), NO_CURVES, PAIRS, until).half_widths[0]
    assert pooled / plain == pytest.approx(math.sqrt(1 + 9 * 0.25))


def test_only_trials_of_arms_count_as_seeds() -> None:
    arms = trials_with(rng(1).normal(0, 0.001, 8)).assign(stage="arm")
    tuning = arms.assign(stage="tune", seed=arms["seed"] + 50, trial_id="s" + arms["trial_id"])
    until = rule("test_accuracy", 0.01)
    assert decide(pd.concat([arms, tuning]), NO_CURVES, PAIRS, until).n_seeds == 8


def test_unpaired_arms_have_no_half_width() -> None:
    trials = trials_with(rng(1).normal(0, 0.001, 4))
    trials.loc[trials["arm"] == "t", "seed"] += 100
    decision = decide(trials, NO_CURVES, PAIRS, rule("test_accuracy", 0.01))
    assert math.isnan(decision.half_widths[0])
    assert not decision.met


def test_every_wide_interval_is_counted() -> None:
    trials = trials_with([0.0, 0.1, 0.2])
    third = trials.query("arm == 't'").assign(arm="w", trial_id=["w0", "w1", "w2"])
    pairs = [*PAIRS, ("w", "c")]
    until = rule("test_accuracy", 0.001, at_least=2, at_most=3)
    decision = decide(pd.concat([trials, third]), NO_CURVES, pairs, until)
    assert "2 intervals are wider than ±0.001 on test_accuracy" in decision.text


def test_the_half_width_of_a_time_is_a_factor() -> None:
    """Ratios of 2 in all seeds: what is left of doubt is the distance between evaluations."""
    trials = trials_with(np.zeros(4))
    curves = pd.DataFrame(
        [
            {"trial_id": name, "step": step, "val_accuracy": 0.95 if step >= at else 0.5}
            for name, at in zip(trials["trial_id"], [200] * 4 + [100] * 4, strict=True)
            for step in (50, 100, 150, 200)
        ]
    )

    def decided(factor: float) -> tuple[bool, float]:
        until = rule("steps_to_target", factor, at_least=2, targets=(0.9,))
        decision = decide(trials, curves, PAIRS, until)
        return decision.met, decision.half_widths[0]

    half = 1.25 * 3.182446 * math.sqrt((0.25 + 0.0625) / 12 / 4)  # steps of 1/2 and 1/4
    assert decided(1.01 * math.exp(half)) == (True, pytest.approx(half))
    assert decided(0.99 * math.exp(half))[0] is False
    with pytest.raises(InputError, match=r"1\.0 is a factor for steps_to_target"):
        decided(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: decide(trials_with([0.0]), NO_CURVES, [], rule("test_accuracy", 1)),
            "compares no arms",
        ),
        (
            lambda: decide(trials_with([0.0]), NO_CURVES, PAIRS, rule("test_loss", 1)),
            "no test_loss to compare",
        ),
    ],
)
def test_bad_rules_are_told_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
