"""Validation on right labels: the table by hand, and what is said where nothing is sure."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.findings.right_labels import right_table, right_words


def curves() -> pd.DataFrame:
    """Arm a wanders by seed; arm b loses 10 points each step in every seed."""
    return pd.DataFrame(
        {
            "trial_id": f"{arm}{seed}", "task": "t", "arm": arm, "seed": seed, "step": step,
            "val_accuracy": 0.1,
            "val_right_accuracy": 0.5 - 0.1 * step * (arm == "b") + 0.01 * step * (seed - 1),
            "val_right_loss": 2.0 + 0.1 * step,
        }
        for arm in "ba" for seed in (0, 1, 2) for step in (0, 1, 2)
    )  # fmt: skip


def evidence(status: str = "done") -> pd.DataFrame:
    return pd.DataFrame(
        {"trial_id": f"{arm}{seed}", "task": "t", "arm": arm, "status": status, "best_step": 1}
        for arm in "ab"
        for seed in (0, 1, 2)
    )


def test_start_chosen_step_end_and_change_by_hand():
    table = right_table(curves(), evidence())
    assert table["arm"].tolist() == ["a", "b"]  # as the sweep has them
    b = table.iloc[1].to_dict()
    assert (b["n"], b["right_first"], b["loss_last"]) == (3, 0.5, pytest.approx(2.2))
    assert (b["right_chosen"], b["right_last"]) == (pytest.approx(0.4), pytest.approx(0.3))
    half = 4.30265 * 0.02 / 3**0.5  # Student's t, 2 degrees of freedom
    assert b["right_change"] == pytest.approx(-0.2)
    assert b["right_change_low"] == pytest.approx(-0.2 - half, abs=1e-4)


def test_what_is_not_sure_is_not_said_to_rise_or_fall():
    a, b = right_words(right_table(curves(), evidence()))
    assert "accuracy goes (no sure change) from 50.00 %" in a
    assert "accuracy falls from 50.00 % at the start to 30.00 %" in b
    assert "the loss rises from 2.00 to 2.20" in b


def test_nothing_is_said_where_nothing_was_watched():
    assert right_table(curves().drop(columns="val_right_loss"), evidence()).empty
    assert right_table(curves().assign(val_right_accuracy=float("nan")), evidence()).empty
    assert right_table(curves(), evidence("failed")).empty
