"""Rows as they are drawn, for the page's charts and for the figures of papers alike.

In: tables of `Findings`. Out: the same numbers with what a drawing must know of them: which end is
open, what is a number and what a bound. It stands alone so that no drawing decides that again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis import words
from analysis.statistics.samples.arrays import Floats

QUANTITIES = {  # by the metric: drawn solid on validation images, dashed on training images
    "accuracy": ("Accuracy", "val_accuracy", "train_accuracy"),
    "balanced_accuracy": ("Balanced accuracy", "val_balanced_accuracy", ""),
    "macro_f1": ("Macro F1", "val_macro_f1", ""),
    "loss": ("Loss", "val_loss", "train_loss"),
}

MOST_CELLS = 70  # classes of a matrix in the page: more would be less than 9 pixels each


def speedup_rows(speedups: pd.DataFrame) -> pd.DataFrame:
    """Speedups of which something is known, each with its kind, its open ends and its text.

    kind: `exact` where every pair reached the target in both arms; `bound` where the estimate is
    the least or the most that it can be; `within` where it is a number of another kind (a ratio
    within the budget, a median), which is never joined to others. open_low, open_high: the interval
    has no such end; low and high are then NaN, as they are where there is no interval.
    """
    rows = speedups[speedups["estimate"].notna()].copy()
    reached = rows[["n_reached_treatment", "n_reached_control"]].min(axis=1) >= rows["n_pairs"]
    bound = rows["bound"].isin(["at least", "at most"])
    rows["kind"] = np.select([bound, reached], ["bound", "exact"], "within")
    columns = (rows[key] for key in ("estimate", "low", "high", "bound"))
    texts = [words.interval("ratio", *values) for values in zip(*columns, strict=True)]
    rows["text"] = pd.Series(texts, index=rows.index, dtype=object)
    rows["open_high"] = np.isposinf(rows["high"]) | (rows["bound"] == "at least")
    rows["open_low"] = (rows["low"] <= 0) | (rows["bound"] == "at most")
    rows["high"] = rows["high"].where(~rows["open_high"])
    rows["low"] = rows["low"].where(~rows["open_low"])
    return rows


def largest_mistake(shares: Iterable[Floats]) -> float:
    """The end of the scale on which the mistakes of all arms are drawn, 0.001 at least.

    shares: of each arm (classes, classes), of the true class, NaN for a class without images.
    """
    wrong = (matrix[~np.eye(len(matrix), dtype=bool)] for matrix in shares)
    return max((float(np.nan_to_num(row).max(initial=0.001)) for row in wrong), default=0.001)


def until_where(differences: Floats) -> float:
    """How far from 0 a drawing of curves' differences goes: bands of few pairs flatten the rest."""
    return 2.5 * max(float(np.abs(differences).max()), 0.005)


def time_grain(times: pd.Series) -> float | None:
    """The least time above 0 where times span so much that their axis is logarithmic, else None."""
    positive = times[times > 0]
    spread = len(positive) and positive.max() >= 8 * positive.min()
    return float(positive.min()) if spread else None
