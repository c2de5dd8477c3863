"""Whether the networks of an arm are as sure as they are right.

In: predictions with probabilities, and the trials they are of. Out: the expected calibration error
of each trial and arm. Test images may differ between seeds.
"""

from __future__ import annotations

import pandas as pd

from analysis.measures.classes.scores import MORE, PredictionsById
from analysis.statistics.classes import calibration
from analysis.statistics.classes.scores import column_intervals
from analysis.statistics.samples.arrays import Rng


def calibration_error(predictions: PredictionsById, n_bins: int = 15) -> pd.DataFrame:
    """Expected calibration error of each trial: trial_id, ece, n_images.

    The formula and its source: `statistics.classes.calibration`.
    """
    rows = [
        (trial_id, calibration.calibration_error(answers, n_bins), len(answers.labels))
        for trial_id, answers in sorted(predictions.items())
    ]
    return pd.DataFrame(rows, columns=["trial_id", "ece", "n_images"])


def calibration_intervals(
    predictions: PredictionsById, trials: pd.DataFrame, rng: Rng | None = None, overlap: float = 0.0
) -> pd.DataFrame:
    """Mean calibration error of each arm with `mean_interval` over its seeds.

    Columns arm, estimate, low, high, n, method, note; an arm without predictions is NaN.
    """
    error = calibration_error(predictions)
    rows = []
    for arm, members in trials.groupby("arm"):
        own = error.loc[error["trial_id"].isin(members["trial_id"]), "ece"].to_numpy(dtype=float)
        interval = column_intervals(own[:, None], rng, least=0.0, overlap=overlap)[0]
        rows.append({"arm": arm} | interval.columns(also=MORE))
    return pd.DataFrame(rows, columns=["arm", "estimate", "low", "high", *MORE])
