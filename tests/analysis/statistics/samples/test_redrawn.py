"""Seeds that redraw one pool: by hand, against the formula's source, and by coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples import redrawn
from analysis.statistics.samples.intervals import mean_interval


def test_by_hand():
    # SD 0.1 over 4 seeds; 20 test and 80 training images: variance 0.01 · (1/4 + 1/4)
    values = np.array([0.8, 0.8 + 0.1 * math.sqrt(3), 0.8, 0.8 + 0.1 * math.sqrt(3)])
    found = redrawn.corrected(values, 0.25)
    sd = values.std(ddof=1)
    half = 3.182446305284263 * sd * math.sqrt(0.5)  # Student's t, 3 degrees of freedom
    assert found.estimate == pytest.approx(values.mean())
    assert found.high - found.estimate == pytest.approx(half)
    assert found.estimate - found.low == pytest.approx(half)
    assert "Nadeau and Bengio" in found.note


def test_without_overlap_it_is_students_and_it_widens_with_overlap():
    values = np.array([0.7, 0.75, 0.8, 0.9, 0.72])
    plain = mean_interval(values, method="student")
    assert redrawn.corrected(values, 0.0).low == pytest.approx(plain.low)
    wide = redrawn.corrected(values, 0.25)
    ratio = (wide.high - wide.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(redrawn.widening(5, 0.25)) == pytest.approx(math.sqrt(2.25))


def test_one_value_has_no_interval_and_accuracies_end_at_1():
    assert math.isnan(redrawn.corrected(np.array([0.8]), 0.25).low)
    assert math.isnan(redrawn.accuracy_interval(np.array([0.8]), 0.25).low)
    found = redrawn.accuracy_interval(np.array([0.9, 1.0, 0.95]), 0.25)
    assert found.high == 1.0
    assert found.low < 0.9


def test_covers_where_students_interval_does_not():
    """A fixed classifier on redrawn test images of one pool, 100 images, 20 tested, 30 seeds."""
    rng = np.random.default_rng(0)
    truth, hits, plain_hits, n = 0.8, 0, 0, 400
    for _ in range(n):
        pool = rng.random(100) < truth
        scores = np.array([rng.permutation(pool)[:20].mean() for _ in range(30)])
        wide = redrawn.corrected(scores, 20 / 80)
        half = stats.t.ppf(0.975, 29) * scores.std(ddof=1) / math.sqrt(30)
        hits += wide.low <= truth <= wide.high
        plain_hits += abs(scores.mean() - truth) <= half
    assert hits / n >= 0.92
    assert plain_hits / n < 0.75


def test_what_a_corrected_interval_says_of_itself():
    values = np.array([0.1, 0.2, 0.1])
    wide = redrawn.corrected(values, 0.25)
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) * math.sqrt(1 / 3 + 0.25)
    assert (wide.low, wide.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (wide.confidence, wide.method, wide.n) == (0.95, "corrected resampled t", 3)
    assert redrawn.accuracy_interval(values, 0.25).low == 0
    two = redrawn.corrected(np.array([0.1, 0.2]), 0.25)
    assert two.high - two.low == pytest.approx(2 * 12.7062 * math.sqrt(0.005 * 0.75), rel=1e-4)
    flat = redrawn.corrected(np.array([0.5, 0.5, 0.5]), 0.25)
    assert (flat.low, flat.high, flat.method) == (0.5, 0.5, "constant")
    plain = redrawn.accuracy_interval(values, 0.0)
    assert plain == mean_interval(values).within(0.0, 1.0)
    equal = redrawn.accuracy_interval(np.full(3, 0.95), 0.0, n_images=20)
    exact = stats.binomtest(19, 20).proportion_ci(0.95, "exact")
    assert (equal.low, equal.high) == pytest.approx((exact.low, exact.high))
    assert redrawn.accuracy_interval(values, 0.25).high == pytest.approx(wide.high)
