"""How many times sooner one arm reaches a target than another.

In: times to a target of two arms, paired by seed. Out: the mean ratio of their times with an
interval, and a bound in place of a number wherever a trial never reached the target, since its
budget is not its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np

from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.times.paired_times import Bound, Ends, PairedTimes, mean_intervals_of
from analysis.words import joined


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """Control time over treatment time, over pairs of one seed: above 1 the treatment is sooner.

    `bound` says how to read `estimate`: None as a number, `at least` or `at most` as a limit (the
    other end of the interval is then infinite, or 0). NaN where nothing is known. `median`, from
    `median_low` to `median_high`, is that of the paired ratios: known more often than their mean,
    because it does not matter how far beyond it a ratio lies.
    """

    estimate: float = nan
    low: float = nan
    high: float = nan
    bound: Bound = None
    n_pairs: int
    n_reached_treatment: int
    n_reached_control: int
    note: str
    confidence: float = CONFIDENCE
    method: str = "none"
    median: float = nan
    median_low: float = nan
    median_high: float = nan


@dataclass(frozen=True)
class LogRatio:
    """What a comparison knows of a speedup: the interval of the mean log ratio, and its bound."""

    interval: Interval
    bound: str


def speedup(pairs: PairedTimes, rng: Rng | None = None) -> Speedup:
    """Geometric mean over seeds of control time / treatment time, or a bound for it.

    All pairs reached: `mean_interval` of the logs of the ratios. A control that never reached
    makes its pair's ratio at least budget / treatment time; the mean of such lower ends, and the
    lower limit of their interval, bound the mean ratio from below, and `high` is infinite. The
    reverse for the treatment (`at most`, `low` 0). Where both occur nothing is known of the mean,
    and the median of the ratios stands in for it (`method` and `note` say so), as a number or
    a bound; it is also given beside every mean. Its interval is the distribution-free one between
    order statistics, each limit at its pairs' worst ends (it needs 6 pairs at 95 %).

    A bound covers at least as often as it promises, usually more. One pair has no interval
    (NaN); 2 to 4 have Student's t, with a note. Times are at or above 0; two trials that were
    both there at time 0 have ratio 1.

    Raises:
        InputError: no `rng` where `mean_interval` draws.
    """
    return speedups([pairs], [None], rng)[0]


def speedups(
    pairings: Sequence[PairedTimes], known: Sequence[LogRatio | None], rng: Rng | None = None
) -> list[Speedup]:
    """`speedup` of each of the pairings, computed together.

    Args:
        known: of each the interval that a comparison has of the same mean ratio, or None. It is
            taken as it is, so that a report has one interval for one quantity.
    """
    logs = [pairing.log_ratios() for pairing in pairings]
    means = mean_intervals_of([ends.values for ends in logs], rng)
    means = [_known_of(*each) for each in zip(known, logs, means, strict=True)]
    computed = [_speedup(*each) for each in zip(pairings, logs, means, strict=True)]
    return [_within_budget(*each) for each in zip(computed, known, strict=True)]


def _known_of(known: LogRatio | None, ends: Ends, mean: Interval) -> Interval:
    """The known interval where it is of the same mean: a comparison ends at a common budget."""
    if known is None or known.bound != (ends.bound or ""):
        return mean
    same = np.isclose(known.interval.estimate, mean.estimate)
    return replace(known.interval, estimate=mean.estimate) if same else mean


def _within_budget(computed: Speedup, known: LogRatio | None) -> Speedup:
    """The ratio of the times within the common budget, where a comparison speaks of that one."""
    if known is None or known.bound != "within budget":
        return computed
    score = known.interval
    estimate, low, high = _exp(score.estimate, score.low, score.high)
    return replace(
        computed,
        estimate=estimate,
        low=low,
        high=high,
        bound=None,
        method=f"log ratio, {score.method}",
        note=joined("ratio of the times within the common budget", computed.note),
    )


def _speedup(pairing: PairedTimes, ends: Ends, mean: Interval) -> Speedup:
    middle = ends.median()
    bound = ends.bound if ends.known else middle.bound
    shown = mean.estimate, mean.low, mean.high
    if not ends.known:
        shown = middle.reading, middle.low, middle.high
    estimate, low, high = _exp(*shown)
    median, median_low, median_high = _exp(middle.value, middle.low, middle.high)
    is_median = len(pairing) > 0 and not ends.known
    instead = "median of the ratios: the mean is not known" if is_median else ""
    n_treatment, n_control = pairing.n_reached
    return Speedup(
        estimate=estimate,
        low=0.0 if bound == "at most" else low,
        high=inf if bound == "at least" else high,
        bound=bound,
        n_pairs=len(pairing),
        n_reached_treatment=n_treatment,
        n_reached_control=n_control,
        note=joined(instead, pairing.describe(), mean.note),
        method="median, order statistics" if instead else f"log ratio, {mean.method}",
        median=median,
        median_low=median_low,
        median_high=median_high,
    )


def _exp(*logs: float) -> tuple[float, ...]:
    """e to each, infinite where that is too large for a float (two pairs far apart)."""
    with np.errstate(over="ignore"):
        return tuple(float(np.exp(v)) for v in logs)


def withheld(shown: Speedup, problem: str) -> Speedup:
    """The same row without its numbers where there is a problem, which the note then names."""
    if not problem:
        return shown
    return Speedup(
        n_pairs=shown.n_pairs,
        n_reached_treatment=shown.n_reached_treatment,
        n_reached_control=shown.n_reached_control,
        note=joined(problem, shown.note),
    )
