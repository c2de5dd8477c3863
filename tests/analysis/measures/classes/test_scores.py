"""Scores against scikit-learn, confusion by hand, and classes in which arms differ."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from made_predictions import make_predictions, make_seeds
from scipy import stats
from sklearn import metrics
from statsmodels.stats.multitest import multipletests

from analysis.measures.classes import scores
from analysis.measures.classes.scores import class_differences, confusion, score_intervals
from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.samples.predictions import Predictions
from headstart.errors import InputError

DIGITS = [str(k) for k in range(10)]


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_confusion_by_hand() -> None:
    predictions = {
        "a": make_predictions([0, 0, 1], [0, 1, 1]),
        "b": make_predictions([0, 0], [0, 0]),
    }
    found = confusion(predictions, 3)
    assert found.pooled.tolist() == [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.mean[:2].tolist() == [[0.75, 0.25, 0], [0, 1, 0]]
    assert np.isnan(found.mean[2]).all()
    assert found.n_trials == 2


@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize(("n_classes", "n_images"), [(10, 200), (62, 90)])
def test_scores_equal_scikit_learn(n_classes: int, n_images: int, zero_division: float) -> None:
    predictions, trials = make_seeds(2, n_images, n_classes, 0.7)
    names = [str(k) for k in range(n_classes)]
    for trial_id, one in predictions.items():  # the mean over one trial is its score
        row = trials[trials["trial_id"] == trial_id]
        found = score_intervals(predictions, row, names, zero_division=zero_division)
        rows = found.set_index(["scope", "metric"])
        known = np.union1d(one.labels, one.predicted)  # those of scikit-learn's own averages
        for scope, average in (("macro", "macro"), ("weighted", "weighted"), ("class", None)):
            expected = metrics.precision_recall_fscore_support(
                one.labels, one.predicted, average=average, zero_division=zero_division
            )
            for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
                scores = rows.loc[[(scope, name)], "estimate"].to_numpy()
                if scope == "class":
                    assert np.isnan(np.delete(scores, known)).all()
                    scores = scores[known]
                assert scores == pytest.approx(np.atleast_1d(value), abs=1e-9, nan_ok=True)
        accuracy = rows.loc[[("all", "accuracy")], "estimate"].tolist()
        expected_accuracy = metrics.accuracy_score(one.labels, one.predicted)
        assert accuracy == pytest.approx([expected_accuracy], abs=1e-9)


def test_confusion_equals_scikit_learn() -> None:
    predictions, _ = make_seeds(3, 300, same_images=False)
    labels = np.concatenate([p.labels for p in predictions.values()])
    predicted = np.concatenate([p.predicted for p in predictions.values()])
    expected = metrics.confusion_matrix(labels, predicted, labels=range(10))
    assert (confusion(predictions, 10).pooled == expected).all()


def test_intervals_are_those_over_seeds() -> None:
    predictions, trials = make_seeds(3, 100)  # three: Student's t, nothing is drawn
    found = score_intervals(predictions, trials, DIGITS)
    row = found[(found["scope"] == "all")].iloc[0]
    accuracy = [(p.predicted == p.labels).mean() for p in predictions.values()]
    expected = mean_interval(accuracy)
    here = (row["estimate"], row["low"], row["high"])
    there = (expected.estimate, expected.low, min(expected.high, 1))
    assert here == pytest.approx(there, abs=1e-9)
    assert len(found) == 1 + 6 + 30
    assert found["low"].min() >= 0
    assert found["high"].max() <= 1


def test_class_that_no_test_set_has_is_nan_unless_it_was_predicted() -> None:
    predictions = {"a": make_predictions([0, 1], [0, 1]), "b": make_predictions([0, 1], [0, 2])}
    trials = pd.DataFrame({"trial_id": ["a", "b"], "arm": "x", "seed": [0, 1]})
    for zero_division, estimate in ((0.0, 0.0), (math.nan, math.nan)):
        rows = score_intervals(
            predictions, trials, ["p", "q", "r", "s"], zero_division=zero_division
        ).query("metric == 'recall'")
        recalls = rows.set_index("class_name")["estimate"]
        assert recalls[["r", "s"]].tolist() == pytest.approx([estimate, math.nan], nan_ok=True)


def test_equal_seeds_have_the_doubt_about_their_images() -> None:
    """Two seeds, both right on 3 of 4 images of class p and on both of class q."""
    labels, answers = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]
    predictions = {name: make_predictions(labels, answers) for name in "ab"}
    trials = pd.DataFrame({"trial_id": ["a", "b"], "arm": "x", "seed": [0, 1]})
    found = score_intervals(predictions, trials, ["p", "q"]).set_index(["class_name", "metric"])
    for place, hits, n in (
        (("p", "recall"), 3, 4),
        (("q", "recall"), 2, 2),
        (("", "accuracy"), 5, 6),
        (("p", "precision"), 3, 3),
        (("q", "precision"), 2, 3),
    ):
        exact = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        row = found.loc[place]
        assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high)), place
        assert row["method"] == "Clopper-Pearson over the images"


def test_class_differences_are_paired_t_tests_with_holm() -> None:
    worse, trials = make_seeds(8, 400, right=0.8)
    better, more = make_seeds(8, 400, right=0.95, arm="b", seed=2)
    both = pd.concat([trials, more])
    found = class_differences(worse | better, both, "b", "a", DIGITS)
    recalls = [
        np.array([metrics.recall_score(p.labels, p.predicted, average=None) for p in side.values()])
        for side in (better, worse)
    ]
    expected = stats.ttest_rel(*recalls).pvalue
    assert found["p_value"].to_numpy() == pytest.approx(expected, abs=1e-9)
    holm = multipletests(expected, method="holm")
    assert found["p_holm"].to_numpy() == pytest.approx(holm[1], abs=1e-9)
    assert (found["differs"].to_numpy() == holm[0]).all()
    assert found["differs"].any()
    assert found["difference"].to_numpy() == pytest.approx(
        (recalls[0] - recalls[1]).mean(axis=0), abs=1e-9
    )


def test_seeds_that_agree_exactly_are_no_certainty() -> None:
    labels = [0] * 15 + [1] * 15
    wrong = [1, *labels[1:]]
    predictions = {f"a{k}": make_predictions(labels, wrong) for k in range(3)}
    predictions |= {f"b{k}": make_predictions(labels, labels) for k in range(3)}
    trials = pd.DataFrame(
        {"trial_id": list(predictions), "arm": list("aaabbb"), "seed": [0, 1, 2] * 2}
    )
    found = class_differences(predictions, trials, "b", "a", ["0", "1"])
    assert found["difference"].tolist() == pytest.approx([1 / 15, 0])
    half = stats.t.ppf(0.975, 2) / 15 / math.sqrt(18)  # the same error as that of the test
    assert found["high"].tolist() == pytest.approx([1 / 15 + half, half])
    assert 0.01 < found["p_value"].iloc[0] < 0.2
    assert found["p_value"].iloc[1] == 1


def test_a_class_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"trial a: classes from 0 to 5 .* the data set has 3"):
        confusion({"a": make_predictions([0, 5], [0, 1])}, 3)


def seeds_of(
    arm: str, predicted: dict[int, list[int]], labels: list[int]
) -> tuple[dict[str, Predictions], pd.DataFrame]:
    """Predictions of the seeds of one arm on the same labels, and their trials."""
    made = {f"{arm}{seed}": make_predictions(labels, p) for seed, p in predicted.items()}
    return made, pd.DataFrame({"trial_id": list(made), "arm": arm, "seed": list(predicted)})


def test_confusion_says_when_there_is_nothing() -> None:
    empty = confusion({}, 2)
    assert empty.n_trials == 0
    assert empty.pooled.tolist() == [[0, 0], [0, 0]]
    assert confusion({"a": make_predictions([0], [0])}, 2).n_trials == 1


def test_table_of_scores_by_hand() -> None:
    predictions, trials = seeds_of("x", {0: [0, 0, 1], 1: [0, 1, 1], 2: [0, 1, 0]}, [0, 0, 1])
    none = pd.DataFrame({"trial_id": ["lost"], "arm": ["w"], "seed": [0]})
    table = score_intervals(predictions, pd.concat([trials, none]), ["zero", "one", "two"])
    columns = "arm scope class_name metric estimate low high n method note"
    assert list(table.columns) == columns.split()
    assert table["arm"].tolist() == ["w"] * 16 + ["x"] * 16
    lost, rows = table[:16], table[16:]
    assert lost[["estimate", "low", "high"]].isna().all(axis=None)
    assert set(lost["note"]) == {"no predictions"}
    assert set(lost["n"]) == {0}
    three = ["precision", "recall", "f1"]
    each = [metric for metric in three for _ in range(3)]
    assert rows["metric"].tolist() == ["accuracy", *three, *three, *each]
    assert rows["scope"].tolist() == ["all"] + ["macro"] * 3 + ["weighted"] * 3 + ["class"] * 9
    assert rows["class_name"].tolist() == [""] * 7 + ["zero", "one", "two"] * 3
    estimates = rows["estimate"].tolist()
    assert estimates[0] == pytest.approx((1 + 2 / 3 + 1 / 3) / 3)
    assert estimates[10:13] == pytest.approx([2 / 3, 2 / 3, np.nan], nan_ok=True)  # recalls
    assert rows["n"].tolist() == [3] * 7 + [3, 3, 0] * 3  # nobody has or says “two”


def test_a_test_set_without_images_has_no_scores() -> None:
    trials = pd.DataFrame({"trial_id": ["a"], "arm": "x", "seed": [0]})
    row = score_intervals({"a": make_predictions([], [])}, trials, ["0", "1"]).iloc[0]
    assert math.isnan(row["estimate"])
    assert row["note"] == "in no test set"


def test_differences_between_classes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [0, 0, 0, 0, 1, 1]
    treated, t = seeds_of("t", {3: [0, 0, 0, 1, 1, 1], 1: [0, 0, 0, 0, 1, 0]}, labels)
    control, c = seeds_of("c", {1: [0, 1, 1, 1, 1, 0], 2: labels, 3: [0, 1, 1, 1, 1, 1]}, labels)
    both, trials = treated | control, pd.concat([t, c])
    table = class_differences(both, trials, "t", "c", ["zero", "one", "two"])
    assert table["class_name"].tolist() == ["zero", "one", "two"]
    assert table["class_index"].tolist() == [0, 1, 2]
    assert table["n_pairs"].tolist() == [2, 2, 0]
    assert table["n_images"].tolist() == [4, 2, 0]
    nan = math.nan
    for column, values in {
        "recall_treatment": [0.875, 0.75, nan],
        "recall_control": [0.25, 0.75, nan],
        "difference": [0.625, 0, nan],
    }.items():
        assert table[column].tolist() == pytest.approx(values, nan_ok=True)
    assert (table["low"].tolist(), table["high"].tolist()) == (
        pytest.approx([-0.9633, -1, nan], abs=1e-4, nan_ok=True),  # 0.625 ± 12.706 · 0.125
        pytest.approx([1, 1, nan], nan_ok=True),  # equal, of 2 images: ± 12.706 / √6 / 2 / √2
    )
    p = 2 * stats.t.sf(0.625 / (0.125 * math.sqrt(2)) * math.sqrt(2), 1)
    assert table["p_value"].tolist() == pytest.approx([p, 1, nan], nan_ok=True)
    assert table["note"].iloc[2] == "in no test set"
    sure = float(table["p_holm"].iloc[0])
    for confidence, differs in ((1 - sure, True), (1 - sure + 1e-6, False)):
        monkeypatch.setattr(scores, "CONFIDENCE", confidence)
        again = class_differences(both, trials, "t", "c", ["zero", "one", "two"])
        assert again["differs"].tolist() == [differs, False, False]


def test_one_pair_has_no_p_value_and_few_images_are_coarse() -> None:
    labels = [0] * 15 + [1] * 15
    wrong = [1, *labels[1:]]
    for n, p in ((1, math.nan), (3, 2 * stats.t.sf(math.sqrt(18), 2))):  # 1/15 over its rounding
        treated, t = seeds_of("t", dict.fromkeys(range(n), labels), labels)
        control, c = seeds_of("c", dict.fromkeys(range(n), wrong), labels)
        table = class_differences(treated | control, pd.concat([t, c]), "t", "c", ["0", "1"])
        assert table["p_value"].iloc[0] == pytest.approx(p, nan_ok=True)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_classes_just_outside_the_data_set_are_refused(wrong: int) -> None:
    good = make_predictions([0, 2], [0, 2])
    confusion({"a": good}, 3)
    bad = dataclasses.replace(good, predicted=np.array([0, wrong]))
    with pytest.raises(InputError, match=f"trial a: classes from {min(0, wrong)} to"):
        confusion({"a": bad}, 3)
