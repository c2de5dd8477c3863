"""Ratios of paired times: numbers where all reached, bounds where not, and never the budget."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.measures.conditions import same_conditions
from analysis.measures.times.speedups import At, speedup, speedup_table
from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.times.speedup import LogRatio, Speedup

NEVER = math.inf
BUDGET = 100.0


def make_times(time: list[float], arm: str = "a") -> pd.DataFrame:
    """Rows of `times_to_targets`; NEVER is a trial that was censored at the budget."""
    values = np.array(time, dtype=float)
    return pd.DataFrame(
        {
            "trial_id": [f"{arm}{k}" for k in range(len(values))],
            "arm": arm,
            "seed": range(len(values)),
            "time": np.minimum(values, BUDGET),
            "reached": np.isfinite(values),
            "budget": BUDGET,
            "first": 10.0,
        }
    )


def measure(treatment: list[float], control: list[float]) -> Speedup:
    draw = np.random.default_rng(3)
    return speedup(make_times(treatment, "t"), make_times(control, "c"), rng=draw)


def test_two_pairs_by_hand() -> None:
    found = measure([10, 20], [20, 80])
    assert found.estimate == pytest.approx(math.sqrt(2 * 4))
    half = stats.t.ppf(0.975, 1) * (math.log(4) - math.log(2)) / 2
    assert found.low == pytest.approx(found.estimate * math.exp(-half))
    assert (found.bound, found.n_pairs) == (None, 2)


def test_where_all_reached_it_inverts_the_t_test_of_the_logs() -> None:
    treatment, control = [10, 20, 25, 40, 10, 15], [20, 20, 75, 60, 30, 35]
    found = measure(treatment, control)
    logs = np.log(np.array(control) / np.array(treatment))
    ends = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert found.estimate == pytest.approx(math.exp(logs.mean()), abs=1e-9)
    expected = math.exp(ends.low), math.exp(ends.high)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


def test_a_control_that_never_reached_makes_it_at_least() -> None:
    found = measure([10, 20, 10], [20, NEVER, 40])
    assert found.bound == "at least"
    assert found.estimate == pytest.approx((2 * 5 * 4) ** (1 / 3))
    assert found.high == math.inf
    assert (found.n_reached_treatment, found.n_reached_control) == (3, 2)
    assert "1 of 3 control trials never reached the target" in found.note


def test_a_treatment_that_never_reached_makes_it_at_most() -> None:
    found = measure([20, NEVER, 40], [10, 20, 10])
    assert found.bound == "at most"
    assert found.estimate == pytest.approx((2 * 5 * 4) ** (-1 / 3))
    assert found.low == 0


def test_no_control_reached_at_all() -> None:
    found = measure([10, 20, 25, 10, 10], [NEVER] * 5)
    assert found.bound == "at least"
    assert found.n_reached_control == 0
    assert 1 < found.low < found.estimate < found.high == math.inf


def test_where_both_miss_the_median_stands_in() -> None:
    found = measure([10, 20, 25, 10, 10, NEVER, 20], [20, 40, 50, 30, NEVER, 20, 40])
    assert found.method == "median, order statistics"
    assert "the mean is not known" in found.note
    assert found.estimate == found.median == pytest.approx(2)
    assert (found.low, found.high) == (0, math.inf)  # 7 pairs: the extremes, which are open


def test_where_nobody_reached_nothing_is_known() -> None:
    found = measure([NEVER] * 8, [NEVER] * 8)
    assert math.isnan(found.estimate)
    assert found.bound is None
    assert (found.low, found.high) == (0, math.inf)


def test_median_limits_are_order_statistics_of_the_worst_ends() -> None:
    control = [11.0, 12, 13, 14, 15, 16, 17, 18, NEVER, NEVER]
    found = measure([10.0] * 10, control)
    # Ten pairs: the second smallest to the second largest covers 97.9 %.
    assert (found.median_low, found.median_high) == (pytest.approx(1.2), math.inf)
    assert found.median == pytest.approx(math.sqrt(1.5 * 1.6))
    sure = stats.quantile_test(np.log(np.array(control[:8]) / 10), p=0.5).confidence_interval()
    eight = measure([10.0] * 8, control[:8])
    assert eight.median_low == pytest.approx(math.exp(sure.low))
    assert eight.median_high == pytest.approx(math.exp(sure.high))


def test_there_at_once_is_a_bound_too() -> None:
    found = measure([0, 10, 0], [20, 20, 0])
    assert found.bound == "at least"
    # 0 against 20 with 10 the first evaluation: at least 2; 0 against 0: 1.
    assert found.estimate == pytest.approx((2 * 2 * 1) ** (1 / 3))
    assert measure([20, 20], [0, 10]).bound == "at most"


def test_few_pairs() -> None:
    assert measure([], []).note == "no seed that both arms have"
    one = measure([10], [30])
    assert one.estimate == pytest.approx(3)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_an_unknown_budget_bounds_nothing() -> None:
    control = make_times([20, 30], "c").assign(time=[20.0, math.nan], reached=[True, False])
    found = speedup(make_times([10, 10], "t"), control)
    assert math.isnan(found.estimate)


times = st.lists(
    st.tuples(*[st.sampled_from([5.0, 10.0, 20.0, 45.0, NEVER])] * 2), min_size=1, max_size=9
)


@given(times, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_invariances(pairs: list[tuple[float, float]], random: object) -> None:
    treatment, control = (list(side) for side in zip(*pairs, strict=True))
    with np.errstate(invalid="ignore"):
        logs = np.sort(np.log(treatment) - np.log(control))
    # A sample that is its own mirror image has no sign that could be taken out before drawing.
    assume(not np.allclose(logs, -logs[::-1]))
    found = measure(treatment, control)
    random.shuffle(pairs)  # type: ignore[attr-defined]
    mixed = measure(*(list(side) for side in zip(*pairs, strict=True)))
    swapped = measure(control, treatment)
    names = ("estimate", "low", "high", "median", "median_low", "median_high")
    here = np.array([getattr(found, name) for name in names])
    assert np.array([getattr(mixed, name) for name in names]) == pytest.approx(
        here, rel=1e-9, nan_ok=True
    )
    order = ("estimate", "high", "low", "median", "median_high", "median_low")
    with np.errstate(divide="ignore"):
        turned = 1 / np.array([getattr(swapped, name) for name in order])
    assert turned == pytest.approx(here, rel=1e-9, nan_ok=True)
    # The middle ratio may be of a pair that neither reached: then only its interval is known.
    if found.bound is None and np.isfinite([found.estimate, found.low, found.high]).all():
        assert found.low <= found.estimate * (1 + 1e-9)
        assert found.estimate <= found.high * (1 + 1e-9)


@given(st.integers(0, 10_000), st.floats(40, 90))
@settings(max_examples=40, deadline=None)
def test_a_shorter_budget_never_claims_more(seed: int, budget: float) -> None:
    draw = np.random.default_rng(seed)
    control = draw.uniform(20, 99, 6)
    treatment = control / draw.uniform(1.5, 3, 6)
    whole = measure(list(treatment), list(control))
    cut = speedup(
        make_times(list(treatment), "t"),
        make_times(list(control), "c").assign(
            time=np.minimum(control, budget), reached=control <= budget
        ),
        rng=draw,
    )
    assert cut.bound == (None if (control <= budget).all() else "at least")
    assert cut.estimate <= whole.estimate * (1 + 1e-12)


def make_run(device: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three seeds of two arms; the treatment needs half of the evaluations of the control."""
    rows, curves = [], []
    for arm, pace in (("t", 2), ("c", 4)):
        for seed in range(3):
            trial_id = f"{arm}{seed}"
            rows.append({"trial_id": trial_id, "arm": arm, "seed": seed})
            for k in range(1, 7):
                curves.append({"trial_id": trial_id, "step": 10 * k, "val_accuracy": k / pace})
    trials = pd.DataFrame(rows).assign(stage="arm", status="done", n_workers=1, ran_as="solo")
    trials["device"] = ["cpu"] * 6 if device is None else device
    table = pd.DataFrame(curves)
    return table.assign(samples=table["step"] * 8, train_time_s=table["step"] / 2), trials


