"""When the head start has paid for the pretraining.

In: times to a target of two arms, paired, and what the pretraining behind each pair took. Out: what
one use of the pretrained network saves, what the pretraining cost, and how many uses pay for it.
A use is one trial that starts from the pretrained network in place of random weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, nan, sqrt

import numpy as np
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.times.paired_times import Bound, PairedTimes, mean_intervals_of
from analysis.words import joined


@dataclass(frozen=True)
class BreakEven:
    """What pretraining cost against what it saved, over pairs of one seed.

    saved: control time minus treatment time, for one use. cost: of the pretraining of one seed.
    net: saved minus cost, so above 0 already the first use pays. `bound` says how to read `saved`
    and `net` (None, `at least`, `at most`); `uses` that pay for the pretraining are bounded the
    other way round, and infinite where nothing is saved. NaN where something is not known.
    """

    saved: Interval
    cost: Interval
    net: Interval
    bound: Bound
    uses: float
    uses_low: float
    uses_high: float
    n_pairs: int
    note: str

    def columns(self) -> dict[str, float | int | str]:
        """As a row of a table; `bound` is "" for none."""
        row: dict[str, float | int | str] = {}
        for name, interval in (("saved", self.saved), ("cost", self.cost), ("net", self.net)):
            row |= interval.columns(name, f"{name}_")
        names = ("uses", "uses_low", "uses_high", "n_pairs", "note")
        return row | {"bound": self.bound or ""} | {name: getattr(self, name) for name in names}


def break_even(
    pairs: PairedTimes, cost: Floats, clash: str = "", note: str = "", rng: Rng | None = None
) -> BreakEven:
    """Steps or seconds saved on the way to a target, against those that pretraining took.

    Saved and net: Student's t over seeds, with a variance that is never below what the distance
    between evaluations leaves (`Times.since`); or a bound where trials never reached the target (as
    in `speedup`). Uses: mean cost / mean saved, with Fieller's (1954) interval for a ratio of
    paired means, cut at 0.

    Args:
        cost: (n,) of the pretraining behind each pair, in the unit of the times; NaN: not known.
        clash: why neither times nor costs may be compared; "" where they may.
        note: what to say of the cost.
    """
    ends, least = pairs.saved(), pairs.least_variance()
    saved = np.full(len(pairs), nan) if clash else ends.values
    cost = np.full(len(pairs), nan) if clash else cost
    bound = None if clash else ends.bound
    intervals = [
        _at_least(mean_intervals_of([values], rng)[0], values, floor)
        for values, floor in ((saved, least), (cost, 0.0), (saved - cost, least))
    ]
    unknown = "" if ends.known or not len(pairs) else "the mean saved is not known"
    uses, uses_low, uses_high = _uses(saved, cost, bound, least)
    return BreakEven(
        saved=_opened(intervals[0], bound),
        cost=intervals[1],
        net=_opened(intervals[2], bound),
        bound=bound,
        uses=uses,
        uses_low=uses_low,
        uses_high=uses_high,
        n_pairs=len(pairs),
        note=joined(clash, note, unknown, pairs.describe()),
    )


def _at_least(interval: Interval, values: Floats, least: float) -> Interval:
    """The interval at the SD that rounding alone leaves, where that of the values is below it."""
    n = interval.n
    if n < 2 or np.isnan(values).any() or values.var(ddof=1) >= least:
        return interval
    half = student_quantile(n - 1, CONFIDENCE) * sqrt(least / n)
    middle = interval.estimate
    return replace(interval, low=middle - half, high=middle + half, method="student", note="")


def _opened(interval: Interval, bound: Bound) -> Interval:
    """The interval with the end open that the bound leaves open."""
    if bound == "at least":
        return replace(interval, high=inf)
    return replace(interval, low=-inf) if bound == "at most" else interval


def _uses(saved: Floats, cost: Floats, bound: Bound, least: float) -> tuple[float, float, float]:
    """Mean cost / mean saved and its limits; a bound on what is saved opens one of them."""
    if not len(saved) or np.isnan(saved + cost).any():
        return nan, nan, nan
    estimate = float(cost.mean() / saved.mean()) if saved.mean() > 0 else inf
    low, high = _fieller(cost, saved, least)
    if bound == "at least":
        low = 0.0
    if bound == "at most":
        high = inf
    return estimate, low, high


def _fieller(top: Floats, bottom: Floats, least: float = 0.0) -> tuple[float, float]:
    """The r ≥ 0 for which `mean(top - r · bottom) = 0` is not rejected, from least to most.

    Paired t-test with n - 1 degrees of freedom; the variance of `bottom` is at least `least`. NaN
    for one pair. No such r: both infinite.
    """
    n = len(top)
    if n < 2:
        return nan, nan
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    (v_top, v_both), (_, v_bottom) = np.cov(top, bottom) * t**2 / n
    v_bottom = max(v_bottom, least * t**2 / n)
    mean_top, mean_bottom = top.mean(), bottom.mean()
    # a r² - 2 b r + c ≤ 0
    a, b, c = mean_bottom**2 - v_bottom, mean_top * mean_bottom - v_both, mean_top**2 - v_top
    root = sqrt(max(b * b - a * c, 0.0))
    if a > 0:  # the mean of `bottom` is surely not 0: both limits are finite, if above 0
        least, most = (b - root) / a, (b + root) / a
        return (inf, inf) if most < 0 else (max(least, 0.0), most)
    if c <= 0:  # neither mean is surely not 0: nothing is rejected
        return 0.0, inf
    return ((b - root) / a, inf) if a < 0 else (inf, inf)
