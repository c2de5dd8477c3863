"""Scores of starts: by hand, against numbers of their authors' programs, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, r2_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness.forecast.scores import (
    SCORES,
    NoScore,
    h_score,
    leep,
    linear_probe,
    log_me,
    nce,
    nearest_neighbour,
    one_hot,
    shrunk_h_score,
)


def made(n, d, n_classes=3, n_source=5):
    """Features (n, d), labels (n,) and a source's probabilities (n, z), without a generator."""
    k, labels = np.arange(n)[:, None], np.arange(n) % n_classes
    features = np.sin(1.3 * k * np.arange(1, d + 1) ** 1.5)
    features = features + 0.6 * np.cos(3.1 * labels[:, None] + np.arange(d))
    shares = np.exp(2 * np.sin(0.9 * k * np.arange(1, n_source + 1) + labels[:, None]))
    return features, labels, shares / shares.sum(axis=1, keepdims=True)


WIDE, LONG = made(12, 30), made(60, 8)


@pytest.mark.parametrize(
    ("score", "given", "published"),
    [
        (log_me, LONG, -0.7886218922072222),  # github.com/thuml/LogME, LogME.py, _fit_fixed_point
        (log_me, WIDE, -0.6668273271051653),  # the same file, _fit_icml, which stops at 1 %
        (h_score, LONG, 0.8194788274222841),  # thuml/Transfer-Learning-Library, ranking/hscore.py
        (shrunk_h_score, LONG, 0.7769551433235393),  # regularized_h_score of the same authors
        (shrunk_h_score, WIDE, 1.8875470451221799),
    ],
)
def test_features_score_as_in_the_published_programs(score, given, published):
    assert score(given[0], given[1]) == pytest.approx(
        published, abs=6e-4 if score is log_me else 1e-9
    )


@pytest.mark.parametrize(
    ("given", "of_leep", "of_nce"),
    [
        (LONG, -1.0919891743263954, -1.0828291457296053),  # thuml/LogME, LEEP.py and NCE.py
        (WIDE, -0.9846662095727123, -0.714203142161254),
    ],
)
def test_heads_score_as_in_the_published_programs(given, of_leep, of_nce):
    assert leep(given[2], given[1]) == pytest.approx(of_leep, abs=1e-12)
    assert nce(given[2], given[1]) == pytest.approx(of_nce, abs=1e-12)


def test_log_me_is_the_largest_evidence_of_a_linear_model():
    """log N(y | 0, I/beta + F Fᵀ/alpha) by scipy, at its best over both, for more features too."""
    from scipy.optimize import minimize
    from scipy.stats import multivariate_normal

    for features, labels, _ in (LONG, WIDE):
        n = len(labels)

        def minus(log, wanted, features=features, n=n):
            alpha, beta = np.exp(log)
            covariance = np.eye(n) / beta + features @ features.T / alpha
            return -multivariate_normal(np.zeros(n), covariance).logpdf(wanted) / n

        best = [  # from several places: where alpha is large the evidence is flat
            max(-minimize(minus, [log, 1.0], (wanted,), method="Nelder-Mead").fun
                for log in (0.0, 2.5, 5.0))
            for wanted in one_hot(labels).T
        ]  # fmt: skip
        assert log_me(features, labels) == pytest.approx(np.mean(best), abs=1e-3)


def test_leep_and_nce_by_hand():
    """Two images of each class; the source says class 0 of three, and one of the last."""
    shares = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels = np.array([0, 0, 1, 1])
    # P(y=0 | z=0) = 2/3, P(y=1 | z=0) = 1/3, P(y=1 | z=1) = 1
    expected = (2 * np.log(2 / 3) + np.log(1 / 3)) / 4
    assert leep(shares, labels) == pytest.approx(expected)
    assert nce(shares, labels) == pytest.approx(expected)  # sure answers: both are one


def test_h_score_by_hand():
    """One feature, -1 and 1 of two classes: all of its spread is between them."""
    features, labels = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([0, 1, 0, 1])
    assert h_score(features, labels) == pytest.approx(1.0)
    mixed = np.array([0, 0, 1, 1])
    assert h_score(features, mixed) == pytest.approx(0.0, abs=1e-12)


def test_no_h_score_where_there_are_as_many_features_as_images():
    with pytest.raises(NoScore, match="12 images are no more than its 30 features"):
        h_score(WIDE[0], WIDE[1])


def test_features_that_all_but_depend_on_each_other_score_no_more_than_they_can():
    """In float32 the mean of such features is less exact than the little that tells them apart."""
    features, labels, _ = made(600, 4)
    alike = np.hstack([features, features @ np.full((4, 40), 0.37)]).astype(np.float32)
    alike = np.float32(100) + alike
    assert h_score(alike, labels) <= 2.0
    assert h_score(alike, labels) == pytest.approx(h_score(alike.astype(float), labels), abs=1e-9)


