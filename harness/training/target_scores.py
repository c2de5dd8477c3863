"""How good answers are where labels are no classes: the metrics of each kind of target.

In: arrays of answers and of what is right. Out: numbers by the names of `headstart.settings`. NaN
where a metric is not defined. It stands alone because a trial, and whoever tests its network later,
count alike. All is computed in float64 on the CPU.
"""

from __future__ import annotations

import math

import numpy as np

Floats = np.ndarray


def scores_of_labels(shares: Floats, right: Floats) -> dict[str, float]:
    """Of several labels an image.

    Args:
        shares: float (images, labels), probabilities; a label is said to be there from 0.5 on.
        right: (images, labels) of 0 and 1.

    Returns:
        mean_average_precision: mean over the labels that some image has; NaN where there is none.
        micro_f1: F1 of all decisions together; NaN where nothing is there and nothing was said.
        macro_f1: mean F1 over the labels that are there or were said to be.
        exact_match: the fraction of the images of which all labels are right.
    """
    is_there, said = right > 0.5, shares >= 0.5
    both, sizes = (is_there & said).sum(axis=0), is_there.sum(axis=0) + said.sum(axis=0)
    f1 = 2 * both[sizes > 0] / sizes[sizes > 0]
    precisions = [average_precision(shares[:, k], is_there[:, k]) for k in range(right.shape[1])]
    return {
        "mean_average_precision": _mean([p for p in precisions if not math.isnan(p)]),
        "micro_f1": 2 * float(both.sum()) / float(sizes.sum()) if sizes.sum() else math.nan,
        "macro_f1": _mean(f1.tolist()),
        "exact_match": float((is_there == said).all(axis=1).mean()),
    }


def average_precision(shares: Floats, is_there: np.ndarray) -> float:
    """Σ (R_k − R_k₋₁) P_k over the distinct shares from the highest down; NaN without positives.

    Precision is not interpolated, and equal shares are one threshold, as scikit-learn has it.

    Args:
        shares: float (images,). is_there: bool (images,).
    """
    n = int(is_there.sum())
    if n == 0:
        return math.nan
    order = np.argsort(-shares, kind="stable")
    ranked, hits = shares[order], np.cumsum(is_there[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = hits[ends].astype(np.float64)
    recalls = np.diff(hits / n, prepend=0.0)
    return float((recalls * hits / (ends + 1)).sum())


def scores_of_grades(given: np.ndarray, right: np.ndarray, n_grades: int) -> dict[str, float]:
    """Of ordered classes.

    Args:
        given, right: int64 (images,), places in the order.

    Returns:
        quadratic_kappa: Cohen's kappa with squared weights (Cohen 1968); NaN where all answers and
            all that is right are one class.
        mae: mean distance in places of the order.
    """
    counts = np.zeros((n_grades, n_grades))
    np.add.at(counts, (right, given), 1)
    places = np.arange(n_grades, dtype=np.float64)
    weights = (places[:, None] - places) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / len(right)
    by_chance = float((weights * expected).sum())
    kappa = 1 - float((weights * counts).sum()) / by_chance if by_chance else math.nan
    return {"quadratic_kappa": kappa, "mae": float(np.abs(given - right).mean())}


def scores_of_numbers(given: Floats, right: Floats) -> dict[str, float]:
    """Of numbers (images,), both in the target's unit.

    Returns:
        mae, rmse: in that unit.
        r2: 1 − Σ (right − given)² / Σ (right − mean)²; NaN where all that is right is one number,
            since nothing is there to explain.
    """
    given, right = given.astype(np.float64), right.astype(np.float64)
    squares = float(((given - right) ** 2).sum())
    spread = float(((right - right.mean()) ** 2).sum())
    is_constant = float(np.ptp(right)) == 0
    return {
        "mae": float(np.abs(given - right).mean()),
        "rmse": math.sqrt(squares / len(right)),
        "r2": math.nan if is_constant else 1 - squares / spread,
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
