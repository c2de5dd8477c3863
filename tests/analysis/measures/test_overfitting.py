"""Gaps between training and validation, and the rise of validation loss: by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.measures.overfitting import overfitting

LOSS = {"a": [2.0, 1.0, 0.5, 0.7, 0.9], "b": [2.0, 1.5, 1.2, 1.1, 1.0]}


def curves(**changes: object) -> pd.DataFrame:
    """Trial a overfits from epoch 1 on, b never does."""
    rows = [
        {
            "trial_id": name, "step": 10 * k, "epoch": k / 2, "val_loss": loss,
            "val_accuracy": 0.8, "train_accuracy": 0.8 + 0.05 * k if k else math.nan,
        }
        for name, its in LOSS.items()
        for k, loss in enumerate(its)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def trials(**changes: object) -> pd.DataFrame:
    rows = {
        "trial_id": ["b", "a"], "status": "done", "best_val_accuracy": [0.8, 0.75],
        "best_train_accuracy": [0.9, 0.7], "best_val_loss": 0.5, "best_train_loss": [0.2, 0.6],
    }  # fmt: skip
    return pd.DataFrame({**rows, **changes}, index=[7, 3])


def test_each_quantity_by_hand() -> None:
    made = overfitting(curves().sample(frac=1, random_state=1), trials())
    assert made.index.tolist() == [7, 3], "the rows of the trials, in their order"
    assert made["accuracy_gap"].tolist() == pytest.approx([0.1, -0.05])
    assert made["loss_gap"].tolist() == pytest.approx([0.3, -0.1])
    assert made["end_accuracy_gap"].tolist() == pytest.approx([0.2, 0.2])
    assert made["loss_rise"].tolist() == pytest.approx([0.0, 0.4])
    assert made["rises_from"].tolist() == [2.0, 1.0]


def test_trials_that_did_not_finish_have_none() -> None:
    made = overfitting(curves(), trials(status=["diverged", "done"]))
    assert made.loc[7].isna().all()
    assert made.loc[3].notna().all()


def test_a_trial_without_a_step_fits_nothing() -> None:
    start = curves().query("step == 0")
    made = overfitting(start, trials(best_train_accuracy=math.nan, best_train_loss=math.nan))
    assert made.isna().all(axis=None)


def test_a_loss_that_is_no_number_is_never_the_lowest() -> None:
    broken = curves()
    broken.loc[(broken["trial_id"] == "a") & (broken["step"] == 20), "val_loss"] = math.nan
    made = overfitting(broken, trials())
    assert made.loc[3, "loss_rise"] == pytest.approx(0.2), "0.9 less 0.7"
    broken.loc[(broken["trial_id"] == "a") & (broken["step"] == 40), "val_loss"] = math.inf
    assert math.isnan(overfitting(broken, trials()).loc[3, "loss_rise"])


def test_what_a_version_before_did_not_record_is_not_known() -> None:
    old = trials().drop(columns=["best_train_accuracy", "best_train_loss"])
    made = overfitting(curves().drop(columns=["train_accuracy", "epoch"]), old)
    unknown = ["accuracy_gap", "loss_gap", "end_accuracy_gap", "rises_from"]
    assert made[unknown].isna().all(axis=None)
    assert made["loss_rise"].tolist() == pytest.approx([0.0, 0.4])
    without = overfitting(curves().drop(columns=["val_loss", "train_accuracy"]), old)
    assert without.isna().all(axis=None)


def test_a_trial_without_a_curve_has_the_gaps_of_its_record_alone() -> None:
    made = overfitting(curves().query("trial_id == 'a'"), trials())
    assert made.loc[7, ["accuracy_gap", "loss_gap"]].tolist() == pytest.approx([0.1, 0.3])
    assert made.loc[7, ["end_accuracy_gap", "loss_rise", "rises_from"]].isna().all()
    assert made.loc[3, "end_accuracy_gap"] == pytest.approx(0.2)
