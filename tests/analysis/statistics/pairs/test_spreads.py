"""Ratios of the spreads of two arms: against scipy, invariances, coverage, little data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.pairs.spreads import (
    COLUMNS,
    SpreadRatio,
    compare_spread,
    compare_spreads,
)
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError


def make_trials(accuracy: list[float], status: list[str] | None = None) -> pd.DataFrame:
    n = len(accuracy)
    return pd.DataFrame(
        {
            "trial_id": [f"a{k}" for k in range(n)],
            "arm": "a",
            "seed": range(n),
            "status": ["done"] * n if status is None else status,
            "test_accuracy": accuracy,
            "n_test": 100,
        }
    )


def measure(x: np.ndarray, y: np.ndarray) -> SpreadRatio:
    return compare_spread(x, y, rng=np.random.default_rng(9))


def test_brown_forsythe_is_scipys() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=12), rng.normal(size=12) * 3
    found = measure(x, y)
    expected = stats.levene(x, y, center="median")
    assert found.brown_forsythe == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.ratio == pytest.approx(x.std(ddof=1) / y.std(ddof=1), abs=1e-9)


def test_permuting_swapping_and_scaling() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 9)) + rng.normal(size=9)
    order = rng.permutation(9)
    found, swapped = measure(x, y), measure(y[order] * 7, 3 - x[order])
    assert 7 / swapped.ratio == pytest.approx(found.ratio, rel=1e-9)
    assert 7 / swapped.high == pytest.approx(found.low, rel=1e-9)
    assert 7 / swapped.low == pytest.approx(found.high, rel=1e-9)
    assert found.low < found.ratio < found.high


def test_little_data() -> None:
    few = compare_spread([1.0, 2.0, 4.0], [1.0, 3.0, 4.0])
    assert few.ratio > 0
    assert math.isnan(few.low)
    assert "no interval" in few.note
    assert math.isnan(compare_spread([1.0], [2.0]).ratio)
    assert math.isnan(compare_spread([], []).ratio)
    flat = compare_spread([1.0] * 6, [1.0, 2, 3, 4, 5, 6])
    assert flat.note == "an arm has no spread at all"
    with pytest.raises(InputError, match="3 and 2 values do not pair"):
        compare_spread([1.0, 2, 3], [1.0, 2])


@pytest.mark.parametrize("n", [5, 12])
def test_interval_of_the_ratio_covers(n: int) -> None:
    rng = np.random.default_rng(n)
    hits = []
    for _ in range(150):
        x, y = rng.normal(size=n) + rng.normal(size=(2, n))
        found = compare_spread(x, y, rng=rng)
        hits.append(found.low <= 1 <= found.high)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_table_of_pairs() -> None:
    rng = np.random.default_rng(3)
    parts = []
    for arm, sd in (("t", 0.01), ("c", 0.03)):
        part = make_trials(list(rng.normal(0.9, sd, 8)))
        parts.append(part.assign(arm=arm, trial_id=arm + part["trial_id"]))
    trials = pd.concat(parts).query("not (arm == 't' and seed == 3)")
    found = compare_spreads(trials, [Pair("t", "c"), Pair("t", "nobody")], rng=rng)
    assert tuple(found.columns) == COLUMNS
    assert found["paired"].all()
    assert found["n_control"].tolist() == [7, 0]
    assert found["ratio"].iloc[0] < 1
    assert math.isnan(found["ratio"].iloc[1])
