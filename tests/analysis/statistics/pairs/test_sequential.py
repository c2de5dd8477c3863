"""Seeds until sure: how far it goes next, that it keeps its coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.statistics.pairs.sequential import Until, next_seeds
from analysis.statistics.samples.intervals import mean_interval
from headstart.settings import AT_LEAST, AT_MOST


def rule(
    metric: str, half_width: float, at_least: int = AT_LEAST, at_most: int = AT_MOST, **more: Any
) -> Until:
    """The rule of a sweep whose file leaves the numbers of seeds out."""
    return Until(metric, half_width, at_least, at_most, **more)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_goes_half_of_the_way_that_the_spread_asks_for() -> None:
    until = rule("test_accuracy", 0.001, at_least=8, at_most=60)
    assert next_seeds(10, 10, 0.002, 0.001, until) == 25  # needs 40: 30 more, 15 of them now
    assert next_seeds(10, 10, 0.00101, 0.001, until) == 11
    assert next_seeds(50, 50, 0.002, 0.001, until) == 60
    assert next_seeds(3, 3, 0.0001, 0.001, until) == 8


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_stopping_keeps_its_coverage(kind: str) -> None:
    """92 % to 98 % within four standard errors of 150 sweeps that may go from 8 to 30 seeds."""
    draw, hits, n_sweeps = rng(5), 0, 150
    until = rule("test_accuracy", 1.96 / math.sqrt(15), at_least=8, at_most=30)
    for _ in range(n_sweeps):
        d = draw.normal(size=30) if kind == "normal" else (draw.gamma(2, size=30) - 2) / 1.41421
        n = 8
        while True:
            found = mean_interval(d[:n], method="student")
            half = until.widening * (found.high - found.low) / 2
            if half <= until.half_width or n == 30:
                break
            n = next_seeds(n, n, half, until.half_width, until)
        low, high = (
            found.estimate + until.widening * (e - found.estimate) for e in (found.low, found.high)
        )
        hits += low <= 0 <= high
    slack = 4 * math.sqrt(0.92 * 0.08 / n_sweeps)
    assert 0.92 - slack <= hits / n_sweeps <= 1.0


def test_a_batch_is_one_seed_at_least_and_half_of_at_least_without_a_spread() -> None:
    until = rule("test_accuracy", 0.001)
    assert (until.at_least, until.at_most) == (8, 60)
    assert next_seeds(10, 10, 0.0, 0.001, until) == 11
    assert next_seeds(10, 1, math.nan, 0.001, until) == 14
    assert next_seeds(8, 8, 0.002, 0.001, until) == 20
    assert next_seeds(7, 7, 0.002, 0.001, until) == 8
    assert next_seeds(10, 10, 9.0, 0.001, until) == 60


def test_a_rule_that_may_stop_before_8_seeds_is_wider() -> None:
    assert rule("test_accuracy", 1.0, at_least=8).widening == 1.1
    assert rule("test_accuracy", 1.0, at_least=7).widening == 1.25
