"""Metrics of targets: by hand, and as scikit-learn has them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from harness.training.target_scores import (
    average_precision,
    scores_of_grades,
    scores_of_labels,
    scores_of_numbers,
)

nan = pytest.approx(math.nan, nan_ok=True)


def test_several_labels_by_hand() -> None:
    """Label a: ranks there, not, there → (1 + 2/3)/2; b: the last of three → 1/3."""
    shares = np.array([[0.9, 0.6], [0.8, 0.7], [0.3, 0.1]])
    right = np.array([[1, 0], [0, 0], [1, 1]])
    scores = scores_of_labels(shares, right)
    assert scores["mean_average_precision"] == pytest.approx((5 / 6 + 1 / 3) / 2)
    assert scores["micro_f1"] == pytest.approx(2 * 1 / (3 + 4))
    assert scores["macro_f1"] == pytest.approx((2 * 1 / 4 + 0) / 2)
    assert scores["exact_match"] == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_several_labels_as_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = (rng.random((60, 5)) < 0.3).astype(float)
    shares = rng.random((60, 5)).round(1)  # with ties
    scores, said = scores_of_labels(shares, right), shares >= 0.5
    assert scores == pytest.approx({
        "mean_average_precision": sk.average_precision_score(right, shares, average="macro"),
        "micro_f1": sk.f1_score(right, said, average="micro"),
        "macro_f1": sk.f1_score(right, said, average="macro"),
        "exact_match": sk.accuracy_score(right, said),
    })  # fmt: skip


def test_a_label_that_no_image_has_is_left_out_of_the_mean() -> None:
    shares, right = np.array([[0.9, 0.2], [0.1, 0.3]]), np.array([[1, 0], [0, 0]])
    scores = scores_of_labels(shares, right)
    assert average_precision(shares[:, 1], right[:, 1] > 0) == nan
    assert (scores["mean_average_precision"], scores["macro_f1"]) == (1.0, 1.0)
    nothing = scores_of_labels(shares * 0, right * 0)
    assert nothing["mean_average_precision"] == nan
    assert (nothing["micro_f1"], nothing["exact_match"]) == (nan, 1.0)


def test_grades_by_hand_and_as_scikit_learn() -> None:
    """Two grades changed into each other in one of four: 1 − 1·4/(2·2) · … = 0.5."""
    given, right = np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1])
    assert scores_of_grades(given, right, 2) == pytest.approx({"quadratic_kappa": 0.5, "mae": 0.25})
    rng = np.random.default_rng(0)
    given, right = rng.integers(5, size=80), rng.integers(5, size=80)
    scores = scores_of_grades(given, right, 5)
    assert scores["quadratic_kappa"] == pytest.approx(
        sk.cohen_kappa_score(right, given, weights="quadratic")
    )
    assert scores["mae"] == pytest.approx(sk.mean_absolute_error(right, given))


def test_one_grade_alone_has_no_kappa() -> None:
    ones = np.ones(3, np.int64)
    assert scores_of_grades(ones, ones, 3) == {"quadratic_kappa": nan, "mae": 0.0}
    assert scores_of_grades(np.array([0, 1, 2]), ones, 3)["quadratic_kappa"] == 0.0


def test_numbers_by_hand_and_as_scikit_learn() -> None:
    scores = scores_of_numbers(np.array([1.0, 2.0, 5.0]), np.array([1.0, 3.0, 5.0]))
    assert scores == pytest.approx({"mae": 1 / 3, "rmse": (1 / 3) ** 0.5, "r2": 1 - 1 / 8})
    rng = np.random.default_rng(0)
    right = rng.normal(2020, 8, 50)
    given = right + rng.normal(0, 3, 50)
    assert scores_of_numbers(given, right) == pytest.approx({
        "mae": sk.mean_absolute_error(right, given),
        "rmse": sk.mean_squared_error(right, given) ** 0.5,
        "r2": sk.r2_score(right, given),
    })  # fmt: skip


def test_of_one_number_alone_there_is_no_r2() -> None:
    """Nothing is there to explain; scikit-learn has 0 or 1, which reads like a result."""
    assert scores_of_numbers(np.array([0.1, 0.3]), np.array([0.1, 0.1]))["r2"] == nan


def test_as_torchmetrics() -> None:
    """A second reference, where its package is installed."""
    functional = pytest.importorskip("torchmetrics.functional")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    shares, right = rng.random((50, 4)), (rng.random((50, 4)) < 0.4).astype(int)
    grades, given = rng.integers(4, size=50), rng.integers(4, size=50)
    numbers, said = rng.normal(size=50), rng.normal(size=50)
    tensors = [torch.from_numpy(a) for a in (shares, right, grades, given, numbers, said)]
    p, y, g, h, a, b = tensors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [
            functional.classification.multilabel_average_precision(p, y, num_labels=4),
            functional.classification.multilabel_f1_score(p, y, num_labels=4, average="micro"),
            functional.classification.multilabel_exact_match(p, y, num_labels=4),
            functional.cohen_kappa(h, g, task="multiclass", num_classes=4, weights="quadratic"),
            functional.mean_absolute_error(b, a),
            functional.r2_score(b, a),
        ]
    labels, order = scores_of_labels(shares, right), scores_of_grades(given, grades, 4)
    of_numbers = scores_of_numbers(said, numbers)
    ours = [
        labels["mean_average_precision"], labels["micro_f1"], labels["exact_match"],
        order["quadratic_kappa"], of_numbers["mae"], of_numbers["r2"],
    ]  # fmt: skip
    assert ours == pytest.approx([float(value) for value in expected], abs=1e-6)
