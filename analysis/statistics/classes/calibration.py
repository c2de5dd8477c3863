"""Whether networks are as sure as they are right.

In: predictions with probabilities. Out: the expected calibration error of each trial and arm.
Test images may differ between seeds.
"""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd

from analysis.statistics.pairs.scores import MORE, PredictionsById, column_intervals
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.predictions import Predictions


def calibration_error(predictions: PredictionsById, n_bins: int = 15) -> pd.DataFrame:
    """Expected calibration error of each trial: trial_id, ece, n_images.

    Guo et al. (2017), equation 3: images in `n_bins` equal-width bins of the probability given to
    the predicted class; the mean over images of |accuracy - mean probability| of their bin. Not
    corrected for chance: with few images even a calibrated network has some. NaN for no images
    or a probability that is no number.
    """
    rows = [
        (trial_id, _error(answers, n_bins), len(answers.labels))
        for trial_id, answers in sorted(predictions.items())
    ]
    return pd.DataFrame(rows, columns=["trial_id", "ece", "n_images"])


def calibration_intervals(
    predictions: PredictionsById, trials: pd.DataFrame, rng: Rng | None = None
) -> pd.DataFrame:
    """Mean calibration error of each arm with `mean_interval` over its seeds.

    Columns arm, estimate, low, high, n, method, note; an arm without predictions is NaN.
    """
    error = calibration_error(predictions)
    rows = []
    for arm, members in trials.groupby("arm"):
        own = error.loc[error["trial_id"].isin(members["trial_id"]), "ece"].to_numpy(dtype=float)
        interval = column_intervals(own[:, None], rng, least=0.0)[0]
        rows.append({"arm": arm} | interval.columns(also=MORE))
    return pd.DataFrame(rows, columns=["arm", "estimate", "low", "high", *MORE])


def _error(answers: Predictions, n_bins: int) -> float:
    """Over bins (low, high] of the probability of the predicted class."""
    n_images = len(answers.predicted)
    probability = answers.probabilities[np.arange(n_images), answers.predicted].astype(float)
    if not n_images or np.isnan(probability).any():
        return nan
    right = (answers.predicted == answers.labels).astype(float)
    index = np.clip(np.ceil(probability * n_bins).astype(int) - 1, 0, n_bins - 1)
    n, sure, hits = (np.bincount(index, w, n_bins) for w in (None, probability, right))
    with np.errstate(invalid="ignore"):
        return float(np.nansum(n * np.abs(hits / n - sure / n)) / n_images)
