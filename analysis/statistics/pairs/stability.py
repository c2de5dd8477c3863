"""How much results move: from seed to seed, and within one run.

In: the tables of a run. Out: the spread of a metric over seeds and how much of it the size of
the test set alone would cause, the share of trials that broke, the restlessness of each learning
curve, and comparisons of two arms' spreads. The sample unit is the trial; SDs have ddof 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import exp, nan, sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.statistics.samples.intervals import Interval, proportion_interval, sd_interval
from analysis.statistics.samples.resampling import draw_counts, student_quantile
from analysis.statistics.times.paired_times import Pair, check_seeds
from analysis.statistics.times.times import order_curves
from headstart.errors import InputError

Floats = NDArray[np.float64]

FEWEST_TO_RESAMPLE = 5
MOST_TO_RESAMPLE = 200  # above, Student's interval covers as well
WIDEST = 2.0  # a limit of the ratio of SDs is at most so many times as far as Student's


@dataclass(frozen=True)
class ExcessVariance:
    """Variance over seeds, and what is left of it without binomial noise of the test set.

    `excess` may be below 0: it is not cut, so that its mean over many studies is right. `p_value`
    is for "the test set's size alone explains the spread", small when seeds differ by more.
    """

    variance: float
    binomial: float
    excess: float
    low: float
    high: float
    p_value: float
    n: int
    note: str


@dataclass(frozen=True)
class SpreadRatio:
    """SD of the treatment over SD of the control: below 1 the treatment is steadier.

    `brown_forsythe` is the statistic of that test for equal spread and `p_value` its two-sided p.
    """

    ratio: float
    low: float
    high: float
    brown_forsythe: float
    p_value: float
    n_treatment: int
    n_control: int
    paired: bool
    note: str


def spread_over_seeds(
    trials: pd.DataFrame, metric: str = "test_accuracy", confidence: float = 0.95
) -> pd.DataFrame:
    """Spread of `metric` over the seeds of each arm, and the share of its trials that broke.

    Args:
        trials: columns arm, status, `metric`, and n_test (for the binomial noise, which is only
            told for `test_accuracy`). Rows of one sweep.

    Returns:
        One row an arm, sorted by arm: arm, metric, n (trials with a value), mean, sd, sd_low,
        sd_high (`sd_interval`), minimum, maximum, range, n_trials, n_failed, n_diverged,
        broken_share, broken_low, broken_high (failed or diverged, Wilson), binomial_sd,
        excess_variance, excess_low, excess_high, excess_p (`excess_variance`), note. NaN and a
        note where there are too few values. A trial without a value counts in n_trials only.
    """
    rows = [_spread_row(str(arm), rows, metric, confidence) for arm, rows in trials.groupby("arm")]
    return pd.DataFrame(rows, columns=_SPREAD_COLUMNS)


_SPREAD_COLUMNS = (
    "arm", "metric", "n", "mean", "sd", "sd_low", "sd_high", "minimum", "maximum", "range",
    "n_trials", "n_failed", "n_diverged", "broken_share", "broken_low", "broken_high",
    "binomial_sd", "excess_variance", "excess_low", "excess_high", "excess_p", "note",
)  # fmt: skip


def _spread_row(arm: str, rows: pd.DataFrame, metric: str, confidence: float) -> dict[str, object]:
    present = rows[rows[metric].notna()]
    values = present[metric].to_numpy(dtype=float)
    sd = _sd(values, confidence)
    n_failed, n_diverged = (int((rows["status"] == s).sum()) for s in ("failed", "diverged"))
    broken = proportion_interval(n_failed + n_diverged, len(rows), confidence)
    row: dict[str, object] = dict.fromkeys(_SPREAD_COLUMNS, nan)
    row |= {"arm": arm, "metric": metric, "n": len(values), "n_trials": len(rows)}
    row |= {"sd": sd.estimate, "sd_low": sd.low, "sd_high": sd.high, "note": sd.note}
    row |= {"n_failed": n_failed, "n_diverged": n_diverged, "broken_share": broken.estimate}
    row |= {"broken_low": broken.low, "broken_high": broken.high}
    if len(values):
        low, high = float(values.min()), float(values.max())
        row |= {"mean": float(values.mean()), "minimum": low, "maximum": high, "range": high - low}
    if metric == "test_accuracy" and len(values):
        excess = excess_variance(values, present["n_test"].to_numpy(dtype=float), confidence)
        row |= {"binomial_sd": sqrt(excess.binomial), "excess_variance": excess.excess}
        row |= {"excess_low": excess.low, "excess_high": excess.high, "excess_p": excess.p_value}
    return row


def _sd(values: Floats, confidence: float) -> Interval:
    if len(values):
        return sd_interval(values, confidence)
    return Interval(nan, nan, nan, confidence, "none", 0, "no trial has a value")


def excess_variance(
    accuracies: ArrayLike, n_test: ArrayLike, confidence: float = 0.95
) -> ExcessVariance:
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
        return ExcessVariance(nan, nan, nan, nan, nan, nan, 0, "no values")
    binomial = float((p.mean() * (1 - p.mean()) / size).mean())
    if len(p) == 1:
        return ExcessVariance(nan, binomial, nan, nan, nan, nan, 1, "one value: no spread")
    variance = float(p.var(ddof=1))
    sd = sd_interval(p, confidence)
    df = len(p) - 1
    p_value = float(stats.chi2.sf(df * variance / binomial, df)) if binomial > 0 else nan
    return ExcessVariance(
        variance=variance,
        binomial=binomial,
        excess=variance - binomial,
        low=sd.low**2 - binomial,
        high=sd.high**2 - binomial,
        p_value=p_value,
        n=len(p),
        note=sd.note,
    )


def within_runs(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    late_share: float = 1 / 3,
    spike: float = 0.5,
) -> pd.DataFrame:
    """How restless each learning curve is.

    Args:
        curves: columns trial_id, step, val_accuracy, train_loss, val_loss.
        trials: columns trial_id, arm, seed.
        late_share: the late phase is the last `late_share` of a trial's evaluations, rounded up.
        spike: a loss spike is an evaluation whose training loss exceeds that of the one before
            by more than `spike` of it and by more than a twentieth of the trial's first loss,
            or is no longer a number.

    Returns:
        One row a trial, in the order of `trials`, whatever its status: trial_id, arm, seed,
        n_evaluations, late_sd (of val_accuracy, ddof 1; a curve that still rises has a large
        one too), largest_drawdown (most that
        val_accuracy ever fell below an earlier value of its own), n_loss_spikes,
        generalisation_gap (mean of val_loss - train_loss in the late phase). NaN where a curve
        is too short, or has NaNs in the phase.
    """
    ordered = order_curves(curves, trials)
    n, trial = len(trials), ordered.trial
    accuracy = ordered.column("val_accuracy")
    train_loss = ordered.column("train_loss")
    left = ordered.first[trial] + ordered.count[trial] - np.arange(len(trial))  # to the end
    late = left <= np.ceil(late_share * ordered.count[trial] - 1e-9)
    gap = ordered.column("val_loss") - train_loss
    has = ordered.count > 0
    spikes = np.bincount(trial[_is_spike(trial, train_loss, spike)], minlength=n).astype(float)
    found = trials[["trial_id", "arm", "seed"]].reset_index(drop=True)
    return found.assign(
        n_evaluations=ordered.count,
        late_sd=_sd_by_trial(trial[late], accuracy[late], n),
        largest_drawdown=_drawdown(trial, accuracy, n),
        n_loss_spikes=np.where(has, spikes, nan),
        generalisation_gap=_mean_by_trial(trial[late], gap[late], n),
    )


def _mean_by_trial(trial: NDArray[np.intp], values: Floats, n: int) -> Floats:
    count = np.bincount(trial, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.bincount(trial, values, minlength=n) / count


def _sd_by_trial(trial: NDArray[np.intp], values: Floats, n: int) -> Floats:
    """Standard deviation (ddof 1) of each trial's values; NaN for fewer than two."""
    count = np.bincount(trial, minlength=n)
    centred = values - _mean_by_trial(trial, values, n)[trial]
    squares = np.bincount(trial, centred**2, minlength=n)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), nan)


