"""How much each trial fits its training images more than others, and from when on.

In: the tables of a run. Out: one row a trial: the gap between training and validation at the chosen
step and at the end of training, and how far validation loss rose after its lowest value. It stands
alone because comparisons, tables of single arms and words mean the same by overfitting.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.measures.times.reached import OrderedCurves, order_curves
from analysis.statistics.samples.arrays import Floats, Rows

QUANTITIES = ("accuracy_gap", "loss_gap", "end_accuracy_gap", "loss_rise")
_AT_CHOSEN = {
    "accuracy_gap": ("best_train_accuracy", "best_val_accuracy", 1.0),
    "loss_gap": ("best_train_loss", "best_val_loss", -1.0),
}


def overfitting(curves: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Gaps, rise of the loss, and the epoch of its lowest value.

    Training values are those of the curve: of the batches since the evaluation before, as they were
    trained on. Augmentation, dropout and the earlier weights of those batches make gaps smaller.

    Args:
        curves: columns trial_id, step, val_loss, val_accuracy; train_accuracy and epoch where the
            version that wrote them recorded them.
        trials: columns trial_id, status; best_train_accuracy, best_val_accuracy, best_train_loss
            and best_val_loss where they were recorded.

    Returns:
        A row a trial, with the index of `trials`; NaN where a trial did not finish, made no step
        or has no record. accuracy_gap, loss_gap: at the chosen step, how much better training
        batches were than validation images (fraction, nats). end_accuracy_gap: the same of accuracy
        at the last evaluation. loss_rise: validation loss at the last evaluation less its lowest
        one (nats, at least 0; more evaluations find a lower one, so arms that are compared should
        be evaluated alike). rises_from: the epoch of the lowest one; the last epoch where the loss
        never rose.
    """
    ordered = order_curves(curves, trials)
    steps = _last(ordered, "step")
    trained = np.asarray(trials["status"] == "done") & (steps != 0)
    columns = {name: _at_chosen(trials, name) for name in _AT_CHOSEN}
    columns["end_accuracy_gap"] = _last(ordered, "train_accuracy") - _last(ordered, "val_accuracy")
    lowest = _lowest(ordered)
    columns["loss_rise"] = _last(ordered, "val_loss") - _at(ordered, "val_loss", lowest)
    columns["rises_from"] = _at(ordered, "epoch", lowest)
    known = {
        name: np.where(trained & np.isfinite(values), values, np.nan)
        for name, values in columns.items()
    }
    return pd.DataFrame(known, index=trials.index)


def _at_chosen(trials: pd.DataFrame, name: str) -> Floats:
    train, validation, sign = _AT_CHOSEN[name]
    if not {train, validation} <= set(trials):
        return np.full(len(trials), np.nan)
    first, second = (trials[column].to_numpy(dtype=float) for column in (train, validation))
    return np.asarray(sign * (first - second))


def _last(ordered: OrderedCurves, name: str) -> Floats:
    """The value at each trial's last evaluation; NaN where the curves have no such column."""
    if name not in ordered.curves:
        return np.full(len(ordered.layout.count), np.nan)
    return ordered.layout.last(ordered.column(name))


def _lowest(ordered: OrderedCurves) -> Rows:
    """The row of each trial's lowest validation loss, the first of equal ones; -1 for none."""
    layout = ordered.layout
    if "val_loss" not in ordered.curves:
        return np.full(len(layout.count), -1)
    loss = ordered.column("val_loss")
    loss = np.where(np.isfinite(loss), loss, np.inf)
    least = np.full(len(layout.count), np.inf)
    np.minimum.at(least, layout.trial, loss)
    return layout.first_where(np.isfinite(loss) & (loss == least[layout.trial]))


def _at(ordered: OrderedCurves, name: str, rows: Rows) -> Floats:
    """The value at that row of each trial; NaN where there is none."""
    values = np.full(len(rows), np.nan)
    if name in ordered.curves and (rows >= 0).any():
        values[rows >= 0] = ordered.column(name)[rows[rows >= 0]]
    return values
