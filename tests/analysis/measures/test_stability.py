"""Spread over seeds, restlessness within runs, and comparisons of spreads."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.measures.stability import spread_over_seeds, within_runs
from analysis.statistics.times import restlessness


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


def make_curve(trial_id: str, accuracy: list[float], train_loss: list[float]) -> pd.DataFrame:
    n = len(accuracy)
    return pd.DataFrame(
        {
            "trial_id": trial_id,
            "step": range(1, n + 1),
            "val_accuracy": accuracy,
            "train_loss": train_loss,
            "val_loss": np.array(train_loss) + np.arange(n),
        }
    )


def test_spread_of_an_arm_by_hand() -> None:
    trials = make_trials(
        [0.90, 0.92, 0.94, math.nan, math.nan], ["done", "done", "done", "failed", "diverged"]
    )
    row = spread_over_seeds(trials).iloc[0]
    assert row["sd"] == pytest.approx(0.02)
    assert row["range"] == pytest.approx(0.04)
    assert (row["n"], row["n_trials"], row["n_failed"], row["n_diverged"]) == (3, 5, 1, 1)
    low, high = proportion_confint(2, 5, method="wilson")
    assert (row["broken_low"], row["broken_high"]) == pytest.approx((low, high), abs=1e-9)
    assert row["binomial_sd"] == pytest.approx(math.sqrt(0.92 * 0.08 / 100))
    assert row["excess_variance"] == pytest.approx(0.0004 - 0.92 * 0.08 / 100)


def test_spread_of_few_values_is_nan_with_a_note() -> None:
    one = spread_over_seeds(make_trials([0.9])).iloc[0]
    assert math.isnan(one["sd"])
    assert one["note"]
    none = spread_over_seeds(make_trials([math.nan], ["failed"])).iloc[0]
    assert none["note"] == "no trial has a value"
    assert none["broken_share"] == 1
    assert spread_over_seeds(make_trials([])).empty


def test_within_a_run_by_hand() -> None:
    accuracy = [0.1, 0.5, 0.4, 0.7, 0.6, 0.65]
    curves = make_curve("a", accuracy, [4.0, 2.0, 3.5, 1.0, 1.1, math.inf])
    trials = pd.DataFrame({"trial_id": ["a", "none"], "arm": "x", "seed": [0, 1]})
    found = within_runs(curves.sample(frac=1, random_state=1), trials).set_index("trial_id")
    row = found.loc["a"]
    assert row["late_sd"] == pytest.approx(np.std([0.6, 0.65], ddof=1))
    assert row["largest_drawdown"] == pytest.approx(0.1)
    assert row["n_loss_spikes"] == 2  # 2.0 to 3.5, and to infinity; 1.0 to 1.1 is none
    assert row["n_evaluations"] == 6
    rest = found.loc["none"].drop(["arm", "seed", "n_evaluations"])
    assert rest.isna().all()


def test_noise_about_a_curve_by_hand() -> None:
    """Of 9 evaluations the last 3: one second difference, 0.1 of 0.8, 0.8, 0.9, over √6."""
    late = {"a": [0.8, 0.8, 0.9], "line": [0.7, 0.8, 0.9]}
    curves = pd.concat([make_curve(i, [0.1] * 6 + v, [1.0] * 9) for i, v in late.items()])
    trials = pd.DataFrame({"trial_id": list(late), "arm": "x", "seed": [0, 1]})
    noise = within_runs(curves, trials)["late_noise"]
    assert noise.tolist() == pytest.approx([0.1 / math.sqrt(6), 0], abs=1e-12)
    five = [0.5, 0.6, 0.5, 0.6, 0.5]  # third differences 0.4 and −0.4
    curves = make_curve("a", [0.1] * 10 + five, [1.0] * 15)
    noise = within_runs(curves, trials.iloc[:1])["late_noise"]
    assert noise.tolist() == pytest.approx([0.4 / math.sqrt(20)])


@pytest.mark.parametrize("pace", [100.0, 300.0, 600.0])
def test_a_curve_that_still_rises_is_not_the_more_restless_for_it(pace: float) -> None:
    n, k = 500, 20
    steps = 50.0 * np.arange(1, k + 1)
    noise = np.random.default_rng(7).normal(0, 0.005, (n, k))
    accuracy = 0.98 - 0.88 * np.exp(-steps / pace) + noise
    curves = pd.DataFrame(
        {"trial_id": np.repeat(np.arange(n), k), "step": np.tile(steps, n), "train_loss": 1.0}
    ).assign(val_accuracy=accuracy.ravel(), val_loss=1.0)
    trials = pd.DataFrame({"trial_id": np.arange(n), "arm": "x", "seed": np.arange(n)})
    square = (within_runs(curves, trials)["late_noise"] ** 2).mean()
    assert math.sqrt(square) == pytest.approx(0.005, rel=0.05)


def test_losses_that_became_infinite_warn_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    curves = make_curve("a", [0.5] * 9, [math.inf] * 9).assign(val_loss=math.inf)
    trials = pd.DataFrame({"trial_id": ["a"], "arm": "x", "seed": [0]})
    assert math.isnan(within_runs(curves, trials)["generalisation_gap"].iloc[0])
    assert not recwarn.list


def test_generalisation_gap_is_that_of_the_late_phase() -> None:
    curves = make_curve("a", [0.5] * 4, [1.0] * 4)  # val_loss - train_loss: 0, 1, 2, 3
    trials = pd.DataFrame({"trial_id": ["a"], "arm": "x", "seed": [0]})
    assert within_runs(curves, trials)["generalisation_gap"].tolist() == [2.5]


curves_of = st.lists(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8), min_size=1, max_size=4
)


@given(curves_of)
@settings(max_examples=40, deadline=None)
def test_within_runs_agrees_with_a_plain_loop(accuracies: list[list[float]]) -> None:
    ids = [f"t{k}" for k in range(len(accuracies))]
    curves = pd.concat(
        [make_curve(i, a, [1.0] * len(a)) for i, a in zip(ids, accuracies, strict=True)]
    )
    trials = pd.DataFrame({"trial_id": ids, "arm": "x", "seed": range(len(ids))})
    found = within_runs(curves, trials)
    for row, curve in zip(found.itertuples(), accuracies, strict=True):
        fall = max(max(curve[: k + 1]) - curve[k] for k in range(len(curve)))
        assert row.largest_drawdown == pytest.approx(fall, abs=1e-12)
        late = curve[-math.ceil(len(curve) / 3) :]
        expected = np.std(late, ddof=1) if len(late) > 1 else math.nan
        assert row.late_sd == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_every_column_of_the_spread_by_hand() -> None:
    trials = make_trials([0.90, 0.92, 0.94]).assign(test_loss=[1.0, 2.0, 6.0])
    trials = pd.concat([trials.assign(arm="b"), trials.assign(test_accuracy=math.nan)])
    table = spread_over_seeds(trials)
    assert table["arm"].tolist() == ["a", "b"]
    row = table.iloc[1]
    columns = """
        arm metric n mean sd sd_low sd_high minimum maximum range n_trials n_failed n_diverged
        broken_share broken_low broken_high binomial_sd excess_variance excess_low excess_high
        excess_p note mean_difference mean_difference_low mean_difference_high
    """
    assert list(table.columns) == columns.split()
    expected = {"metric": "test_accuracy", "mean": 0.92, "minimum": 0.9, "maximum": 0.94}
    chi2 = stats.chi2.ppf([0.975, 0.025], 2)
    low, high = 0.02 * np.sqrt(2 / chi2)
    binomial = 0.92 * 0.08 / 100
    expected |= {"sd_low": low, "sd_high": high, "broken_share": 0, "broken_low": 0}
    expected |= {"excess_low": low**2 - binomial, "excess_high": high**2 - binomial}
    expected |= {"excess_p": stats.chi2.sf(0.0008 / binomial, 2)}
    for name, value in expected.items():
        assert row[name] == (value if isinstance(value, str) else pytest.approx(value)), name
    unknown = table.iloc[0]
    assert (unknown["n"], unknown["n_trials"]) == (0, 3)
    assert unknown[["mean", "sd", "range", "binomial_sd", "excess_p"]].isna().all()
    loss = spread_over_seeds(trials, "test_loss").iloc[1]
    assert (loss["mean"], loss["range"]) == (3.0, 5.0)
    assert math.isnan(loss["binomial_sd"])


@pytest.mark.parametrize(
    ("losses", "n_spikes"),
    [
        ([[2.0, 3.0]], [0]),  # by half, not by more
        ([[2.0, 3.01]], [1]),
        ([[20.0, 0.5, 1.5]], [0]),  # by a twentieth of the first loss, not by more
        ([[20.0, 0.5, 1.51]], [1]),
        ([[1.0, 0.5], [3.0, 2.0]], [0, 0]),  # the next trial's first loss is none
        ([[1.0, math.inf, math.nan, 1.0]], [1]),  # after a loss that is no number nothing rises
        ([[math.nan, 20.0, 0.5, 1.4]], [0]),  # the first loss is the first number
        ([[math.nan, 1.0, 0.5, 1.4]], [1]),
    ],
)
def test_spikes_by_hand(losses: list[list[float]], n_spikes: list[int]) -> None:
    ids = [f"t{k}" for k in range(len(losses))]
    curves = [make_curve(i, [0.5] * len(x), x) for i, x in zip(ids, losses, strict=True)]
    trials = pd.DataFrame({"trial_id": ids, "arm": "x", "seed": range(len(ids))})
    table = within_runs(pd.concat(curves), trials)
    assert table["n_loss_spikes"].tolist() == n_spikes


def test_no_curve_at_all() -> None:
    trials = pd.DataFrame({"trial_id": ["a"], "arm": "x", "seed": [4]}, index=[9])
    curves = make_curve("a", [0.5], [1.0])
    rows = within_runs(curves[:0], trials)
    assert rows[["trial_id", "arm", "seed", "n_evaluations"]].to_numpy().tolist() == [
        ["a", "x", 4, 0]
    ]
    assert rows["largest_drawdown"].isna().all()
    one = within_runs(curves, trials).iloc[0]
    assert (one["n_evaluations"], one["largest_drawdown"], one["n_loss_spikes"]) == (1, 0, 0)
    assert math.isnan(one["late_sd"])


def test_late_share_and_spike_are_as_set(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = make_curve("a", [0.1, 0.2, 0.3, 0.7], [1.0, 1.2, 1.0, 1.0])
    trials = pd.DataFrame({"trial_id": ["a"], "arm": "x", "seed": [0]})
    monkeypatch.setattr(restlessness, "LATE", 0.75)
    monkeypatch.setattr(restlessness, "SPIKE", 0.1)
    row = within_runs(curves, trials).iloc[0]
    assert row["late_sd"] == pytest.approx(np.std([0.2, 0.3, 0.7], ddof=1))
    assert row["n_loss_spikes"] == 1
    assert row["generalisation_gap"] == pytest.approx(2)
