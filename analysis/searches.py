"""The trials of hyperparameter searches, and which settings they varied.

In: all trials. Out: one entry a searched arm. What a search trial drew stands in its grid point
(JSON) and in the columns of settings that every trial has.
"""

from __future__ import annotations

import json

import pandas as pd

Search = tuple[str, str, pd.DataFrame, tuple[str, ...]]  # sweep, arm, trials, settings that varied
SETTINGS = ("learning_rate", "batch_size", "epochs", "fine_tune")


def find_searches(trials: pd.DataFrame) -> tuple[Search, ...]:
    """Search trials by sweep and arm; settings are the columns and drawn values that differ."""
    found = []
    searched = trials[trials["stage"] == "search"]
    for (sweep, arm), rows in searched.groupby(["sweep", "arm"]):
        drawn = pd.DataFrame([_drawn(text) for text in rows["grid"]], index=rows.index)
        rows = rows.drop(columns=[key for key in drawn if key in rows]).join(drawn)
        names = [*SETTINGS, *(key for key in drawn if key not in SETTINGS)]
        settings = [key for key in names if key in rows and len(set(rows[key].astype(str))) > 1]
        if settings and rows["best_val_accuracy"].notna().any():
            found.append((str(sweep), str(arm), rows.reset_index(drop=True), tuple(settings)))
    return tuple(found)


def _drawn(grid: str) -> dict[str, object]:
    """What a search trial drew, by the last part of each key: `train.batch_size` → batch_size."""
    point = json.loads(grid) if grid.startswith("{") else {}
    return {key.rsplit(".", 1)[-1]: value for key, value in point.items()}
