"""The columns of a trial's row that are known without running it; needs no torch."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from typing import Any

from harness.trials.spec import TrialSpec


def identity(spec: TrialSpec, sweep: str) -> dict[str, Any]:
    """Who the trial is and what it was told to do; `finished_at` is now."""
    condition = spec.condition
    fine_tune = condition.fine_tune
    return {
        "trial_id": spec.id,
        "sweep": sweep,
        "stage": spec.stage,
        "arm": spec.arm,
        "seed": spec.seed,
        "model": condition.model.name,
        "dataset": spec.data.choice.name,
        "dataset_fingerprint": spec.data.fingerprint,
        "stand_in_for": spec.data.stand_in_for,
        "initialize": condition.start.name or condition.start.kind,
        "parent_id": spec.parent or "",
        "fine_tune": fine_tune if isinstance(fine_tune, str) else json.dumps(fine_tune),
        "grid": spec.grid,
        "n_classes": len(spec.data.class_names),
        "learning_rate": condition.train.learning_rate,
        "batch_size": condition.train.batch_size,
        "epochs": condition.train.epochs,
        "host": socket.gethostname(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def failed_row(spec: TrialSpec, sweep: str, error: str) -> dict[str, Any]:
    """The row of a trial that could not finish; measured columns stay empty."""
    return {
        **identity(spec, sweep),
        "status": "failed",
        "error": error.strip(),
        "class_names": list(spec.data.class_names),
        "notes": list(spec.data.notes),
        "files": ["trial.json"],
    }


def relabelled(row: dict[str, Any], spec: TrialSpec, sweep: str) -> dict[str, Any]:
    """A finished trial's row under the names that the present plan gives it.

    An id says what a trial computes, not what it is called: an arm may have been renamed since,
    or the record may come from another sweep.
    """
    names = identity(spec, sweep)
    keep = ("host", "finished_at", "stand_in_for", "epochs")  # as it ran
    return {**row, **{key: value for key, value in names.items() if key not in keep}}
