"""Pairs of times by hand: what lies between which ends, and how a mean of them is to be read."""

from __future__ import annotations

from math import inf, isnan, log, nan

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.times.paired_times import (
    NO_PAIRS,
    Ends,
    Median,
    mean_intervals_of,
    pair_by_seed,
)


def make_times(arm: str, times: dict[int, tuple[float, bool]]) -> pd.DataFrame:
    """One row a seed: its time, and whether the target was reached."""
    return pd.DataFrame(
        {
            "trial_id": [f"{arm}{seed}" for seed in times],
            "arm": arm,
            "seed": list(times),
            "time": [float(time) for time, _ in times.values()],
            "reached": [reached for _, reached in times.values()],
        }
    )


def ends(least: list[float], most: list[float]) -> Ends:
    return Ends(np.array(least, float), np.array(most, float))


@pytest.mark.parametrize(
    ("least", "most", "value", "bound", "reading"),
    [
        (2.0, 2.0, 2.0, None, 2.0),
        (2.0, inf, nan, "at least", 2.0),
        (-inf, 3.0, nan, "at most", 3.0),
        (-inf, inf, nan, None, nan),
        (2.0, 3.0, nan, None, nan),
        (nan, nan, nan, None, nan),
    ],
)
def test_a_median_is_a_number_or_a_bound_or_nothing(
    least: float, most: float, value: float, bound: str | None, reading: float
) -> None:
    median = Median(least, most, 0.0, 0.0)
    assert median.bound == bound
    np.testing.assert_equal((median.value, median.reading), (value, reading))


@pytest.mark.parametrize(
    ("least", "most", "known", "bound", "values"),
    [
        ([1, 2], [1, 2], True, None, [1, 2]),
        ([1, 2], [1, inf], True, "at least", [1, 2]),
        ([-inf, 2], [1, 2], True, "at most", [1, 2]),
        ([-inf, 2], [1, inf], False, None, [nan, nan]),
        ([-inf, -inf], [inf, inf], False, None, [nan, nan]),
        ([], [], False, None, []),
    ],
)
def test_a_mean_of_ends_is_a_number_or_a_bound_or_nothing(
    least: list[float], most: list[float], known: bool, bound: str | None, values: list[float]
) -> None:
    found = ends(least, most)
    assert (found.known, found.bound) == (known, bound)
    np.testing.assert_array_equal(found.values, values)


def test_the_limits_of_a_median_are_order_statistics() -> None:
    """Of 6 pairs at 95 % the least and the most: 2 · 0.5⁶ is 3 %."""
    six = ends([5, 1, 4, 2, 3, 6], [6, 7, 5, 3, 4, 2]).median()
    assert six == Median(3.5, 4.5, 1.0, 7.0)
    five = ends([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).median()
    assert (five.least, five.most) == (3.0, 3.0)
    assert isnan(five.low)
    assert isnan(five.high)
    none = ends([], []).median()
    assert all(isnan(value) for value in (none.least, none.most, none.low, none.high))


@pytest.mark.parametrize("n", [8, 9, 20, 35])
def test_limits_of_a_median_cover_and_the_next_ones_do_not(n: int) -> None:
    values = np.arange(1.0, n + 1)
    found = Ends(values, values).median()
    rank = int(found.low)
    assert found.high == n + 1 - rank
    assert 1 - 2 * stats.binom.cdf(rank - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(rank, n, 0.5) < 0.95


def test_a_median_of_open_ends() -> None:
    found = ends([1, 2, 3, -inf, -inf, -inf], [1, 2, 3, 4, 5, inf]).median()
    assert (found.least, found.most, found.low, found.high) == (-inf, 3.5, -inf, inf)
    assert (found.bound, found.reading) == ("at most", 3.5)


def test_rows_are_aligned_by_seed_and_the_others_counted() -> None:
    treatment = make_times("t", {2: (20, True), 0: (10, True), 9: (30, True)})
    control = make_times("c", {0: (40, True), 1: (50, True), 2: (60, False)})
    pairs = pair_by_seed(treatment, control)
    assert len(pairs) == 2
    assert pairs.treatment["seed"].tolist() == pairs.control["seed"].tolist() == [0, 2]
    assert pairs.n_reached == (2, 1)
    assert pairs.note == "2 trials without a partner of the same seed left out"
    assert pairs.describe() == (
        "1 of 2 control trials never reached the target; "
        "2 trials without a partner of the same seed left out"
    )


def test_nothing_is_said_where_all_reached_and_none_is_alone() -> None:
    times = {0: (10.0, True), 1: (20.0, True)}
    pairs = pair_by_seed(make_times("t", times), make_times("c", times))
    assert (pairs.note, pairs.describe()) == ("", "")
    nobody = pair_by_seed(make_times("t", {0: (1, True)}), make_times("c", {1: (1, True)}))
    assert (len(nobody), nobody.describe()) == (0, NO_PAIRS)
    missed = pair_by_seed(make_times("t", {0: (9, False)}), make_times("c", {0: (9, True)}))
    assert missed.describe() == "1 of 1 treatment trials never reached the target"


def test_ratios_and_differences_lie_between_these_ends() -> None:
    """Reached by both, by the treatment, by the control, by none; a time that is not known."""
    treatment = make_times(
        "t", {0: (10, True), 1: (10, True), 2: (50, False), 3: (50, False), 4: (nan, False)}
    )
    control = make_times(
        "c", {0: (40, True), 1: (50, False), 2: (40, True), 3: (50, False), 4: (40, True)}
    )
    pairs = pair_by_seed(treatment, control)
    ratios, saved = pairs.log_ratios(), pairs.saved()
    np.testing.assert_allclose(ratios.least, [log(4), log(5), -inf, -inf, -inf])
    np.testing.assert_allclose(ratios.most, [log(4), inf, log(0.8), inf, inf])
    np.testing.assert_array_equal(saved.least, [30, 40, -inf, -inf, -inf])
    np.testing.assert_array_equal(saved.most, [30, inf, -10, inf, 40])


def test_a_trial_that_was_there_at_once_lies_below_its_own_first_evaluation() -> None:
    treatment = make_times("t", {0: (0, True), 1: (0, True), 2: (8, True), 3: (0, False)})
    control = make_times("c", {0: (40, True), 1: (0, True), 2: (0, True), 3: (4, True)})
    unknown = pair_by_seed(treatment, control).log_ratios()
    np.testing.assert_array_equal(unknown.least[:2], [-inf, 0])
    treatment, control = treatment.assign(first=4.0), control.assign(first=4.0)
    ratios = pair_by_seed(treatment, control).log_ratios()
    np.testing.assert_allclose(ratios.least, [log(10), 0, -inf, -inf])
    np.testing.assert_allclose(ratios.most, [inf, 0, log(0.5), inf])


def test_intervals_of_samples_are_those_of_each_alone() -> None:
    samples = [
        np.array([1.0, 2.0, 4.0]), np.array([3.0, nan, 1.0]), np.array([]),
        np.array([5.0, 5.5, 9.0]), np.array([1.0, 3.0]),
    ]  # fmt: skip
    found = mean_intervals_of(samples, None)
    for place in (0, 3, 4):
        alone = mean_interval(samples[place])
        assert (found[place].estimate, found[place].low, found[place].high) == pytest.approx(
            (alone.estimate, alone.low, alone.high)
        )
        assert found[place].confidence == 0.95
    for place in (1, 2):
        assert isnan(found[place].estimate)
        assert found[place].n == 0
    assert mean_intervals_of([], None) == []
    (single,) = mean_intervals_of([np.array([7.0])], None)
    assert (single.estimate, single.n) == (7.0, 1)
