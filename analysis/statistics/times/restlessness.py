"""How restless learning curves are: noise about their course, falls, spikes of the loss.

In: the values of all evaluations, sorted by trial and step, and their `Layout`. Out: one value a
trial, (n_trials,) floats; NaN where its curve is too short, or has NaNs in it.
"""

from __future__ import annotations

from math import comb, nan

import numpy as np

from analysis.statistics.samples.arrays import Bools, Floats, Rows
from analysis.statistics.times.curves import Layout

LATE = 1 / 3  # of a trial's evaluations, rounded up: its late phase
SPIKE = 0.5  # of the loss before: a rise by more is a spike


def late_rows(layout: Layout) -> Bools:
    """Which rows (n_rows,) are of the last third of their trial's evaluations."""
    trial = layout.trial
    left = layout.first[trial] + layout.count[trial] - np.arange(len(trial))  # to the end
    return np.asarray(left <= np.ceil(LATE * layout.count[trial] - 1e-9))


def largest_falls(layout: Layout, values: Floats) -> Floats:
    """Most that a value was ever below an earlier one of its trial; NaNs are passed over."""
    falls = np.full(len(layout.count), nan)
    for i in np.flatnonzero(layout.count).tolist():
        own = values[layout.first[i] : layout.first[i] + layout.count[i]]
        with np.errstate(invalid="ignore"):  # of infinite values
            falls[i] = np.fmax.reduce(np.fmax.accumulate(own) - own)
    return falls


def n_spikes(layout: Layout, loss: Floats) -> Floats:
    """How many evaluations have a loss that exceeds the one before by more than half of it and by
    more than a twentieth of the trial's first finite loss, or that is no longer a number."""
    n = len(layout.count)
    counts = np.bincount(layout.trial[_is_spike(layout, loss)], minlength=n).astype(float)
    return np.where(layout.count > 0, counts, nan)


def _is_spike(layout: Layout, loss: Floats) -> Bools:
    if not len(loss):
        return np.empty(0, dtype=bool)
    trial = layout.trial
    before = np.concatenate([[nan], loss[:-1]])
    same = np.concatenate([[False], trial[1:] == trial[:-1]])
    row = layout.first_where(np.isfinite(loss))[trial]
    first = np.where(row >= 0, loss[row], nan)
    with np.errstate(invalid="ignore"):
        rise = loss - before
        rose = (rise > SPIKE * before) & (rise > first / 20)
    return np.asarray(same & np.isfinite(before) & (rose | ~np.isfinite(loss)))


def mean_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
    count = np.bincount(trial, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(trial, values, minlength=n) / count)


def sd_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
    """Standard deviation (ddof 1) of each trial's values; NaN for fewer than two."""
    count = np.bincount(trial, minlength=n)
    centred = values - mean_by_trial(trial, values, n)[trial]
    squares = np.bincount(trial, centred**2, minlength=n)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), nan)


def noise_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
    """SD of independent noise around a smooth curve, from differences of neighbours.

    The root of the mean square of third differences over √20, of second ones over √6 where a trial
    has fewer than 5 values: a straight line, and with third differences a parabola, adds nothing
    (Gasser, Sroka and Jennen-Steinmetz 1986; Hall, Kay and Titterington 1990). NaN below 3 values.
    """
    noise = np.full(n, nan)
    count = np.bincount(trial, minlength=n)
    for order, fewest in ((2, 3), (3, 5)):
        change = np.diff(values, order)
        same = trial[order:] == trial[: len(trial) - order]
        square = mean_by_trial(trial[order:][same], change[same] ** 2, n)
        enough = count >= fewest
        noise[enough] = np.sqrt(square / comb(2 * order, order))[enough]
    return noise
