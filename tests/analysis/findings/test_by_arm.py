"""The table by arm: mean, median and interquartile mean side by side, and where none is honest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_runs import Arm, Made, write_run

from analysis.findings.asked import read_asked
from analysis.findings.by_arm import arm_table, final_interval, time_interval
from analysis.findings.load import load_runs
from analysis.statistics.samples.intervals import mean_interval


def table_of(folder: Path, **changes: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table, and the trials that it is made of."""
    path = folder / "trials.parquet"
    pd.read_parquet(path).assign(**changes).to_parquet(path)
    runs = load_runs([folder])
    table = arm_table(read_asked(runs), runs.trials, "test_accuracy")
    return table.set_index("arm"), runs.trials


def write(folder: Path, seeds: int, *arms: Arm) -> Path:
    return write_run(folder / "run", Made(arms=arms, seeds=seeds, predictions=False, images=False))


def test_the_middle_equals_numpy_and_scipy(tmp_path: Path) -> None:
    table, trials = table_of(write(tmp_path, 9, Arm("a", failed=(3,))))
    scores = trials["test_accuracy"].dropna()
    row = table.loc["a"]
    assert row["score"] == pytest.approx(scores.mean())
    assert row["median"] == pytest.approx(np.median(scores))
    assert row["iqm"] == pytest.approx(stats.trim_mean(scores, 0.25))
    for name in ("median", "iqm"):
        assert scores.min() <= row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] <= 1


def test_a_median_of_few_seeds_has_no_interval(tmp_path: Path) -> None:
    table, _ = table_of(write(tmp_path, 5, Arm("a")))
    row = table.loc["a"]
    assert np.isfinite([row["median"], row["iqm_low"], row["iqm_high"]]).all()
    assert np.isnan([row["median_low"], row["median_high"]]).all()
    assert row["median_note"] == "5 seeds: too few for an interval of a median"


def test_equal_values_have_no_interval_of_no_width(tmp_path: Path) -> None:
    table, _ = table_of(write(tmp_path, 8, Arm("a")), test_accuracy=0.9, train_time_s=4.0)
    row = table.loc["a"]
    assert row["score_low"] < 0.9 < row["score_high"], "over the test images"
    for name in ("median", "iqm", "train_time_s"):
        assert np.isnan([row[f"{name}_low"], row[f"{name}_high"]]).all()
        assert row[f"{name}_note"] == "all values are equal: no interval"


def test_redrawn_pools_leave_the_mean_its_interval_alone(tmp_path: Path) -> None:
    table, _ = table_of(write(tmp_path, 8, Arm("a")), n_pool=60_200.0)
    row = table.loc["a"]
    assert np.isfinite([row["score_low"], row["median"], row["iqm"]]).all()
    assert np.isnan([row["median_low"], row["iqm_low"], row["iqm_high"]]).all()
    assert row["iqm_note"] == "seeds draw from one pool: no interval"


def test_an_arm_without_a_finished_trial_is_a_row_of_nothing(tmp_path: Path) -> None:
    table, _ = table_of(write(tmp_path, 2, Arm("a"), Arm("b", failed=(0, 1))))
    row = table.loc["b"]
    assert row[["score", "median", "iqm", "train_time_s"]].isna().all()
    assert (row["n_failed"], row["score_n"], row["median_note"]) == (2, 0, "no trial finished")


def test_another_arm_moves_no_interval(tmp_path: Path) -> None:
    """Beyond 8 seeds resamples are drawn; the draws of one arm are not another's business."""
    runs = load_runs([write(tmp_path, 12, Arm("first", 0.97), Arm("second", 0.98))])
    ends = ["score_low", "score_high", "train_time_s_low", "train_time_s_high"]
    both = arm_table(read_asked(runs), runs.trials, "test_accuracy").set_index("arm")
    rest = runs.trials[runs.trials["arm"] == "second"]
    single = arm_table(read_asked(runs), rest, "test_accuracy").set_index("arm")
    assert both.loc["second", ends].tolist() == single.loc["second", ends].tolist()


def test_what_gradients_chose_stands_beside_fine_tune(tmp_path: Path) -> None:
    folder = write(tmp_path, 3, Arm("a", fine_tune="surgical"))
    path = folder / "trials.parquet"
    chosen = ["conv1", "conv2\nfc1", "conv1"]
    pd.read_parquet(path).assign(chosen_layers=chosen).to_parquet(path)
    table, _ = table_of(folder)
    assert table.loc["a", "fine_tune"] == "surgical: conv1 / surgical: conv2, fc1"


@pytest.mark.parametrize(
    ("score", "values", "low", "high"),
    [
        ("test_quadratic_kappa", [0.99, 0.9, 0.99], None, 1.0),
        ("test_quadratic_kappa", [-0.99, -0.9, -0.99], -1.0, None),
        ("best_val_r2", [-3.0, 0.9, 0.99], None, 1.0),
        ("test_mae", [0.1, 3.0, 0.1], 0.0, None),
    ],
)
def test_no_end_lies_where_the_score_cannot(score, values, low, high) -> None:
    done = pd.DataFrame({score: values, "status": "done"})
    plain = mean_interval(np.array(values))
    interval = final_interval(done, score, is_share=False)
    assert (interval.low, interval.high) == (
        plain.low if low is None else low, plain.high if high is None else high,
    )  # fmt: skip
    assert interval.low <= interval.estimate <= interval.high


def test_no_time_is_below_0() -> None:
    assert time_interval(np.array([0.1, 3.0, 0.1])).low == 0
