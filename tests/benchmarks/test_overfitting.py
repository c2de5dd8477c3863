"""Overfitting: false verdicts, verdicts where an arm differs, and what intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.overfitting import measure


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_nothing_is_shown_where_nothing_differs(noise: str) -> None:
    shown, _, alone, together = measure(5, 0.0, noise, 200, np.random.default_rng(3))
    assert shown <= 0.05 + 3 * 0.0154, "three standard errors of 200 sweeps"
    assert alone >= 0.92
    assert together >= 0.95


@pytest.mark.slow
def test_an_arm_that_overfits_more_is_shown_and_its_intervals_hold_the_truth() -> None:
    _, own, alone, together = measure(10, 2.0, "normal", 100, np.random.default_rng(4))
    assert own >= 0.9
    assert alone >= 0.92
    assert together >= 0.95
