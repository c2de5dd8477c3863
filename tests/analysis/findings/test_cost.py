"""What arms take: the frontier by hand, how sure it is, and seconds that are not compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.findings.asked import Asked
from analysis.findings.cost import find_costs, on_frontier
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import ACCURACY

ASKED = (
    Asked("s", "", ("s",), ("slow", "fast", "poor"), (Pair("slow", "fast"),), True, (), None, 5,
          "", {}, "accuracy"),
)  # fmt: skip


def trials(**changed: object) -> pd.DataFrame:
    rows = []
    for seed in range(5):
        for arm, accuracy, seconds in (("slow", 0.9, 10), ("fast", 0.8, 2), ("poor", 0.7, 5)):
            rows.append(
                {"task": "s", "arm": arm, "seed": seed, "status": "done", "ran_as": "solo"}
                | {"test_accuracy": accuracy + 0.01 * seed, "train_time_s": seconds + 0.1 * seed}
                | {"prefix_time_s": 1.0 if arm == "poor" else None, "device": "cpu"}
                | {"n_trainable": 850 if arm == "fast" else 1000, "n_parameters": 1000}
            )
    return pd.DataFrame(rows).assign(**changed)


def costs(frame: pd.DataFrame):
    return find_costs(ASKED, frame, "test_accuracy", ACCURACY, np.random.default_rng(0))


def test_the_frontier_by_hand():
    seconds = np.array([1.0, 2.0, 2.0, 3.0, 1.0])
    scores = np.array([0.5, 0.7, 0.6, 0.7, 0.5])
    assert on_frontier(seconds, scores).tolist() == [True, True, False, False, True]
    assert on_frontier(np.array([1.0]), np.array([0.1])).tolist() == [True]


def test_an_arm_that_another_one_beats_is_not_on_it():
    table = costs(trials()).table.set_index("arm")
    assert table["is_on_frontier"].to_dict() == {"slow": True, "fast": True, "poor": False}
    assert table["p_frontier"].to_dict() == {"slow": 1.0, "fast": 1.0, "poor": 0.0}
    assert table.loc["poor", "with_features_s"] == pytest.approx(6.2)
    assert table.loc["poor", "train_time_s"] == pytest.approx(5.2)
    assert table.loc["fast", "share"] == pytest.approx(0.85)
    assert (table["with_features_s_low"] < table["with_features_s"]).all()


def test_where_seeds_decide_the_share_of_draws_is_between():
    frame = trials()
    luck = np.array([0.3, -0.1, -0.1, -0.1, 0.1])  # of poor - fast, 0.02 in the mean
    poor = frame["arm"] == "poor"
    fast = frame.loc[frame["arm"] == "fast", "test_accuracy"].to_numpy()
    frame.loc[poor, "test_accuracy"] = fast + luck
    table = costs(frame).table.set_index("arm")
    assert table.loc["poor", "is_on_frontier"]
    assert 0.3 < table.loc["poor", "p_frontier"] < 0.8


def test_seconds_of_trials_that_ran_otherwise_are_not_compared():
    frame = trials()
    frame.loc[frame["arm"] == "fast", "ran_as"] = "heads"
    found = costs(frame)
    assert not found.table["is_on_frontier"].any()
    assert found.table["p_frontier"].isna().all()
    assert found.remarks == (
        "s: seconds are not compared, and there is no frontier: trials differ in ran_as.",
    )


def test_few_seeds_have_no_share_and_nothing_finished_has_no_table():
    frame = trials()
    table = costs(frame[frame["seed"] < 2]).table
    assert table["is_on_frontier"].tolist() == [True, True, False]
    assert table["p_frontier"].isna().all()
    assert costs(frame.assign(status="failed")).table.empty


def test_no_interval_of_seconds_goes_below_zero():
    frame = trials()
    frame.loc[frame["arm"] == "slow", "train_time_s"] = [0.1, 0.1, 0.1, 0.1, 40.0]
    row = costs(frame).table.set_index("arm").loc["slow"]
    assert row["train_time_s_low"] == row["with_features_s_low"] == 0.0


def test_memory_is_a_mean_of_what_was_recorded():
    frame = trials()
    assert costs(frame).table["memory_bytes"].isna().all()
    (first, *others) = costs(frame.assign(memory_bytes=2e6)).table["memory_bytes"]
    assert first == 2e6
    assert set(others) <= {2e6}
