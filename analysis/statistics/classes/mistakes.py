"""Which images are got wrong, and by which of two arms.

In: predictions on test images. Out: the images most often wrong, and McNemar's test. An image is
known by its row in the data set (`indices`), so that seeds with different test images can be
put together: each image counts where it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.pairs.scores import PredictionsById, paired_ids
from analysis.statistics.samples.arrays import Ints
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two arms on the same images.

    `z` is above 0 where the treatment is right more often, `p_value` two-sided, for `n_images`
    different images of `n_pairs` seeds.
    """

    z: float
    p_value: float
    n_images: int
    n_pairs: int
    note: str


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
    """McNemar's test over all seeds with the image as the unit.

    Tests of single seeds are not independent where seeds share test images, so an image is a
    cluster: its score is in how many seeds only the treatment was right minus in how many only
    the control was, and z is the sum of the scores over the root of the sum of their squares
    (Durkalski et al. 2003, for images seen at every seed). It says whether these networks differ
    on images like these; whether new seeds would repeat it is what intervals over seeds say.

    Test images may differ between seeds; at one seed only images that both arms saw count. No
    shared image or seed: NaN, with a note. No image on which they differ: z 0, p 1.
    """
    ids = paired_ids(predictions, trials, Pair(treatment, control))
    n_pairs = len(ids[0])
    images, scores = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for left, right in zip(*ids, strict=True):
        index, score = _scores(predictions[left], predictions[right])
        images.append(index)
        scores.append(score)
    names, cluster = np.unique(np.concatenate(images), return_inverse=True)
    if not len(names):
        return McNemar(nan, nan, 0, n_pairs, "no test image that both arms saw")
    total = np.bincount(cluster, np.concatenate(scores))
    squares = float((total**2).sum())
    z = float(total.sum() / np.sqrt(squares)) if squares else 0.0
    return McNemar(z, float(2 * stats.norm.sf(abs(z))), len(names), n_pairs, "")


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


def _scores(treatment: Predictions, control: Predictions) -> tuple[Ints, Ints]:
    """Images that both saw, and 1 where only the treatment was right, -1 only the control."""
    index, left, right = np.intersect1d(treatment.indices, control.indices, return_indices=True)
    better = treatment.predicted[left] == treatment.labels[left]
    worse = control.predicted[right] == control.labels[right]
    return index, better.astype(np.int64) - worse.astype(np.int64)
