"""Seeds until sure: when it stops, how far it goes next, that it keeps its coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.pairs.sequential import WIDENING, Until, decide, next_seeds
from analysis.statistics.samples.intervals import mean_interval
from headstart.errors import InputError

NO_CURVES = pd.DataFrame({"trial_id": [], "step": []})
PAIRS = [("t", "c")]


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
    decision = decide(trials_with(d), NO_CURVES, PAIRS, Until("test_accuracy", 0.01), rng())
    plain = mean_interval(d, rng=rng(1))
    assert decision.stop
    assert decision.narrow
    assert decision.n_seeds_next == decision.n_seeds == 10
    wide = WIDENING * (plain.high - plain.low) / 2
    assert decision.half_widths[0] == pytest.approx(wide, rel=0.1)  # other draws
    assert decision.text.startswith("stopped after 10 seeds: every comparison")


def test_goes_half_of_the_way_that_the_spread_asks_for() -> None:
    until = Until("test_accuracy", 0.001, at_least=8, at_most=60)
    assert next_seeds(10, 10, 0.002, 0.001, until) == 25  # needs 40: 30 more, 15 of them now
    assert next_seeds(10, 10, 0.00101, 0.001, until) == 11
    assert next_seeds(50, 50, 0.002, 0.001, until) == 60
    assert next_seeds(3, 3, 0.0001, 0.001, until) == 8


def test_the_widest_comparison_decides() -> None:
    narrow = trials_with(rng(1).normal(0, 0.0005, 10))
    wide = trials_with(rng(2).normal(0, 0.01, 10)).query("arm == 't'")
    trials = pd.concat([narrow, wide.assign(arm="w", trial_id=[f"w{i}" for i in range(10)])])
    until = Until("test_accuracy", 0.002)
    assert decide(trials, NO_CURVES, PAIRS, until, rng()).stop
    both = decide(trials, NO_CURVES, [*PAIRS, ("w", "c")], until, rng())
    assert not both.stop
    assert both.n_seeds_next > 10


def test_stops_at_the_most_and_says_that_it_is_wide() -> None:
    until = Until("test_accuracy", 1e-6, at_least=4, at_most=12)
    decision = decide(trials_with(rng(3).normal(0, 1, 12)), NO_CURVES, PAIRS, until, rng())
    assert decision.stop
    assert not decision.narrow
    assert "the most allowed: 1 interval is wider" in decision.text


def test_failed_trials_cost_seeds_not_a_decision() -> None:
    d = rng(4).normal(0, 0.001, 10)
    d[:9] = math.nan
    decision = decide(trials_with(d), NO_CURVES, PAIRS, Until("test_accuracy", 0.01), rng())
    assert math.isnan(decision.half_widths[0])
    assert not decision.stop
    assert decision.n_seeds_next == 14


def test_equal_values_of_few_images_are_no_certainty() -> None:
    trials = trials_with(np.zeros(8)).assign(n_test=100)
    decision = decide(trials, NO_CURVES, PAIRS, Until("test_accuracy", 0.001), rng())
    assert not decision.stop
    assert decision.half_widths[0] > 0.003


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_stopping_keeps_its_coverage(kind: str) -> None:
    """92 % to 98 % within four standard errors of 150 sweeps that may go from 8 to 30 seeds."""
    draw, hits, n_sweeps = rng(5), 0, 150
    until = Until("test_accuracy", 1.96 / math.sqrt(15), at_least=8, at_most=30)
    for _ in range(n_sweeps):
        d = draw.normal(size=30) if kind == "normal" else (draw.gamma(2, size=30) - 2) / 1.41421
        n = 8
        while True:
            found = mean_interval(d[:n], rng=draw)
            half = WIDENING * (found.high - found.low) / 2
            if half <= until.half_width or n == 30:
                break
            n = next_seeds(n, n, half, until.half_width, until)
        low, high = (
            found.estimate + WIDENING * (e - found.estimate) for e in (found.low, found.high)
        )
        hits += low <= 0 <= high
    slack = 4 * math.sqrt(0.92 * 0.08 / n_sweeps)
    assert 0.92 - slack <= hits / n_sweeps <= 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Until("test_accuracy", 0.0), "must be above 0"),
        (lambda: Until("test_accuracy", 0.1, 9, 8), "at_least 9 and at_most 8"),
        (
            lambda: decide(trials_with([0.0]), NO_CURVES, [], Until("test_accuracy", 1), rng()),
            "compares no arms",
        ),
        (
            lambda: decide(trials_with([0.0]), NO_CURVES, PAIRS, Until("test_loss", 1), rng()),
            "no test_loss to compare",
        ),
    ],
)
def test_bad_rules_are_told_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
