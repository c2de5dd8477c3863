"""Kaplan-Meier, restricted means and log-rank against lifelines, scipy and cases by hand."""

from __future__ import annotations

import math

import lifelines
import lifelines.utils
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.measures.times.reached import times_of_rows
from analysis.measures.times.survival import (
    kaplan_meier,
    restricted_mean,
    restricted_mean_difference,
)
from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.times import survival
from headstart.errors import InputError


def make_times(
    time: list[float], reached: list[bool] | None = None, budget: float = 100.0
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": "a",
            "seed": range(len(time)),
            "time": np.array(time, dtype=float),
            "reached": [True] * len(time) if reached is None else reached,
            "budget": budget,
        }
    )


def common_horizon(*arms: pd.DataFrame) -> float:
    return survival.common_horizon(*map(times_of_rows, arms))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def random_times(n: int, seed: int, censored: bool = True) -> pd.DataFrame:
    """Times with ties; some trials were stopped at budgets of their own."""
    draw = np.random.default_rng(seed)
    time = np.ceil(draw.lognormal(3.5, 0.5, n) / 5) * 5
    budget = draw.choice([30.0, 50.0, 100.0], n) if censored else np.full(n, 1000.0)
    return pd.DataFrame(
        {
            "arm": "a",
            "seed": range(n),
            "time": np.minimum(time, budget),
            "reached": time <= budget,
            "budget": budget,
        }
    )


def test_share_reached_by_hand() -> None:
    found = kaplan_meier(make_times([3, 5, 5, 9], [True, True, False, False]))
    assert found["time"].tolist() == [0, 3, 5, 9]
    assert found["share_reached"].tolist() == pytest.approx([0, 1 / 4, 1 - 3 / 4 * 2 / 3, 0.5])
    assert found["at_risk"].tolist() == [4, 4, 3, 1]
    assert found["n_censored"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_kaplan_meier_equals_lifelines(seed: int) -> None:
    times = random_times(25, seed)
    found = kaplan_meier(times)
    fitted = lifelines.KaplanMeierFitter().fit(times["time"], times["reached"])
    survival = fitted.survival_function_["KM_estimate"]
    assert found["time"].to_numpy() == pytest.approx(survival.index.to_numpy())
    assert found["share_reached"].to_numpy() == pytest.approx(1 - survival.to_numpy(), abs=1e-9)
    limits = fitted.confidence_interval_survival_function_
    inside = (found["share_reached"] > 0) & (found["share_reached"] < 1)
    low = 1 - limits["KM_estimate_upper_0.95"].to_numpy()[inside]
    assert found["low"].to_numpy()[inside] == pytest.approx(low, abs=1e-9)


def test_ends_that_the_log_log_interval_leaves_open() -> None:
    none = kaplan_meier(make_times([100] * 5, [False] * 5)).iloc[-1]
    assert (none["low"], none["share_reached"]) == (0, 0)
    assert none["high"] == pytest.approx(stats.binomtest(0, 5).proportion_ci().high)
    everyone = kaplan_meier(make_times([20] * 5)).iloc[-1]
    assert (everyone["high"], everyone["share_reached"]) == (1, 1)
    assert everyone["low"] == pytest.approx(stats.binomtest(5, 5).proportion_ci().low)


@pytest.mark.parametrize("seed", range(5))
def test_intervals_hold_their_estimate(seed: int) -> None:
    found = kaplan_meier(random_times(12, seed))
    assert (found["low"] <= found["share_reached"] + 1e-12).all()
    assert (found["share_reached"] <= found["high"] + 1e-12).all()
    assert found[["low", "high"]].notna().all(axis=None)


@pytest.mark.parametrize("horizon", [22.0, 50.0, 95.0])
@pytest.mark.parametrize("seed", range(4))
def test_restricted_mean_equals_lifelines(seed: int, horizon: float) -> None:
    times = random_times(25, seed)
    fitted = lifelines.KaplanMeierFitter().fit(times["time"], times["reached"])
    expected = lifelines.utils.restricted_mean_survival_time(fitted, t=horizon)
    assert restricted_mean(times, horizon, rng=rng()).estimate == pytest.approx(expected, abs=1e-9)


def test_without_early_censoring_it_is_the_mean_interval_of_the_cut_times() -> None:
    times = make_times([50, 60, 62, 70, 71, 75, 100, 100], [True] * 6 + [False] * 2)
    found = restricted_mean(times, 80, rng=rng())
    expected = mean_interval([50, 60, 62, 70, 71, 75, 80, 80], rng=rng())
    assert (found.low, found.high) == pytest.approx((expected.low, min(expected.high, 80)))
    assert found.low > 0


def test_pseudo_values_are_those_of_leaving_each_trial_out() -> None:
    times = random_times(20, 3)
    horizon = 45.0
    whole = restricted_mean(times, horizon, rng=rng()).estimate
    without = [restricted_mean(times.drop(i), horizon, rng=rng()).estimate for i in times.index]
    pseudo = 20 * whole - 19 * np.array(without)
    expected = mean_interval(pseudo, rng=rng())
    found = restricted_mean(times, horizon, rng=rng())
    shift = whole - pseudo.mean()
    assert found.low == pytest.approx(max(expected.low + shift, 0), abs=1e-9)
    assert found.high == pytest.approx(min(expected.high + shift, horizon), abs=1e-9)


def test_no_trial_reached_is_not_certainty() -> None:
    found = restricted_mean(make_times([100] * 5, [False] * 5), rng=rng())
    assert found.estimate == found.high == 100
    assert found.low == pytest.approx(100 * 0.025**0.2)
    assert "no trial reached" in found.note


def test_difference_is_paired_by_seed() -> None:
    treatment = make_times([10, 20, 30, 40, 50])
    control = make_times([20, 30, 40, 50, 60]).iloc[::-1]
    found = restricted_mean_difference(treatment, control, rng=rng())
    assert (found.estimate, found.low, found.high) == (-10, -10, -10)


def test_difference_says_which_trials_it_left_out() -> None:
    treatment, control = make_times([10, 20, 31]), make_times([20, 30, 40, 50])
    found = restricted_mean_difference(treatment, control)
    assert found.n == 3
    assert "1 trials without a partner" in found.note


def test_horizon_is_as_far_as_every_arm_was_followed() -> None:
    short = make_times([10, 60], [True, False], budget=60)
    assert common_horizon(make_times([10, 20]), short) == 60
    assert common_horizon(make_times([10, 20])) == 100
    assert math.isnan(common_horizon(make_times([])))
    beyond = restricted_mean(short, 80)
    assert math.isnan(beyond.estimate)
    assert "no trial was followed to the horizon 80" in beyond.note


def test_no_trials_are_nan_with_a_note() -> None:
    none = make_times([])
    assert restricted_mean(none).note == "no trials"
    assert math.isnan(restricted_mean_difference(none, make_times([3.0])).estimate)
    assert kaplan_meier(none).empty


def test_permuting_seeds_and_scaling_the_unit() -> None:
    times = random_times(12, 1)
    mixed = times.sample(frac=1, random_state=1)
    a, b = restricted_mean(times, 45, rng=rng()), restricted_mean(mixed, 45, rng=rng())
    assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-9)
    seconds = times.assign(time=times["time"] / 7, budget=times["budget"] / 7)
    c = restricted_mean(seconds, 45 / 7, rng=rng())
    assert (c.low * 7, c.high * 7) == pytest.approx((a.low, a.high), abs=1e-9)


