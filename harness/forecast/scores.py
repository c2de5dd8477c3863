"""Scores of how well a start will serve a data set, from features alone: arrays in, one number out.

In: features float (n, d) of the layer before the head, labels int (n,) in 0 … C - 1, and for LEEP
and NCE what the start's own head says, probabilities (n, z) of its own classes. Out: a float, of
which more is better in every score. Nothing is trained but the linear probe, and nothing knows a
file or a network, so that each formula is checked against numbers that others published.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from harness.training.target_scores import average_precision, scores_of_labels, scores_of_numbers

Floats = np.ndarray
Labels = np.ndarray
ROUNDS = 100  # of LogME's fixed point, which takes two or three
TOLERANCE = 1e-6  # relative change of LogME's alpha / beta at which it has converged
GUARD = 1e-5  # beside sums of squares that may be 0, as the authors' program has it
FOLDS = 3  # of the linear probe
STEPS = 200  # of its optimizer
PENALTIES = tuple(10.0**k for k in range(-2, 6))  # of the probe of numbers
SEED = 0  # of its folds: the same images give the same folds


class NoScore(ValueError):
    """Why these images or this start have no such score, in words."""


def log_me(features: Floats, labels: Labels) -> float:
    """LogME: the log evidence of a Bayesian linear model of each class, mean over classes, by n.

    You et al. 2021 (ICML), equations 2 to 4, maximised by the fixed point of You et al. 2022 (JMLR
    23, algorithm 3) on the singular values. Their program leaves the log of alpha out for the d - n
    directions in which d > n features are all 0; here they are in, as in the paper's equation.
    """
    wanted = one_hot(labels)
    return _evidence(np.asarray(features, float), wanted)


def log_me_of_target(features: Floats, wanted: Floats) -> float:
    """LogME of several labels, or of numbers: mean over outputs of the log evidence, by n.

    You et al. 2021, section 4: the target of a regression stands where a class's 0 and 1 do, and
    of several outputs the mean is taken. Numbers are standardised, which adds the same to the
    score of every start.
    """
    spread = wanted.std(axis=0)
    if wanted.shape[1] == 1 and spread.all():
        wanted = (wanted - wanted.mean(axis=0)) / spread
    return _evidence(np.asarray(features, float), np.asarray(wanted, float))


def _evidence(features: Floats, wanted: Floats) -> float:
    """Mean over the columns of `wanted` (n, outputs) of the largest log evidence, by n."""
    n, d = features.shape
    squares, along = _spectrum(features, wanted)
    outside = np.maximum((wanted**2).sum(axis=0) - along.sum(axis=0), 0.0)
    alpha, beta = np.ones(wanted.shape[1]), np.ones(wanted.shape[1])
    for _ in range(ROUNDS):
        ratio = alpha / beta
        gamma = (squares / (squares + ratio)).sum(axis=0)
        size = (squares * along / (ratio + squares) ** 2).sum(axis=0)  # |m|²
        error = (along / (1 + squares / ratio) ** 2).sum(axis=0) + outside  # |y - Fm|²
        alpha, beta = gamma / (size + GUARD), (n - gamma) / (error + GUARD)
        if (np.abs(alpha / beta - ratio) <= TOLERANCE * ratio).all():
            break
    determinant = np.log(alpha + beta * squares).sum(axis=0) + (d - len(squares)) * np.log(alpha)
    evidence = (
        d * np.log(alpha) + n * np.log(beta) - determinant - beta * error - alpha * size
        - n * np.log(2 * np.pi)
    ) / 2  # fmt: skip
    return float((evidence / n).mean())


def _spectrum(features: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Squares of the singular values that are not 0, (k, 1), and of (left vectors)ᵀ wanted, (k, C).

    By the smaller of both products of the features with themselves, in a tenth of an SVD's time.
    """
    n, d = features.shape
    product = features.T @ features if d < n else features @ features.T
    squares, vectors = np.linalg.eigh(product)
    kept = squares > max(n, d) * np.finfo(float).eps * max(float(squares.max()), 0.0)
    squares, vectors = squares[kept][:, None], vectors[:, kept]
    if d < n:
        return squares, (vectors.T @ (features.T @ wanted)) ** 2 / squares
    return squares, (vectors.T @ wanted) ** 2


def h_score(features: Floats, labels: Labels) -> float:
    """H-score: how much of the features' spread is between classes, tr(cov(f)⁻¹ cov(E[f | y])).

    Bao et al. 2019 (ICIP), definition 2. From 0 to C - 1. The covariance has no inverse, and the
    score counts rounding, where there are no more images than features.

    Raises:
        NoScore: so it is.
    """
    n, d = features.shape
    if n <= d:
        raise NoScore(f"{n:,} images are no more than its {d:,} features")
    within = np.atleast_2d(np.cov(features, rowvar=False))
    return _between(np.linalg.pinv(within, rcond=1e-15, hermitian=True), features, labels)


