"""Columns of stability and overfitting: by hand, and of trials that lack them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.findings.asked import Asked
from analysis.findings.quantities import collapsed, further_metrics, gap_table, with_quantities
from analysis.statistics.times.course import ACCURACY


def trials(**columns: object) -> pd.DataFrame:
    rows = {
        "trial_id": ["a", "b", "c"], "arm": "t", "seed": [0, 1, 2], "task": "s",
        "status": ["done", "done", "diverged"], "n_classes": 10, "n_test": 400,
        "test_accuracy": [0.9, 0.12, math.nan], "best_val_accuracy": [0.8, 0.7, math.nan],
        "best_val_loss": [0.5, 0.6, math.nan],
    }  # fmt: skip
    return pd.DataFrame({**rows, **columns})


def curves() -> pd.DataFrame:
    values = {"a": [0.1, 0.5, 0.6, 0.7, 0.8, 0.9], "b": [0.1] * 6}
    rows = [
        {"trial_id": name, "step": k, "val_accuracy": v, "val_loss": 1.0, "train_loss": 1.0}
        for name, its in values.items()
        for k, v in enumerate(its)
    ]
    return pd.DataFrame(rows)


def test_each_column_by_hand() -> None:
    given = trials(best_train_accuracy=[1.0, 0.9, math.nan], best_train_loss=[0.1, 0.7, math.nan])
    made = with_quantities(given, curves(), "test_accuracy", ACCURACY)
    assert made["final_value"].tolist()[:2] == [0.9, 0.12]
    assert made["late_noise"].isna().all(), "two late evaluations have no noise about a curve"
    assert made["broken"].tolist() == [0.0, 1.0, 1.0], "b is no better than chance, c diverged"
    assert made["accuracy_gap"].tolist()[:2] == pytest.approx([0.2, 0.2])
    assert made["loss_gap"].tolist()[:2] == pytest.approx([0.4, -0.1])
    assert made.loc[2, ["late_noise", "accuracy_gap", "loss_gap"]].isna().all()
    assert further_metrics(made) == (
        *("spread_over_seeds", "broken_runs", "accuracy_gap", "loss_gap", "loss_rise"),
    )


def test_noise_is_of_trials_that_finished() -> None:
    """Of one that diverged the last third of what it has is another part of training."""
    long = pd.concat([curves().assign(trial_id=name, step=range(12)) for name in "abc"])
    made = with_quantities(trials(), long, "test_accuracy", ACCURACY)
    assert made["late_noise"].notna().tolist() == [True, True, False]
    assert "noise_within_a_run" in further_metrics(made)


def test_a_run_collapsed_where_chance_explains_its_accuracy() -> None:
    """At 10 classes and 400 images chance reaches 0.1 + 1.645 · 0.015 = 0.1247 in 5 %."""
    assert collapsed(trials(test_accuracy=[0.124, 0.125, 0.05])).tolist() == [True, False, False]
    unknown = trials().drop(columns="n_classes")
    assert not collapsed(unknown).any()
    known = {"best_val_accuracy": [0.1, 0.9, 0.9], "n_validation": 50}
    on_validation = trials(test_accuracy=math.nan, **known)
    assert collapsed(on_validation).tolist() == [True, False, False]


def test_trials_of_a_version_before_have_no_gap_and_are_asked_nothing_of_it() -> None:
    given = trials(status="done", test_accuracy=0.9)
    made = with_quantities(given, curves(), "test_accuracy", ACCURACY)
    assert further_metrics(made) == ("spread_over_seeds", "loss_rise")
    asked = Asked("s", "", ("s",), ("t",), (), True, (), None, 3, "", {}, "accuracy")
    (row,) = gap_table([asked], made).to_dict("records")
    assert (row["n"], row["n_gap"]) == (3, 0)
    assert row["test_accuracy"] == pytest.approx(0.9)
    assert row["validation_accuracy"] == pytest.approx(0.75)
    assert math.isnan(row["accuracy_gap"])
