"""Scores by class of the arms of a table of trials, with intervals over seeds.

In: predictions on test images, `{trial_id: Predictions}`, and the `trials` table that says which
arm and seed each is of. Out: tables. Test images may differ between seeds: each trial is scored
on its own. Definitions: `statistics.classes.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.measures.trials import pair_trials
from analysis.statistics.classes import scores
from analysis.statistics.classes.scores import Confusion
from analysis.statistics.samples.arrays import Ints, Rng
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.predictions import Predictions
from headstart.errors import InputError

PredictionsById = Mapping[str, Predictions]

MORE = ("n", "method", "note")  # of an interval, in tables by class


def confusion(predictions: PredictionsById, n_classes: int) -> Confusion:
    """Pooled and mean confusion matrix of all given trials (those of one arm)."""
    return scores.confusion(counts_of(predictions, n_classes))


def counts_of(
    predictions: PredictionsById, n_classes: int, ids: Sequence[str] | None = None
) -> Ints:
    """Confusion counts of each trial (n_trials, true, predicted), by sorted id or as in `ids`.

    Raises InputError for a class that the data set does not have.
    """
    ids = sorted(predictions) if ids is None else ids
    counts = np.zeros((len(ids), n_classes, n_classes), dtype=np.int64)
    for matrix, trial_id in zip(counts, ids, strict=True):
        answers = predictions[trial_id]
        try:
            matrix += scores.count_answers(answers.labels, answers.predicted, n_classes)
        except InputError as error:
            raise InputError(f"trial {trial_id}: {error}") from None
    return counts


def score_intervals(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    class_names: Sequence[str],
    rng: Rng | None = None,
    zero_division: float = 0.0,
    overlap: float = 0.0,
) -> pd.DataFrame:
    """Mean over seeds of every score of each arm, with `mean_interval` over seeds.

    Args:
        trials: columns trial_id and arm; an arm without predictions has rows of NaN, with a note.
        zero_division: the value of a ratio without a denominator, as precision of a class that
            was never predicted: 0.0 (scikit-learn's too), 1.0 or NaN, which averages leave out.
        overlap: of seeds that redraw one pool of images (`redrawn`): intervals are `corrected`.

    Returns:
        arm, scope, class_name ("" for averages), metric, estimate, low, high, n, method, note;
        arms sorted. scope is `all` (metric accuracy), `macro`, `weighted` (by true images) or
        `class` (metric precision, recall or f1). The interval is over seeds alone:
        `two_way.accuracy_interval` adds the doubt about images. Where all seeds are equal it is
        over the images (`column_intervals`).
    """
    rows = []
    for arm, members in trials.groupby("arm"):
        own = {i: predictions[i] for i in members["trial_id"] if i in predictions}
        counts = counts_of(own, len(class_names))
        table, names = scores.score_table(counts, zero_division)
        behind = scores.images_behind(counts)
        intervals = scores.column_intervals(table, rng, 0.0, behind, overlap)
        for (scope, index, metric), interval in zip(names, intervals, strict=True):
            class_name = class_names[index] if index >= 0 else ""
            identity = {"arm": arm, "scope": scope, "class_name": class_name, "metric": metric}
            rows.append(identity | interval.columns(also=MORE))
    columns = ["arm", "scope", "class_name", "metric", "estimate", "low", "high", *MORE]
    return pd.DataFrame(rows, columns=columns)


def class_differences(
    predictions: PredictionsById,
    trials: pd.DataFrame,
    treatment: str,
    control: str,
    class_names: Sequence[str],
    overlap: float = 0.0,
) -> pd.DataFrame:
    """In which classes the recall of two arms differs, Holm-adjusted over the classes.

    Paired by seed; tests and intervals are those of `recall_differences`.

    Returns:
        One row a class: class_name, class_index, n_pairs, n_images (mean a seed), recall_treatment,
        recall_control, difference, low, high, p_value, p_holm, differs (p_holm ≤ 0.05),
        note. NaN where a class is in no test set, and p NaN for one pair of seeds.
    """
    ids = paired_ids(predictions, trials, Pair(treatment, control))
    n_classes = len(class_names)
    treated, controls = (counts_of(predictions, n_classes, side) for side in ids)
    by_class = scores.recall_differences(treated, controls, overlap)
    intervals = by_class.intervals
    return pd.DataFrame(
        {
            "class_name": list(class_names),
            "class_index": range(n_classes),
            "n_pairs": [interval.n for interval in intervals],
            "n_images": by_class.n_images,
            "recall_treatment": by_class.treatment,
            "recall_control": by_class.control,
            **pd.DataFrame([interval.columns("difference") for interval in intervals]),
            "p_value": by_class.p_value,
            "p_holm": by_class.p_holm,
            "differs": by_class.p_holm <= 1 - CONFIDENCE + 1e-12,
            "note": [interval.note for interval in intervals],
        }
    )


def paired_ids(
    predictions: PredictionsById, trials: pd.DataFrame, pair: Pair
) -> tuple[list[str], list[str]]:
    """Trial ids of both arms, aligned by seed, for the seeds where both have predictions."""
    known = trials[trials["trial_id"].isin(list(predictions))]
    treated, control = (known[known["arm"] == arm] for arm in pair)
    pairs = pair_trials(treated, control)
    treated_ids: list[str] = treated["trial_id"].iloc[pairs.treatment].tolist()
    control_ids: list[str] = control["trial_id"].iloc[pairs.control].tolist()
    return treated_ids, control_ids