def test_table_has_a_row_for_each_pair_and_target() -> None:
    curves, trials = make_run()
    found = speedup_table(curves, trials, [("t", "c"), ("c", "t")], [1.0, 1.6])
    assert found["target"].tolist() == [1.0, 1.6, 1.0, 1.6]
    assert found["estimate"].tolist()[:1] == pytest.approx([2])
    assert found["bound"].tolist() == ["", "at least", "", "at most"]
    assert found["n_pairs"].tolist() == [3] * 4


def test_seconds_are_only_compared_between_trials_that_ran_alike() -> None:
    curves, trials = make_run(["cpu", "cpu", "gpu", "cpu", "cpu", "cpu"])
    found = speedup_table(curves, trials, [("t", "c")], [1.0], unit="train_time_s").iloc[0]
    assert math.isnan(found["estimate"])
    assert math.isnan(found["median"])
    assert found["note"].startswith("seconds are not comparable: device is gpu against cpu")
    steps = speedup_table(curves, trials, [("t", "c")], [1.0]).iloc[0]
    assert steps["estimate"] == pytest.approx(2)
    trials.loc[2, "status"] = "failed"
    assert same_conditions(trials[trials["arm"] == "t"], trials[trials["arm"] == "c"]) == ""


def test_search_and_pretraining_trials_are_not_evidence() -> None:
    curves, trials = make_run()
    other = trials[trials["arm"] == "c"].assign(stage="search")
    other["trial_id"] = "s" + other["trial_id"]
    found = speedup_table(curves, pd.concat([trials, other]), [("t", "c")], [1.0])
    assert found["n_pairs"].tolist() == [3]


