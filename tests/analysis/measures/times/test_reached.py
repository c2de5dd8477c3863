"""Times to a target: by hand, against a plain loop, and what must not matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.measures.times.reached import (
    area_under_curve,
    since_evaluation_before,
    times_to_targets,
)
from analysis.statistics.times.course import COURSES
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
        "trial_id", "arm", "seed", "time", "reached", "budget", "target", "unit", "first",
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
    assert list(none.columns)[-3:] == ["target", "unit", "first"]
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


@pytest.mark.parametrize(
    ("accuracy", "reached"), [(0.5, True), (0.5 - 1e-9, True), (0.5 - 2e-9, False)]
)
def test_an_accuracy_is_at_the_target_but_for_rounding(accuracy: float, reached: bool) -> None:
    found = time_to_target(make_curves({"a": [0.1, accuracy]}), done("a"), 0.5)
    assert found["reached"].tolist() == [reached]


def test_an_empty_table_has_the_columns_and_kinds_of_a_full_one() -> None:
    curves = make_curves({"a": [0.1]})
    none, full = times_to_targets(curves, done("a"), []), time_to_target(curves, done("a"), 0.5)
    assert list(none.columns) == list(full.columns)
    numbers = ["seed", "time", "reached", "budget", "target"]
    assert none[numbers].dtypes.tolist() == full[numbers].dtypes.tolist()
    assert times_to_targets(curves, done("a"), [0.5], ()).empty


@pytest.mark.parametrize("name", ["task", "sweep", "stage"])
def test_a_trial_takes_no_budget_from_another_task_sweep_or_stage(name: str) -> None:
    curves = make_curves({"a": [0.1] * 4, "b": [0.1]})
    trials = pd.concat([make_trials({"a": "done"}, "one"), make_trials({"b": "failed"}, "two")])
    assert time_to_target(curves, trials, 0.5)["budget"].tolist() == [40, 40]
    apart = trials.assign(**{name: ["here", "there"]})
    budget = time_to_target(curves, apart, 0.5)["budget"]
    assert budget.tolist()[0] == 40
    assert np.isnan(budget.tolist()[1])


def test_curves_of_other_trials_and_trials_without_a_curve_change_nothing() -> None:
    curves = make_curves({"x": [0.9] * 4, "b": [0.1, 0.6], "a": [0.1, 0.2, 0.7]})
    found = time_to_target(curves, done("a", "none", "b"), 0.5)
    assert found["trial_id"].tolist() == ["a", "none", "b"]
    assert found["time"].tolist() == [30, 30, 20]
    assert found["reached"].tolist() == [True, False, True]


def test_several_units_and_targets_come_unit_by_unit() -> None:
    curves = make_curves({"a": [0.1, 0.5, 0.9]})
    found = times_to_targets(curves, done("a"), [0.5, 0.9], ("step", "samples"))
    assert found[["unit", "target", "time"]].values.tolist() == [
        ["step", 0.5, 20], ["step", 0.9, 30], ["samples", 0.5, 160], ["samples", 0.9, 240],
    ]  # fmt: skip


def test_times_of_several_targets_are_told_from_the_evaluations_before() -> None:
    curves = make_curves({"a": [0.1, 0.5, 0.6], "b": [0.6]})
    times = np.array([[30.0, 10.0], [20.0, 10.0]])
    found = since_evaluation_before(curves, done("a", "b"), times)
    np.testing.assert_array_equal(found, [[10, 10], [10, 10]])


def areas(curves: pd.DataFrame, trials: pd.DataFrame, **options: float) -> list[float]:
    return area_under_curve(curves, trials, **options)["area"].tolist()  # type: ignore[arg-type]


def test_area_in_any_order_of_rows_and_in_any_unit() -> None:
    curves = make_curves({"a": [0.0, 0.4, 0.8], "b": [0.2, 0.4, 0.6]})
    mixed = curves.sample(frac=1, random_state=3)
    trials = done("b", "a")
    assert areas(mixed, trials) == pytest.approx([0.4, 0.4], abs=1e-12)
    for unit in ("samples", "train_time_s"):
        found = area_under_curve(mixed, trials, unit)
        assert found["area"].tolist() == pytest.approx([0.4, 0.4], abs=1e-12)
        assert found["trial_id"].tolist() == ["b", "a"]


def test_a_trial_with_one_evaluation_has_no_area_and_shortens_no_others() -> None:
    curves = make_curves({"a": [0.0, 0.4], "b": [0.6]})
    found = areas(curves, done("a", "b"))
    assert found[0] == pytest.approx(0.2)
    assert np.isnan(found[1])
    two = make_curves({"a": [0.2, 0.4]})
    assert areas(two, done("a")) == pytest.approx([0.3])


def test_area_needs_a_span_that_the_curve_covers() -> None:
    curves = make_curves({"a": [0.0, 0.4, 0.8]})
    trials = done("a")
    assert areas(curves, trials, start=10, until=30) == pytest.approx([0.4])
    assert areas(curves, trials, start=20) == pytest.approx([0.6])
    assert areas(curves, trials, until=20) == pytest.approx([0.2])
    for span in (
        {"start": 5},
        {"until": 31},
        {"start": 20, "until": 20},
        {"start": 30, "until": 10},
    ):
        assert np.isnan(areas(curves, trials, **span)[0]), span
    assert np.isnan(areas(curves, make_trials({"a": "failed"}))[0])


def test_a_missing_accuracy_outside_the_span_does_not_matter() -> None:
    curves = make_curves({"a": [np.nan, 0.4, 0.8, np.nan]})
    assert areas(curves, done("a"), start=20, until=30) == pytest.approx([0.6])
    assert np.isnan(areas(curves, done("a"), start=20, until=40)[0])


def test_area_refuses_what_times_refuse() -> None:
    curves = make_curves({"a": [0.1]})
    with pytest.raises(InputError, match="unit 'epoch'"):
        area_under_curve(curves, done("a"), "epoch")


def test_a_loss_reaches_its_target_from_above() -> None:
    curves = make_curves({"a": [0.9, 0.4, 0.5, 0.1], "b": [2.0, 1.0, 0.7, 0.6]})
    curves = curves.rename(columns={"val_accuracy": "val_loss"})
    times = times_to_targets(curves, done("a", "b"), [0.5, 0.1], course=COURSES["loss"])
    assert times["time"].tolist() == [20, 40, 40, 40]
    assert times["reached"].tolist() == [True, False, True, False]
    area = area_under_curve(curves, done("a"), course=COURSES["loss"])["area"]
    assert area[0] == pytest.approx((0.9 / 2 + 0.4 + 0.5 + 0.1 / 2) / 3)
