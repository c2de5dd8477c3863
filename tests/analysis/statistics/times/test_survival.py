"""Kaplan-Meier and restricted means of arrays, by hand; tables of trials are tested in measures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.times.paired_times import PairedTimes
from analysis.statistics.times.survival import (
    common_horizon,
    kaplan_meier,
    restricted_mean,
    restricted_mean_difference,
)
from analysis.statistics.times.times import Times


def times(time: list[float], missed: tuple[int, ...] = (), budget: float = 100.0) -> Times:
    reached = ~np.isin(np.arange(len(time)), missed)
    return Times(np.array(time, float), reached, np.full(len(time), budget))


def test_share_reached_by_hand() -> None:
    curve = kaplan_meier(times([3, 5, 5, 9], missed=(2, 3)))
    assert curve.time.tolist() == [0, 3, 5, 9]
    assert curve.share_reached.tolist() == pytest.approx([0, 1 / 4, 1 - 3 / 4 * 2 / 3, 0.5])
    assert (curve.at_risk.tolist(), curve.n_censored.tolist()) == ([4, 4, 3, 1], [0, 0, 1, 1])
    assert (curve.low <= curve.share_reached).all()
    assert (curve.share_reached <= curve.high).all()


def test_restricted_mean_of_a_trial_that_was_censored_early_by_hand() -> None:
    """The curve is 1 to 10, then 2/3 to 30, then nothing."""
    mean = restricted_mean(times([10, 20, 30], missed=(1,)), 40)
    assert mean.estimate == pytest.approx(10 + 20 * 2 / 3)
    assert common_horizon(times([10, 20, 30], missed=(2,))) == 30
    assert math.isnan(common_horizon())


def test_a_difference_inverts_the_paired_t_test_where_all_reached() -> None:
    treatment, control = [10.0, 20.0, 31.0], [20.0, 25.0, 45.0]
    both = PairedTimes(times(treatment), times(control), "one left out")
    mean = restricted_mean_difference(both)
    ends = stats.ttest_rel(treatment, control).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx((ends.low, ends.high))
    assert mean.note.endswith("one left out")
