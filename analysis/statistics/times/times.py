"""Times of the trials of one arm to one target, as arrays.

In: one value a trial. Out: `Times`, which ratios, restricted means and break-even start from. It
stands alone so that what is not known of a time has one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from analysis.statistics.samples.arrays import Bools, Floats, Rows

_UNKNOWN: Floats = np.empty(0)


@dataclass(frozen=True)
class Times:
    """(n,) each, trial i at place i; all in one unit.

    Attributes:
        time: when the trial reached the target, its budget where it never did; NaN: not known.
        reached: whether it did.
        budget: until when it would have been followed; NaN where that is not said.
        first: its first evaluation after time 0, before which a trial that was there at time 0 can
            have got there; infinite where that is not said.
        since: from the evaluation before `time` to it, which is not known of the time; empty where
            that is not said.
    """

    time: Floats
    reached: Bools
    budget: Floats = field(default_factory=lambda: _UNKNOWN)
    first: Floats = field(default_factory=lambda: _UNKNOWN)
    since: Floats = field(default_factory=lambda: _UNKNOWN)

    def __post_init__(self) -> None:
        for name, value in (("budget", np.nan), ("first", np.inf)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.time), value))

    def __len__(self) -> int:
        return len(self.time)

    def at(self, rows: Rows | Bools) -> Times:
        """Those at the places `rows`, in that order."""
        since = self.since[rows] if len(self.since) else self.since
        return replace(
            self,
            time=self.time[rows],
            reached=self.reached[rows],
            budget=self.budget[rows],
            first=self.first[rows],
            since=since,
        )
