"""What pretraining cost against what it saved."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from analysis.measures.times import break_even as break_even_module
from analysis.measures.times.break_even import break_even, break_even_table
from analysis.statistics.times.break_even import BreakEven

NEVER = math.inf


def make_times(arm: str, time: list[float]) -> pd.DataFrame:
    values = np.array(time, dtype=float)
    return pd.DataFrame(
        {
            "trial_id": [f"{arm}{k}" for k in range(len(values))],
            "arm": arm,
            "seed": range(len(values)),
            "time": np.minimum(values, 1000.0),
            "reached": np.isfinite(values),
            "budget": 1000.0,
        }
    )


def make_trials(cost: list[float], shared: bool = False) -> pd.DataFrame:
    """Trials t0 … and c0 … of two arms; tK started from pK, which cost[K] steps were spent on."""
    n = len(cost)
    frame = pd.DataFrame(
        {
            "trial_id": [f"{arm}{k}" for arm in "ptc" for k in range(n)],
            "arm": ["digits"] * n + ["t"] * n + ["c"] * n,
            "seed": [*range(n)] * 3,
            "stage": ["pretrain"] * n + ["arm"] * 2 * n,
            "parent_id": [""] * n + [f"p{0 if shared else k}" for k in range(n)] + [""] * n,
            "steps": [*cost, *[1000] * 2 * n],
        }
    )
    frame["train_time_s"] = frame["steps"] / 10
    alike = {"device": "cpu", "n_workers": 1, "ran_as": "solo"}
    return frame.assign(status="done", batch_size=4, n_train=10**6, **alike)


def measure(
    treatment: list[float], control: list[float], cost: list[float], unit: str = "step"
) -> BreakEven:
    rng = np.random.default_rng(5)
    trials = make_trials(cost)
    return break_even(make_times("t", treatment), make_times("c", control), trials, unit, rng=rng)


def test_by_hand() -> None:
    found = measure([100, 200], [300, 500], [600, 400])
    assert found.saved.estimate == 250
    assert found.cost.estimate == 500
    assert found.net.estimate == -250
    assert found.uses == 2
    assert found.bound is None


def test_units() -> None:
    assert measure([100, 200], [300, 500], [600, 400], "samples").cost.estimate == 2000
    assert measure([100, 200], [300, 500], [600, 400], "train_time_s").cost.estimate == 50


def test_nothing_saved_never_pays() -> None:
    found = measure([300, 310, 290], [200, 215, 195], [600, 600, 600])
    assert found.saved.estimate < 0
    assert found.uses == found.uses_low == found.uses_high == math.inf


def test_a_control_that_never_reached_bounds_the_uses_from_above() -> None:
    found = measure([100, 200, 150], [NEVER, 700, 600], [400, 400, 400])
    assert found.bound == "at least"
    assert found.saved.estimate == pytest.approx((900 + 500 + 450) / 3)
    assert found.saved.high == found.net.high == math.inf
    assert found.uses_low == 0
    assert found.uses <= found.uses_high < math.inf


def test_a_treatment_that_never_reached_bounds_the_uses_from_below() -> None:
    found = measure([100, NEVER, 150], [700, 700, 600], [400, 400, 400])
    assert found.bound == "at most"
    assert found.saved.low == -math.inf
    assert found.uses_high == math.inf


def test_where_both_miss_only_the_cost_is_known() -> None:
    found = measure([NEVER, 100], [100, NEVER], [400, 500])
    assert math.isnan(found.saved.estimate)
    assert math.isnan(found.uses)
    assert found.cost.estimate == 450
    assert "the mean saved is not known" in found.note


def test_limits_of_uses_are_those_that_a_paired_t_test_does_not_reject() -> None:
    rng = np.random.default_rng(2)
    saved, cost = rng.normal(300, 60, 8), rng.normal(900, 150, 8)
    treatment = rng.uniform(100, 200, 8)
    found = measure(list(treatment), list(treatment + saved), list(cost))

    def gap(uses: float) -> float:
        return float(stats.ttest_1samp(cost - uses * saved, 0).pvalue) - 0.05

    centre = cost.mean() / saved.mean()
    assert found.uses == pytest.approx(centre, abs=1e-9)
    assert found.uses_low == pytest.approx(optimize.brentq(gap, 0.1, centre), abs=1e-6)
    assert found.uses_high == pytest.approx(optimize.brentq(gap, centre, 50), abs=1e-6)


def test_an_unsure_saving_leaves_the_uses_open() -> None:
    found = measure([100, 300, 200, 100], [300, 200, 210, 190], [500] * 4)
    assert found.saved.low < 0 < found.saved.estimate
    assert found.uses_high == math.inf
    assert 0 < found.uses_low < found.uses


def test_pretraining_that_started_from_another_counts_whole() -> None:
    trials = make_trials([600, 400])
    first = trials[trials["stage"] == "pretrain"].assign(steps=50)
    first["trial_id"] = ["q0", "q1"]
    trials.loc[trials["stage"] == "pretrain", "parent_id"] = ["q0", "q1"]
    both = pd.concat([trials, first])
    found = break_even(make_times("t", [100, 200]), make_times("c", [300, 500]), both)
    assert found.cost.estimate == 550


def test_a_shared_pretraining_is_said() -> None:
    trials = make_trials([600, 400], shared=True)
    found = break_even(make_times("t", [100, 200]), make_times("c", [300, 500]), trials)
    assert (found.cost.estimate, found.cost.low, found.cost.high) == (600, 600, 600)
    assert "one pretraining served all seeds" in found.note


def test_weights_from_elsewhere_have_no_known_cost() -> None:
    trials = make_trials([600, 400]).assign(parent_id="")
    found = break_even(make_times("t", [100, 200]), make_times("c", [300, 500]), trials)
    assert math.isnan(found.cost.estimate)
    assert found.saved.estimate == 250
    assert "cost not known" in found.note


def test_seconds_of_unlike_machines_are_not_compared() -> None:
    trials = make_trials([600, 400])
    trials.loc[trials["stage"] == "pretrain", "device"] = "gpu"
    times = make_times("t", [100, 200]), make_times("c", [300, 500])
    found = break_even(*times, trials, "train_time_s")
    assert math.isnan(found.uses)
    assert math.isnan(found.cost.estimate)
    assert found.note.startswith("seconds are not comparable: device is cpu against gpu")
    assert break_even(*times, trials, "step").uses == 2


def test_few_pairs() -> None:
    one = measure([100], [300], [500])
    assert one.uses == 2.5
    assert math.isnan(one.uses_low)
    none = break_even(make_times("t", []), make_times("c", []), make_trials([1.0]))
    assert math.isnan(none.uses)
    assert none.n_pairs == 0


def test_table() -> None:
    trials = make_trials([600, 400])
    curves = pd.DataFrame(
        [
            {"trial_id": f"{arm}{k}", "step": 100 * i, "val_accuracy": i / pace}
            for arm, pace in (("t", 2), ("c", 4))
            for k in range(2)
            for i in range(1, 6)
        ]
    )
    found = break_even_table(curves, trials, [("t", "c")], [1.0, 1.5])
    assert found["saved"].tolist() == [200, 200]
    assert found["uses"].tolist() == [2.5, 2.5]
    assert found["bound"].tolist() == ["", "at least"]


def test_the_last_batch_of_an_epoch_counts_the_images_that_it_has():
    trials = pd.DataFrame({"steps": [880, 885], "batch_size": [32, 32], "n_train": [342, 342]})
    assert break_even_module._samples(trials).tolist() == [80 * 342, 80 * 342 + 5 * 32]


def test_two_pairs_that_saved_alike_have_students_limits() -> None:
    """500 ± t · 100 for 200 saved by every use."""
    found = measure([100, 100], [300, 300], [400, 600])
    assert (found.uses, found.uses_low) == (2.5, 0.0)
    assert found.uses_high == pytest.approx((500 + stats.t.ppf(0.975, 1) * 100) / 200)
    assert found.note == ""


@pytest.mark.parametrize("scale", [1e-4, 0.1, 5.0])
def test_uses_have_no_unit(scale: float) -> None:
    draw = np.random.default_rng(2)
    saved, cost = draw.normal(30, 6, 8), draw.normal(90, 15, 8)
    start = draw.uniform(10, 20, 8)
    plain = measure(list(start), list(start + saved), list(cost))
    other = measure(list(start * scale), list((start + saved) * scale), list(cost * scale))
    assert (other.uses, other.uses_low, other.uses_high) == pytest.approx(
        (plain.uses, plain.uses_low, plain.uses_high)
    )
    assert 0 < plain.uses_low < plain.uses < plain.uses_high < math.inf


@pytest.mark.parametrize(
    ("saved", "cost"),
    [
        ((300, 60), (900, 150)),  # both surely above 0
        ((20, 60), (900, 150)),  # what is saved is unsure: open above
        ((300, 60), (10, 150)),  # the cost is unsure: from 0
        ((10, 60), (10, 150)),  # both: nothing is rejected
        ((-300, 60), (900, 150)),  # it costs more: never
    ],
)
def test_limits_of_uses_hold_what_a_paired_t_test_does_not_reject(
    saved: tuple[float, float], cost: tuple[float, float]
) -> None:
    draw = np.random.default_rng(4)
    gains, costs = draw.normal(*saved, 9), draw.normal(*cost, 9)
    start = draw.uniform(400, 500, 9)
    found = measure(list(start), list(start + gains), list(costs))
    for uses in np.linspace(0, 40, 161):
        kept = stats.ttest_1samp(costs - uses * gains, 0).pvalue >= 0.05
        assert kept == (found.uses_low <= uses <= found.uses_high), uses


def test_the_bounds_of_what_is_saved_leave_the_cost_alone() -> None:
    never = measure([100, 200, 150], [NEVER, 700, 600], [400, 500, 400])
    known = measure([100, 200, 150], [800, 700, 600], [400, 500, 400])
    for name in ("estimate", "low", "high"):
        assert getattr(never.cost, name) == getattr(known.cost, name)
    assert never.net.low > -math.inf
    late = measure([100, NEVER, 150], [700, 700, 600], [400, 500, 400])
    assert late.net.high < math.inf
    assert late.net.low == -math.inf
    assert late.uses_low < math.inf


def test_a_table_of_one_pair_has_these_columns() -> None:
    trials = make_trials([600, 400])
    curves = pd.DataFrame(
        [
            {"trial_id": f"{arm}{k}", "step": 100, "val_accuracy": 1.0}
            for arm in "tc"
            for k in (0, 1)
        ]
    )
    found = break_even_table(curves, trials, [("t", "c")], [0.5])
    names = [f"{name}{end}" for name in ("saved", "cost", "net") for end in ("", "_low", "_high")]
    identity = ["treatment", "control", "target", "unit"]
    last = ["uses", "uses_low", "uses_high", "n_pairs", "note"]
    assert sorted(found.columns) == sorted([*identity, *names, "bound", *last])
    row = found.iloc[0]
    assert (row["treatment"], row["control"], row["target"], row["unit"]) == ("t", "c", 0.5, "step")
    assert (row["saved"], row["cost"], row["net"], row["n_pairs"]) == (0, 500, -500, 2)
    assert row["uses"] == math.inf


def test_seconds_of_arms_that_ran_unlike_are_not_compared() -> None:
    trials = make_trials([600, 400])
    trials.loc[trials["arm"] == "c", "device"] = "gpu"
    times = make_times("t", [100, 200]), make_times("c", [300, 500])
    found = break_even(*times, trials, "train_time_s")
    assert found.note.startswith("seconds are not comparable: device is cpu against gpu")
    assert found.bound is None
    assert math.isnan(found.net.estimate)


def test_a_circle_of_parents_ends() -> None:
    trials = make_trials([600, 400])
    trials.loc[trials["trial_id"] == "p0", "parent_id"] = "p0"
    found = break_even(make_times("t", [100, 200]), make_times("c", [300, 500]), trials)
    assert found.cost.estimate == 500


def test_equal_savings_are_known_to_the_distance_between_evaluations() -> None:
    """Five pairs 100 steps apart, evaluated every 50: an SD of 50/√6, also for the uses."""
    times = [make_times("t", [100] * 5), make_times("c", [200] * 5)]
    trials = make_trials([500] * 5)
    blind = break_even(*times, trials)
    assert blind.saved.low == blind.saved.high == 100
    found = break_even(*(side.assign(since=50.0) for side in times), trials)
    half = stats.t.ppf(0.975, 4) * 50 / math.sqrt(6 * 5)
    assert (found.saved.low, found.saved.high) == pytest.approx((100 - half, 100 + half))
    assert (found.uses_low, found.uses_high) == pytest.approx(
        (500 / (100 + half), 500 / (100 - half))
    )
    assert found.cost.low == found.cost.high == 500
