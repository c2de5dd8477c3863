"""What pretraining cost against what it saved, as arrays; tables are tested in measures."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from analysis.statistics.times.break_even import break_even
from analysis.statistics.times.paired_times import PairedTimes
from analysis.statistics.times.times import Times

PAIRS = PairedTimes(
    Times(np.array([100.0, 200.0]), np.array([True, True])),
    Times(np.array([300.0, 500.0]), np.array([True, True])),
    "one left out",
)


def test_by_hand() -> None:
    result = break_even(PAIRS, np.array([600.0, 400.0]), note="of one pretraining")
    assert (result.saved.estimate, result.cost.estimate, result.net.estimate) == (250, 500, -250)
    ends = stats.ttest_1samp([200.0, 300.0], 0).confidence_interval(0.95)
    np.testing.assert_allclose((result.saved.low, result.saved.high), (ends.low, ends.high))
    assert (result.uses, result.bound, result.n_pairs) == (2, None, 2)
    assert result.note == "of one pretraining; one left out"


def test_what_clashes_has_no_numbers() -> None:
    result = break_even(PAIRS, np.array([600.0, 400.0]), clash="other machines")
    assert all(math.isnan(v) for v in (result.saved.estimate, result.cost.low, result.uses))
    assert result.note.startswith("other machines")
