"""Whatever a sweep measures: the verdict about its end is that of accuracy, turned round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.measures.pairs.compare import compare_all
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import COURSES

LOSS = COURSES["loss"]


def _sweep(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two arms of `n` seeds; the treatment's accuracy rises faster and ends higher."""
    rng = np.random.default_rng(1)
    trials, curves = [], []
    for arm, rate in (("t", 0.04), ("c", 0.02)):
        for seed in range(n):
            values = 1 - np.exp(-(rate + 0.002 * rng.normal()) * np.arange(0, 100, 5))
            identity = {"trial_id": f"{arm}{seed}", "arm": arm, "seed": seed}
            trials.append({**identity, "status": "done", "test_accuracy": values[-1]})
            curves += [
                {**identity, "step": step, "val_accuracy": value}
                for step, value in zip(range(0, 100, 5), values, strict=True)
            ]
    return pd.DataFrame(trials), pd.DataFrame(curves)


def test_a_loss_is_judged_as_the_accuracy_that_is_its_mirror() -> None:
    """1 - accuracy as a loss: the same times and p-values, differences of the other sign."""
    trials, curves = _sweep(6)
    metrics = ("test_accuracy", "area_under_curve", "steps_to_target")
    rows = compare_all(trials, curves, [Pair("t", "c")], [0.6, 0.8], 0.01, metrics=metrics)
    trials = trials.assign(test_loss=1 - trials["test_accuracy"])
    curves = curves.assign(val_loss=1 - curves["val_accuracy"])
    mirrored = compare_all(
        trials, curves, [Pair("t", "c")], [0.4, 0.2], 0.01,
        metrics=("test_loss", *metrics[1:]), course=LOSS,
    )  # fmt: skip
    assert [row.verdict for row in rows] == ["better"] * 4
    for row, other in zip(rows, mirrored, strict=True):
        sign = 1 if row.is_time else -1
        assert other.verdict == row.verdict
        assert other.estimate == pytest.approx(sign * row.estimate)
        for name in ("p_value", "p_question", "p_equivalence", "factor"):
            assert getattr(other, name) == pytest.approx(getattr(row, name), nan_ok=True), name
        ends = (row.low, row.high) if row.is_time else (-row.high, -row.low)
        assert (other.low, other.high) == pytest.approx(ends)
    assert [row.target_words for row in mirrored[2:]] == ["a loss of 0.4", "a loss of 0.2"]
    assert mirrored[0].question_words == "final loss"
    assert replace(rows[0], course="macro_f1").question_words == "final macro F1"


def test_who_failed_is_taken_at_chance_of_the_metric() -> None:
    trials, curves = _sweep(6)
    trials = trials.assign(test_loss=1 - trials["test_accuracy"], n_classes=10)
    trials.loc[trials["trial_id"] == "c0", ["status", "test_loss"]] = ["diverged", math.nan]
    curves = curves.assign(val_loss=1 - curves["val_accuracy"])
    (row,) = compare_all(
        trials, curves, [Pair("t", "c")], [], None, metrics=("test_loss",), course=LOSS
    )
    by_hand = trials.fillna({"test_loss": math.log(10)}).assign(status="done")
    (other,) = compare_all(
        by_hand, curves, [Pair("t", "c")], [], None, metrics=("test_loss",), course=LOSS
    )
    assert row.n_failed_control == 1
    assert row.p_at_chance == pytest.approx(other.p_value)