def test_an_arm_without_trials_is_a_row_of_nan() -> None:
    curves, trials = make_run()
    found = speedup_table(curves, trials, [("nobody", "c")], [1.0]).iloc[0]
    assert math.isnan(found["estimate"])
    assert found["note"] == "no seed that both arms have"


def test_the_table_has_all_columns_whatever_is_asked() -> None:
    curves, trials = make_run()
    names = ["treatment", "control", "target", "unit", *Speedup.__dataclass_fields__]
    found = speedup_table(curves, trials, [("t", "c")], [1.0], unit="samples")
    assert list(found.columns) == names
    row = found.iloc[0]
    assert (row["treatment"], row["control"], row["unit"]) == ("t", "c", "samples")
    none = speedup_table(curves, trials, [], [1.0])
    assert list(none.columns) == names
    assert none.empty


def test_a_table_without_stages_counts_all_trials() -> None:
    curves, trials = make_run()
    found = speedup_table(curves, trials.drop(columns="stage"), [("t", "c")], [1.0])
    assert found["estimate"].tolist() == pytest.approx([2])


def test_on_cpus_nothing_is_known_of_gpus_and_nothing_differs() -> None:
    _, trials = make_run()
    t, c = trials[trials["arm"] == "t"], trials[trials["arm"] == "c"]
    assert same_conditions(t.assign(driver=None), c.assign(driver=math.nan)) == ""
    assert same_conditions(t.assign(driver=None), c) == "", "a version of before has no such column"
    assert "driver is" in same_conditions(t.assign(driver=None), c.assign(driver="580.65"))


