"""Learning curves over seeds: the mean of each arm at each step, its interval, the single runs.

In: `curves` and `trials` of `load.Runs`. Out: tidy frames that the figures, the page and the
workbook draw. Only finished trials enter; the intervals are pointwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.samples.intervals import mean_intervals
from headstart.metrics import range_of

METRICS = {
    "val_accuracy": "Validation accuracy",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "val_right_accuracy": "Validation accuracy on right labels",
    "val_right_loss": "Validation loss on right labels",
}
POSITIONS = ("samples", "train_time_s", "epoch")
MOST_POINTS = 120  # on one line; more could not be told apart on a page


@dataclass(frozen=True)
class Learning:
    """Learning curves of all arms.

    bands: task, arm, metric, step, samples, train_time_s, epoch, mean, low, high, n: one row a
    step. runs: task, arm, seed, metric, step, value: at most `most_runs` trials of an arm.
    n_drawn, n_trials: how many single runs `runs` has, out of how many finished trials.
    """

    bands: pd.DataFrame
    runs: pd.DataFrame
    n_drawn: int
    n_trials: int


def summarize_learning(
    curves: pd.DataFrame, trials: pd.DataFrame, most_runs: int = 30, also: str = ""
) -> Learning:
    """Mean and pointwise 95 % interval (Student's t over seeds) of every curve, by task and arm.

    A trial that stopped early counts with its last value from there on: its network no longer
    changes. Steps at which a trial has no evaluation yet leave it out (`n` says how many count).
    At n = 1 the bounds are NaN; none lies where a metric cannot. Of more
    than 120 evaluations, 120 evenly spread ones are kept.
    `also`: a further column, where the sweep measures one.
    """
    done = trials[trials["status"] == "done"]
    curves = curves[curves["trial_id"].isin(done["trial_id"])]
    bands, runs, n_drawn = [], [], 0
    for (task, arm), group in curves.groupby(["task", "arm"], sort=False):
        seeds = group.groupby("trial_id", sort=False)["seed"].first().sort_values(kind="stable")
        shown = seeds.index[:most_runs]
        n_drawn += len(shown)
        for metric, table, places in _tables(group, also):
            identity = {"task": task, "arm": arm, "metric": metric}
            bands.append(_band(table, metric).join(places).reset_index().assign(**identity))
            single = (
                table[shown]
                .set_axis(seeds[shown], axis=1)
                .melt(value_name="value", var_name="seed", ignore_index=False)
            )
            runs.append(single.reset_index().dropna().assign(**identity))
    return Learning(
        _joined(bands, BANDS), _joined(runs, RUNS), n_drawn, int(curves["trial_id"].nunique())
    )


def _tables(group: pd.DataFrame, also: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """For each metric a frame (steps, trials), and the mean position at those steps."""
    steps = np.unique(group["step"].to_numpy())
    if len(steps) > MOST_POINTS:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, MOST_POINTS).round().astype(int))]
    places = group.groupby("step")[[p for p in POSITIONS if p in group]].mean()
    for metric in dict.fromkeys((*METRICS, also)):
        if metric not in group or group[metric].isna().all():
            continue
        table = group.set_index(["step", "trial_id"])[metric].unstack()  # noqa: PD010
        yield metric, table.ffill().loc[steps], places.loc[steps]


def _band(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    infinite = np.isinf(table.to_numpy(dtype=float)).any(axis=1)  # a loss there has no mean
    table = table[table.notna().any(axis=1) & ~infinite]
    intervals = mean_intervals(table.to_numpy().T, method="student")
    ends = range_of(metric)
    rows = [each.within(*ends).columns("mean", also=("n",)) for each in intervals]
    return pd.DataFrame(rows, index=table.index)


BANDS = ("task", "arm", "metric", "step", *POSITIONS, "mean", "low", "high", "n")
RUNS = ("task", "arm", "metric", "seed", "step", "value")


def _joined(parts: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
