"""How much results move: from seed to seed, and within one run.

In: the tables of a run. Out: the spread of a metric over seeds and how much of it the size of
the test set alone would cause, the share of trials that broke, the restlessness of each learning
curve. The sample unit is the trial; SDs have ddof 1. The formulas are those of
`samples.excess` and `times.restlessness`.
"""

from __future__ import annotations

from math import nan, sqrt

import numpy as np
import pandas as pd

from analysis.measures.times.reached import order_curves
from analysis.statistics.samples.excess import excess_variance
from analysis.statistics.samples.gini import mean_difference_interval
from analysis.statistics.samples.intervals import Interval, sd_interval
from analysis.statistics.samples.shares import proportion_interval
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.restlessness import (
    largest_falls,
    late_rows,
    mean_by_trial,
    n_spikes,
    noise_by_trial,
    sd_by_trial,
)


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
        restless for it: `noise_by_trial`). NaN where a curve is too short, or has NaNs in the
        phase.
    """
    ordered = order_curves(curves, trials)
    layout, n = ordered.layout, len(trials)
    value = ordered.column(course.column) * (-1.0 if course.lower_is_better else 1.0)
    train_loss = ordered.column("train_loss")
    late = late_rows(layout)
    trial = layout.trial[late]
    with np.errstate(invalid="ignore"):  # a loss may have become infinite
        gap = ordered.column("val_loss") - train_loss
    identity = trials[["trial_id", "arm", "seed"]].reset_index(drop=True)
    return identity.assign(
        n_evaluations=layout.count,
        late_sd=sd_by_trial(trial, value[late], n),
        largest_drawdown=largest_falls(layout, value),
        n_loss_spikes=n_spikes(layout, train_loss),
        generalisation_gap=mean_by_trial(trial, gap[late], n),
        late_noise=noise_by_trial(trial, value[late], n),
    )
