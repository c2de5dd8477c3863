"""Whether a network is as sure as it is right.

In: probabilities and answers of one trial. Out: its expected calibration error.
"""

from __future__ import annotations

from math import nan

import numpy as np

from analysis.statistics.samples.predictions import Predictions


def calibration_error(answers: Predictions, n_bins: int = 15) -> float:
    """Expected calibration error of one trial.

    Guo et al. (2017), equation 3: images in `n_bins` equal-width bins of the probability given to
    the predicted class; the mean over images of |accuracy - mean probability| of their bin. Not
    corrected for chance: with few images even a calibrated network has some. NaN for no images
    or a probability that is no number.
    """
    n_images = len(answers.predicted)
    probability = answers.probabilities[np.arange(n_images), answers.predicted].astype(float)
    if not n_images or np.isnan(probability).any():
        return nan
    right = (answers.predicted == answers.labels).astype(float)
    # Bins are (low, high].
    index = np.clip(np.ceil(probability * n_bins).astype(int) - 1, 0, n_bins - 1)
    n, sure, hits = (np.bincount(index, w, n_bins) for w in (None, probability, right))
    with np.errstate(invalid="ignore"):
        return float(np.nansum(n * np.abs(hits / n - sure / n)) / n_images)
