"""Scores of arms over tasks: which tasks and seeds count, columns by hand, Demšar's ranks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.findings.task_scores import aggregate_arms, improvement_over_tasks, ranks_over_tasks
from analysis.statistics.pairs.aggregates import probability_of_improvement
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"task": task, "stage": "arm", "arm": arm, "seed": seed, "test_accuracy": score}
            for task in ("large", "small", "tiny")
            for arm, top in (("t", 0.9), ("c", 0.8))
            for seed, score in enumerate(top + np.array([0.0, 0.01, 0.02]))
            if (task, arm) != ("tiny", "c")
        ]
    )


def test_only_tasks_of_all_arms_count() -> None:
    found = aggregate_arms(table(), ("t", "c")).set_index(["arm", "statistic"])
    assert (found["n_tasks"] == 2).all()
    assert found.loc[("t", "mean"), "estimate"] == pytest.approx(0.91)
    better = improvement_over_tasks(table(), [("t", "c")]).iloc[0]
    assert (better["p_better"], better["n_tasks"], better["n_runs"]) == (1.0, 2, 12)


def test_tables_by_hand() -> None:
    tuning = table().assign(stage="tune", test_accuracy=0.0)
    trials = pd.concat([table(), tuning])
    rows = aggregate_arms(trials, ("t", "c"))
    shared = ["low", "high", "confidence", "method", "n_tasks", "n_runs", "note"]
    assert list(rows.columns) == ["arm", "statistic", "estimate", *shared]
    assert rows["arm"].tolist() == ["t"] * 3 + ["c"] * 3
    assert rows["statistic"].tolist() == ["iqm", "mean", "median"] * 2
    assert rows["estimate"].tolist() == pytest.approx([0.91] * 3 + [0.81] * 3)
    assert rows["n_runs"].tolist() == [6] * 6
    better = improvement_over_tasks(trials, [("t", "c"), ("c", "t")])
    assert list(better.columns) == ["treatment", "control", "p_better", *shared]
    assert better["treatment"].tolist() == ["t", "c"]
    assert better["control"].tolist() == ["c", "t"]
    assert better["p_better"].tolist() == [1.0, 0.0]
    loss = table().assign(test_loss=1 - table()["test_accuracy"])
    loss.loc[loss["task"] == "large", "test_loss"] = math.nan
    one = aggregate_arms(loss, ("t",), "test_loss")
    assert (one["n_tasks"].iloc[0], one["estimate"].iloc[0]) == (2, pytest.approx(0.09))


def test_seeds_of_both_arms_are_redrawn_together_and_others_apart() -> None:
    values = rng(4).normal(size=(2, 6))
    trials = pd.DataFrame(
        [
            {"task": task, "arm": arm, "seed": seed, "test_accuracy": values[k, seed] + shift}
            for k, task in enumerate("ab")
            for arm, shift in (("t", 0.2), ("c", 0.0))
            for seed in range(6)
        ]
    )
    pairs = [Pair("t", "c")]
    both = improvement_over_tasks(trials, pairs).iloc[0]
    sides = [[v + shift for v in values] for shift in (0.2, 0.0)]
    expected = probability_of_improvement(*sides, paired=True)
    assert (both["low"], both["high"]) == (expected.low, expected.high)
    apart = improvement_over_tasks(trials.drop(index=0), pairs).iloc[0]
    assert apart["high"] - apart["low"] > both["high"] - both["low"]


def test_what_an_arm_draws_depends_on_no_other_arm() -> None:
    trials = table().query("task != 'tiny'")
    together = aggregate_arms(trials, ("t", "c")).query("arm == 'c'").reset_index(drop=True)
    assert together["low"].lt(together["high"]).all()
    assert together.equals(aggregate_arms(trials, ("c",)))
    trials["test_accuracy"] += trials["seed"].mul(trials["arm"].eq("c")) / 10  # they overlap now
    both = improvement_over_tasks(trials, [("t", "c"), ("c", "t")])
    assert both["low"].lt(both["high"]).all()
    assert both[1:].reset_index(drop=True).equals(improvement_over_tasks(trials, [("c", "t")]))


def test_ranks_and_their_critical_difference_are_demsars() -> None:
    """Means .9, .8, .7 and .6, .5, .5: ranks 1, 2, 3 and 1, 2.5, 2.5; q of 3 arms 2.343."""
    means = {"a": (0.9, 0.6), "b": (0.8, 0.5), "c": (0.7, 0.5)}
    trials = pd.DataFrame(
        [
            {"task": task, "arm": arm, "seed": seed, "test_accuracy": value + shift}
            for arm, values in means.items()
            for task, value in zip("xy", values, strict=True)
            for seed, shift in enumerate((-0.01, 0.01))
        ]
    )
    table, critical = ranks_over_tasks(trials, ["a", "b", "c"], "test_accuracy")
    assert dict(zip(table["arm"], table["rank"], strict=True)) == {"a": 1, "b": 2.25, "c": 2.75}
    assert critical == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 2)), abs=1e-3)
    turned, _ = ranks_over_tasks(trials, ["a", "b", "c"], "test_accuracy", lower_is_better=True)
    assert turned["rank"].tolist() == [3, 1.75, 1.25]
    alone, none = ranks_over_tasks(trials, ["a"], "test_accuracy")
    assert alone["rank"].tolist() == [1]
    assert math.isnan(none)


@pytest.mark.parametrize(
    ("arms", "metric", "message"),
    [
        (("t", "x"), "test_accuracy", "no task has scores of all of t, x"),
        (("t",), "speed", "'speed' is not a column"),
    ],
)
def test_scores_that_are_not_there_are_told(
    arms: tuple[str, ...], metric: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        aggregate_arms(table(), arms, metric)
