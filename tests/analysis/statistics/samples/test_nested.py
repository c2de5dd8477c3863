"""Seeds and images nested: values by hand, ends that can be, what must not matter, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.samples.nested import nested_differences, nested_intervals


def table(seed: int, n_seeds: int, n_images: int, right: float) -> np.ndarray:
    draw = np.random.default_rng(seed)
    hard = draw.normal(0, 1.5, n_images)
    chance = 1 / (1 + np.exp(-(right + hard + draw.normal(0, 0.3, (n_seeds, 1)))))
    return (draw.random((n_seeds, n_images)) < chance).astype(np.int8)


def test_by_hand() -> None:
    """Two seeds, four images: 3 and 2 right of 4.

    Mean square of images: means 1, 1, ½, 0 have variance 11/48; over 4 images 11/192. Interaction:
    residuals ±⅛ (six) and ±⅜ (two) square to 3/8; below the two seeds stand four times.
    """
    right = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=np.int8)
    seeds, both = nested_intervals(right)
    plain = mean_interval([0.75, 0.5])
    assert (plain.low, plain.high) == pytest.approx(
        (0.625 - 12.7062 / 8, 0.625 + 12.7062 / 8), 1e-5
    )
    assert (seeds.low, seeds.high, both.low, both.high) == (0, 1, 0, 1)
    difference = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=np.int8)
    over_seeds, nested = nested_differences(np.tile(difference, (4, 1)))
    sd = np.array([0.75, 0.5] * 4).std(ddof=1)
    half = stats.t.ppf(0.975, 7) * sd / math.sqrt(8)
    assert over_seeds.high - 0.625 == pytest.approx(half)
    of_images = 11 / 192 - (4 * 3 / 8) / 21 / 32  # 7 · 3 degrees of freedom, 32 values
    assert nested.low == pytest.approx(0.625 - math.sqrt(half**2 + 1.959964**2 * of_images))


def test_half_width_of_an_accuracy_by_hand() -> None:
    """Four seeds, five images: 4, 3, 3 and 2 right; images 4, 4, 3, 1 and 0 of 4.

    Squares of images about .6: 4 (.4² + .4² + .15² + .35² + .6²) = 3.3, mean 3.3/4; of seeds
    5 (.2² + .2²) = .4; in all 20 · .6 · .4 = 4.8, so 1.1 are left for the interaction, mean 1.1/12.
    """
    right = np.array(
        [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], dtype=np.int8
    )
    seeds, both = nested_intervals(right)
    half_seeds = stats.t.ppf(0.975, 3) * math.sqrt(0.08 / 3 / 4)  # SD of .8, .6, .6, .4
    assert (seeds.estimate, seeds.low) == pytest.approx((0.6, 0.6 - half_seeds))
    of_images = (3.3 / 4 - 1.1 / 12) / 20
    half = math.sqrt(half_seeds**2 + 1.959964**2 * of_images)
    assert both.low == pytest.approx(0.6 - half)
    assert both.high == pytest.approx(min(1.0, 0.6 + half))


def test_two_seeds_have_no_impossible_end() -> None:
    """93 and 95 of 100: Student's interval would reach from 81.3 % to 106.7 %."""
    right = np.zeros((2, 100), dtype=np.int8)
    right[0, :93], right[1, :95] = 1, 1
    for interval in nested_intervals(right):
        assert 0 <= interval.low < 0.94 < interval.high <= 1


@pytest.mark.parametrize("n_right", [0, 14, 20])
def test_equal_seeds_are_clopper_pearson_over_the_images(n_right: int) -> None:
    right = np.zeros((5, 20), dtype=np.int8)
    for row in right:
        row[:n_right] = 1
    exact = stats.binomtest(n_right, 20).proportion_ci(0.95, "exact")
    seeds, images = nested_intervals(right)
    assert seeds == images
    assert (seeds.low, seeds.high) == pytest.approx((exact.low, exact.high))
    assert seeds.method == "Clopper-Pearson over the images"
    assert seeds.n == 5


def test_equal_accuracies_on_other_mistakes_have_width_too() -> None:
    right = np.ones((3, 20), dtype=np.int8)
    right[[0, 1, 2], [4, 5, 6]] = 0
    seeds, images = nested_intervals(right)
    assert seeds.low < 0.95 < seeds.high
    assert images.low < 0.95 < images.high


def test_arms_that_never_differ_are_not_certain() -> None:
    seeds, images = nested_differences(np.zeros((5, 20), dtype=np.int8))
    half = stats.t.ppf(0.975, 4) / (math.sqrt(6) * 20) / math.sqrt(5)
    assert (seeds.low, seeds.high) == pytest.approx((-half, half))
    assert (images.low, images.high) == pytest.approx((-half, half))
    alone, over_images = nested_differences(np.zeros((1, 20), dtype=np.int8))
    assert math.isnan(alone.low)
    assert over_images.high == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize("n_seeds", [2, 3, 5, 12])
def test_it_is_never_narrower_than_over_seeds_alone(n_seeds: int) -> None:
    for seed in range(30):
        right = table(seed, n_seeds, 60, 2.0)
        other = table(seed + 100, n_seeds, 60, 1.5)
        for seeds, both in (nested_intervals(right), nested_differences(right - other)):
            assert both.low <= seeds.low <= seeds.estimate <= seeds.high <= both.high


def test_the_order_of_seeds_and_images_does_not_matter() -> None:
    right, draw = table(3, 9, 50, 1.0), np.random.default_rng(1)
    moved = right[draw.permutation(9)][:, draw.permutation(50)]
    for found, again in zip(nested_intervals(right), nested_intervals(moved), strict=True):
        assert (found.low, found.high) == pytest.approx((again.low, again.high), abs=1e-12)


def test_networks_alone_are_the_mean_interval() -> None:
    right = table(5, 6, 100, 2.0)
    seeds, _ = nested_intervals(right)
    assert seeds == mean_interval(right.mean(axis=1)).within(0, 1)


def test_one_seed_is_over_images_alone() -> None:
    seeds, images = nested_intervals(table(2, 1, 400, 2.0))
    assert math.isnan(seeds.low)
    assert images.note == "one seed: over images alone"
    assert images.low < seeds.estimate < images.high
