"""What one trial answered on its test images: the sample that statistics by class are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """What one trial answered on its test images.

    indices: int64 (n,), rows of the data set; labels, predicted: int64 (n,), class numbers;
    probabilities: float16 (n, n_classes).
    """

    indices: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