def test_nearest_neighbour_leaves_the_image_itself_out():
    features, labels, _ = made(1100, 3)  # more than are compared at once
    rows = np.arange(len(labels))
    right = 0
    for k in (0, 7, 999, 1000, 1099):
        others = rows[rows != k]
        model = KNeighborsClassifier(1).fit(features[others], labels[others])
        right += model.predict(features[[k]])[0] == labels[k]
    near = np.array([np.delete(((features - f) ** 2).sum(axis=1), k).argmin()
                     for k, f in enumerate(features)])  # fmt: skip
    near += near >= rows
    assert nearest_neighbour(features, labels) == (labels[near] == labels).mean()
    assert right == (labels[near] == labels)[[0, 7, 999, 1000, 1099]].sum()


def test_a_probe_says_what_it_cannot_do():
    features, labels, _ = made(30, 4)
    assert 0 <= linear_probe(features, labels) <= 1
    with pytest.raises(NoScore, match="one image alone"):
        linear_probe(np.vstack([features, features[:1]]), np.append(labels, 3))


@pytest.mark.parametrize("name", SCORES)
def test_a_start_that_knows_the_classes_scores_higher(name):
    """Features, or answers, that tell the classes apart against the same without them."""
    features, labels, shares = made(150, 6)
    if SCORES[name].needs == "head":
        told = 0.9 * np.eye(5)[labels] + 0.1 * shares
        assert SCORES[name].compute(told, labels) > SCORES[name].compute(shares, labels)
    else:
        told = features + 3 * np.eye(6)[labels]
        assert SCORES[name].compute(told, labels) > SCORES[name].compute(features, labels)


@pytest.mark.parametrize("name", SCORES)
def test_the_order_of_images_and_of_features_changes_nothing(name):
    features, labels, shares = made(90, 5)
    given = shares if SCORES[name].needs == "head" else features
    order = np.argsort(np.sin(np.arange(90) * 7.0))
    columns = slice(None) if name == "nce" else slice(None, None, -1)  # the first of a tie counts
    again = SCORES[name].compute(given[order][:, columns], labels[order])
    if name != "probe":  # whose folds follow the order
        assert again == pytest.approx(SCORES[name].compute(given, labels), abs=1e-6)


def test_targets_without_classes_have_the_scores_that_are_defined_of_them():
    features, labels, _ = LONG
    hot = one_hot(labels)
    number = (features @ np.arange(1.0, 9.0))[:, None]
    of = {name: score.of_target for name, score in SCORES.items() if score.of_target}
    assert set(of) == {"logme", "neighbour", "probe"}
    assert of["logme"]["labels"](features, hot) == pytest.approx(log_me(features, labels))
    # scikit-learn's evidence of the same linear model, without a constant
    standard = (number[:, 0] - number.mean()) / number.std()
    noisy = standard + np.cos(7.0 * np.arange(60))
    ours = of["logme"]["number"](features, noisy[:, None])
    noisy = (noisy - noisy.mean()) / noisy.std()
    ridge = BayesianRidge(
        fit_intercept=False, compute_score=True, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0,
        max_iter=1000, tol=1e-9,
    ).fit(features, noisy)  # fmt: skip
    assert ours == pytest.approx(ridge.scores_[-1] / 60, abs=1e-4)
    assert of["probe"]["number"](features, number) > 0.99
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression())
    expected = [
        average_precision_score(
            column,
            cross_val_predict(probe, features, column, cv=folds, method="predict_proba")[:, 1],
        )
        for column in hot.T.astype(int)
    ]
    assert of["probe"]["labels"](features, hot) == pytest.approx(np.mean(expected), abs=1e-3)
    nearest = KNeighborsRegressor(1).fit(features, number)
    said = number[nearest.kneighbors(return_distance=False)[:, 0], 0]
    assert of["neighbour"]["number"](features, number) == pytest.approx(r2_score(number, said))
    given = hot[nearest.kneighbors(return_distance=False)[:, 0]]
    expected = f1_score(hot, given, average="micro")
    assert of["neighbour"]["labels"](features, hot) == pytest.approx(expected)
    assert SCORES["h_score"].lacks("number").startswith("Bao et al. 2019 define it of one class")
    assert not SCORES["h_score"].lacks("")
    assert not SCORES["logme"].lacks("number")
    with pytest.raises(NoScore, match="all of these images have one number"):
        of["neighbour"]["number"](features, np.ones((60, 1)))
