"""Ratios of the spreads of two arms: against scipy, invariances, coverage, little data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.pairs import spreads
from analysis.statistics.pairs.spreads import COLUMNS, SpreadRatio, compare_spread, compare_spreads
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


def plain_half_width(x: np.ndarray, y: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Student's half-width of the log ratio by hand: n standard errors by the delta method."""
    n = len(x)
    influence = [((v - v.mean()) ** 2 / v.var() - 1) / 2 for v in (x, y)]
    error = math.sqrt(((influence[0] - influence[1]) ** 2).sum()) / n
    return float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error, error


def test_many_values_have_students_interval_and_draw_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 201)) * [[1.0], [2.0]] + 3
    for confidence in (0.95, 0.5):
        monkeypatch.setattr(spreads, "CONFIDENCE", confidence)
        spread = compare_spread(x, y)
        half, _ = plain_half_width(x, y, confidence)
        assert spread.low == pytest.approx(spread.ratio * math.exp(-half))
        assert spread.high == pytest.approx(spread.ratio * math.exp(half))
        assert (spread.note, spread.n_treatment, spread.n_control) == ("", 201, 201)
    with pytest.raises(InputError, match="pass rng="):
        compare_spread(x[:200], y[:200])


def test_bootstrap_t_of_the_log_ratio_equals_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(6).normal(size=12)
    y = x + np.random.default_rng(7).normal(size=12)
    for confidence in (0.95, 0.8):
        monkeypatch.setattr(spreads, "CONFIDENCE", confidence)
        spread = compare_spread(x, y, np.random.default_rng(1))
        student, error = plain_half_width(x, y, confidence)
        z, w = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
        t = []
        for rows in np.random.default_rng(2).integers(0, 12, (4_000, 12)):
            _, its_error = plain_half_width(z[rows], w[rows])
            t.append(abs(math.log(z[rows].std() / w[rows].std())) / its_error)
        half = min(np.quantile(t, confidence), 2 * student / error) * error
        assert math.log(spread.high / spread.ratio) == pytest.approx(half, rel=0.06)
        assert spread.low * spread.high == pytest.approx(spread.ratio**2)


def test_an_end_is_at_most_twice_as_far_as_students() -> None:
    x, y = np.array([0.0, 0, 0, 0, 1]), np.array([0.0, 1, 0, 0, 0])
    spread = measure(x, y)
    assert spread.ratio == pytest.approx(1)
    assert math.log(spread.high) == pytest.approx(2 * plain_half_width(x, y)[0])


def test_two_values_have_a_ratio_three_and_four_a_test_too() -> None:
    three = compare_spread([1.0, 3.0, 4.0], [1.0, 2.0, 5.0])
    assert 0 < three.p_value < 1
    assert three.note == "fewer than 5 values in an arm: no interval"
    two = compare_spread([1.0, 3.0, math.nan], [1.0, 2.0, 5.0])
    assert (two.ratio, two.n_treatment, two.n_control, two.paired) == (2, 2, 2, True)
    assert math.isnan(two.high)
    assert two.note.startswith("fewer than 5 values in an arm: no interval; ")
    one = compare_spread([1.0, math.nan], [1.0, 2.0])
    assert (one.n_treatment, one.n_control) == (1, 1)
    assert one.note == "fewer than 2 values in an arm"
    flat = compare_spread([1.0, 2.0, 3.0], [4.0] * 3)
    assert (flat.note, flat.n_control) == ("an arm has no spread at all", 3)
    assert math.isnan(flat.brown_forsythe)
    five = measure(np.arange(5.0), np.array([0.0, 2, 3, 9, 1]))
    assert five.note == ""
    assert 0 < five.low < five.ratio < five.high


def test_table_names_what_it_compares() -> None:
    trials = pd.concat([make_trials([0.1, 0.2, 0.4]), make_trials([0.1, 0.3, 0.5])])
    trials = trials.assign(arm=["t"] * 3 + ["c"] * 3, test_loss=[3.0, 1, 2, 4, 8, 6])
    table = compare_spreads(trials, [Pair("t", "c")], "test_loss")
    assert table[["treatment", "control", "metric"]].to_numpy().tolist() == [
        ["t", "c", "test_loss"]
    ]
    assert table["ratio"].tolist() == pytest.approx([0.5])
    assert compare_spreads(trials, [Pair("t", "c")])["metric"].tolist() == ["test_accuracy"]
    assert compare_spreads(trials, []).columns.tolist() == list(COLUMNS)


@pytest.mark.parametrize(
    ("x", "y"), [([0.1, 0.2], [0.1, 0.9]), ([0.91, 0.93], [0.7, 0.1]), ([0, 0, 1, 1], [0, 0, 3, 3])]
)
def test_distances_that_do_not_vary_give_no_p_value_of_zero(x, y):
    ratio = compare_spread(x, y, rng=np.random.default_rng(9))
    assert np.isnan([ratio.brown_forsythe, ratio.p_value]).all()
    assert ratio.note.endswith("no test")
