"""The tables of the report: which columns of `Findings` a reader sees, and under what heading."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings import Findings
from analysis.tables import Column, Table

UNIT_WORDS = {"step": "Steps", "samples": "Images", "train_time_s": "Seconds"}
SCORE_WORDS = {
    "test_accuracy": "Test accuracy",
    "best_val_accuracy": "Best validation accuracy",
}


def arm_table(findings: Findings) -> Table:
    """By arm: how many trials, final accuracy, steps to each target, seconds."""
    targets = _in_steps(findings)
    frame = findings.arms.merge(targets, on=["task", "arm"], how="left", validate="1:1")
    columns = [
        *_task_column(findings),
        Column("arm", "Arm"),
        Column("n_done", "Trials done", "count", help="Trials that finished"),
        Column("n_bad", "Failed, diverged or missing", "count"),
        Column("score", SCORE_WORDS[findings.score], "percent", "score_low", "score_high"),
        *(
            Column(key, f"Steps to {key} %", "text", sort=f"{key}_sort")
            for key in _target_keys(targets)
        ),
        Column("train_time_s", "Training time", "seconds", "train_time_s_low", "train_time_s_high"),
        Column("n_trainable", "Trainable parameters", "count"),
    ]
    frame = frame.assign(
        n_bad=frame["n_failed"] + frame["n_diverged"] + frame["n_missing"],
        n_trainable=pd.to_numeric(frame["n_trainable"], errors="coerce"),
    )
    note = (
        "Means over seeds, with 95 % intervals in brackets. A target that some or all trials "
        "never reached has no mean time: “≥” gives the mean with every such trial counted at its "
        "budget, which is a lower bound, and beside it how many trials reached the target."
    )
    return Table("by_arm", "Every arm", frame, tuple(columns), note)


def _task_column(findings: Findings) -> list[Column]:
    return [Column("task", "Task")] if len(findings.tasks) > 1 else []


def _target_keys(targets: pd.DataFrame) -> list[str]:
    return [key for key in targets if f"{key}_sort" in targets]


def _in_steps(findings: Findings) -> pd.DataFrame:
    """One row a task and arm, two columns a target: what to show, and what to sort by."""
    steps = findings.reached[findings.reached["unit"] == "step"] if len(findings.reached) else None
    frame = findings.arms[["task", "arm"]].copy()
    if steps is None:
        return frame
    for target, rows in steps.groupby("target"):
        key = f"{100 * target:g}"
        part = rows.assign(
            **{key: [reached_text(row) for row in rows.to_dict("records")],
               f"{key}_sort": np.where(rows["n_reached"] > 0, rows["mean"], np.inf)}
        )
        frame = frame.merge(part[["task", "arm", key, f"{key}_sort"]], on=["task", "arm"],
                            how="left")
    return frame


def reached_text(row: dict[str, object]) -> str:
    """`540 [500, 590]`; `≥ 812, 5 of 8 reached it`; `not reached (0 of 8)`."""
    n, n_reached = int(row["n"]), int(row["n_reached"])  # type: ignore[call-overload]
    if not n_reached:
        return f"not reached (0 of {n})"
    if n_reached == n:
        return words.interval("count", row["mean"], row["low"], row["high"])  # type: ignore[arg-type]
    return f"≥ {words.write('count', row['mean'])}, {n_reached} of {n} reached it"