def _drawdown(trial: NDArray[np.intp], values: Floats, n: int) -> Floats:
    series = pd.Series(values)
    fall = series.groupby(trial).cummax() - series
    return fall.groupby(trial).max().reindex(range(n)).to_numpy(dtype=float)


def _is_spike(trial: NDArray[np.intp], loss: Floats, spike: float) -> NDArray[np.bool_]:
    before = np.concatenate([[nan], loss[:-1]]) if len(loss) else loss
    same = np.concatenate([[False], trial[1:] == trial[:-1]]) if len(loss) else trial > 0
    first = pd.Series(loss).where(np.isfinite(loss)).groupby(trial).transform("first")
    with np.errstate(invalid="ignore"):
        rise = loss - before
        rose = (rise > spike * before) & (rise > first.to_numpy(dtype=float) / 20)
    return same & np.isfinite(before) & (rose | ~np.isfinite(loss))


def compare_spread(
    treatment: ArrayLike,
    control: ArrayLike,
    paired: bool = True,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
) -> SpreadRatio:
    """Ratio of the SDs over seeds of two arms: bootstrap interval, Brown & Forsythe's test.

    Interval: symmetric bootstrap-t (Hall 1988) of the log ratio, with the delta-method standard
    error in each resample, an end at most twice as far as Student's; paired seeds are drawn
    together. In simulation 95 % intervals covered 91-99 % for 5 to 30 seeds of normal, skewed,
    lognormal and t5 data. Below 5 seeds in an arm there is none (NaN). The test
    (scipy.stats.levene around medians) takes the arms as independent and is cautious if not.

    Args:
        treatment, control: (n,) values; paired when position i of both is one seed, and then a
            pair with a NaN is left out. Equal lengths are needed for that.

    Raises:
        InputError: paired samples of unequal length; no rng where it draws.
    """
    x, y = np.asarray(treatment, dtype=float).ravel(), np.asarray(control, dtype=float).ravel()
    if paired:
        if len(x) != len(y):
            raise InputError(f"compare_spread: {len(x)} and {len(y)} values do not pair")
        keep = ~np.isnan(x + y)
        x, y = x[keep], y[keep]
    else:
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    sizes = len(x), len(y)
    if min(sizes) < 2:
        return SpreadRatio(nan, nan, nan, nan, nan, *sizes, paired, "fewer than 2 values in an arm")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return SpreadRatio(nan, nan, nan, nan, nan, *sizes, paired, "an arm has no spread at all")
    test = stats.levene(np.sort(x), np.sort(y), center="median")
    half, note = nan, f"fewer than {FEWEST_TO_RESAMPLE} values in an arm: no interval"
    if min(sizes) >= FEWEST_TO_RESAMPLE:
        half, note = _half_width(_standard(x), _standard(y), paired, confidence, rng), ""
    ratio = float(np.sort(x).std(ddof=1) / np.sort(y).std(ddof=1))
    return SpreadRatio(
        ratio=ratio,
        low=ratio * exp(-half),
        high=ratio * exp(half),
        brown_forsythe=float(test.statistic),
        p_value=float(test.pvalue),
        n_treatment=sizes[0],
        n_control=sizes[1],
        paired=paired,
        note=note,
    )


