"""What an evaluation counts of each class, and the scores that follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from harness.training.score import Score, class_counts, score_of


def test_a_case_by_hand():
    """Of class 0 two of three are right, of class 1 the one; class 2 is predicted, class 3 not."""
    labels, predicted = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 2, 1])
    counts = class_counts(predicted, labels, 4).tolist()
    assert counts == [[3, 1, 0, 0], [2, 1, 1, 0], [2, 1, 0, 0]]
    score = score_of(0.5, 4, counts)
    assert (score.loss, score.accuracy) == (0.5, 0.75)
    assert score.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert score.macro_f1 == pytest.approx((4 / 5 + 1 + 0) / 3)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("n_classes", [2, 5, 40])
def test_scores_are_those_of_scikit_learn(n_classes):
    rng = np.random.default_rng(n_classes)
    labels = torch.from_numpy(rng.integers(n_classes, size=(3, 60)) ** 2 // n_classes)
    predicted = torch.where(torch.rand(3, 60) < 0.5, labels, torch.from_numpy(
        rng.integers(n_classes, size=(3, 60))))  # fmt: skip
    for counts, truth, given in zip(
        class_counts(predicted, labels, n_classes).tolist(), labels, predicted, strict=True
    ):
        score = score_of(0.0, 60, counts)
        assert score.accuracy == (truth == given).double().mean().item()
        assert score.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, given))
        assert score.macro_f1 == pytest.approx(f1_score(truth, given, average="macro"))


def test_what_was_not_counted_is_not_a_number():
    assert math.isnan(Score(0.1, 0.9).balanced_accuracy)
    assert math.isnan(Score(0.1, 0.9).macro_f1)
