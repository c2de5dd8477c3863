"""Which of two arms is right where the other is wrong, with the image as the unit.

In: predictions of two arms, one pair a seed. Out: `McNemar`. An image is known by its row in the
data set (`Predictions.indices`), so that seeds with different test images can be put together: each
image counts where it was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy import stats

from analysis.statistics.samples.arrays import Ints
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


def mcnemar(treatment: Sequence[Predictions], control: Sequence[Predictions]) -> McNemar:
    """McNemar's test over all seeds with the image as the unit; place i of both is one seed.

    Tests of single seeds are not independent where seeds share test images, so an image is a
    cluster: its score is in how many seeds only the treatment was right minus in how many only
    the control was, and z is the sum of the scores over the root of the sum of their squares
    (Durkalski et al. 2003, for images seen at every seed). It says whether these networks differ
    on images like these; whether new seeds would repeat it is what intervals over seeds say.

    Test images may differ between seeds; at one seed only images that both arms saw count. No
    shared image or seed: NaN, with a note. No image on which they differ: z 0, p 1.
    """
    n_pairs = len(treatment)
    images, scores = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for left, right in zip(treatment, control, strict=True):
        index, score = _scores(left, right)
        images.append(index)
        scores.append(score)
    names, cluster = np.unique(np.concatenate(images), return_inverse=True)
    if not len(names):
        return McNemar(nan, nan, 0, n_pairs, "no test image that both arms saw")
    total = np.bincount(cluster, np.concatenate(scores))
    squares = float((total**2).sum())
    z = float(total.sum() / np.sqrt(squares)) if squares else 0.0
    return McNemar(z, float(2 * stats.norm.sf(abs(z))), len(names), n_pairs, "")


def _scores(treatment: Predictions, control: Predictions) -> tuple[Ints, Ints]:
    """Images that both saw, and 1 where only the treatment was right, -1 only the control."""
    index, left, right = np.intersect1d(treatment.indices, control.indices, return_indices=True)
    better = treatment.predicted[left] == treatment.labels[left]
    worse = control.predicted[right] == control.labels[right]
    return index, better.astype(np.int64) - worse.astype(np.int64)
