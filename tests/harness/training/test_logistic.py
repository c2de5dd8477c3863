"""The fit of a linear layer beside scikit-learn on raw features, and at the optimum by autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from harness.training.logistic import GRID, Labelled, choose_fit, fit_with
from headstart.errors import InputError


def blobs(n: int, n_classes: int, seed: int) -> Labelled:
    """Overlapping clouds of points, far from 0 and with columns of unlike scales."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = np.random.default_rng(9).normal(size=(n_classes, 6))
    points = centres[labels] + rng.normal(size=(n, 6))
    return Labelled(points * np.array([1, 2, 0.5, 3, 1, 1]) + 20.0, labels)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_gradient_of_the_stated_objective_vanishes(n_classes, with_bias):
    train, l2 = blobs(60, n_classes, 0), 0.03
    class_weights = np.linspace(0.5, 1.5, n_classes)
    fit = fit_with(train, class_weights, l2, with_bias=with_bias)
    assert fit.converged
    scale = np.sqrt(((train.features - with_bias * train.features.mean(0)) ** 2).mean())
    weight = torch.tensor(fit.weight, requires_grad=True)
    bias = torch.tensor(fit.bias, requires_grad=with_bias)
    x, y = torch.from_numpy(train.features), torch.from_numpy(train.labels)
    losses = F.cross_entropy(x @ weight.T + bias, y, reduction="none")
    loss = (losses * torch.from_numpy(class_weights)[y]).mean()
    (loss + l2 / 2 * (weight * scale).square().sum()).backward()
    assert weight.grad.abs().max() / 20 < 1e-5, "the features are about 20"
    if with_bias:
        assert bias.grad.abs().max() < 1e-5
    else:
        assert not fit.bias.any()


def test_it_is_scikit_learns_own_on_raw_features():
    train, validation = blobs(90, 3, 0), blobs(60, 3, 1)
    fit = fit_with(train, np.ones(3), 0.01)
    variance = ((train.features - train.features.mean(0)) ** 2).mean()
    theirs = LogisticRegression(C=1 / (90 * 0.01 * variance), tol=1e-8, max_iter=10_000)
    theirs.fit(train.features, train.labels)
    ours_p = torch.from_numpy(fit.logits(validation.features)).softmax(1).numpy()
    np.testing.assert_allclose(ours_p, theirs.predict_proba(validation.features), atol=2e-4)


def test_validation_chooses_by_accuracy_then_loss_and_of_equal_ones_the_strongest():
    train, validation = blobs(60, 3, 0), blobs(60, 3, 1)
    chosen = choose_fit(train, validation, np.ones(3))
    each = [choose_one(train, validation, l2) for l2 in GRID]
    assert chosen.accuracy == max(accuracy for accuracy, _ in each)
    best = max(each, key=lambda score: (round(score[0], 9), -score[1]))
    assert chosen.loss == pytest.approx(best[1], rel=1e-4)
    by_loss = choose_fit(train, validation, np.ones(3), by_loss=True)
    assert by_loss.loss == pytest.approx(min(loss for _, loss in each), rel=1e-4)
    assert GRID[0] == pytest.approx(1e4)
    assert GRID[-1] == pytest.approx(1e-6)
    flat = Labelled(np.zeros((6, 2)), np.arange(6) % 2)
    assert choose_fit(flat, flat, np.ones(2)).l2 == GRID[0]


def choose_one(train: Labelled, validation: Labelled, l2: float) -> tuple[float, float]:
    """Accuracy and loss on validation images of a fit that begins anew."""
    logits = torch.from_numpy(fit_with(train, np.ones(3), l2).logits(validation.features))
    labels = torch.from_numpy(validation.labels)
    accuracy = (logits.argmax(1) == labels).double().mean()
    return float(accuracy), float(F.cross_entropy(logits, labels))


def test_the_same_bits_come_twice_and_a_class_without_images_is_named():
    train, validation = blobs(40, 4, 0), blobs(40, 4, 1)
    one, other = (choose_fit(train, validation, np.ones(4)) for _ in range(2))
    assert one.weight.tobytes() == other.weight.tobytes()
    with pytest.raises(InputError, match=r"class 4 \(from 0\) of 5 has no training image"):
        fit_with(train, np.ones(5), 1.0)
