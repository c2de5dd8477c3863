"""What the times of one arm, or of two, say when some trials never reached the target.

In: `Times` of one arm and target. Out: the share of trials that have reached the target by each
time (Kaplan-Meier), and the mean time up to a horizon (restricted mean). Neither drops a censored
trial or takes its budget for its time.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Ints, Rng
from analysis.statistics.samples.intervals import (
    CONFIDENCE,
    FEWEST_TO_RESAMPLE,
    Interval,
    mean_interval,
)
from analysis.statistics.times.paired_times import PairedTimes
from analysis.statistics.times.times import Times
from analysis.words import joined


@dataclass(frozen=True)
class ShareReached:
    """The share of trials that have reached a target by each time, with pointwise limits.

    Attributes:
        time, share_reached, low, high: (n,) floats. at_risk, n_censored: (n,) counts. One place for
            each time at which a trial reached the target or was censored, after one for time 0.
    """

    time: Floats
    share_reached: Floats
    low: Floats
    high: Floats
    at_risk: Ints | Floats
    n_censored: Ints | Floats


def kaplan_meier(times: Times, confidence: float = 0.95) -> ShareReached:
    """Share of trials that have reached the target by each time, with pointwise intervals.

    The product-limit estimator with the log-log interval (Kalbfleisch & Prentice 2002, section
    1.4.1), both scipy's. Where that is undefined, before the first trial reaches and after
    the last does, the open end is Clopper & Pearson's for the trials then at risk. Trials whose
    time is NaN are left out; no trials: empty.
    """
    known = times.at(~np.isnan(times.time))
    if not len(known):
        return ShareReached(*[np.empty(0)] * 6)
    still, limits = _still(known, confidence)
    time = still.quantiles
    at_risk = (known.time[:, None] >= time).sum(axis=0)
    n_censored = (known.time[~known.reached, None] == time).sum(axis=0)
    share = 1 - still.probabilities
    ends = 1 - limits.high.probabilities, 1 - limits.low.probabilities
    low, high = _close_ends(share, *ends, at_risk, confidence)
    columns: tuple[Any, ...] = (time, share, low, high, at_risk, n_censored)
    if time[0] > 0:
        start = (0.0, 0.0, 0.0, 0.0, len(known), 0)
        columns = tuple(np.concatenate([[s], c]) for s, c in zip(start, columns, strict=True))
    return ShareReached(*columns)


def _still(known: Times, confidence: float) -> tuple[Any, Any]:
    """scipy's survival function of the times, and its log-log limits."""
    sample = stats.CensoredData(
        uncensored=known.time[known.reached], right=known.time[~known.reached]
    )
    still = stats.ecdf(sample).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "undefined at some observations"
        return still, still.confidence_interval(confidence, method="log-log")


def _close_ends(
    share: Floats, low: Floats, high: Floats, at_risk: NDArray[np.int_], confidence: float
) -> tuple[Floats, Floats]:
    """Limits where none or all have reached, which the log-log interval leaves open."""
    tail = (1 - confidence) / 2
    none, everyone = share <= 0, share >= 1
    low, high = np.where(none, 0.0, low), np.where(everyone, 1.0, high)
    high = np.where(none, 1 - tail ** (1 / at_risk), high)
    # The share never falls, so an earlier lower limit holds later too.
    before = np.fmax.accumulate(np.where(everyone, np.nan, low))
    alone = tail ** (1 / at_risk)
    return np.where(everyone, np.where(np.isnan(before), alone, before), low), high


def common_horizon(*arms: Times) -> float:
    """The longest time up to which the restricted mean of every arm is known; NaN for no trials.

    That is the smallest over the arms of the last budget, or of the last time of an arm whose
    last trial was censored before it.
    """
    if not arms or any(not len(times) or np.isnan(times.time).any() for times in arms):
        return math.nan
    return min(min(_followed(times), float(np.fmax.reduce(times.budget))) for times in arms)


