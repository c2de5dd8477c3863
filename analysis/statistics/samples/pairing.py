"""Two arms paired by seed: which of their values belong together.

In: the seeds of two arms. Out: the places that pair. It stands alone because every comparison of
two arms means the same by "a pair": two values of one seed, one of each arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.statistics.samples.arrays import Ints, Rows
from headstart.errors import InputError


class Pair(NamedTuple):
    """The names of two arms that are compared."""

    treatment: str
    control: str


@dataclass(frozen=True)
class SeedPairs:
    """Places in the treatment's and in the control's values; place i of both has one seed.

    `n_alone` counts the values that were left out because only one arm has their seed.
    """

    treatment: Rows
    control: Rows
    n_alone: int

    def __len__(self) -> int:
        return len(self.treatment)


def pair_seeds(treatment: Ints, control: Ints) -> SeedPairs:
    """Pair the seeds (n,) int64 of two arms, in the order of seeds.

    Raises:
        InputError: a seed stands twice in one of them.
    """
    for side, seeds in (("treatment", treatment), ("control", control)):
        values, counts = np.unique(seeds, return_counts=True)
        if (counts > 1).any():
            raise InputError(f"seed {values[counts > 1][0]} stands twice in the {side}")
    _, left, right = np.intersect1d(treatment, control, assume_unique=True, return_indices=True)
    return SeedPairs(left, right, len(treatment) + len(control) - 2 * len(left))
