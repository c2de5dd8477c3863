"""What a trial's row says before the trial runs: who it is, and what it was told to do.

In: a trial of the plan. Out: its row without measurements. No torch here, since `--dry-run` and
the tables of a run folder need it.
"""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime

from harness.trials.spec import TrialSpec
from headstart.grid import as_column
from headstart.private import without_secrets
from headstart.rows import TrialRow


def planned_row(spec: TrialSpec, sweep: str) -> TrialRow:
    """The row of a trial as the plan has it; `finished_at` is now."""
    row = TrialRow(
        stand_in_for=spec.data.stand_in_for,
        epochs=spec.condition.train.epochs,
        host=socket.gethostname(),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        class_names=spec.data.class_names,
        notes=spec.data.notes,
        warnings=spec.data.warnings,
    )
    return relabelled(row, spec, sweep)


def failed_row(spec: TrialSpec, sweep: str, error: str) -> TrialRow:
    """The row of a trial that could not finish; measured columns stay empty."""
    row = planned_row(spec, sweep)
    error = without_secrets(error.strip())
    return replace(row, status="failed", error=error, files=("trial.json",))


def relabelled(row: TrialRow, spec: TrialSpec, sweep: str) -> TrialRow:
    """A trial's row under the names that the present plan gives it.

    An id says what a trial computes, not what it is called: an arm may have been renamed since,
    or the record may come from another sweep. `host`, `finished_at`, `stand_in_for` and `epochs`
    stay as the trial ran.
    """
    condition = spec.condition
    fine_tune = condition.fine_tune
    return replace(
        row,
        trial_id=spec.id,
        sweep=sweep,
        stage=spec.stage,
        arm=spec.arm,
        seed=spec.seed,
        redrawn=spec.redrawn,
        refits=spec.refits,
        model=condition.model.shown,
        code=(*condition.own_code, *spec.data.choice.own_code),
        dataset=spec.data.choice.shown,
        dataset_fingerprint=spec.data.fingerprint,
        initialize=condition.start.name or condition.start.kind,
        parent_id=spec.parent or "",
        fine_tune=fine_tune if isinstance(fine_tune, str) else json.dumps(fine_tune),
        grid=as_column(spec.grid),
        n_classes=len(spec.data.class_names),
        target=spec.data.target,
        learning_rate=condition.train.learning_rate,
        batch_size=condition.train.batch_size,
    )