def test_a_seed_that_stands_twice_is_refused() -> None:
    twice = pd.concat([make_times([1.0]), make_times([2.0])])
    with pytest.raises(InputError, match="seed 0 stands twice among the trials of a"):
        restricted_mean_difference(twice, make_times([1.0]))


def test_a_curve_begins_at_nothing_reached() -> None:
    found = kaplan_meier(make_times([3, 5, 5], [True, True, False]))
    assert found.iloc[0].tolist() == [0, 0, 0, 0, 3, 0]
    at_once = kaplan_meier(make_times([0, 5], [True, True]))
    assert at_once["time"].tolist() == [0, 5]
    assert at_once["share_reached"].tolist() == [0.5, 1]
    assert at_once["at_risk"].tolist() == [2, 1]


def test_both_limits_are_lifelines_and_narrow_with_less_confidence() -> None:
    times = random_times(25, 2)
    for confidence in (0.95, 0.8):
        found = kaplan_meier(times, confidence)
        fitted = lifelines.KaplanMeierFitter(alpha=1 - confidence)
        fitted.fit(times["time"], times["reached"])
        limits = fitted.confidence_interval_survival_function_
        inside = (found["share_reached"] > 0) & (found["share_reached"] < 1)
        assert inside.sum() > 5
        for column, side in (("low", "upper"), ("high", "lower")):
            expected = 1 - limits[f"KM_estimate_{side}_{confidence}"].to_numpy()[inside]
            assert found[column].to_numpy()[inside] == pytest.approx(expected, abs=1e-9)


def test_a_time_that_is_not_known_is_left_out_of_the_curve() -> None:
    found = kaplan_meier(make_times([3, math.nan, 5], [True, False, True]))
    assert found["at_risk"].tolist() == [2, 2, 1]


def test_the_lower_limit_holds_once_all_have_reached() -> None:
    found = kaplan_meier(make_times([3, 5, 7, 9]))
    assert (found["low"].iloc[-1], found["high"].iloc[-1]) == (found["low"].iloc[-2], 1)
    assert found["low"].iloc[-2] > 0


def test_reaching_beyond_the_horizon_is_not_reaching() -> None:
    found = restricted_mean(make_times([50, 60, 70]), 50, rng=rng())
    assert (found.estimate, found.high) == (50, 50)
    assert found.low == pytest.approx(50 * 0.025 ** (1 / 3))
    assert "no trial reached" in found.note
    assert restricted_mean(make_times([49, 60, 70]), 50, rng=rng()).note != found.note


