"""Rows as they are drawn, for the page's charts and for the figures of papers alike.

In: tables of `Findings`. Out: the same numbers with what a drawing must know of them: which end is
open, what is a number and what a bound. It stands alone so that no drawing decides that again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import words

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
