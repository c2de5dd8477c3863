"""What stability and overfitting are asked of: further columns of the trials, one value a trial.

In: trials and curves. Out: the trials with `final_value`, `late_noise`, `broken` and what
`overfitting` measures, and which metrics those allow. It stands alone because comparisons and the
tables of single arms use the same columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.findings.by_arm import final_interval, in_order
from analysis.measures.overfitting import QUANTITIES, overfitting
from analysis.measures.redrawn import overlap_of
from analysis.measures.stability import within_runs
from analysis.statistics.pairs.metrics import METRICS, OVERFITTING, STABILITY
from analysis.statistics.samples.arrays import Bools
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.redrawn import corrected
from analysis.statistics.times.course import Course

_ENDS = {"loss_rise": (0.0, math.inf), "accuracy_gap": (-1.0, 1.0), "end_accuracy_gap": (-1.0, 1.0)}
ONE_SIDED = 1.645  # binomial SDs above chance that an accuracy must be, not to be one of chance


def with_quantities(
    trials: pd.DataFrame, curves: pd.DataFrame, score: str, course: Course
) -> pd.DataFrame:
    """The trials, in their order, with what the two further questions compare.

    final_value: `score`. late_noise: noise within a run that finished (`within_runs`).
    broken: 1.0 where the trial failed, diverged or collapsed, else 0.0. The others:
    `measures.overfitting`.
    """
    broken = trials["status"].isin(("failed", "diverged")) | collapsed(trials)
    noise = pd.Series(within_runs(curves, trials, course)["late_noise"].to_numpy(), trials.index)
    columns = {
        "final_value": trials.get(score, np.nan),
        "late_noise": noise.where(trials["status"] == "done"),
        "broken": broken.astype(float),
    }
    return trials.assign(**columns, **overfitting(curves, trials))


def collapsed(trials: pd.DataFrame) -> Bools:
    """Which finished trials know no more of the classes than chance does.

    Their accuracy, on test images where they have one, is less than 1.645 binomial SDs above
    1 / classes.
    """
    none = pd.Series(np.nan, index=trials.index)
    tested = trials.get("test_accuracy", none)
    on_test = tested.notna()
    accuracy = tested.where(on_test, trials.get("best_val_accuracy", none)).astype(float)
    n_images = trials.get("n_test", none).where(on_test, trials.get("n_validation", none))
    chance = 1 / trials.get("n_classes", none).astype(float)
    noise = np.sqrt(chance * (1 - chance) / n_images.astype(float))
    done = trials["status"] == "done"
    return np.asarray(done & (accuracy < chance + ONE_SIDED * noise), dtype=bool)


def further_metrics(evidence: pd.DataFrame) -> tuple[str, ...]:
    """The metrics of stability and overfitting of which these trials have values."""
    return tuple(
        name
        for name in (*STABILITY, *OVERFITTING)
        if evidence[METRICS[name].source].notna().any()
        and (METRICS[name].kind != "event" or evidence["broken"].any())
    )


def gap_table(asked: Iterable[Asked], evidence: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each arm in training, on validation and on test images, and what lies between.

    Columns task, arm, n (finished trials), n_gap (trials of which the gap is known),
    train_accuracy, validation_accuracy, test_accuracy (means; training and validation at the
    chosen step), what `measures.overfitting` measures, and rises_from: the median epoch of the
    lowest validation loss. Test accuracy and all but rises_from have _low and _high: 95 % over
    seeds, where these redraw one pool `corrected`. Training and validation are of the trials with a
    gap, where there are any: the gap is what lies between.
    """
    rows = []
    for (task, arm), trials in evidence.groupby(["task", "arm"], sort=False):
        if (trials["status"] == "done").any():
            rows.append({"task": task, "arm": arm} | _accuracies(trials))
    return in_order(pd.DataFrame(rows), asked) if rows else pd.DataFrame()


def _accuracies(trials: pd.DataFrame) -> dict[str, object]:
    """The trials of one arm as a row of `gap_table`."""
    done = trials[trials["status"] == "done"]
    known = done[done["accuracy_gap"].notna()]
    chosen = known if len(known) else done
    row: dict[str, object] = {
        "n": len(done),
        "n_gap": len(known),
        "train_accuracy": known["best_train_accuracy"].mean() if len(known) else np.nan,
        "validation_accuracy": chosen["best_val_accuracy"].mean(),
        **final_interval(done, "test_accuracy").columns("test_accuracy", "test_accuracy_"),
    }
    for name in QUANTITIES:
        values = done[name].dropna().to_numpy(dtype=float)
        gap = corrected(values, overlap_of(trials)) if len(values) else Interval.unknown("")
        gap = gap.within(*_ENDS.get(name, (-math.inf, math.inf)))
        row |= gap.columns(name, f"{name}_")
    return row | {"rises_from": done["rises_from"].median()}
