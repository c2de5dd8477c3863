"""Learning curves as columns, by hand: first hits, what is not known of a time, mean heights."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from analysis.statistics.times.curves import Layout, first_at_target, mean_heights, since_row_before

# Trial 0 has three rows, trial 1 none, trial 2 two.
LAYOUT = Layout.of(np.array([0, 0, 0, 2, 2]), 3)
STEP = np.array([0.0, 10.0, 30.0, 5.0, 25.0])
VALUE = np.array([0.1, 0.5, 0.4, 0.2, nan])


def test_where_each_trial_begins_and_ends() -> None:
    assert LAYOUT.first.tolist() == [0, 3, 3]
    assert LAYOUT.count.tolist() == [3, 0, 2]
    np.testing.assert_array_equal(LAYOUT.last(STEP), [30, nan, 25])
    assert LAYOUT.first_where(STEP >= 10).tolist() == [1, -1, 4]


def test_a_target_is_reached_from_below_or_from_above_to_the_rounding() -> None:
    assert first_at_target(LAYOUT, VALUE, 0.4).tolist() == [1, -1, -1]
    assert first_at_target(LAYOUT, VALUE, 0.5 + 1e-12).tolist() == [1, -1, -1]
    assert first_at_target(LAYOUT, VALUE, 0.2, lower_is_better=True).tolist() == [0, -1, 3]


def test_a_time_is_known_to_the_row_before_it() -> None:
    found = since_row_before(LAYOUT, STEP, np.array([[30.0, nan, 25.0], [10.0, 0.0, 5.0]]))
    np.testing.assert_array_equal(found, [[20, nan, 20], [10, 0, 5]])


def test_mean_heights_over_the_span_that_all_cover() -> None:
    """From 5 to 25: trial 0 has 0.3, 0.5 and 0.425 there, (0.4 · 5 + 0.4625 · 15) / 20."""
    values = np.array([0.1, 0.5, 0.4, 0.2, 0.4])
    done = np.array([True, True, True])
    found = mean_heights(LAYOUT, STEP, values, done, None, None)
    np.testing.assert_allclose(found, [0.446875, nan, 0.3])
    alone = mean_heights(LAYOUT, STEP, values, np.array([True, False, False]), None, None)
    np.testing.assert_allclose(alone, [(0.3 * 10 + 0.45 * 20) / 30, nan, nan])
    assert mean_heights(LAYOUT, STEP, values, done, 20, 26)[0] == pytest.approx(0.435)
