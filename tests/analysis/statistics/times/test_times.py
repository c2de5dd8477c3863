"""Times to a target: by hand, against a plain loop, and what must not matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.times.times import (
    area_under_curve,
    since_evaluation_before,
    times_to_targets,
)
from headstart.errors import InputError

STEPS = (10, 20, 30, 40)


def make_curves(accuracies: dict[str, list[float]]) -> pd.DataFrame:
    """One curve a trial, evaluated every 10 steps of 8 images and half a second."""
    rows = [
        {
            "trial_id": trial_id,
            "step": 10 * (k + 1),
            "samples": 80 * (k + 1),
            "train_time_s": 0.5 * (k + 1),
            "val_accuracy": accuracy,
        }
        for trial_id, curve in accuracies.items()
        for k, accuracy in enumerate(curve)
    ]
    columns = ["trial_id", "step", "samples", "train_time_s", "val_accuracy"]
    return pd.DataFrame(rows, columns=columns)


def make_trials(statuses: dict[str, str], arm: str = "scratch") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial_id": list(statuses),
            "stage": "arm",
            "arm": arm,
            "seed": range(len(statuses)),
            "status": list(statuses.values()),
        }
    )


def done(*trial_ids: str) -> pd.DataFrame:
    return make_trials(dict.fromkeys(trial_ids, "done"))


def time_to_target(
    curves: pd.DataFrame, trials: pd.DataFrame, target: float, unit: str = "step"
) -> pd.DataFrame:
    return times_to_targets(curves, trials, [target], (unit,))


def test_first_evaluation_at_or_above_the_target() -> None:
    curves = make_curves({"a": [0.1, 0.5, 0.4, 0.6], "b": [0.1, 0.2, 0.3, 0.4]})
    found = time_to_target(curves, done("a", "b"), 0.5)
    assert list(found.columns) == [
        "trial_id", "arm", "seed", "time", "reached", "budget", "target", "unit",
    ]  # fmt: skip
    assert found["time"].tolist() == [20, 40]
    assert found["reached"].tolist() == [True, False]
    assert found["budget"].tolist() == [40, 40]


@pytest.mark.parametrize(("unit", "time"), [("step", 20), ("samples", 160), ("train_time_s", 1.0)])
def test_units(unit: str, time: float) -> None:
    curves = make_curves({"a": [0.1, 0.5, 0.6, 0.7]})
    assert time_to_target(curves, done("a"), 0.5, unit)["time"].tolist() == [time]


def test_failed_and_diverged_trials_never_reached_and_stand_at_the_sweeps_budget() -> None:
    curves = make_curves({"a": [0.1, 0.2, 0.3, 0.6], "b": [0.9], "c": [0.1, 0.2]})
    trials = make_trials({"a": "done", "b": "diverged", "c": "failed", "no curve": "failed"})
    found = time_to_target(curves, trials, 0.5)
    assert found["reached"].tolist() == [True, False, False, False]
    assert found["time"].tolist() == [40, 40, 40, 40]


def test_budget_of_a_failed_trial_is_its_arms_before_it_is_the_sweeps() -> None:
    curves = make_curves({"a": [0.1] * 2, "b": [0.1] * 4})
    trials = pd.concat(
        [
            make_trials({"a": "done", "broken": "failed"}),
            make_trials({"b": "done"}, "long"),
            make_trials({"alone": "failed"}, "empty"),
        ]
    )
    found = time_to_target(curves, trials, 0.5).set_index("trial_id")["budget"]
    assert found.to_dict() == {"a": 20, "broken": 20, "b": 40, "alone": 40}


def test_a_sweep_in_which_nothing_finished_has_no_budget() -> None:
    found = time_to_target(make_curves({"a": [0.9]}), make_trials({"a": "failed"}), 0.5)
    assert found["time"].isna().all()
    assert not found["reached"].any()


def test_a_missing_accuracy_reaches_nothing() -> None:
    found = time_to_target(make_curves({"a": [np.nan, 0.6, np.nan]}), done("a"), 0.5)
    assert found["time"].tolist() == [20]


def test_no_trials_and_no_targets_give_empty_tables() -> None:
    curves = make_curves({"a": [0.1]})
    assert time_to_target(curves, done(), 0.5).empty
    none = times_to_targets(curves, done("a"), [])
    assert list(none.columns)[-2:] == ["target", "unit"]
    assert none.empty


def test_what_is_wrong_is_said() -> None:
    curves = make_curves({"a": [0.1]})
    with pytest.raises(InputError, match="unit 'epoch' is not one of step, samples, train_time_s"):
        time_to_target(curves, done("a"), 0.5, "epoch")
    with pytest.raises(InputError, match="trial 'a' stands twice"):
        time_to_target(curves, pd.concat([done("a"), done("a")]), 0.5)


accuracies = st.lists(
    st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.6, float("nan")]), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


@given(accuracies, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_agrees_with_a_plain_loop_in_any_order_of_rows(
    curves_of: list[list[float]], random: object
) -> None:
    ids = [f"t{k}" for k in range(len(curves_of))]
    curves = make_curves(dict(zip(ids, curves_of, strict=True)))
    shuffled = curves.sample(frac=1, random_state=random.randrange(1000))  # type: ignore[attr-defined]
    found = time_to_target(shuffled, done(*ids), 0.5)
    for row, curve in zip(found.itertuples(), curves_of, strict=True):
        hits = [value >= 0.5 for value in curve]
        assert row.reached == any(hits)
        assert row.time == 10 * (hits.index(True) + 1 if any(hits) else len(curve))


def test_area_is_the_trapezoid_rule_over_the_common_span() -> None:
    curves = make_curves({"a": [0.0, 0.4, 0.8, 0.8], "b": [0.2, 0.4, 0.6]})
    trials = make_trials({"a": "done", "b": "done", "c": "failed"})
    found = area_under_curve(curves, trials)["area"].tolist()
    a = np.trapezoid([0.0, 0.4, 0.8], [10, 20, 30]) / 20
    assert found[:2] == pytest.approx([a, 0.4], abs=1e-12)
    assert np.isnan(found[2])


def test_area_up_to_a_point_inside_a_segment() -> None:
    curves = make_curves({"a": [0.0, 0.4, 0.8, 0.8]})
    area = area_under_curve(curves, done("a"), start=15, until=25)["area"].tolist()
    assert area == pytest.approx([0.4], abs=1e-12)  # a straight line from 0.2 to 0.6
    assert area_under_curve(curves, done("a"), until=50)["area"].isna().all()


def test_a_time_is_told_from_the_evaluation_before_it() -> None:
    curves = make_curves({"a": [0.1, 0.5], "b": [0.6], "c": [0.2, 0.2, 0.2]})
    curves = curves[(curves["trial_id"] != "c") | (curves["step"] != 20)]
    trials = done("c", "b", "a", "none")
    times = np.array([30.0, 10.0, 20.0, np.nan])
    found = since_evaluation_before(curves, trials, times)
    np.testing.assert_array_equal(found, [20, 10, 10, np.nan])
    seconds = since_evaluation_before(curves, trials, times / 20, "train_time_s")
    np.testing.assert_array_equal(seconds, [1.0, 0.5, 0.5, np.nan])
