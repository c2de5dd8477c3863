"""Times to a target of two arms, their rows aligned by seed.

In: rows of `reached.times_to_targets` of two arms. Out: `PairedRows`, whose `times` are the arrays
that the statistics take. It stands alone because ratios, means and break-even must pair alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.measures.times.reached import times_of_rows
from analysis.measures.trials import pair_trials
from analysis.statistics.times.paired_times import PairedTimes


@dataclass(frozen=True)
class PairedRows:
    """Rows of two arms; row i of both has one seed. `note` counts those that were left out."""

    treatment: pd.DataFrame
    control: pd.DataFrame
    note: str

    @property
    def times(self) -> PairedTimes:
        sides = times_of_rows(self.treatment), times_of_rows(self.control)
        return PairedTimes(*sides, self.note)


def pair_by_seed(treatment: pd.DataFrame, control: pd.DataFrame) -> PairedRows:
    """The trials of the seeds that both arms have, sorted by seed. Raises as `pair_trials`."""
    pairs = pair_trials(treatment, control)
    left_out = f"{pairs.n_alone} trials without a partner of the same seed left out"
    return PairedRows(
        treatment.iloc[pairs.treatment].reset_index(drop=True),
        control.iloc[pairs.control].reset_index(drop=True),
        left_out if pairs.n_alone else "",
    )