def test_a_difference_of_arms_that_never_reached_has_no_interval() -> None:
    never = make_times([100] * 3, [False] * 3)
    found = restricted_mean_difference(never, never, rng=rng())
    assert found.estimate == 0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.note == "no trial of either arm reached the target"
    late = restricted_mean_difference(make_times([60, 70, 80]), never, 60, rng=rng())
    assert math.isnan(late.low)
    other = restricted_mean_difference(make_times([50, 70, 80]), never, 60, rng=rng())
    assert not math.isnan(other.low)


def test_a_horizon_is_the_last_budget_or_the_last_time_that_was_followed() -> None:
    reached = make_times([10, 20], budget=60)
    censored = make_times([10, 50], [True, False], budget=60)
    assert common_horizon(reached) == 60
    assert common_horizon(censored) == 50
    assert common_horizon(reached, censored) == 50
    tied = make_times([50, 50], [True, False], budget=60)
    assert common_horizon(tied) == 50
    assert math.isnan(common_horizon())
    assert math.isnan(common_horizon(reached, make_times([math.nan], [False])))
    unknown = restricted_mean(make_times([math.nan, 3.0], [False, True]), 50)
    assert (unknown.note, unknown.n) == ("a trial's time is not known", 2)


def test_no_trials_have_the_columns_of_a_curve() -> None:
    columns = ["time", "share_reached", "low", "high", "at_risk", "n_censored"]
    for time in ([], [5.0]):
        assert list(kaplan_meier(make_times(time)).columns) == columns
    assert set(kaplan_meier(make_times([])).dtypes) == {np.dtype(float)}


def test_restricted_means_say_their_confidence() -> None:
    times = make_times([50, 60, 70, 90])
    mean = restricted_mean(times, 80)
    expected = mean_interval([50, 60, 70, 80]).within(0, 80)
    assert (mean.low, mean.high) == pytest.approx((expected.low, expected.high))
    assert (mean.n, mean.confidence, mean.method) == (4, 0.95, "student")
    never = restricted_mean(make_times([100] * 5, [False] * 5), rng=rng())
    assert never.low == pytest.approx(100 * 0.025**0.2)
    unknown = restricted_mean(make_times([]), 5)
    assert (unknown.n, unknown.confidence) == (0, 0.95)
    control = make_times([60, 90, 75, 95])
    change = restricted_mean_difference(times, control, 80)
    expected = mean_interval([-10, -20, -5, 0])
    assert (change.estimate, change.low) == pytest.approx((expected.estimate, expected.low))
    assert (change.n, change.confidence, change.note) == (4, 0.95, expected.note)
    neither = restricted_mean_difference(times[:0], control)
    assert (neither.n, neither.confidence, neither.note) == (0, 0.95, "no trials")


def test_an_interval_stays_between_0_and_the_horizon() -> None:
    mean = restricted_mean(make_times([1, 1, 90]), 95)
    assert (mean.low, mean.high) == (0, 95)


def test_the_horizon_itself_was_followed() -> None:
    times = make_times([20, 60], [True, False], budget=60)
    assert restricted_mean(times, 60).estimate == 40
    assert math.isnan(restricted_mean(times, 60.001).estimate)
    assert restricted_mean(make_times([20, 60]), 1e6).estimate == 40  # all reached: for ever


def test_early_censoring_by_hand() -> None:
    """Reached at 10 and 30, censored at 20: the curve is 1 to 10, then 2/3 to 30, then nothing."""
    times = make_times([10, 20, 30], [True, False, True])
    mean = restricted_mean(times, 40)
    assert mean.estimate == pytest.approx(10 + 20 * 2 / 3)
    # Without each: (1 to 30), (1 to 10, 1/2 to 30), (1 to 10, 1/2 to 40).
    pseudo = 3 * (70 / 3) - 2 * np.array([30, 20, 25])
    expected = mean_interval(pseudo)
    shift = 70 / 3 - pseudo.mean()
    assert mean.low == pytest.approx(max(0, expected.low + shift))
    assert mean.high == pytest.approx(min(40, expected.high + shift))
    both = restricted_mean_difference(times, make_times([5, 10, 20]), 40)
    expected = mean_interval(pseudo - [5, 10, 20])
    shift = 70 / 3 - 35 / 3 - (pseudo - [5, 10, 20]).mean()
    assert both.estimate == pytest.approx(35 / 3)
    assert (both.low, both.high) == pytest.approx((expected.low + shift, expected.high + shift))


def test_times_between_few_evaluations_have_students_interval() -> None:
    """Five times of two values: resamples of them are as good as constant in every sixth draw."""
    mean = restricted_mean(make_times([25, 25, 50, 50, 50]))
    half = stats.t.ppf(0.975, 4) * np.std([25, 25, 50, 50, 50], ddof=1) / np.sqrt(5)
    assert (mean.low, mean.high) == pytest.approx((40 - half, 40 + half))
