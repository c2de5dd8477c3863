"""Classification as a whole: 62 classes, one seed, one arm, nothing at all, redrawn test images."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from made_predictions import make_seeds

from analysis.measures.classes.calibration import calibration_intervals
from analysis.measures.classes.mistakes import mcnemar, often_wrong
from analysis.measures.classes.scores import class_differences, confusion, score_intervals
from analysis.measures.classes.two_way import accuracy_interval
from analysis.statistics.samples.predictions import Predictions

PredictionsById = dict[str, Predictions]


def run_all(
    predictions: PredictionsById, trials: pd.DataFrame, n_classes: int
) -> dict[str, pd.DataFrame]:
    """Every table of the rooms `classes` and `pairs` for arms `b` and `a`."""
    names = [f"class {k}" for k in range(n_classes)]
    rng = np.random.default_rng(0)
    confusion(predictions, n_classes)
    two_way = accuracy_interval(predictions, trials, "b", "a")
    return {
        "scores": score_intervals(predictions, trials, names, rng=rng),
        "classes": class_differences(predictions, trials, "b", "a", names),
        "calibration": calibration_intervals(predictions, trials, rng=rng),
        "often wrong": often_wrong(predictions),
        "mcnemar": pd.DataFrame([mcnemar(predictions, trials, "b", "a")]),
        "two way": pd.DataFrame([two_way.seeds, two_way.seeds_and_images]),
    }


def two_arms(n_seeds: int, **options: object) -> tuple[PredictionsById, pd.DataFrame]:
    left, trials = make_seeds(n_seeds, 150, right=0.7, **options)  # type: ignore[arg-type]
    right, more = make_seeds(n_seeds, 150, right=0.8, arm="b", seed=2, **options)  # type: ignore[arg-type]
    return left | right, pd.concat([trials, more])


def test_62_classes() -> None:
    found = run_all(*two_arms(6, n_classes=62), 62)
    assert len(found["scores"]) == 2 * (1 + 6 + 3 * 62)
    assert len(found["classes"]) == 62
    assert found["scores"]["estimate"].notna().all()


def test_one_seed_has_estimates_without_intervals() -> None:
    found = run_all(*two_arms(1), 10)
    assert found["scores"]["estimate"].notna().all()
    assert found["scores"]["low"].isna().all()
    assert found["scores"]["note"].ne("").all()
    assert found["classes"]["p_value"].isna().all()
    assert not found["classes"]["differs"].any()
    assert found["mcnemar"]["n_pairs"].tolist() == [1]


def test_one_arm_has_nothing_to_compare() -> None:
    predictions, trials = make_seeds(5, 150)
    found = run_all(predictions, trials, 10)
    assert len(found["scores"]) == 1 + 6 + 30
    assert found["classes"]["difference"].isna().all()
    assert found["mcnemar"]["n_pairs"].tolist() == [0]
    assert found["two way"]["note"].tolist() == ["no predictions"] * 2


def test_no_predictions_are_rows_of_nan_with_a_note() -> None:
    _, trials = two_arms(3)
    found = run_all({}, trials, 10)
    assert found["scores"]["estimate"].isna().all()
    assert set(found["scores"]["note"]) == {"no predictions"}
    assert found["calibration"]["arm"].tolist() == ["a", "b"]
    assert run_all({}, trials.iloc[:0], 10)["scores"].empty


def test_redrawn_test_images() -> None:
    found = run_all(*two_arms(5, same_images=False), 10)
    assert found["scores"]["low"].notna().all()
    assert found["often wrong"]["n_seen"].min() >= 1
    assert (found["mcnemar"]["n_images"] < 150).all()
    assert math.isnan(found["two way"]["low"].iloc[1])


def test_permuting_seeds_changes_no_table() -> None:
    predictions, trials = two_arms(5)
    order = {0: 2, 1: 4, 2: 0, 3: 1, 4: 3}
    mixed = trials.assign(seed=trials["seed"].map(order)).sample(frac=1, random_state=1)
    here, there = run_all(predictions, trials, 10), run_all(predictions, mixed, 10)
    for name in ("scores", "classes", "calibration", "often wrong", "mcnemar", "two way"):
        pd.testing.assert_frame_equal(here[name], there[name], rtol=1e-9, atol=1e-12)
