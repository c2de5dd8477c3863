"""Intervals over seeds: by hand, against scipy and statsmodels, invariances, coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.samples.intervals import (
    Interval,
    iqm_interval,
    mean_interval,
    mean_intervals,
    median_interval,
    sd_interval,
)
from headstart.errors import InputError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_student_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.302652729696142 / math.sqrt(3)  # t of 2 degrees of freedom, SD 1
    assert (found.estimate, found.method, found.n) == (2.0, "student", 3)
    assert found.low == pytest.approx(2 - half, abs=1e-9)
    assert found.high == pytest.approx(2 + half, abs=1e-9)
    assert "3 values" in found.note


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.97])
    assert found.estimate == 0.97
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.note == "one value: no interval"


def test_equal_values_have_zero_width_and_a_note() -> None:
    found = mean_interval([0.1] * 6, rng=rng())
    assert (found.low, found.estimate, found.high) == (0.1, 0.1, 0.1)
    assert found.note == "all values are equal"


def test_missing_values_are_left_out_and_counted() -> None:
    found = mean_interval([1.0, math.nan, 2.0, 3.0])
    assert (found.n, found.estimate) == (3, 2.0)
    assert "1 missing values left out" in found.note


def test_plain_student_equals_scipy() -> None:
    x = rng(1).normal(size=12)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    found = mean_interval(x, 0.9, "student")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bootstrap_t_equals_a_loop_over_resamples() -> None:
    x = rng(2).gamma(2.0, size=9)
    generator = rng(3)
    order = np.sort((x - x.mean()) / x.std(ddof=1))
    order = order if order[0] + order[-1] > 0 else np.sort(-order)
    t = []
    for row in generator.integers(0, 9, (9_999, 9)):
        sample = order[row]
        with np.errstate(divide="ignore"):
            t.append(sample.mean() / (sample.std(ddof=1) / 3))
    low_t, high_t = np.sort(t)[[249, 9_749]]
    found = mean_interval(x, method="bootstrap-t", rng=rng(3))
    error = x.std(ddof=1) / 3
    assert found.low == pytest.approx(x.mean() - high_t * error, abs=1e-9)
    assert found.high == pytest.approx(x.mean() - low_t * error, abs=1e-9)


def test_auto_is_never_nearer_than_half_way_to_student() -> None:
    for seed in range(20):
        x = rng(seed).standard_t(3, 10)
        auto, plain, student = (
            mean_interval(x, method=method, rng=rng(1))
            for method in ("auto", "bootstrap-t", "student")
        )
        assert auto.low == pytest.approx(min(plain.low, (plain.low + student.low) / 2))
        assert auto.high == pytest.approx(max(plain.high, (plain.high + student.high) / 2))


@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=30),
    st.floats(0.001, 1000),
    st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_permuting_negating_and_scaling_change_nothing(
    counts: list[int], scale: float, seed: int
) -> None:
    x = np.array(counts) / 400
    found = mean_interval(x, rng=rng(seed))
    assert found.low <= found.estimate <= found.high
    for changed, sign in ((rng(1).permutation(x), 1), (-x, -1), (scale * x, scale)):
        other = mean_interval(changed, rng=rng(seed))
        ends = sorted((sign * found.low, sign * found.high))
        assert (other.low, other.high) == pytest.approx(ends, rel=1e-9, abs=1e-9 * scale)


def test_columns_share_draws_and_equal_single_calls() -> None:
    table = rng(4).normal(size=(8, 3))
    together = mean_intervals(table, rng=rng(5))
    for column, found in zip(table.T, together, strict=True):
        alone = mean_interval(column, rng=rng(5))
        assert (alone.low, alone.high) == pytest.approx((found.low, found.high), abs=1e-12)


def test_ties_and_rounding_stay_finite() -> None:
    for x in ([0.99] * 4 + [0.991], [0.99, 0.99, 0.9901, 0.9901, 0.9901], [0, 0, 0, 0, 0, 1]):
        found = mean_interval(x, rng=rng())
        student = mean_interval(x, method="student")
        width = student.high - student.low
        assert 0 < found.high - found.low <= 3.01 * width


@pytest.mark.parametrize("n", [5, 10, 20, 30])
@pytest.mark.parametrize("kind", ["normal", "skewed", "rounded", "lognormal", "t3"])
def test_mean_covers_what_it_promises(n: int, kind: str) -> None:
    """92 % to 98 % within four standard errors of 600 data sets, width at most 1.8 Student's."""
    draw = rng([n, len(kind)])  # type: ignore[arg-type]
    shape = (n, 600)
    data, truth = {
        "normal": (draw.normal(0.98, 0.002, shape), 0.98),
        "skewed": (1 - draw.gamma(2, 0.005, shape), 0.99),
        "rounded": (draw.normal(0.99, 0.001, shape).round(4), 0.99),
        "lognormal": (draw.lognormal(0, 0.5, shape), math.exp(0.125)),
        "t3": (draw.standard_t(3, shape), 0.0),
    }[kind]
    found = [i for part in np.split(data, 3, axis=1) for i in mean_intervals(part, rng=draw)]
    covered = np.mean([i.low <= truth <= i.high for i in found])
    slack = 4 * math.sqrt(0.92 * 0.08 / 600)
    assert 0.92 - slack < covered < 0.98 + slack / 2
    student = 2 * stats.t.ppf(0.975, n - 1) * data.std(axis=0, ddof=1) / math.sqrt(n)
    assert np.median([i.high - i.low for i in found] / np.median(student)) < 1.8


