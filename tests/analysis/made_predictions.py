"""Predictions made up for tests: any classes, images, and chance of being right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.samples.predictions import Predictions


def make_predictions(
    labels: list[int], predicted: list[int], indices: list[int] | None = None, sure: float = 0.9
) -> Predictions:
    """Predictions whose probability of the predicted class is `sure`, the rest spread evenly."""
    n_classes = max([*labels, *predicted, 1]) + 1
    probabilities = np.full((len(labels), n_classes), (1 - sure) / (n_classes - 1))
    probabilities[np.arange(len(labels)), predicted] = sure
    return Predictions(
        indices=np.arange(len(labels)) if indices is None else np.array(indices),
        labels=np.array(labels, dtype=np.int64),
        predicted=np.array(predicted, dtype=np.int64),
        probabilities=probabilities.astype(np.float16),
    )


def make_seeds(
    n_seeds: int,
    n_images: int,
    n_classes: int = 10,
    right: float = 0.9,
    arm: str = "a",
    seed: int = 1,
    hardness: float = 0.0,
    same_images: bool = True,
) -> tuple[dict[str, Predictions], pd.DataFrame]:
    """Predictions of the seeds of one arm, and their trials.

    `hardness` is how much an image's chance of being wrong varies from image to image, on the
    logit scale; images are the same at all seeds unless `same_images` is False.
    """
    rng = np.random.default_rng(seed)
    indices = np.arange(n_images)
    every = np.random.default_rng(99).integers(0, n_classes, 10 * n_images)
    logit = np.log(right / (1 - right)) + hardness * np.random.default_rng(98).normal(
        size=10 * n_images
    )
    predictions = {}
    for k in range(n_seeds):
        if not same_images:
            indices = rng.choice(10 * n_images, n_images, replace=False)
        labels = every[indices]
        good = rng.random(n_images) < 1 / (1 + np.exp(-logit[indices]))
        other = (labels + rng.integers(1, n_classes, n_images)) % n_classes
        predicted = np.where(good, labels, other)
        probabilities = rng.dirichlet(np.ones(n_classes), n_images)
        top = probabilities.max(axis=1)
        probabilities[np.arange(n_images), probabilities.argmax(axis=1)] = probabilities[
            np.arange(n_images), predicted
        ]
        probabilities[np.arange(n_images), predicted] = top
        predictions[f"{arm}{k:02d}"] = Predictions(
            indices, labels, predicted, probabilities.astype(np.float16)
        )
    trials = pd.DataFrame({"trial_id": list(predictions), "arm": arm, "seed": range(n_seeds)})
    return predictions, trials
