"""What intervals cover where every seed splits one pool of images anew.

    python -m benchmarks.redrawn [--quick] [--seed N]

Pools of 100 images, of which each seed tests on 20 and trains on 80. Printed for each kind of score
and number of seeds: how often Student's interval and the corrected one hold what other pools would
give on average. Scores: the accuracy of a fixed classifier; the difference of two that are equally
good (one minus coverage is the share of false verdicts of one row alone); the accuracy of a nearest
centroid that learns from the 80; and a mean over the 80 alone, which has no test images, as a time
to a target has none: no correction is derived for it, and the one for accuracies does not hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from analysis.statistics.samples.intervals import mean_interval
from analysis.statistics.samples.redrawn import corrected

SEEDS = (3, 5, 10, 30)
N_POOL, N_TEST = 100, 20
N_FEATURES, APART = 5, 0.35  # of the classes of the centroids: each feature's mean is ± this
Draw = Callable[[np.random.Generator, int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 pools a row instead of 2,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_pools = 100 if given.quick else 2_000
    print(f"{n_pools:,} pools a row, nominal 95 %.\n")
    print("| score | seeds | Student's | corrected |\n|---|---|---|---|")
    for name, draw in SCORES.items():
        for n_seeds in SEEDS:
            scores = np.array([draw(rng, n_seeds) for _ in range(n_pools)])
            plain, wide = coverage(scores, TRUTH.get(name, float(scores.mean())))
            print(f"| {name} | {n_seeds} | {plain:.3f} | {wide:.3f} |", flush=True)


def coverage(scores: np.ndarray, truth: float) -> tuple[float, float]:
    """Of Student's and the corrected interval, over the rows of scores (n_pools, n_seeds)."""
    overlap = N_TEST / (N_POOL - N_TEST)
    pairs = [(mean_interval(row, method="student"), corrected(row, overlap)) for row in scores]
    held = np.array([[each.low <= truth <= each.high for each in pair] for pair in pairs])
    plain, wide = held.mean(axis=0)
    return float(plain), float(wide)


def splits(rng: np.random.Generator, n_seeds: int) -> np.ndarray:
    """The images of the pool in an order of its own for each seed; the first are tested on."""
    return np.argsort(rng.random((n_seeds, N_POOL)), axis=1)


def fixed(rng: np.random.Generator, n_seeds: int) -> np.ndarray:
    right = rng.random(N_POOL) < TRUTH["fixed classifier"]
    return np.asarray(right[splits(rng, n_seeds)[:, :N_TEST]].mean(axis=1))


def difference(rng: np.random.Generator, n_seeds: int) -> np.ndarray:
    right = (rng.random((2, N_POOL)) < TRUTH["fixed classifier"]).astype(float)
    return np.asarray((right[0] - right[1])[splits(rng, n_seeds)[:, :N_TEST]].mean(axis=1))


def centroids(rng: np.random.Generator, n_seeds: int) -> np.ndarray:
    """Of two classes; what other pools give is the mean over all that were drawn."""
    sign = rng.choice([-1.0, 1.0], N_POOL)
    images = APART * sign[:, None] + rng.normal(size=(N_POOL, N_FEATURES))
    order = splits(rng, n_seeds)
    tested, trained = order[:, :N_TEST], order[:, N_TEST:]
    middle, along = [], []
    for rows in trained:
        ends = [images[rows][sign[rows] == side].mean(axis=0) for side in (-1, 1)]
        middle.append((ends[0] + ends[1]) / 2)
        along.append(ends[1] - ends[0])
    side = ((images[tested] - np.array(middle)[:, None]) * np.array(along)[:, None]).sum(axis=2)
    return np.asarray((np.sign(side) == sign[tested]).mean(axis=1))


def training_images(rng: np.random.Generator, n_seeds: int) -> np.ndarray:
    return np.asarray(rng.normal(size=N_POOL)[splits(rng, n_seeds)[:, N_TEST:]].mean(axis=1))


SCORES: dict[str, Draw] = {
    "fixed classifier": fixed,
    "difference of two": difference,
    "nearest centroid": centroids,
    "training images alone": training_images,
}
TRUTH = {"fixed classifier": 0.8, "difference of two": 0.0, "training images alone": 0.0}


if __name__ == "__main__":
    main()
