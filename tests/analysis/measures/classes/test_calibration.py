"""Calibration error by hand and against scikit-learn's calibration curve."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_predictions import make_predictions, make_seeds
from sklearn.calibration import calibration_curve

from analysis.measures.classes.calibration import calibration_error, calibration_intervals


def test_by_hand() -> None:
    sure = make_predictions([0, 0, 1, 1], [0, 0, 1, 0], sure=0.875)  # 3 of 4 right at 0.875
    found = calibration_error({"a": sure})
    assert found["ece"].tolist() == pytest.approx([0.125])
    assert found["n_images"].tolist() == [4]


def test_bins_equal_scikit_learns() -> None:
    predictions, _ = make_seeds(1, 500, right=0.6)
    one = predictions["a00"]
    sure = one.probabilities[np.arange(500), one.predicted].astype(float)
    right = one.predicted == one.labels
    share, mean = calibration_curve(right, sure, n_bins=10, strategy="uniform")
    n = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], sure))
    expected = (n[n > 0] * np.abs(share - mean)).sum() / 500
    found = calibration_error(predictions, n_bins=10)["ece"].iloc[0]
    assert found == pytest.approx(expected, abs=1e-9)


def test_interval_over_seeds_and_no_predictions() -> None:
    predictions, trials = make_seeds(4, 100)
    other = pd.DataFrame({"trial_id": ["z"], "arm": "none", "seed": [0]})
    found = calibration_intervals(predictions, pd.concat([trials, other])).set_index("arm")
    errors = calibration_error(predictions)["ece"]
    assert found.loc["a", "estimate"] == pytest.approx(errors.mean())
    assert found.loc["a", "low"] < errors.mean() < found.loc["a", "high"]
    assert math.isnan(found.loc["none", "estimate"])
    assert found.loc["none", "note"] == "no predictions"


def test_no_trials_and_probabilities_that_are_no_numbers() -> None:
    assert calibration_error({}).empty
    broken = make_predictions([0, 1], [0, 1])
    broken.probabilities[:] = np.nan
    assert calibration_error({"a": broken})["ece"].isna().all()
