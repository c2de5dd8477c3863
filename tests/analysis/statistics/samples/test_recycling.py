"""Groups of tests under one error rate: against Holm, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from analysis.statistics.samples.recycling import levels, recycle


def test_groups_of_one_test_each_are_holms() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5, 0.0])
    found = np.concatenate(recycle([np.array([v]) for v in p], np.ones(6)))
    assert found == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_a_group_hands_on_its_part_only_when_all_of_it_is_shown() -> None:
    """Two groups with 2.5 % each. The first is done at .04; then the second has 5 %."""
    first, second = recycle([np.array([0.001, 0.02]), np.array([0.03, 0.2])], np.ones(2))
    assert first.tolist() == pytest.approx([0.002, 0.04])
    assert second.tolist() == pytest.approx([0.04, 0.2])
    kept = recycle([np.array([0.001, 0.03]), np.array([0.03, 0.2])], np.ones(2))
    assert kept[1].tolist() == pytest.approx([0.06, 0.2])


def test_a_group_has_its_weight_of_the_error_rate() -> None:
    groups = [np.array([0.03, 0.9]), np.array([0.01, 0.9])]
    first, second = recycle(groups, np.array([3.0, 1.0]))
    assert (first[0], second[0]) == pytest.approx((0.04, 0.04))
    assert levels(groups, np.array([3.0, 1.0]), 0.05) == pytest.approx([0.0375, 0.0125])


def test_the_level_of_a_group_tells_what_is_shown_in_it() -> None:
    draw = np.random.default_rng(1)
    for _ in range(200):
        groups = [np.sort(draw.beta(0.3, 4, draw.integers(1, 4))) for _ in range(4)]
        weights = draw.integers(1, 5, 4).astype(float)
        shown = levels(groups, weights, 0.05)
        for p, among, level in zip(groups, recycle(groups, weights), shown, strict=True):
            assert ((among <= 0.05) == (p <= level)).all()