def shrunk_h_score(features: Floats, labels: Labels) -> float:
    """H-score with a covariance that always has an inverse: Ledoit and Wolf's.

    Ibrahim, Ponomareva and Mazumder 2022 (ECML PKDD, "Newer is not always better"), equation 5:
    tr(Σ_α⁻¹ (1 - α) cov(E[f | y])), with α the share of the identity in Σ_α. For d > n too.
    """
    from sklearn.covariance import ledoit_wolf

    within, share = ledoit_wolf(np.asarray(features, float))
    inverse = np.linalg.pinv(np.atleast_2d(within), rcond=1e-15, hermitian=True)
    return (1 - float(share)) * _between(inverse, features, labels)


def leep(probabilities: Floats, labels: Labels) -> float:
    """LEEP: mean log likelihood of the labels, given the source's own classes, at most 0.

    Nguyen et al. 2020 (ICML), equations 1 and 2: P(y | z) is the mean of the source's
    probabilities over the images of each label; a prediction is its mean over z.
    """
    joint = one_hot(labels).T @ np.asarray(probabilities, float) / len(labels)  # (C, z)
    total = joint.sum(axis=0)
    given = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
    said = (probabilities @ given.T)[np.arange(len(labels)), labels]
    return float(np.log(said).mean())


def nce(probabilities: Floats, labels: Labels) -> float:
    """NCE: minus the entropy of the labels given the source's answer for each image, at most 0.

    Tran, Nguyen and Hassner 2019 (ICCV), section 3. The answer is the source's likeliest class.
    """
    answers = np.asarray(probabilities).argmax(axis=1)
    joint = np.zeros((int(labels.max()) + 1, probabilities.shape[1]))
    np.add.at(joint, (labels, answers), 1 / len(labels))
    total = np.broadcast_to(joint.sum(axis=0), joint.shape)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / total[there])).sum())


def nearest_neighbour(features: Floats, labels: Labels) -> float:
    """Share of images whose nearest other image (Euclidean) has their label: leave-one-out.

    Puigcerver et al. 2021 (ICLR, "Scalable transfer learning with expert models"), section 3.3.
    Of neighbours that are equally near, the first counts.
    """
    return float((labels[_nearest(features)] == labels).mean())


def neighbours_labels(features: Floats, wanted: Floats) -> float:
    """F1 of all decisions together, where each image is given the labels of its nearest other one.

    The leave-one-out neighbour of Puigcerver et al. 2021 with a score of several labels.

    Raises:
        NoScore: no image has a label.
    """
    score = scores_of_labels(wanted[_nearest(features)], wanted)["micro_f1"]
    if np.isnan(score):
        raise NoScore("none of these images has a label")
    return score


def neighbours_numbers(features: Floats, wanted: Floats) -> float:
    """R² where each image is given the number of its nearest other one.

    The leave-one-out neighbour of Puigcerver et al. 2021 with a score of numbers; from −3 for
    neighbours that say nothing, up to 1.

    Raises:
        NoScore: all images have one number.
    """
    return _r2(wanted[_nearest(features), 0], wanted[:, 0])


def _r2(said: Floats, right: Floats) -> float:
    score = scores_of_numbers(said, right)["r2"]
    if np.isnan(score):
        raise NoScore("all of these images have one number")
    return score


def _nearest(features: Floats) -> np.ndarray:
    """int64 (n,): of each image its nearest other one."""
    points = np.asarray(features, float) - np.mean(features, axis=0, dtype=float)
    squares = (points**2).sum(axis=1)
    nearest = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), 1000):
        rows = slice(start, start + 1000)
        distances = squares[None] - 2 * points[rows] @ points.T
        n_rows = len(distances)
        distances[np.arange(n_rows), np.arange(start, start + n_rows)] = np.inf
        nearest[rows] = distances.argmin(axis=1)
    return nearest