def test_nobodys_seconds_are_those_of_no_arm() -> None:
    curves, trials = make_run(["gpu", "cpu", "cpu", "cpu", "cpu", "cpu"])
    found = speedup_table(curves, trials, [("nobody", "c")], [1.0], unit="train_time_s").iloc[0]
    assert found["note"] == "no seed that both arms have"


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_workers", 2), ("ran_as", "fused"), ("gpu_share", 0.5), ("gpu_workers", 4),
     ("gpu_sharing", "mps"), ("cuda", "12.8"), ("cudnn", "9.1.0"), ("driver", "535.1")],
)  # fmt: skip
def test_seconds_need_equal_processes_ways_and_equal_shares_of_equal_gpus(
    name: str, value: object
) -> None:
    _, trials = make_run()
    trials = trials.assign(
        gpu_share=1.0,
        gpu_workers=1,
        gpu_sharing="alone",
        cuda="13.2",
        cudnn="9.26.0",
        driver="580.65",
    )
    t, c = trials[trials["arm"] == "t"], trials[trials["arm"] == "c"]
    assert same_conditions(t, c) == ""
    other = t.assign(**{name: [t[name].iloc[0], value, t[name].iloc[0]]})
    expected = f"seconds are not comparable: {name} is {value} against {c[name].iloc[0]}"
    assert same_conditions(other, c) == expected
    assert same_conditions(other[other["seed"] != 1], c) == ""


@pytest.mark.parametrize(
    ("estimate", "bound", "target", "is_taken"),
    [
        (math.log(2), "", 1.0, True),
        (math.log(2), "at least", 1.0, False),
        (math.log(2.1), "", 1.0, False),
        (math.log(2), "", 1.6, False),
    ],
)
def test_an_interval_that_a_comparison_has_of_the_same_mean_is_taken(
    estimate: float, bound: str, target: float, is_taken: bool
) -> None:
    curves, trials = make_run()
    plain = speedup_table(curves, trials, [("t", "c")], [1.0]).iloc[0]
    interval = mean_interval([0.1, 0.2, 0.9])
    interval = replace(interval, estimate=estimate, low=0.5, high=0.9)
    known = {At("t", "c", target): LogRatio(interval, bound)}
    found = speedup_table(curves, trials, [("t", "c")], [1.0], known=known).iloc[0]
    limits = (math.exp(0.5), math.exp(0.9)) if is_taken else (plain["low"], plain["high"])
    assert (found["low"], found["high"]) == pytest.approx(limits)
    assert found["estimate"] == pytest.approx(2)


def test_a_bound_is_taken_from_a_comparison_too() -> None:
    curves, trials = make_run()
    plain = speedup_table(curves, trials, [("t", "c")], [1.6]).iloc[0]
    interval = replace(
        mean_interval([0.1, 0.2, 0.9]), estimate=math.log(plain["estimate"]), low=0.1, high=0.9
    )
    known = {At("t", "c", 1.6): LogRatio(interval, "at least")}
    found = speedup_table(curves, trials, [("t", "c")], [1.6], known=known).iloc[0]
    assert (found["low"], found["high"]) == pytest.approx((math.exp(0.1), math.inf))


def test_what_is_told_beside_the_numbers() -> None:
    found = measure([10, NEVER, 30, 40], [20, 40, NEVER, 80])
    assert (found.n_reached_treatment, found.n_reached_control, found.n_pairs) == (3, 3, 4)
    assert found.method == "median, order statistics"
    assert found.note.startswith("median of the ratios: the mean is not known; 1 of 4 treatment")
    number = measure([10, 20, 30], [20, 40, 60])
    assert number.method.startswith("log ratio, ")
    assert number.confidence == 0.95
    assert number.median == pytest.approx(2)
    none = measure([], [])
    assert "median of the ratios" not in none.note


def test_a_ratio_too_large_for_a_float_is_infinite() -> None:
    found = measure([1e-300, 1e-300], [1.0, 99.0])
    assert found.estimate > 1e290
    assert found.high == math.inf
