"""Learning curves over seeds, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from analysis.findings.learning import MOST_POINTS, summarize_learning
from analysis.findings.load import load_runs


def _curves(values: dict[str, list[float]], steps: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [
        {"trial_id": t, "arm": "a", "seed": k, "step": s, "samples": s * 10, "train_time_s": s / 10,
         "epoch": s / 100, "val_accuracy": v, "task": "t"}
        for k, (t, column) in enumerate(values.items())
        for s, v in zip(steps, column, strict=False)
    ]  # fmt: skip
    trials = pd.DataFrame({"trial_id": list(values), "status": "done", "arm": "a"})
    return pd.DataFrame(rows), trials


def test_mean_and_student_interval_by_hand() -> None:
    curves, trials = _curves({"x": [0.5, 0.8], "y": [0.7, 0.9], "z": [0.6, 1.0]}, [10, 20])
    band = summarize_learning(curves, trials).bands
    assert band["mean"].tolist() == [0.6, 0.9]
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    np.testing.assert_allclose(band["mean"] - band["low"], half)
    np.testing.assert_allclose(band["high"], [0.6 + half, 1.0])  # no accuracy lies beyond
    assert band["n"].tolist() == [3, 3]


def test_a_trial_that_stopped_early_counts_with_its_last_value() -> None:
    curves, trials = _curves({"x": [0.5], "y": [0.7, 0.9]}, [10, 20])
    assert summarize_learning(curves, trials).bands["mean"].tolist() == [0.6, 0.7]


def test_a_step_at_which_a_loss_was_infinite_has_no_mean() -> None:
    curves, trials = _curves({"x": [0.5, np.inf, 0.9], "y": [0.7, 0.8, 0.7]}, [10, 20, 30])
    band = summarize_learning(curves, trials).bands
    assert band["step"].tolist() == [10, 30]
    assert band["mean"].tolist() == [0.6, 0.8]


def test_one_seed_has_no_interval() -> None:
    curves, trials = _curves({"x": [0.5, 0.8]}, [10, 20])
    assert summarize_learning(curves, trials).bands["low"].isna().all()


def test_trials_that_did_not_finish_are_left_out() -> None:
    curves, trials = _curves({"x": [0.5], "y": [0.9]}, [10])
    trials.loc[1, "status"] = "diverged"
    assert summarize_learning(curves, trials).bands["mean"].tolist() == [0.5]


def test_long_curves_are_thinned_and_runs_limited() -> None:
    steps = list(range(1, 1001))
    curves, trials = _curves({f"t{k}": [0.5] * 1000 for k in range(4)}, steps)
    found = summarize_learning(curves, trials, most_runs=3)
    assert len(found.bands) == MOST_POINTS
    assert found.bands["step"].iloc[[0, -1]].tolist() == [1, 1000]
    assert (found.n_drawn, found.n_trials) == (3, 4)


def test_all_metrics_of_a_run_folder(made_run: Path) -> None:
    runs = load_runs([made_run])
    found = summarize_learning(runs.curves, runs.trials)
    assert set(found.bands["metric"]) == {"val_accuracy", "val_loss", "train_loss"}
    assert (found.bands["low"] <= found.bands["mean"]).all()


def test_what_a_sweep_measures_has_curves_as_well() -> None:
    curves, trials = _curves({"x": [0.5, 0.8], "y": [0.7, 0.9]}, [10, 20])
    curves["val_macro_f1"] = curves["val_accuracy"] / 2
    bands = summarize_learning(curves, trials, also="val_macro_f1").bands
    measured = bands[bands["metric"] == "val_macro_f1"]
    np.testing.assert_allclose(measured["mean"], [0.3, 0.425])
    assert set(summarize_learning(curves, trials).bands["metric"]) == {"val_accuracy"}
