"""Validation images scored on their right labels, beside the labels that trials learned from.

In: curves and trials of `load.Runs`. Out: one row an arm: what the network begins with, what it
has at the step whose weights are tested, and what it ends with. It stands alone because only sweeps
that watch right labels have it (`measure.also_watch`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis import words
from analysis.statistics.samples.intervals import mean_interval

WATCHED = ("val_right_accuracy", "val_right_loss")
COLUMNS = (
    "task", "arm", "n", "given_last", "right_first", "right_chosen", "right_last",
    "right_change", "right_change_low", "right_change_high",
    "loss_first", "loss_chosen", "loss_last",
    "loss_change", "loss_change_low", "loss_change_high",
)  # fmt: skip


def right_table(curves: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """One row a task and arm whose finished trials watched right labels: means over seeds.

    `…_change`: the last evaluation less the first, paired by seed, with the 95 % interval of its
    mean (`mean_interval`; NaN bounds at one seed). Losses are cross-entropies. Empty where nothing
    was watched.
    """
    done = evidence[evidence["status"] == "done"]
    if not set(WATCHED) <= set(curves.columns) or done.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    watched = curves[curves["trial_id"].isin(done["trial_id"]) & curves[WATCHED[0]].notna()]
    chosen = done.set_index("trial_id")["best_step"]
    rows = []
    for (task, arm), own in watched.groupby(["task", "arm"], sort=False):
        ordered = own.sort_values(["trial_id", "step"], kind="stable")
        first, last = (getattr(ordered.groupby("trial_id"), end)() for end in ("first", "last"))
        at_chosen = ordered[ordered["step"] == ordered["trial_id"].map(chosen)]
        at_chosen = at_chosen.set_index("trial_id")
        row = {"task": task, "arm": arm, "n": len(last), "given_last": last["val_accuracy"].mean()}
        for name, column in (("right", WATCHED[0]), ("loss", WATCHED[1])):
            change = _change(first[column], last[column])
            row |= {
                f"{name}_first": first[column].mean(),
                f"{name}_chosen": at_chosen[column].mean(),
                f"{name}_last": last[column].mean(),
                **dict(zip((f"{name}_change{end}" for end in ("", "_low", "_high")), change,
                           strict=True)),
            }  # fmt: skip
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {arm: k for k, arm in enumerate(evidence["arm"].drop_duplicates())}
    places = table["arm"].map(order).sort_values(kind="stable").index
    return table.loc[places].reset_index(drop=True)


def _change(first: pd.Series, last: pd.Series) -> tuple[float, float, float]:
    """Mean change over seeds with its interval; a loss that is not finite has none."""
    values = (last - first).to_numpy(dtype=float)
    if not np.isfinite(values).all():
        return np.nan, np.nan, np.nan
    interval = mean_interval(values)
    return interval.estimate, interval.low, interval.high


def right_words(table: pd.DataFrame) -> Iterator[str]:
    """A sentence an arm: how accuracy and loss on right labels went, and whether that is sure."""
    for row in table.itertuples():
        who = f"“{row.arm}”" if table["task"].nunique() < 2 else f"{row.task}, “{row.arm}”"
        change = words.interval(
            "points", row.right_change, row.right_change_low, row.right_change_high
        )
        yield (
            f"{who}: on right labels, validation accuracy {_went(row, 'right')} from "
            f"{words.percent(row.right_first)} at the start to {words.percent(row.right_last)} at "
            f"the end ({change}), and {words.percent(row.right_chosen)} at the step that the given "
            f"labels chose; the loss {_went(row, 'loss')} from {words.number(row.loss_first)} to "
            f"{words.number(row.loss_last)}."
        )


def _went(row: object, name: str) -> str:
    """`rises` or `falls`, where the interval of the change says so."""
    low, high = getattr(row, f"{name}_change_low"), getattr(row, f"{name}_change_high")
    return "rises" if low > 0 else "falls" if high < 0 else "goes (no sure change)"
