"""Accuracy of arms with doubt about both the seeds and the test images.

In: predictions, and the trials they are of. Out: `statistics.classes.two_way.TwoWay`.
"""

from __future__ import annotations

import pandas as pd

from analysis.measures.classes.scores import PredictionsById, paired_ids
from analysis.statistics.classes import two_way
from analysis.statistics.classes.two_way import TwoWay
from analysis.statistics.samples.pairing import Pair


def accuracy_interval(
    predictions: PredictionsById, trials: pd.DataFrame, arm: str, control: str | None = None
) -> TwoWay:
    """Mean accuracy of `arm`, or its difference from `control` at the seeds that both have.

    Args:
        trials: columns trial_id, arm, seed.
    """
    ids = paired_ids(predictions, trials, Pair(arm, arm if control is None else control))
    sides = [[predictions[i] for i in side] for side in (ids[:1] if control is None else ids)]
    return two_way.accuracy_interval(*sides)