def linear_probe(features: Floats, labels: Labels) -> float:
    """Accuracy of logistic regression on standardised features, over stratified folds.

    Kornblith, Shlens and Le 2019 (CVPR) for the probe itself; scikit-learn's, with its own L2
    penalty (C = 1), `FOLDS` folds that the labels alone decide.

    Raises:
        NoScore: a class has one image alone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    smallest = int(np.bincount(labels)[np.unique(labels)].min())
    if smallest < 2:
        raise NoScore("a class has one image alone, and folds need two")
    folds = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=SEED)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS, tol=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        said = cross_val_predict(probe, features, labels, cv=folds)
    return float((said == labels).mean())


def probe_of_labels(features: Floats, wanted: Floats) -> float:
    """Mean average precision of a logistic regression of each label, over folds.

    As `linear_probe`, by label. A label that not every fold's rest has both ways is left out.

    Raises:
        NoScore: that is so of all labels.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    precisions = []
    for column in wanted.T > 0.5:
        if min(column.sum(), (~column).sum()) < FOLDS:
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=STEPS, tol=1e-3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            shares = _over_folds(probe, features, column.astype(np.int64), "predict_proba")[:, 1]
        precisions.append(average_precision(shares, column))
    if not precisions:
        raise NoScore(f"no label is there, and is not there, in {FOLDS} images or more")
    return float(np.mean(precisions))


def probe_of_numbers(features: Floats, wanted: Floats) -> float:
    """R² of ridge regression on standardised features, over folds.

    As `linear_probe`, with ridge regression in the place of logistic regression; its penalty is
    chosen of `PENALTIES` on the other folds (scikit-learn's generalised cross-validation).

    Raises:
        NoScore: all images have one number.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES))
    said = _over_folds(probe, features, wanted[:, 0], "predict")
    return _r2(said, wanted[:, 0])


def _over_folds(probe: Any, features: Floats, wanted: Floats, method: str) -> Floats:
    """What a probe says of each image that was fitted on the other folds; stratified by classes."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    kind = StratifiedKFold if method == "predict_proba" else KFold
    folds = kind(FOLDS, shuffle=True, random_state=SEED)
    said: Floats = cross_val_predict(probe, features, wanted, cv=folds, method=method)
    return said


def load() -> None:
    """Import what the scores need, so that no score's time has it."""
    import sklearn.covariance
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401


def one_hot(labels: Labels) -> Floats:
    """float (n, C) of labels (n,)."""
    hot: Floats = np.eye(int(labels.max()) + 1)[labels]
    return hot


def _between(inverse: Floats, features: Floats, labels: Labels) -> float:
    """tr(inverse · cov(E[f | y])), of an inverse (d, d), with n - 1 in the covariance."""
    features, wanted = np.asarray(features, float), one_hot(labels)
    counts = wanted.sum(axis=0)
    means = (wanted.T @ features) / np.maximum(counts, 1.0)[:, None] - features.mean(axis=0)
    each = np.einsum("cd,de,ce->c", means, inverse, means, optimize=True)
    return float(counts @ each / (len(labels) - 1))


@dataclass(frozen=True)
class Score:
    """One score: how a table names it, what it is given, and the function of classes; by kind of
    target that of several labels and of numbers, where there is one."""

    label: str
    needs: Literal["features", "head"]
    compute: Callable[[Floats, Labels], float]
    source: str
    of_target: Mapping[str, Callable[[Floats, Floats], float]] = field(default_factory=dict)

    def lacks(self, kind: str) -> str:
        """Why there is no such score of a kind of target; empty where there is, and of classes."""
        if not kind or kind in self.of_target:
            return ""
        return (
            f"{self.source} define it of one class an image, and the target is of the kind {kind}"
        )

    def computed(self, given: Floats, labels: Labels, wanted: Floats | None, kind: str) -> float:
        """The score of features or probabilities (n, …).

        Args:
            labels: int64 (n,), classes.
            wanted: float (n, outputs), several labels or numbers, and `kind` which of both; None of
                classes.

        Raises:
            NoScore: there is none of these images.
        """
        if wanted is None:
            return self.compute(given, labels)
        return self.of_target[kind](given, wanted)


SCORES: Mapping[str, Score] = {
    "logme": Score(
        "LogME", "features", log_me, "You et al. 2021",
        {"labels": log_me_of_target, "number": log_me_of_target},
    ),
    "h_score": Score("H-score", "features", h_score, "Bao et al. 2019"),
    "shrunk_h_score": Score("H-score, shrunk", "features", shrunk_h_score, "Ibrahim et al. 2022"),
    "leep": Score("LEEP", "head", leep, "Nguyen et al. 2020"),
    "nce": Score("NCE", "head", nce, "Tran et al. 2019"),
    "neighbour": Score(
        "Nearest neighbour", "features", nearest_neighbour, "Puigcerver et al. 2021",
        {"labels": neighbours_labels, "number": neighbours_numbers},
    ),
    "probe": Score(
        "Linear probe", "features", linear_probe, "Kornblith et al. 2019",
        {"labels": probe_of_labels, "number": probe_of_numbers},
    ),
}  # fmt: skip
"""By the name that `--scores` takes; more is better in all of them."""
