"""Scores by class from counts, by hand and against scikit-learn; arms are tested in measures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support

from analysis.statistics.classes.scores import (
    confusion,
    count_answers,
    images_behind,
    recall_differences,
    score_table,
)
from headstart.errors import InputError


def test_counts_and_confusion_by_hand() -> None:
    counts = count_answers(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    assert counts.tolist() == [[1, 1], [0, 1]]
    both = confusion(np.stack([counts, 2 * np.eye(2, dtype=int)]))
    assert both.pooled.tolist() == [[3, 1], [0, 3]]
    assert both.mean.tolist() == [[0.75, 0.25], [0, 1]]
    with pytest.raises(InputError, match="classes from 0 to 2 in its predictions, but the data"):
        count_answers(np.array([0, 2]), np.array([0, 1]), 2)


def test_scores_are_scikit_learns() -> None:
    draw = np.random.default_rng(1)
    labels, predicted = draw.integers(0, 4, (2, 60))
    counts = count_answers(labels, predicted, 6)  # nobody has or says the last two
    table, names = score_table(counts[None])
    scores = dict(zip(names, table[0], strict=True))
    for average in ("macro", "weighted"):
        wanted = precision_recall_fscore_support(labels, predicted, average=average)[:3]
        ours = [scores[average, -1, metric] for metric in ("precision", "recall", "f1")]
        assert ours == pytest.approx(wanted)
    lacking = [score for (_, k, _), score in scores.items() if k > 3]
    assert len(lacking) == 6
    assert np.isnan(lacking).all()
    assert len(images_behind(counts[None])) == len(names)


def test_a_difference_of_recall_is_the_paired_t_test() -> None:
    """Ten images of each of two classes; how many of class 0 were right at three seeds."""
    treatment, control = (
        np.array([[[right, 10 - right], [0, 10]] for right in side])
        for side in ([9, 8, 10], [7] * 3)
    )
    by_class = recall_differences(treatment, control)
    assert by_class.intervals[0].estimate == pytest.approx(0.2)
    expected = stats.ttest_rel([0.9, 0.8, 1.0], [0.7] * 3).pvalue
    assert by_class.p_value[0] == pytest.approx(expected)
    assert by_class.p_value[1] == 1
    assert by_class.p_holm[0] == pytest.approx(2 * expected)