def restricted_mean(times: Times, horizon: float | None = None, rng: Rng | None = None) -> Interval:
    """Mean of min(time to target, horizon): the area above the Kaplan-Meier curve of one arm.

    Estimator: Royston & Parmar (2013); equal to the plain mean of min(time, horizon) where
    nothing is censored before the horizon. Interval: `mean_interval` of the trials' jackknife
    pseudo-values (Andersen, Hansen & Klein 2004), kept within 0 and the horizon; the sample unit
    is the trial. Where no trial reached, the lower end is what zero of n still allows.

    Args:
        horizon: default `common_horizon(times)`. Beyond what was observed: NaN, with a note.
        rng: for `mean_interval`, which draws from 5 trials on.
    """
    horizon = common_horizon(times) if horizon is None else horizon
    if problem := _cannot(horizon, times):
        return Interval.unknown(problem, len(times))
    mean, values = _pseudo_values(times, horizon)
    interval = _about(mean, values, rng)
    if not _any_reached(horizon, times):
        least = horizon * ((1 - CONFIDENCE) / 2) ** (1 / len(times))
        note = f"no trial reached the target before {horizon:.6g}: the lower end is what 0 of n " \
            "still allows"  # fmt: skip
        return replace(interval, low=least, high=horizon, note=note)
    return interval.within(0.0, horizon)


def restricted_mean_difference(
    pairs: PairedTimes, horizon: float | None = None, rng: Rng | None = None
) -> Interval:
    """Restricted mean of the treatment minus that of the control, paired by seed.

    Below 0 the treatment is sooner. `mean_interval` of the paired differences of pseudo-values
    (see `restricted_mean`); the sample unit is the seed. Both arms are measured up to one horizon,
    by default `common_horizon` of the two. Unlike a mean ratio it is a number also where some never
    reach, but that number depends on the horizon.
    """
    treatment, control = pairs.treatment, pairs.control
    horizon = common_horizon(treatment, control) if horizon is None else horizon
    if problem := _cannot(horizon, treatment, control):
        return Interval.unknown(problem, len(treatment))
    mean_t, values_t = _pseudo_values(treatment, horizon)
    mean_c, values_c = _pseudo_values(control, horizon)
    interval = _about(mean_t - mean_c, values_t - values_c, rng)
    if not _any_reached(horizon, treatment, control):
        note = joined("no trial of either arm reached the target", pairs.note)
        return replace(interval, low=math.nan, high=math.nan, note=note)
    return interval.noted(pairs.note)


def _any_reached(horizon: float, *arms: Times) -> bool:
    return any(bool((times.reached & (times.time < horizon)).any()) for times in arms)


def _pseudo_values(times: Times, horizon: float) -> tuple[float, Floats]:
    """The restricted mean of all trials, and n · mean - (n - 1) · mean without trial i."""
    time, event = np.minimum(times.time, horizon), times.reached
    if not (~event & (time < horizon)).any():
        return float(time.mean()), time  # what the formula gives when all are seen to the end
    n = len(time)
    grid = np.unique(time)
    at_risk = time[:, None] >= grid
    events = event[:, None] & (time[:, None] == grid)
    left_out = np.vstack([np.zeros((1, len(grid)), dtype=bool), at_risk])
    lost = np.vstack([np.zeros((1, len(grid)), dtype=bool), events])
    n_at_risk = at_risk.sum(axis=0) - left_out
    n_events = events.sum(axis=0) - lost
    share = 1 - n_events / np.maximum(n_at_risk, 1)
    still = np.cumprod(share, axis=1)  # row 0 of all trials, row i without trial i
    means = grid[0] + still @ np.diff(grid, append=horizon)
    return float(means[0]), n * means[0] - (n - 1) * means[1:]


def _about(mean: float, values: Floats, rng: Rng | None) -> Interval:
    """`mean_interval` of pseudo-values, moved to the estimate: their mean has no jackknife bias.

    Student's where they have fewer than five different values, as times do between few evaluations:
    resamples of those say little of the spread.
    """
    few = len(np.unique(values)) < FEWEST_TO_RESAMPLE <= len(values)
    plain = mean_interval(values, method="student" if few else "auto", rng=rng)
    shift = mean - plain.estimate
    return replace(plain, estimate=mean, low=plain.low + shift, high=plain.high + shift)


def _followed(times: Times) -> float:
    """Up to when the Kaplan-Meier curve is known: for ever once all have reached the target."""
    last = times.time == times.time.max()
    return math.inf if times.reached[last].all() else float(times.time.max())


def _cannot(horizon: float, *arms: Times) -> str:
    """Why no restricted mean can be had; empty where it can."""
    if not all(len(times) for times in arms):
        return "no trials"
    if any(np.isnan(times.time).any() for times in arms):
        return "a trial's time is not known"
    if horizon > min(_followed(times) for times in arms):
        return f"no trial was followed to the horizon {horizon:g}"
    return ""
