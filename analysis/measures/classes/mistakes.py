"""Which images are got wrong, and by which of two arms.

In: predictions on test images. Out: the images most often wrong, and McNemar's test. An image is
known by its row in the data set (`indices`), so that seeds with different test images can be
put together: each image counts where it was seen.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.measures.classes.scores import PredictionsById, paired_ids
from analysis.statistics.classes import mcnemar as test
from analysis.statistics.classes.mcnemar import McNemar
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions


def often_wrong(predictions: PredictionsById, top: int = 24) -> pd.DataFrame:
    """The images that the given trials (those of one arm) most often get wrong.

    Returns:
        index (row of the data set), label, n_seen (trials that had it in their test set), n_wrong,
        share_wrong, often_called (the most frequent wrong class; of ties the smallest), n_called,
        probability (mean, of the right class). By n_wrong, then share_wrong, then index; at most
        `top` rows, none for images that were never wrong.
    """
    columns = ["index", "label", "n_seen", "n_wrong", "share_wrong"]
    columns += ["often_called", "n_called", "probability"]
    if not predictions:
        return pd.DataFrame(columns=columns)
    shown = pd.concat([_answers(predictions[i]) for i in sorted(predictions)], ignore_index=True)
    by_image = shown.groupby("index", sort=True)
    images = by_image.agg(
        label=("label", "first"),
        n_seen=("wrong", "size"),
        n_wrong=("wrong", "sum"),
        share_wrong=("wrong", "mean"),
        probability=("probability", "mean"),
    ).reset_index()
    called = (
        shown[shown["wrong"]]
        .groupby(["index", "predicted"])
        .size()
        .reset_index(name="n_called")
        .sort_values(["n_called", "predicted"], ascending=[False, True], kind="stable")
        .drop_duplicates("index")
        .rename(columns={"predicted": "often_called"})
    )
    images = images.merge(called, on="index")
    order = ["n_wrong", "share_wrong", "index"]
    images = images.sort_values(order, ascending=[False, False, True], kind="stable")
    return images[columns].head(top).reset_index(drop=True)


def mcnemar(
    predictions: PredictionsById, trials: pd.DataFrame, treatment: str, control: str
) -> McNemar:
    """`statistics.classes.mcnemar` of the seeds at which both arms have predictions."""
    ids = paired_ids(predictions, trials, Pair(treatment, control))
    return test.mcnemar(*([predictions[i] for i in side] for side in ids))


def _answers(trial: Predictions) -> pd.DataFrame:
    labels = trial.labels
    return pd.DataFrame(
        {
            "index": trial.indices,
            "label": labels,
            "predicted": trial.predicted,
            "wrong": trial.predicted != labels,
            "probability": trial.probabilities[np.arange(len(labels)), labels].astype(float),
        }
    )