def compare_spreads(
    trials: pd.DataFrame,
    pairs: Sequence[Pair],
    metric: str = "test_accuracy",
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """`compare_spread` of `metric` for each pair (treatment, control), paired by seed.

    Columns treatment, control, metric and those of `SpreadRatio`. Seeds that only one arm has, or
    that lack the value in one, are left out.
    """
    rows = []
    for pair in pairs:
        sides = [trials[trials["arm"] == arm] for arm in pair]
        for side in sides:
            check_seeds(side)
        values = [side.set_index("seed")[metric].astype(float) for side in sides]
        both = pd.concat(values, axis=1, join="inner").sort_index()
        found = compare_spread(both.iloc[:, 0], both.iloc[:, 1], True, confidence, rng)
        rows.append({"treatment": pair[0], "control": pair[1], "metric": metric} | asdict(found))
    names = ["treatment", "control", "metric", *(f.name for f in fields(SpreadRatio))]
    return pd.DataFrame(rows, columns=names)


def _standard(values: Floats) -> Floats:
    """Centred, scaled, and turned so that its longer tail is above: signs cannot matter then."""
    z = (values - values.mean()) / values.std()
    return -z if (z**3).sum() < -1e-9 else z


def _half_width(
    x: Floats, y: Floats, paired: bool, confidence: float, rng: np.random.Generator | None
) -> float:
    """Half the width of the interval of the log ratio of SDs, for standardized samples.

    The order of seeds and of the two arms is taken out before anything is drawn.
    """
    n = min(len(x), len(y))
    student = student_quantile(n - 1, confidence)
    once = np.ones((1, len(x))), np.ones((1, len(y)))
    _, error = _log_ratio(x, y, *once, paired)
    if n > MOST_TO_RESAMPLE:
        return float(student * error[0])
    if rng is None:
        raise InputError("compare_spread draws resamples: pass rng=numpy.random.default_rng(SEED)")
    if paired:
        order = np.lexsort((np.abs(x - y), x + y))
        x, y = x[order], y[order]
        counts = draw_counts(n, rng)
        drawn = counts, counts
    else:
        x, y = sorted((np.sort(x), np.sort(y)), key=lambda z: (len(z), tuple(z)))
        drawn = draw_counts(len(x), rng), draw_counts(len(y), rng)
    ratio, errors = _log_ratio(x, y, *drawn, paired)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(ratio) / errors
    t = np.where(np.isnan(t), np.inf, t)  # a resample without spread is as far as can be
    rank = int(np.ceil((len(t) + 1) * confidence)) - 1
    return float(min(np.partition(t, rank)[rank], WIDEST * student) * error[0])


def _log_ratio(
    x: Floats, y: Floats, counts_x: Floats, counts_y: Floats, paired: bool
) -> tuple[Floats, Floats]:
    """Log of SD(x) / SD(y) in each resample, and its delta-method standard error."""
    with np.errstate(invalid="ignore", divide="ignore"):
        influence_x, log_x = _log_sd(x, counts_x)
        influence_y, log_y = _log_sd(y, counts_y)
        if paired:
            squares = ((influence_x - influence_y) ** 2 * counts_x).sum(axis=1) / len(x) ** 2
        else:
            squares = (influence_x**2 * counts_x).sum(axis=1) / len(x) ** 2
            squares += (influence_y**2 * counts_y).sum(axis=1) / len(y) ** 2
        return log_x - log_y, np.sqrt(squares)


def _log_sd(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Influence of each value on the log SD (n_resamples, n), and the log SD (n_resamples,)."""
    n = len(values)
    mean = counts @ values / n
    variance = np.maximum(counts @ values**2 / n - mean**2, 0.0)
    variance = np.where(variance < 1e-12, 0.0, variance)
    influence = ((values - mean[:, None]) ** 2 / variance[:, None] - 1) / 2
    return influence, np.log(variance) / 2
