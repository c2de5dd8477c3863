"""Which seconds may be compared: those of trials that ran alike.

In: rows of trials. Out: what differs. It stands alone because ratios of times, comparisons and what
pretraining cost must agree on it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Rows

# A GPU that others share, and other libraries on it, are other conditions.
CONDITIONS = (
    *("device", "n_workers", "ran_as"),
    *("gpu_share", "gpu_workers", "gpu_sharing", "cuda", "cudnn", "driver"),
)


def same_conditions(treatment: pd.DataFrame, control: pd.DataFrame) -> str:
    """Empty where the seconds of trials paired by seed may be compared, else what differs.

    Args:
        treatment, control: rows of `trials` with seed, status and those of `CONDITIONS` that the
            version which wrote them knew. Of trials that did not finish no seconds are used, so
            they are not looked at.
    """
    done = [rows[rows["status"] == "done"] for rows in (treatment, control)]
    both = done[0].merge(done[1], on="seed", suffixes=("_treatment", "_control"))
    for name in (name for name in CONDITIONS if name in treatment and name in control):
        left, right = both[f"{name}_treatment"], both[f"{name}_control"]
        differs = ((left != right) & ~(left.isna() & right.isna())).to_numpy()
        if differs.any():
            values = f"{left[differs].iloc[0]} against {right[differs].iloc[0]}"
            return f"seconds are not comparable: {name} is {values}"
    return ""


def numbered_conditions(trials: pd.DataFrame) -> dict[str, Rows]:
    """For each condition that is known a number for each trial, equal where its values are."""
    known = [name for name in CONDITIONS if name in trials]
    return {
        name: np.asarray(pd.factorize(trials[name], use_na_sentinel=False)[0], dtype=np.intp)
        for name in known
    }
