"""Restlessness of learning curves by hand: falls, spikes, late phases, noise about a course."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest

from analysis.statistics.times.curves import Layout
from analysis.statistics.times.restlessness import (
    largest_falls,
    late_rows,
    n_spikes,
    noise_by_trial,
    sd_by_trial,
)

LAYOUT = Layout.of(np.array([0, 0, 0, 0, 2, 2]), 3)  # trial 1 has no curve


def test_the_last_third_is_late() -> None:
    assert late_rows(LAYOUT).tolist() == [False, False, True, True, False, True]


def test_the_largest_fall_is_below_any_earlier_value() -> None:
    falls = largest_falls(LAYOUT, np.array([0.5, 0.9, nan, 0.6, 0.1, 0.2]))
    np.testing.assert_allclose(falls, [0.3, nan, 0.0])


def test_a_spike_is_a_rise_by_half_or_no_number_any_more() -> None:
    """A rise of 0.03 is under a twentieth of a first loss of 1, and none."""
    loss = np.array([1.0, 0.1, 0.2, inf, 0.04, 0.07])
    np.testing.assert_array_equal(n_spikes(LAYOUT, loss), [2, nan, 1])
    loss[4:] = (1.0, nan)
    np.testing.assert_array_equal(n_spikes(LAYOUT, loss), [2, nan, 1])
    loss = np.array([1.0, 0.02, 0.05, 0.05, 1.0, 1.4])
    np.testing.assert_array_equal(n_spikes(LAYOUT, loss), [0, nan, 0])


def test_noise_about_a_straight_line_is_none_and_of_a_saw_is_known() -> None:
    trial = np.array([0] * 4 + [1] * 4)
    values = np.array([0.0, 1.0, 2.0, 3.0, 1.0, -1.0, 1.0, -1.0])
    noise = noise_by_trial(trial, values, 3)
    np.testing.assert_allclose(noise, [0.0, 4 / sqrt(6), nan])
    sd = sd_by_trial(trial, values, 3)
    assert sd[:2] == pytest.approx([np.std([0, 1, 2, 3], ddof=1), sqrt(4 / 3)])
