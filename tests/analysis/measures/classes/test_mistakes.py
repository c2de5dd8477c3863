"""Images often wrong, and McNemar's test against statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_predictions import make_predictions, make_seeds
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from analysis.measures.classes.mistakes import mcnemar, often_wrong
from analysis.statistics.samples.predictions import Predictions
from headstart.errors import InputError


def test_often_wrong_by_hand_with_test_images_that_differ() -> None:
    predictions = {
        "a": make_predictions([0, 1, 2], [1, 1, 0], [10, 11, 12]),
        "b": make_predictions([0, 1, 2], [1, 1, 1], [10, 11, 12]),
        "c": make_predictions([0, 2], [2, 0], [10, 12]),
        "d": make_predictions([3], [0], [13]),
    }
    found = often_wrong(predictions)
    assert found["index"].tolist() == [10, 12, 13]
    assert found["n_seen"].tolist() == [3, 3, 1]
    assert found["n_wrong"].tolist() == [3, 3, 1]
    assert found["often_called"].tolist() == [1, 0, 0]
    assert found["n_called"].tolist() == [2, 2, 1]
    assert found["label"].tolist() == [0, 2, 3]
    assert found["probability"].iloc[2] == pytest.approx(0.1 / 3, abs=1e-3)
    assert len(often_wrong(predictions, top=1)) == 1


def test_nothing_wrong_and_no_predictions() -> None:
    assert often_wrong({"a": make_predictions([0, 1], [0, 1])}).empty
    assert often_wrong({}).empty


def two_arms(n_seeds: int, same_images: bool = True) -> tuple[dict[str, Predictions], pd.DataFrame]:
    left, trials = make_seeds(n_seeds, 200, right=0.85, hardness=1, same_images=same_images)
    right, more = make_seeds(
        n_seeds, 200, right=0.9, hardness=1, arm="b", seed=2, same_images=same_images
    )
    return left | right, pd.concat([trials, more])


def test_one_seed_over_all_is_mcnemars_chi_squared() -> None:
    predictions, trials = two_arms(1)
    found = mcnemar(predictions, trials, "b", "a")
    b, a = predictions["b00"], predictions["a00"]
    table = pd.crosstab(b.predicted == b.labels, a.predicted == a.labels).to_numpy()
    expected = statsmodels_mcnemar(table, exact=False, correction=False)
    assert found.z**2 == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.z > 0


def test_seeds_that_repeat_each_other_add_nothing() -> None:
    predictions, trials = two_arms(1)
    copies = {f"{i}{k}": p for i, p in predictions.items() for k in range(5)}
    rows = [
        {"trial_id": f"{row.trial_id}{k}", "arm": row.arm, "seed": k}
        for row in trials.itertuples()
        for k in range(5)
    ]
    once = mcnemar(predictions, trials, "b", "a")
    often = mcnemar(copies, pd.DataFrame(rows), "b", "a")
    assert often.z == pytest.approx(once.z, abs=1e-9)
    assert often.n_pairs == 5


def test_arms_that_are_alike_are_rarely_said_to_differ() -> None:
    p_values = []
    for k in range(120):
        left, trials = make_seeds(4, 150, right=0.8, hardness=2, seed=2 * k)
        right, more = make_seeds(4, 150, right=0.8, hardness=2, arm="b", seed=2 * k + 1)
        both = pd.concat([trials, more])
        p_values.append(mcnemar(left | right, both, "b", "a").p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.06)


def test_swapping_arms_and_permuting_seeds() -> None:
    predictions, trials = two_arms(4)
    found = mcnemar(predictions, trials, "b", "a")
    swapped = mcnemar(predictions, trials.sample(frac=1, random_state=1), "a", "b")
    assert swapped.z == pytest.approx(-found.z, abs=1e-12)
    assert swapped.n_pairs == 4


def test_only_images_that_both_arms_saw_count() -> None:
    predictions = {
        "a": make_predictions([0, 0, 0], [0, 1, 1], [1, 2, 3]),
        "b": make_predictions([0, 0, 0], [0, 0, 0], [2, 3, 4]),
    }
    trials = pd.DataFrame({"trial_id": ["a", "b"], "arm": ["a", "b"], "seed": 0})
    found = mcnemar(predictions, trials, "b", "a")
    assert (found.n_images, found.z) == (2, pytest.approx(math.sqrt(2)))  # right on both alone
    apart = {"a": predictions["a"], "b": make_predictions([0], [0], [9])}
    none = mcnemar(apart, trials, "b", "a")
    assert math.isnan(none.p_value)
    assert none.note == "no test image that both arms saw"
    alike = mcnemar({"a": predictions["a"], "b": predictions["a"]}, trials, "b", "a")
    assert (alike.z, alike.p_value) == (0, 1)


def test_a_seed_that_stands_twice_is_refused() -> None:
    predictions, trials = two_arms(2)
    with pytest.raises(InputError, match="seed 0 stands twice among the trials of b"):
        mcnemar(predictions, trials.assign(seed=0).query("trial_id != 'a01'"), "b", "a")
