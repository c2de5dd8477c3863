"""Intervals over seeds and images: variance by hand, coverage, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_predictions import make_predictions, make_seeds
from scipy import stats

from analysis.measures.classes.two_way import accuracy_interval
from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.samples.predictions import Predictions


def from_table(right: np.ndarray, arm: str) -> tuple[dict[str, Predictions], pd.DataFrame]:
    """Predictions that are right where the table (n_seeds, n_images) says so."""
    labels = [0] * right.shape[1]
    predictions = {
        f"{arm}{k}": make_predictions(labels, [int(not hit) for hit in row])
        for k, row in enumerate(right)
    }
    trials = pd.DataFrame({"trial_id": list(predictions), "arm": arm, "seed": range(len(right))})
    return predictions, trials


def test_over_seeds_it_is_the_mean_interval() -> None:
    predictions, trials = make_seeds(6, 100)
    accuracy = [(p.predicted == p.labels).mean() for p in predictions.values()]
    expected = mean_interval(accuracy)
    found = accuracy_interval(predictions, trials, "a")
    assert (found.seeds.low, found.seeds.high) == (expected.low, expected.high)
    assert found.seeds_and_images.estimate == pytest.approx(expected.estimate, abs=1e-12)


def test_one_seed_is_over_images_alone() -> None:
    predictions, trials = make_seeds(1, 400)
    found = accuracy_interval(predictions, trials, "a")
    p = found.seeds_and_images.estimate
    half = 1.96 * math.sqrt(p * (1 - p) / 399)
    assert math.isnan(found.seeds.low)
    assert found.seeds_and_images.high - found.seeds_and_images.low == pytest.approx(
        2 * half, rel=0.08
    )
    assert "one seed" in found.seeds_and_images.note


def test_networks_that_err_alike_leave_the_doubt_about_images() -> None:
    right = np.tile(np.random.default_rng(1).random(300) < 0.9, (5, 1))
    found = accuracy_interval(*from_table(right, "a"), "a")
    n_right = int(right[0].sum())
    exact = stats.binomtest(n_right, 300).proportion_ci(0.95, "exact")
    for interval in (found.seeds, found.seeds_and_images):
        assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
        assert "equally accurate" in interval.note


def covered(n_seeds: int, difference: bool) -> float:
    """How often the two-way interval holds the accuracy of all images and all seeds."""
    draw = np.random.default_rng(n_seeds + 100 * difference)
    hits = []
    for _ in range(200):
        image = draw.normal(0, 1.5, 300)
        tables = []
        for _ in range(1 + difference):
            seed = draw.normal(0, 0.3, (n_seeds, 1))
            chance = 1 / (1 + np.exp(-(1.8 + image + seed)))
            tables.append(draw.random((n_seeds, 300)) < chance)
        parts = [from_table(table, arm) for table, arm in zip(tables, "ab", strict=False)]
        predictions = {k: v for part, _ in parts for k, v in part.items()}
        trials = pd.concat([part for _, part in parts])
        control = "b" if difference else None
        found = accuracy_interval(predictions, trials, "a", control).seeds_and_images
        hits.append(found.low <= (0.0 if difference else TRUE_ACCURACY) <= found.high)
    return float(np.mean(hits))


_draws = np.random.default_rng(0).normal(0, math.hypot(1.5, 0.3), 2_000_000)
TRUE_ACCURACY = float((1 / (1 + np.exp(-(1.8 + _draws)))).mean())


@pytest.mark.slow
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("n_seeds", [5, 10])
def test_it_covers_new_seeds_and_new_images(n_seeds: int, difference: bool) -> None:
    """Slow: 200 simulated studies."""
    assert 0.91 <= covered(n_seeds, difference) <= 1.0


def test_images_that_differ_between_seeds_are_said() -> None:
    predictions, trials = make_seeds(4, 50, same_images=False)
    found = accuracy_interval(predictions, trials, "a")
    assert math.isnan(found.seeds_and_images.low)
    assert "test images differ" in found.seeds_and_images.note
    assert found.seeds.low < found.seeds.estimate


def test_permuting_seeds_and_images_and_swapping_arms() -> None:
    a, trials = make_seeds(5, 80, right=0.8)
    b, more = make_seeds(5, 80, right=0.9, arm="b", seed=2)
    both = pd.concat([trials, more])
    found = accuracy_interval(a | b, both, "b", "a")
    turned = accuracy_interval(a | b, both.iloc[::-1], "a", "b")
    assert turned.seeds.estimate == pytest.approx(-found.seeds.estimate, abs=1e-12)
    assert turned.seeds_and_images.low == pytest.approx(-found.seeds_and_images.high, abs=1e-9)
    order = {0: 3, 1: 1, 2: 4, 3: 0, 4: 2}
    mixed = accuracy_interval(a | b, both.assign(seed=both["seed"].map(order)), "b", "a")
    assert mixed.seeds_and_images.low == pytest.approx(found.seeds_and_images.low, abs=1e-9)


def test_no_spread_at_all_is_not_certainty() -> None:
    found = accuracy_interval(*from_table(np.ones((3, 20), dtype=bool), "a"), "a")
    assert (found.seeds.estimate, found.seeds.high) == (1, 1)
    assert found.seeds.low == pytest.approx(0.025 ** (1 / 20))  # 20 of 20 images


def test_no_predictions() -> None:
    _, trials = make_seeds(2, 5)
    assert accuracy_interval({}, trials, "a").seeds.note == "no predictions"