def test_median_interval_by_hand_and_against_scipy() -> None:
    x = np.arange(1.0, 9.0)
    exact = 1 - 2 * stats.binom.cdf(0, 8, 0.5)  # of the range, 0.992
    found = median_interval(x, exact)
    assert (found.low, found.high) == (1.0, 8.0)
    reference = stats.quantile_test(x, p=0.5).confidence_interval(0.95)
    found = median_interval(x)  # interpolated, so inside scipy's, which covers more
    assert reference.low <= found.low < x[2]
    assert x[5] < found.high <= reference.high
    assert found.low + found.high == pytest.approx(9.0)


def test_median_of_five_says_what_its_range_covers() -> None:
    found = median_interval([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found.estimate, found.low, found.high) == (3.0, 1.0, 5.0)
    assert found.confidence == pytest.approx(0.9375)
    assert "covers 94% at most" in found.note


def test_iqm_equals_trim_mean_and_yuen() -> None:
    x = rng(6).gamma(2, size=13)
    found = iqm_interval(x)
    assert found.estimate == pytest.approx(stats.trim_mean(x, 0.25), abs=1e-12)
    yuen = stats.ttest_ind(x, np.zeros(13) + rng(7).normal(0, 1e-9, 13), trim=0.25, equal_var=False)
    half = stats.t.ppf(0.975, 6)
    error = found.estimate / yuen.statistic
    assert found.high - found.estimate == pytest.approx(half * error, rel=1e-6)


def test_sd_interval_of_few_is_chi_squared() -> None:
    found = sd_interval([1.0, 2.0, 3.0])
    low, high = np.sqrt(2 / stats.chi2.ppf([0.975, 0.025], 2))
    assert (found.estimate, found.low, found.high) == pytest.approx((1.0, low, high), abs=1e-9)


def test_sd_interval_follows_bonett() -> None:
    x = np.array([2.0, 4.0, 4.0, 5.0, 7.0, 9.0, 12.0])
    n, z = 7, 1.959963984540054
    centre = stats.trim_mean(x, 1 / (2 * math.sqrt(3)))
    kurtosis = n * ((x - centre) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2
    error = math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    c = n / (n - z)
    found = sd_interval(x)
    assert found.low == pytest.approx(math.sqrt(c * x.var(ddof=1) * math.exp(-z * c * error)))
    assert found.high == pytest.approx(math.sqrt(c * x.var(ddof=1) * math.exp(z * c * error)))


def test_bad_input_is_told_in_one_line() -> None:
    for call, message in (
        (lambda: mean_interval([]), "no values"),
        (lambda: mean_interval([1.0, math.inf]), "infinite"),
        (lambda: mean_interval([1.0, 2.0], method="bca"), "not one of auto, student"),
        (lambda: mean_interval([1.0], 95), "not between 0 and 1"),
    ):
        with pytest.raises(InputError, match=message) as found:
            call()
        assert "\n" not in str(found.value)


def test_a_sample_that_is_its_own_mirror_image_has_an_interval_that_is_too():
    values = np.array([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0])
    found = mean_interval(values, rng=np.random.default_rng(3))
    assert found.low == pytest.approx(-found.high, rel=1e-9)
    assert found.high > 0


def test_an_interval_says_itself_how_it_becomes_columns() -> None:
    interval = Interval(0.5, 0.4, 0.7, 0.95, "student", 8, "few").noted("more")
    assert interval.columns() == {"estimate": 0.5, "low": 0.4, "high": 0.7}
    assert interval.columns("sd", "sd_", ("n", "note")) == {
        "sd": 0.5, "sd_low": 0.4, "sd_high": 0.7, "sd_n": 8, "sd_note": "few; more",
    }  # fmt: skip
    assert interval.within(0.45, 0.6).columns() == {"estimate": 0.5, "low": 0.45, "high": 0.6}
    unknown = Interval.unknown("no trials").within(0, 1)
    assert math.isnan(unknown.low)
    assert (unknown.n, unknown.method, unknown.note) == (0, "none", "no trials")


def said(interval: Interval) -> tuple[str, int, float, str]:
    return interval.method, interval.n, interval.confidence, interval.note


def test_what_each_interval_says_of_itself() -> None:
    left_out, nan = "1 missing values left out", math.nan
    six = [1.0, 2.0, 3.0, 4.0, 6.0, 9.0, nan]
    trusting = "4 values: Student's t, which trusts that they are near normal"
    sd_trusting = "4 values: chi-squared, which trusts that they are normal"
    for interval, expected in (
        (mean_interval(six, 0.8, rng=rng()), ("bootstrap-t (auto)", 6, 0.8, left_out)),
        (mean_interval(six[:6], method="student"), ("student", 6, 0.95, "")),
        (mean_interval(six, method="bootstrap-t", rng=rng()), ("bootstrap-t", 6, 0.95, left_out)),
        (mean_interval(six[2:], 0.8, rng=rng()), ("student", 4, 0.8, f"{trusting}; {left_out}")),
        (mean_interval(np.arange(201.0)), ("student", 201, 0.95, "")),
        (median_interval(six, 0.8), ("order statistics", 6, 0.8, left_out)),
        (median_interval([1.0, nan]), ("none", 1, 0.95, f"one value: no interval; {left_out}")),
        (iqm_interval(six, 0.8), ("trimmed t", 6, 0.8, left_out)),
        (iqm_interval([1.0, nan]), ("none", 1, 0.95, f"one value: no interval; {left_out}")),
        (sd_interval(six, 0.8), ("Bonett", 6, 0.8, left_out)),
        (sd_interval(six[2:], 0.8), ("chi-squared", 4, 0.8, f"{sd_trusting}; {left_out}")),
        (sd_interval([1.0, 1.0]), ("constant", 2, 0.95, "all values are equal")),
        (sd_interval([1.0, nan]), ("none", 1, 0.95, f"one value: no interval; {left_out}")),
    ):
        assert said(interval) == expected
    assert math.isnan(sd_interval([1.0]).estimate)
    assert iqm_interval([3.0]).estimate == median_interval([3.0]).estimate == 3
    assert mean_interval(np.arange(200.0)) == mean_interval(np.arange(200.0))  # fixed draws


def test_up_to_eight_values_no_draw_decides() -> None:
    for n in (5, 8):
        x = rng(n).gamma(2.0, size=n)
        assert mean_interval(x, rng=rng(1)) == mean_interval(x, rng=rng(2)) == mean_interval(x)
    assert mean_interval(rng(9).gamma(2.0, size=9), rng=rng(1)) != mean_interval(
        rng(9).gamma(2.0, size=9), rng=rng(2)
    )


def test_columns_of_unequal_sizes_keep_their_places() -> None:
    table = np.array([[1.0, 5.0, math.nan], [2.0, math.nan, 7.0], [4.0, 6.0, 9.0]])
    for column, interval in zip(table.T, mean_intervals(table, 0.8), strict=True):
        assert interval == mean_interval(column, 0.8)


def test_iqm_of_few_trims_nothing_and_of_four_the_ends() -> None:
    few, student = iqm_interval([1.0, 2.0, 6.0], 0.8), mean_interval([1.0, 2.0, 6.0], 0.8)
    assert (few.low, few.high) == pytest.approx((student.low, student.high))
    four = iqm_interval([0.0, 2.0, 4.0, 100.0])  # winsorized 2 2 4 4: variance 4/3, two are kept
    assert four.estimate == 3
    assert four.high - 3 == pytest.approx(12.7062 * math.sqrt(3 * (4 / 3) / 2), rel=1e-4)


@pytest.mark.parametrize("n", [5, 6])
def test_bonett_of_five_and_six(n: int) -> None:
    """Of five the centre is the median; 1 / (2 √(n - 4)) of six would be trimmed by half."""
    x = np.array([2.0, 4.0, 5.0, 7.0, 12.0, 13.0])[:n]
    z = float(stats.norm.ppf(0.9))
    centre = np.median(x) if n == 5 else stats.trim_mean(x, 1 / (2 * math.sqrt(2)))
    kurtosis = n * ((x - centre) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2
    error, c = math.sqrt((kurtosis - (n - 3) / n) / (n - 1)), n / (n - z)
    ends = [math.sqrt(c * x.var(ddof=1) * math.exp(s * z * c * error)) for s in (-1, 1)]
    interval = sd_interval(x, 0.8)
    assert [interval.low, interval.high] == pytest.approx(ends)
    four = sd_interval(x[:4], 0.8)
    chi2 = stats.chi2.ppf([0.9, 0.1], 3)
    assert [four.low, four.high] == pytest.approx(list(x[:4].std(ddof=1) * np.sqrt(3 / chi2)))


@pytest.mark.parametrize("n", [6, 7, 10, 15])
def test_median_interval_follows_hettmansperger_and_sheather(n: int) -> None:
    x = np.sort(rng(n).normal(size=n))
    covered = [1 - 2 * float(stats.binom.cdf(k, n, 0.5)) for k in range(n // 2 + 1)]
    k = max(i for i, c in enumerate(covered) if c >= 0.9)
    d, share = k + 1, (covered[k] - 0.9) / (covered[k] - covered[k + 1])
    weight = (n - d) * share / (d + (n - 2 * d) * share)
    interval = median_interval(x[::-1], 0.9)
    assert interval.low == pytest.approx((1 - weight) * x[d - 1] + weight * x[d])
    assert interval.high == pytest.approx((1 - weight) * x[n - d] + weight * x[n - d - 1])
    assert interval.estimate == np.median(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([1.0], 0), "confidence 0 is not between 0 and 1"),
        (lambda: mean_interval([1.0], 1), "confidence 1 is not between 0 and 1"),
        (lambda: sd_interval([1.0, -math.inf]), "infinite"),
        (lambda: median_interval([math.nan]), r"no values to estimate from \(1 missing\)"),
    ],
)
def test_limits_of_what_is_accepted(call: Callable[[], Interval], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
