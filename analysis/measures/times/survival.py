"""Shares of trials that reached a target, and restricted means, of rows of times.

In: rows of `reached.times_to_targets`, of one arm and target. Out: the tables and intervals of
`statistics.times.survival`, which has the formulas and their sources.
"""

from __future__ import annotations

import pandas as pd

from analysis.measures.times.paired import pair_by_seed
from analysis.measures.times.reached import times_of_rows
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.times import survival


def kaplan_meier(times: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """`survival.kaplan_meier` as a table.

    Args:
        times: columns time and reached, of one arm; rows whose time is NaN are left out.

    Returns:
        The fields of `ShareReached` as columns; empty for no trials.
    """
    return pd.DataFrame(vars(survival.kaplan_meier(times_of_rows(times), confidence)))


def restricted_mean(
    times: pd.DataFrame, horizon: float | None = None, rng: Rng | None = None
) -> Interval:
    """`survival.restricted_mean` of rows (columns time, reached, budget) of one arm."""
    return survival.restricted_mean(times_of_rows(times), horizon, rng)


def restricted_mean_difference(
    treatment: pd.DataFrame,
    control: pd.DataFrame,
    horizon: float | None = None,
    rng: Rng | None = None,
) -> Interval:
    """`survival.restricted_mean_difference` of the seeds that both arms have.

    Seeds that only one arm has are left out and counted in the note.
    """
    return survival.restricted_mean_difference(pair_by_seed(treatment, control).times, horizon, rng)
