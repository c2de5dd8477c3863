"""Ratios of paired times as arrays, by hand; tables of trials are tested in measures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.times.paired_times import PairedTimes
from analysis.statistics.times.speedup import LogRatio, speedup, speedups, withheld
from analysis.statistics.times.times import Times

NEVER, BUDGET = math.inf, 100.0


def pairs(treatment: list[float], control: list[float]) -> PairedTimes:
    sides = [
        Times(np.minimum(values, BUDGET), np.isfinite(values))
        for values in (np.array(treatment), np.array(control))
    ]
    return PairedTimes(*sides)


def test_two_pairs_by_hand() -> None:
    ratio = speedup(pairs([10, 20], [20, 80]))
    assert ratio.estimate == pytest.approx(math.sqrt(2 * 4))
    half = stats.t.ppf(0.975, 1) * math.log(2) / 2
    assert ratio.low == pytest.approx(ratio.estimate * math.exp(-half))
    assert (ratio.bound, ratio.n_pairs) == (None, 2)


def test_who_never_reached_makes_it_a_bound() -> None:
    ratio = speedup(pairs([10, 20, 10], [20, NEVER, 40]))
    assert (ratio.bound, ratio.high) == ("at least", math.inf)
    assert ratio.estimate == pytest.approx((2 * 5 * 4) ** (1 / 3))
    hidden = withheld(ratio, "other machines")
    assert math.isnan(hidden.estimate)
    assert (hidden.n_reached_control, hidden.note) == (2, f"other machines; {ratio.note}")


def test_a_known_interval_is_taken_for_its_own_pairs_alone() -> None:
    known = LogRatio(mean_interval([math.log(2) - 0.1, math.log(2) + 0.1]), "")
    first, second = speedups([pairs([10, 10], [10, 40])] * 2, [known, None])
    assert first.low == pytest.approx(math.exp(known.interval.low))
    assert second.low == speedup(pairs([10, 10], [10, 40])).low
