"""Whether networks are as sure as they are right.

In: predictions with probabilities. Out: the expected calibration error of each trial and arm.
Test images may differ between seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.pairs.scores import MORE, PredictionsById, column_intervals
from analysis.statistics.samples.arrays import Floats, Ints
from analysis.statistics.samples.predictions import Predictions


def calibration_error(predictions: PredictionsById, n_bins: int = 15) -> pd.DataFrame:
    """Expected calibration error of each trial: trial_id, ece, n_images.

    Guo et al. (2017), equation 3: images in `n_bins` equal-width bins of the probability given to
    the predicted class; the mean over images of |accuracy - mean probability| of their bin. Not
    corrected for chance: with few images even a calibrated network has some. NaN for no images
    or a probability that is no number.
    """
    rows = [
        (trial_id, _error(*_confidence(answers), n_bins), len(answers.labels))
        for trial_id, answers in sorted(predictions.items())
    ]
    return pd.DataFrame(rows, columns=["trial_id", "ece", "n_images"])


def calibration_intervals(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    n_bins: int = 15,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Mean calibration error of each arm with `mean_interval` over its seeds.

    Columns arm, estimate, low, high, n, method, note; an arm without predictions is NaN.
    """
    error = calibration_error(predictions, n_bins)
    rows = []
    for arm, members in trials.groupby("arm"):
        own = error.loc[error["trial_id"].isin(members["trial_id"]), "ece"].to_numpy(dtype=float)
        interval = column_intervals(own[:, None], confidence, rng, least=0.0)[0]
        rows.append({"arm": arm} | interval.columns(also=MORE))
    return pd.DataFrame(rows, columns=["arm", "estimate", "low", "high", *MORE])


def _confidence(answers: Predictions) -> tuple[Floats, Floats]:
    """Probability of the predicted class of each image, and 1.0 where it is the right one."""
    predicted = answers.predicted
    probability = answers.probabilities[np.arange(len(predicted)), predicted].astype(float)
    return probability, (predicted == answers.labels).astype(float)


def _error(probability: Floats, right: Floats, n_bins: int) -> float:
    if not len(right) or np.isnan(probability).any():
        return float("nan")
    n, mean_probability, accuracy = _binned(probability, right, n_bins)
    return float(np.nansum(n * np.abs(accuracy - mean_probability)) / len(right))


def _binned(probability: Floats, right: Floats, n_bins: int) -> tuple[Ints, Floats, Floats]:
    """Images, mean probability and accuracy of each bin (low, high]; NaN for an empty one."""
    known = ~np.isnan(probability)
    probability, right = probability[known], right[known]
    index = np.clip(np.ceil(probability * n_bins).astype(int) - 1, 0, n_bins - 1)
    n = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, probability, minlength=n_bins) / n
        return n, mean, np.bincount(index, right, minlength=n_bins) / n
