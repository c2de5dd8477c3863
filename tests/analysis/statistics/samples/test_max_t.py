"""Max-|t|: by hand over all sign flips, against Student's t, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.max_t import MaxT, max_t


def t_of(scores: np.ndarray) -> np.ndarray:
    return np.asarray(stats.ttest_1samp(scores, 0).statistic)


def drawn(scores: np.ndarray, level: float = 0.05) -> MaxT:
    return max_t(scores, np.zeros(scores.shape[1]), t_of(scores), level)


def test_step_down_by_hand_over_all_sign_flips() -> None:
    """Every one of the 256 patterns by itself, the largest |t| of the rows that are left."""
    scores = np.random.default_rng(1).normal([1.0, 0.4, 0.7], 1, (8, 3))
    seen = np.abs(t_of(scores))
    order = np.argsort(-seen)
    patterns = np.array(list(itertools.product([-1, 1], repeat=8)))
    flipped = np.array([np.abs(t_of(scores * p[:, None])) for p in patterns])
    steps = [
        (flipped[:, order[j:]].max(axis=1) >= seen[order[j]] * (1 - 1e-9)).mean() for j in range(3)
    ]
    expected = np.empty(3)
    expected[order] = np.maximum.accumulate(steps)
    found = drawn(scores)
    assert found.exact
    assert found.p_values(t_of(scores)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_a_rotation_of_one_column_is_students_t(n: int) -> None:
    column = np.random.default_rng(n).gamma(2, 1, (n, 1))
    found = drawn(column)
    assert not found.exact
    p = 2 * stats.t.sf(np.abs(t_of(column)), n - 1)
    assert found.p_values(t_of(column)) == pytest.approx(p, abs=0.01)
    assert found.critical(0, 0.05) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=0.04)


def test_equal_columns_cost_nothing_and_separate_ones_nearly_bonferroni() -> None:
    draw = np.random.default_rng(2)
    column = draw.normal(0, 1, (6, 1))
    same = drawn(np.hstack([column, 7 * column, -column])).critical(0, 0.05)
    assert same == pytest.approx(drawn(column).critical(0, 0.05), rel=1e-6)
    apart = np.linalg.qr(draw.normal(0, 1, (6, 3)))[0]
    bonferroni = stats.t.ppf(1 - 0.025 / 3, 5)
    assert 0.85 * bonferroni < drawn(apart).critical(0, 0.05) < 1.02 * bonferroni


@pytest.mark.parametrize("n", [5, 9, 20])
def test_permuting_seeds_swapping_arms_and_changing_units(n: int) -> None:
    """Values in whole steps, so that many tie."""
    draw = np.random.default_rng(3)
    scores = np.round(draw.normal([0.5, 0.0, -0.7, 0.2], 1, (n, 4)) * 2)
    scores[:2] += [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]
    p = drawn(scores).p_values(t_of(scores))
    changed = scores[draw.permutation(n)] * [100.0, -1.0, -0.01, 3.0]
    assert drawn(changed).p_values(t_of(changed)) == pytest.approx(p, abs=1e-9)


def test_a_row_is_above_its_critical_value_exactly_where_its_p_is_small() -> None:
    draw = np.random.default_rng(4)
    for n, level in itertools.product((4, 8, 10, 16), (0.05, 0.02)):
        scores = draw.normal(0.9, 1, (n, 5))
        seen = np.abs(t_of(scores))
        found = drawn(scores, level)
        first = found.order[0]
        above = seen[first] > found.critical(0, level)
        assert above == (found.p_values(seen)[first] <= level)


def test_a_level_that_no_flip_can_reach_takes_rotations() -> None:
    scores = np.random.default_rng(5).normal(3, 1, (8, 2))
    assert drawn(scores, 0.05).exact
    assert not drawn(scores, 0.01).exact
    assert drawn(scores, 0.01).p_values(t_of(scores)).max() < 0.01


def test_rounding_bounds_what_a_column_can_be_by_chance() -> None:
    """Equal differences have no spread: only their rounding keeps t finite, in every draw."""
    scores = np.full((5, 1), 0.02)
    least = np.array([0.02**2 / 6])
    t = np.array([np.sqrt(5 * 6)])
    found = max_t(scores, least, t, 0.05)
    assert np.isfinite(found.maxima).all()
    assert found.maxima.max() <= t[0] * (1 + 1e-9)
    assert np.isfinite(max_t(np.zeros((5, 2)), np.zeros(2), np.zeros(2), 0.05).maxima).all()


@pytest.mark.parametrize("n", [3, 6, 9, 20])
def test_true_differences_do_not_narrow_what_holds_together(n: int) -> None:
    """Shifted columns look alike; around their own means they do not."""
    draw = np.random.default_rng(6)
    noise = draw.normal(0, 1, (n, 4))
    apart = drawn(noise).together(0.05)
    assert drawn(noise + np.array([9.0, 12.0, 8.0, 20.0])).together(0.05) == pytest.approx(
        apart, rel=0.05
    )
    alone, bonferroni = stats.t.ppf(0.975, n - 1), stats.t.ppf(1 - 0.025 / 4, n - 1)
    assert 0.97 * alone < apart < 1.05 * bonferroni
    one = drawn(np.hstack([noise[:, :1]] * 3)).together(0.05)
    assert one == pytest.approx(alone, rel=0.05)
    assert drawn(noise).together(1e-6) == np.inf
