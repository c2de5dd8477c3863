"""McNemar's test by hand: images that seeds share are clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.classes.mcnemar import mcnemar
from analysis.statistics.samples.predictions import Predictions


def answers(right: list[bool], first: int = 0) -> Predictions:
    n = len(right)
    predicted = np.where(right, 0, 1)
    return Predictions(np.arange(first, first + n), np.zeros(n, int), predicted, np.ones((n, 2)))


def test_one_seed_is_the_usual_test() -> None:
    """Of five images the treatment alone is right on three, the control alone on one: 2 / √4."""
    test = mcnemar(
        [answers([True, True, True, False, True])], [answers([False, False, False, True, True])]
    )
    assert (test.z, test.n_images, test.n_pairs) == (1.0, 5, 1)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(1))


def test_an_image_that_two_seeds_share_counts_as_one() -> None:
    """Scores of the image are added before they are squared: 2 / √4, and not 2 / √2."""
    assert mcnemar([answers([True])] * 2, [answers([False])] * 2).z == 1.0


def test_no_shared_image_is_no_test() -> None:
    test = mcnemar([answers([True])], [answers([True], first=7)])
    assert math.isnan(test.z)
    assert test.note == "no test image that both arms saw"
