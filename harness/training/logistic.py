"""A linear layer fitted to features: logistic regression with an L2 that validation images choose.

In: features of training and validation images as arrays, and their labels. Out: weights and biases
of a linear layer. It stands alone because it knows arrays and no network. L-BFGS is scikit-learn's.

What is made smaller is the mean cross-entropy of the training images + l2/2 · ‖W‖², the biases
free. W belongs to features that were centred and divided by one number, the root of their mean
variance: so the grid of L2 fits networks of any scale, and nothing else is changed of the penalty,
which Kornblith et al. (CVPR 2019, A.2) put on raw features. Weights and biases are given back for
the features as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from headstart.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Of the mean loss; Kornblith et al. take 45 values over eleven decades, up to 1e5.
GRID = tuple(10 ** (4 - k / 3) for k in range(31))  # 1e4 … 1e-6, three in a decade
MOST_ITERATIONS = 10_000
TOLERANCE = 1e-6  # the largest number of the gradient at the end


@dataclass(frozen=True)
class Labelled:
    """Features (N, features) and labels int64 (N,) of some images."""

    features: Floats
    labels: Ints

    def __post_init__(self) -> None:
        assert len(self.features) == len(self.labels)


@dataclass(frozen=True)
class LinearFit:
    """A fitted linear layer.

    Attributes:
        weight: float64 (classes, features).
        bias: float64 (classes,); zeros where none was asked for.
        l2: that was chosen, or given.
        loss, accuracy: on validation images; NaN where there are none.
        converged: whether L-BFGS came to its end.
    """

    weight: Floats
    bias: Floats
    l2: float
    loss: float
    accuracy: float
    converged: bool

    def logits(self, features: Floats) -> Floats:
        return features @ self.weight.T + self.bias


def choose_fit(
    train: Labelled,
    validation: Labelled,
    class_weights: Floats,
    *,
    by_loss: bool = False,
    with_bias: bool = True,
    threads: int = 1,
) -> LinearFit:
    """The fit whose L2 does best on validation images: by accuracy, then loss; or by loss alone.

    Of equal ones it is that of the strongest L2. Each fit begins where the one before it ended.

    Args:
        class_weights: (classes,), what a training image counts by its class.

    Raises:
        InputError: a class has no training image.
    """
    best: LinearFit | None = None
    with threadpool_limits(threads):
        for fit in _fits(train, validation, class_weights, GRID, with_bias):
            if best is None or _rank(fit, by_loss) > _rank(best, by_loss):
                best = fit
    assert best is not None
    return best


def fit_with(
    train: Labelled, class_weights: Floats, l2: float, *, with_bias: bool = True, threads: int = 1
) -> LinearFit:
    """The fit with an L2 that was chosen before.

    Raises:
        InputError: a class has no training image.
    """
    none = Labelled(train.features[:0], train.labels[:0])
    with threadpool_limits(threads):
        (fit,) = _fits(train, none, class_weights, [l2], with_bias)
    return fit


def load_solver() -> None:
    """Import scikit-learn, which takes seconds, before a clock runs."""
    from sklearn import linear_model  # noqa: F401


def _rank(fit: LinearFit, by_loss: bool) -> tuple[float, ...]:
    return (-fit.loss,) if by_loss else (fit.accuracy, -fit.loss)


def _fits(
    train: Labelled,
    validation: Labelled,
    class_weights: Floats,
    grid: Sequence[float],
    with_bias: bool,
) -> Iterator[LinearFit]:
    """One fit after another, from the first L2 of the grid to the last."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    n, n_classes = len(train.labels), len(class_weights)
    missing = sorted(set(range(n_classes)) - set(train.labels.tolist()))
    if missing:
        raise InputError(f"class {missing[0]} (from 0) of {n_classes} has no training image, and "
                         "fine_tune: {probe: lbfgs} needs one of each")  # fmt: skip
    mean = train.features.mean(axis=0) if with_bias else np.zeros(train.features.shape[1])
    centred = train.features - mean
    scale = float(np.sqrt(np.mean(centred**2))) or 1.0
    # scikit-learn has two classes as one row of weights w, and ours are -w/2 and w/2: half as much
    # of a penalty.
    rows = 2 if n_classes == 2 else 1
    model = LogisticRegression(
        fit_intercept=with_bias, tol=TOLERANCE, max_iter=MOST_ITERATIONS, warm_start=True
    )
    for l2 in grid:
        model.set_params(C=rows / (n * l2))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(centred / scale, train.labels, sample_weight=class_weights[train.labels])
        weight, bias = model.coef_ / scale, np.broadcast_to(model.intercept_, len(model.coef_))
        if n_classes == 2:
            weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        converged = not any(issubclass(w.category, ConvergenceWarning) for w in said)
        bias = bias - weight @ mean
        yield _scored(LinearFit(weight, bias, l2, np.nan, np.nan, converged), validation)


def _scored(fit: LinearFit, validation: Labelled) -> LinearFit:
    if not len(validation.labels):
        return fit
    logits = fit.logits(validation.features)
    above = logits - logits.max(axis=1, keepdims=True)
    log_p = above - np.log(np.exp(above).sum(axis=1, keepdims=True))
    loss = -float(log_p[np.arange(len(logits)), validation.labels].mean())
    accuracy = float((logits.argmax(axis=1) == validation.labels).mean())
    return LinearFit(fit.weight, fit.bias, fit.l2, loss, accuracy, fit.converged)
