"""Seeds until a verdict: when it stops, which look is next, what is hopeless, that it keeps 5 %."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.measures.pairs.until_verdict import decide_verdict, final_comparisons
from analysis.statistics.pairs.until_verdict import UntilVerdict
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError
from headstart.settings import LOOKS

NO_CURVES = pd.DataFrame({"trial_id": [], "step": []})
PAIRS = [Pair("t", "c")]


def trials_with(**arms: np.ndarray) -> pd.DataFrame:
    """Trials of arms, each given as differences from a control `c` of 0.9 at every seed."""
    n = max(len(values) for values in arms.values())
    sides = {"c": np.zeros(n)} | arms
    rows = [
        {"trial_id": f"{arm}{k}", "arm": arm, "seed": k, "status": "done", "test_accuracy": 0.9 + d}
        for arm, values in sides.items()
        for k, d in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(stage="arm")


def normal(n: int, mean: float, sd: float, seed: int = 0) -> np.ndarray:
    """Values with exactly this mean and SD."""
    x = np.random.default_rng(seed).normal(size=n)
    return mean + sd * (x - x.mean()) / x.std(ddof=1)


def at_t(n: int, t: float) -> np.ndarray:
    """Differences whose paired t is `t`."""
    return normal(n, t * 0.001 / math.sqrt(n), 0.001)


@pytest.mark.parametrize(("n", "following"), [(5, 8), (8, 12), (40, 60), (6, 8)])
def test_a_look_is_as_strict_as_its_level(n: int, following: int) -> None:
    critical = float(stats.t.ppf(1 - 0.0103 / 2, n - 1))
    for t, stop in ((1.001 * critical, True), (0.999 * critical, False)):
        decision = decide_verdict(trials_with(t=at_t(n, t)), NO_CURVES, PAIRS, UntilVerdict(LOOKS))
        assert (decision.met, decision.stop) == (stop, stop)
        assert decision.n_seeds_next == (n if stop else following)
    assert decision.text.startswith(f"{n} seeds: 1 of 1 comparison without a verdict: next up to")


def test_what_it_stops_on_is_what_the_comparison_says() -> None:
    rows = final_comparisons(trials_with(t=at_t(8, 5.0)), NO_CURVES, PAIRS, UntilVerdict(LOOKS))
    assert [row.verdict for row in rows] == ["better"]
    error = 0.001 / math.sqrt(8)
    half = float(stats.t.ppf(1 - 0.0103 / 2, 7)) * error
    assert rows[0].high - rows[0].estimate == pytest.approx(half)


def test_a_hopeless_comparison_ends_early_and_says_so() -> None:
    trials = trials_with(t=normal(27, 0.0, 0.001))
    decision = decide_verdict(trials, NO_CURVES, PAIRS, UntilVerdict(LOOKS))
    assert (decision.stop, decision.met) == (True, False)
    assert decision.text == (
        "stopped after 27 seeds: no verdict on “t” against “c”, and one by 60 seeds has a chance "
        "under 10 %"
    )
    margin = UntilVerdict(LOOKS, margin=0.0004)  # that nothing differs can still be shown
    again = decide_verdict(trials, NO_CURVES, PAIRS, margin)
    assert (again.met, again.n_seeds_next) == (False, 40)


def test_one_comparison_that_is_open_keeps_all_going() -> None:
    trials = trials_with(t=normal(27, 0.0, 0.001), u=at_t(27, 2.4), v=at_t(27, 9.0))
    pairs = [Pair(arm, "c") for arm in "tuv"]
    decision = decide_verdict(trials, NO_CURVES, pairs, UntilVerdict(LOOKS))
    assert (decision.stop, decision.n_seeds_next) == (False, 40)
    assert "2 of 3 comparisons without a verdict; 1 of them given up as hopeless" in decision.text


def test_the_last_look_is_the_end() -> None:
    decision = decide_verdict(trials_with(t=at_t(60, 1.0)), NO_CURVES, PAIRS, UntilVerdict(LOOKS))
    assert decision.stop
    assert (
        decision.text
        == "stopped after 60 seeds, the last planned look: no verdict on “t” against “c”"
    )


def test_without_test_images_the_validation_images_decide() -> None:
    trials = trials_with(t=at_t(8, 9.0)).rename(columns={"test_accuracy": "best_val_accuracy"})
    rows = final_comparisons(trials, NO_CURVES, PAIRS, UntilVerdict(LOOKS))
    assert [row.metric for row in rows] == ["best_val_accuracy"]


def test_bad_rules_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="compares no arms"):
        decide_verdict(trials_with(t=np.zeros(5)), NO_CURVES, [], UntilVerdict(LOOKS))
