"""Two arms paired by seed: which of their trials belong together.

In: the seeds of two arms. Out: the rows that pair. It stands alone because comparisons, times,
predictions and spreads must mean the same by "a pair": two trials of one seed, one of each arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Ints, Rows
from headstart.errors import InputError


class Pair(NamedTuple):
    """The names of two arms that are compared."""

    treatment: str
    control: str


@dataclass(frozen=True)
class SeedPairs:
    """Rows of the treatment's and of the control's trials; row i of both has one seed.

    `n_alone` counts the trials that were left out because only one arm has their seed.
    """

    treatment: Rows
    control: Rows
    n_alone: int

    def __len__(self) -> int:
        return len(self.treatment)


def pair_seeds(treatment: pd.DataFrame, control: pd.DataFrame) -> SeedPairs:
    """Pair the rows (columns arm, seed) of two arms by seed, in the order of seeds.

    Raises:
        InputError: a seed stands twice in one of them: they are not of one arm of one sweep.
    """
    ours, theirs = _seeds(treatment), _seeds(control)
    _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    return SeedPairs(left, right, len(ours) + len(theirs) - 2 * len(left))


def _seeds(rows: pd.DataFrame) -> Ints:
    twice = rows["seed"][rows["seed"].duplicated()]
    if len(twice):
        arms = ", ".join(sorted(rows["arm"].unique()))
        raise InputError(
            f"seed {twice.iloc[0]} stands twice among the trials of {arms}: "
            "give the trials of one arm of one sweep"
        )
    return np.asarray(rows["seed"], dtype=np.int64)


def arm_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of stage `arm`, where a column `stage` says so: the others are no evidence."""
    return trials[trials["stage"] == "arm"] if "stage" in trials else trials
