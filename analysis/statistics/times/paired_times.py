"""Times to a target of two arms, paired by seed, and what is known of each pair.

In: `Times` of two arms, place i of both one seed. Out: `PairedTimes`, and `Ends` of their ratios or
differences. It stands alone because `speedup` and `break_even` both average over pairs of which
only an interval is known. A trial that reached the target has one time. One that did not lies
somewhere from its budget to infinity. One that was there at time 0, its first evaluation, lies
between 0 and its own first evaluation after that. `Ends` says whether the mean over pairs is a
number, a bound or not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval, mean_intervals
from analysis.statistics.times.times import Times
from analysis.words import joined

Bound = Literal["at least", "at most"] | None

NO_PAIRS = "no seed that both arms have"


@dataclass(frozen=True)
class Median:
    """A median that lies from `least` to `most` (equal where it is known), and its limits."""

    least: float
    most: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The median where it is known, else NaN."""
        return self.least if np.isfinite(self.least) and self.least == self.most else nan

    @property
    def bound(self) -> Bound:
        """How to read `reading`."""
        if np.isfinite(self.least) == np.isfinite(self.most):
            return None
        return "at least" if np.isfinite(self.least) else "at most"

    @property
    def reading(self) -> float:
        """The median, or the bound that is known of it; NaN where neither is."""
        return {None: self.value, "at least": self.least, "at most": self.most}[self.bound]


@dataclass(frozen=True)
class Ends:
    """The least and the most that each pair's value can be, (n_pairs,) each; maybe infinite."""

    least: Floats
    most: Floats

    @property
    def bound(self) -> Bound:
        """How to read a mean of `values`: None is a number (or, where not `known`, nothing)."""
        if not self.known or np.isfinite(self.least + self.most).all():
            return None
        return "at least" if np.isfinite(self.least).all() else "at most"

    @property
    def known(self) -> bool:
        """Whether the mean is known at all, if only as a bound."""
        return len(self.least) > 0 and bool(
            np.isfinite(self.least).all() or np.isfinite(self.most).all()
        )

    @property
    def values(self) -> Floats:
        """The end of each pair to average: the finite one. NaN where the mean is not known."""
        if not self.known:
            return np.full(len(self.least), nan)
        return self.least if np.isfinite(self.least).all() else self.most

    def median(self) -> Median:
        """Median of the pairs and its distribution-free limits (Conover 1999, section 3.2).

        The limits are order statistics of the pairs' worst ends: they hold wherever in their
        intervals the pairs lie. NaN for too few pairs (below 6 at 95 %).
        """
        n = len(self.least)
        if not n:
            return Median(nan, nan, nan, nan)
        least, most = np.sort(self.least), np.sort(self.most)
        with np.errstate(invalid="ignore"):  # the middle of -inf and inf
            middle = float(np.median(least)), float(np.median(most))
        rank = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))
        if rank == 0:
            return Median(*middle, nan, nan)
        return Median(*middle, float(least[rank - 1]), float(most[n - rank]))


@dataclass(frozen=True)
class PairedTimes:
    """Times of two arms to one target, in one unit; place i of both has one seed.

    `note` counts the trials that were left out because only one arm has their seed.
    """

    treatment: Times
    control: Times
    note: str = ""

    def __len__(self) -> int:
        return len(self.treatment)

    @property
    def n_reached(self) -> tuple[int, int]:
        """How many treatment and how many control trials of the pairs reached the target."""
        return int(self.treatment.reached.sum()), int(self.control.reached.sum())

    def log_ratios(self) -> Ends:
        """Logs of control time / treatment time; 0 where both were there at time 0."""
        sides = self.treatment, self.control
        at_once = [side.reached & (side.time <= 0) for side in sides]
        t_least, t_most = _ends(self.treatment)
        c_least, c_most = _ends(self.control)
        t_most = np.where(at_once[0], self.treatment.first, t_most)
        c_most = np.where(at_once[1], self.control.first, c_most)
        with np.errstate(divide="ignore"):
            least = np.log(c_least) - np.log(t_most)
            most = np.log(c_most) - np.log(t_least)
        alike = at_once[0] & at_once[1]
        return Ends(np.where(alike, 0.0, least), np.where(alike, 0.0, most))

    def saved(self) -> Ends:
        """Control time minus treatment time."""
        t_least, t_most = _ends(self.treatment)
        c_least, c_most = _ends(self.control)
        return Ends(c_least - t_most, c_most - t_least)

    def least_variance(self) -> float:
        """Of a difference of two times, each known to the evaluation before it; 0 if unknown."""
        sides = self.treatment.since, self.control.since
        if not all(len(since) for since in sides):
            return 0.0
        return float(sum(np.nanmean(since**2) for since in sides)) / 12

    def describe(self) -> str:
        """Who never reached the target, and the note; "" where all did and none was left out."""
        if not len(self):
            return NO_PAIRS
        missed = [
            f"{len(self) - n} of {len(self)} {arm} trials never reached the target"
            for arm, n in zip(("treatment", "control"), self.n_reached, strict=True)
            if n < len(self)
        ]
        return joined(*missed, self.note)


def mean_intervals_of(samples: Sequence[Floats], rng: Rng | None) -> list[Interval]:
    """Student's interval of each sample; all NaN for an empty one or one with a NaN in it.

    Pairs are compared by a t-test, and an interval of a comparison is the inversion of its test.
    """
    intervals = [Interval.unknown("", 0)] * len(samples)
    sizes = np.array([0 if np.isnan(s).any() else len(s) for s in samples])
    for size in np.unique(sizes[sizes > 0]):
        where = np.flatnonzero(sizes == size)
        columns = np.stack([samples[i] for i in where.tolist()], axis=1)
        drawn = mean_intervals(columns, method="student", rng=rng)
        for i, interval in zip(where.tolist(), drawn, strict=True):
            intervals[i] = interval
    return intervals


def _ends(times: Times) -> tuple[Floats, Floats]:
    """Least and most that each trial's time can be; a NaN (nothing known) is 0 to infinity."""
    return np.nan_to_num(times.time, nan=0.0), np.where(times.reached, times.time, np.inf)
