"""Bootstrap-t and sign flips: by hand, against loops and scipy, whatever the order and the sign."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.resampling import (
    all_signs,
    bootstrap_t,
    draw_counts,
    every_resample,
    sign_flip_test,
    signed_rank_test,
    standardize,
    student_quantile,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_standardized_columns_by_hand() -> None:
    columns = np.array([[3.0, -3.0, 5.0, 0.1, 0.0], [1.0, -1.0, 1.0, 0.1, 0.0],
                        [8.0, -8.0, 3.0, 0.1, 0.0]])  # fmt: skip
    z, mean, sd, sign = standardize(columns)
    assert mean.tolist() == [4, -4, 3, 0.1, 0]
    assert sd.tolist() == pytest.approx([math.sqrt(13), math.sqrt(13), 2, 0, 0])
    assert sign.tolist() == [1, -1, 1, 1, 1]  # 1 3 8: the longer tail is above already
    assert z[:, 0].tolist() == pytest.approx([e / math.sqrt(13) for e in (-3, -1, 4)])
    assert z[:, 1].tolist() == z[:, 0].tolist()
    assert z[:, 2].tolist() == [-1, 0, 1]  # its own mirror
    assert not z[:, 3:].any()
    assert np.sort(mean + sign * sd * z, axis=0) == pytest.approx(np.sort(columns, axis=0))


def test_a_spread_of_rounding_is_none() -> None:
    near = np.array([[1.0, 1.0], [1.0 + 1e-12, 1.0 + 1e-9]])
    z, mean, sd, _ = standardize(near)
    assert (sd[0], z[:, 0].tolist(), mean[0]) == (0, [0, 0], 1 + 5e-13)
    assert sd[1] > 0


def test_counts_are_those_of_drawn_indices() -> None:
    counts = draw_counts(4, rng(), 50)
    index = rng().integers(0, 4, (50, 4))
    assert counts.tolist() == [[(row == k).sum() for k in range(4)] for row in index]
    assert draw_counts(3, rng()).shape == (9_999, 3)


@pytest.mark.parametrize(
    ("n_draws", "confidence", "rank"), [(999, 0.95, 24), (998, 0.95, 23), (999, 0.5, 249)]
)
def test_quantiles_of_the_bootstrapped_t_equal_a_loop(
    n_draws: int, confidence: float, rank: int
) -> None:
    z, *_ = standardize(rng(1).gamma(2.0, size=(8, 2)))
    index = rng(2).integers(0, 8, (n_draws, 8))
    counts = np.array([[(row == k).sum() for k in range(8)] for row in index], dtype=float)
    ends = bootstrap_t(z, counts, confidence)
    for k in (0, 1):
        with np.errstate(divide="ignore"):
            t = np.sort(stats.ttest_1samp(z[index, k], 0, axis=1).statistic)
        assert ends[:, k].tolist() == pytest.approx([t[rank], t[-1 - rank]], rel=1e-9)


def test_resamples_without_spread_are_cut_at_three_times_students() -> None:
    z = np.array([[-0.5], [-0.5], [-0.5], [-0.5], [2.0]])
    counts = np.tile([5.0, 0, 0, 0, 0], (99, 1))
    counts[:40] = [0, 0, 0, 0, 5]
    ends = bootstrap_t(z, counts, 0.9)
    furthest = 3 * student_quantile(4, 0.9)
    assert ends[:, 0].tolist() == pytest.approx([-furthest, furthest])
    zero = bootstrap_t(np.array([[-1.0], [0.0], [1.0]]), np.tile([0.0, 3, 0], (99, 1)), 0.9)
    assert zero[:, 0].tolist() == [0, 0]


def test_student_quantile_is_scipys() -> None:
    assert student_quantile(4, 0.95) == pytest.approx(2.7764451)
    assert student_quantile(1, 0.5) == pytest.approx(1.0)


def test_sign_flips_by_hand() -> None:
    """Of 1, 2, 4 with signs + + -: |1 + 2 - 4| = 1 is the least of all eight sums."""
    columns = np.array([[1.0, 1.0, 0.0, 2.0], [2.0, 2.0, 0.0, 2.0], [-4.0, 4.0, 0.0, -2.0]])
    p, floor, error = sign_flip_test(columns, rng())
    assert p.tolist() == [1, 0.25, 1, 1]
    assert (floor, error.tolist()) == (0.25, [0, 0, 0, 0])
    assert sign_flip_test(-1e6 * columns[::-1], rng())[0].tolist() == p.tolist()


def test_sign_flips_are_exact_to_16_and_drawn_beyond() -> None:
    for n in (16, 40):
        d = np.arange(1.0, n + 1)[:, None] * 0.1
        p, floor, error = sign_flip_test(d, rng())
        if n == 16:
            assert (p[0], floor, error[0]) == (2**-15, 2**-15, 0)
        else:
            assert (p[0], floor) == (1e-4, 1e-4)
            assert error[0] == pytest.approx(math.sqrt(1e-4 * (1 - 1e-4) / 9_999))


@pytest.mark.parametrize(("n", "slack"), [(16, 1e-9), (20, 0.02)])
def test_sign_flips_of_equal_sizes_are_the_sign_test(n: int, slack: float) -> None:
    d = np.where(np.arange(n) < 6, -0.1, 0.1)[:, None]
    assert sign_flip_test(d, rng())[0][0] == pytest.approx(stats.binomtest(6, n).pvalue, abs=slack)


def test_17_pairs_are_drawn() -> None:
    assert sign_flip_test(np.ones((17, 1)), rng())[1] == 1e-4


def test_drawn_sign_flips_equal_a_loop() -> None:
    d = rng(3).normal(0.2, 1, (20, 2))
    p, _, error = sign_flip_test(d, rng(4))
    signs = rng(5).choice([-1.0, 1.0], (20_000, 20))
    share = (np.abs(signs @ d) >= np.abs(d.sum(axis=0))).mean(axis=0)
    assert p == pytest.approx(share, abs=0.02)
    assert error == pytest.approx(np.sqrt(p * (1 - p) / 9_999))


@pytest.mark.parametrize("n", [5, 16, 17, 50, 51])
def test_signed_ranks_without_ties_are_scipys(n: int) -> None:
    d = rng(n).normal(0.3, 1, (n, 2))
    method = "exact" if n <= 50 else "approx"
    expected = [stats.wilcoxon(column, method=method).pvalue for column in d.T]
    assert signed_rank_test(d).tolist() == pytest.approx(expected)


def test_signed_ranks_drop_zeros_and_share_ties() -> None:
    few = np.array([[0.0], [1.0], [1.0], [-1.0], [3.0]])  # ranks 2, 2, -2, 4: sum 6 of 10
    sums = [abs(a * 2 + b * 2 + c * 2 + d * 4) for a in (1, -1) for b in (1, -1)
            for c in (1, -1) for d in (1, -1)]  # fmt: skip
    assert signed_rank_test(few)[0] == pytest.approx(np.mean(np.array(sums) >= 6))
    many = np.array([0.0] * 3 + [1.0] * 9 + [-2.0] * 4 + [3.0] * 5)[:, None]
    expected = stats.wilcoxon(many[many != 0], method="approx").pvalue
    assert signed_rank_test(many)[0] == pytest.approx(expected)
    assert signed_rank_test(np.zeros((4, 1)))[0] == 1
    assert signed_rank_test(np.zeros((20, 2))).tolist() == [1, 1]


def test_all_signs_by_hand() -> None:
    assert sorted(all_signs(3).tolist()) == [[1, -1, -1], [1, -1, 1], [1, 1, -1], [1, 1, 1]]
    assert all_signs(1).tolist() == [[1]]


def test_every_resample_by_hand() -> None:
    """Of two values: both twice with chance 1/4, each once with 1/2."""
    counts, chances = every_resample(2)
    assert counts.tolist() == [[2, 0], [1, 1], [0, 2]]
    assert chances == pytest.approx([0.25, 0.5, 0.25])
    counts, chances = every_resample(8)
    assert len(counts) == 6435
    assert chances.sum() == pytest.approx(1)
    assert chances @ counts == pytest.approx(np.ones(8))


def test_all_resamples_weighed_are_all_ordered_resamples_counted() -> None:
    """4⁴ = 256 ordered resamples of 4 values, each of one weight, against the 35 multisets."""
    z = standardize(np.array([[0.1], [0.7], [0.9], [3.0]]))[0]
    rows = np.stack(np.meshgrid(*[range(4)] * 4), axis=-1).reshape(-1, 4)
    ordered = np.stack([(rows == i).sum(axis=1) for i in range(4)], axis=1).astype(float)
    equal = np.full(256, 1 / 256)
    counts, chances = every_resample(4)
    for confidence in (0.5, 0.8, 0.9):
        found = bootstrap_t(z, counts, confidence, chances)
        assert found == pytest.approx(bootstrap_t(z, ordered, confidence, equal), abs=1e-9)
