"""How much results move: from seed to seed, and within one run.

In: the tables of a run. Out: the spread of a metric over seeds and how much of it the size of
the test set alone would cause, the share of trials that broke, the restlessness of each learning
curve. The sample unit is the trial; SDs have ddof 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, nan, sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.samples.arrays import Bools, Floats, Rows
from analysis.statistics.samples.gini import mean_difference_interval
from analysis.statistics.samples.intervals import Interval, sd_interval
from analysis.statistics.samples.shares import proportion_interval
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.times import order_curves
from headstart.errors import InputError


@dataclass(frozen=True)
class ExcessVariance:
    """Variance over seeds, and what is left of it without binomial noise of the test set.

    `excess` may be below 0: it is not cut, so that its mean over many studies is right. `p_value`
    is for "the test set's size alone explains the spread", small when seeds differ by more.
    """

    n: int
    note: str
    variance: float = nan
    binomial: float = nan
    excess: float = nan
    low: float = nan
    high: float = nan
    p_value: float = nan


def spread_over_seeds(trials: pd.DataFrame, metric: str = "test_accuracy") -> pd.DataFrame:
    """Spread of `metric` over the seeds of each arm, and the share of its trials that broke.

    Args:
        trials: columns arm, status, `metric`, and n_test (for the binomial noise, which is only
            known for `test_accuracy`). Rows of one sweep.

    Returns:
        One row an arm, sorted by arm: arm, metric, n (trials with a value), mean, sd, sd_low,
        sd_high (`sd_interval`), minimum, maximum, range, n_trials, n_failed, n_diverged,
        broken_share, broken_low, broken_high (failed or diverged, Wilson), binomial_sd,
        excess_variance, excess_low, excess_high, excess_p (`excess_variance`), note,
        mean_difference, mean_difference_low, mean_difference_high (of two seeds:
        `mean_difference_interval`). NaN and a note where there are too few values. A trial
        without a value counts in n_trials only.
    """
    rows = [_spread_row(str(arm), rows, metric) for arm, rows in trials.groupby("arm")]
    return pd.DataFrame(rows, columns=_SPREAD_COLUMNS)


_SPREAD_COLUMNS = (
    "arm", "metric", "n", "mean", "sd", "sd_low", "sd_high", "minimum", "maximum", "range",
    "n_trials", "n_failed", "n_diverged", "broken_share", "broken_low", "broken_high",
    "binomial_sd", "excess_variance", "excess_low", "excess_high", "excess_p", "note",
    "mean_difference", "mean_difference_low", "mean_difference_high",
)  # fmt: skip


def _spread_row(arm: str, rows: pd.DataFrame, metric: str) -> dict[str, object]:
    present = rows[rows[metric].notna()]
    values = present[metric].to_numpy(dtype=float)
    sd = Interval.unknown("no trial has a value")
    if len(values):
        sd = sd_interval(values)
    n_failed, n_diverged = (int((rows["status"] == s).sum()) for s in ("failed", "diverged"))
    broken = proportion_interval(n_failed + n_diverged, len(rows))
    row: dict[str, object] = dict.fromkeys(_SPREAD_COLUMNS, nan)
    row |= {"arm": arm, "metric": metric, "n": len(values), "n_trials": len(rows)}
    row |= sd.columns("sd", "sd_") | {"note": sd.note}
    row |= mean_difference_interval(values).columns("mean_difference", "mean_difference_")
    row |= {"n_failed": n_failed, "n_diverged": n_diverged}
    row |= broken.columns("broken_share", "broken_")
    if len(values):
        low, high = float(values.min()), float(values.max())
        row |= {"mean": float(values.mean()), "minimum": low, "maximum": high, "range": high - low}
    if metric == "test_accuracy" and len(values):
        excess = excess_variance(values, present["n_test"].to_numpy(dtype=float))
        row |= {"binomial_sd": sqrt(excess.binomial), "excess_variance": excess.excess}
        row |= {"excess_low": excess.low, "excess_high": excess.high, "excess_p": excess.p_value}
    return row


def excess_variance(accuracies: ArrayLike, n_test: ArrayLike) -> ExcessVariance:
    """How far the variance of accuracies over seeds exceeds the noise of a finite test set.

    A network that is right with probability p on `n_test` independent images has a measured
    accuracy of variance p(1 - p)/n_test. That is a baseline for "stable" (Jordan 2023, "Calibrated
    chaos"): 0.10 points at p = 0.99 and 10,000 images. Excess: sample variance (ddof 1) minus
    the mean over seeds of that. Interval: `sd_interval` squared, minus the same. Test: Fisher's
    index of dispersion, sum of (accuracy - mean)² / binomial against chi-squared with n - 1
    degrees of freedom, upper tail.

    Seeds that share their test images share the images' difficulty too, so that even without
    any difference in quality they vary less than the baseline: the excess is then an
    underestimate, and the test errs towards no excess. With redrawn test sets it is exact.

    Args:
        accuracies: (n,) fractions, NaNs are left out. n_test: test images of each, or of all.

    Raises:
        InputError: an accuracy outside 0 to 1 (percent?), or a test set without images.
    """
    p = np.asarray(accuracies, dtype=float).ravel()
    size = np.broadcast_to(np.asarray(n_test, dtype=float), p.shape)[~np.isnan(p)]
    p = np.sort(p[~np.isnan(p)])
    if ((p < 0) | (p > 1)).any() or (size < 1).any():
        raise InputError("excess_variance: accuracies are fractions from 0 to 1, n_test at least 1")
    if not len(p):
        return ExcessVariance(0, "no values")
    binomial = float((p.mean() * (1 - p.mean()) / size).mean())
    if len(p) == 1:
        return ExcessVariance(1, "one value: no spread", binomial=binomial)
    variance = float(p.var(ddof=1))
    sd = sd_interval(p)
    df = len(p) - 1
    p_value = float(stats.chi2.sf(df * variance / binomial, df)) if binomial > 0 else nan
    excess, low, high = (square - binomial for square in (variance, sd.low**2, sd.high**2))
    return ExcessVariance(len(p), sd.note, variance, binomial, excess, low, high, p_value)


LATE = 1 / 3  # of a trial's evaluations, rounded up: its late phase
SPIKE = 0.5  # of the loss before: a rise by more is a spike


def within_runs(
    curves: pd.DataFrame, trials: pd.DataFrame, course: Course = ACCURACY
) -> pd.DataFrame:
    """How restless each learning curve is.

    The late phase is the last third of a trial's evaluations. A loss spike is an evaluation whose
    training loss exceeds that of the one before by more than half of it and by more than a
    twentieth of the trial's first loss, or is no longer a number.

    Args:
        curves: columns trial_id, step, that of `course`, train_loss, val_loss.
        trials: columns trial_id, arm, seed.

    Returns:
        One row a trial, in the order of `trials`, whatever its status: trial_id, arm, seed,
        n_evaluations, late_sd (of `course`, ddof 1; a curve that still rises has a large
        one too), largest_drawdown (most that
        it was ever worse than at an earlier evaluation), n_loss_spikes,
        generalisation_gap (mean of val_loss - train_loss in the late phase), late_noise (of
        `course`, about the course of the curve, so that one that still rises is not the more
        restless for it: `_noise_by_trial`). NaN where a curve is too short, or has NaNs in the
        phase.
    """
    ordered = order_curves(curves, trials)
    n, trial = len(trials), ordered.trial
    value = ordered.column(course.column) * (-1.0 if course.lower_is_better else 1.0)
    train_loss = ordered.column("train_loss")
    left = ordered.first[trial] + ordered.count[trial] - np.arange(len(trial))  # to the end
    late = left <= np.ceil(LATE * ordered.count[trial] - 1e-9)
    with np.errstate(invalid="ignore"):  # a loss may have become infinite
        gap = ordered.column("val_loss") - train_loss
    fall = pd.Series(value).groupby(trial).cummax() - value
    has = ordered.count > 0
    spikes = np.bincount(trial[_is_spike(trial, train_loss)], minlength=n).astype(float)
    identity = trials[["trial_id", "arm", "seed"]].reset_index(drop=True)
    return identity.assign(
        n_evaluations=ordered.count,
        late_sd=_sd_by_trial(trial[late], value[late], n),
        largest_drawdown=fall.groupby(trial).max().reindex(range(n)).to_numpy(dtype=float),
        n_loss_spikes=np.where(has, spikes, nan),
        generalisation_gap=_mean_by_trial(trial[late], gap[late], n),
        late_noise=_noise_by_trial(trial[late], value[late], n),
    )


def _mean_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
    count = np.bincount(trial, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(trial, values, minlength=n) / count)


def _sd_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
    """Standard deviation (ddof 1) of each trial's values; NaN for fewer than two."""
    count = np.bincount(trial, minlength=n)
    centred = values - _mean_by_trial(trial, values, n)[trial]
    squares = np.bincount(trial, centred**2, minlength=n)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), nan)


def _noise_by_trial(trial: Rows, values: Floats, n: int) -> Floats:
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
        square = _mean_by_trial(trial[order:][same], change[same] ** 2, n)
        enough = count >= fewest
        noise[enough] = np.sqrt(square / comb(2 * order, order))[enough]
    return noise


def _is_spike(trial: Rows, loss: Floats) -> Bools:
    before = np.concatenate([[nan], loss[:-1]]) if len(loss) else loss
    same = np.concatenate([[False], trial[1:] == trial[:-1]]) if len(loss) else trial > 0
    first = pd.Series(loss).where(np.isfinite(loss)).groupby(trial).transform("first")
    with np.errstate(invalid="ignore"):
        rise = loss - before
        rose = (rise > SPIKE * before) & (rise > first.to_numpy(dtype=float) / 20)
    return np.asarray(same & np.isfinite(before) & (rose | ~np.isfinite(loss)))
