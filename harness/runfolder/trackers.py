"""Learning curves for TensorBoard, and for the other trackers that Accelerate knows.

In: finished trials' rows and curves. Out: one run a trial, under a name that no other trial has, so
that none takes another's place. The command writes TensorBoard's
event files from the records, at its end. So they are the same bytes whenever it writes them, and
workers spend no time on them. `wandb` and `mlflow` are services with sessions of their own:
`log_to_trackers` opens one for each trial, through Accelerate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from headstart.errors import MissingPackageError
from headstart.files import atomic_path, distinct_name
from headstart.rows import EvaluationRow, TrialRow

TAGS = {
    "Loss/Train": "train_loss",
    "Loss/Validation": "val_loss",
    "Accuracy/Train": "train_accuracy",
    "Accuracy/Validation": "val_accuracy",
    "Balanced accuracy/Validation": "val_balanced_accuracy",
    "Macro F1/Validation": "val_macro_f1",
    "Learning rate": "learning_rate",
}


def check_trackers(track: Sequence[str]) -> None:
    """Raise before anything runs where a tracker's package is missing.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    for name in track:
        if find_spec(name) is None:
            raise MissingPackageError(
                f"track: {name} needs a package that is not installed: "
                f"uv pip install -r pyproject.toml --extra {name}"
            )


def run_name(row: TrialRow) -> str:
    """`ARM/seed-0003-1a2b3c4d`, of a search `ARM/search-0003-…`: with the beginning of the id.

    Arm and seed alone name many trials: all that a search tries, a stage and an arm of one name,
    and those of the sweep file as it was before.
    """
    kind = row.stage if row.stage in ("search", "double") else "seed"
    return f"{distinct_name(row.arm)}/{kind}-{row.seed:04d}-{row.trial_id[:8]}"


def write_tensorboard(folder: Path, row: TrialRow, curve: Sequence[EvaluationRow]) -> Path:
    """Write one trial's curve as an event file below `folder`, unless it is there.

    The times in it are the trial's own: when it ended, less the training time that was left.
    """
    path = folder / run_name(row) / f"events.out.tfevents.{row.trial_id}"
    if not path.exists():
        from tensorboard.summary.writer.record_writer import RecordWriter

        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            writer = RecordWriter(file)
            for event in _events(row, curve):
                writer.write(event)
            writer.flush()
    return path


def _events(row: TrialRow, curve: Sequence[EvaluationRow]) -> Iterator[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    end = datetime.fromisoformat(row.finished_at).timestamp()
    total = curve[-1].train_time_s if curve else 0.0
    yield Event(wall_time=end - total, file_version="brain.Event:2").SerializeToString()
    for point in curve:
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in _values(point).items()
            if math.isfinite(value)
        ]
        if point is curve[-1] and row.test_accuracy is not None:
            values.append(Summary.Value(tag="Accuracy/Test", simple_value=row.test_accuracy))
        wall_time = end - total + point.train_time_s
        event = Event(wall_time=wall_time, step=point.step, summary=Summary(value=values))
        yield event.SerializeToString()


def _values(point: EvaluationRow) -> dict[str, float]:
    """What an evaluation says, by tag; a version before may not have recorded all."""
    values = {tag: getattr(point, column) for tag, column in TAGS.items()}
    return {tag: value for tag, value in values.items() if value is not None}


def log_to_trackers(names: Sequence[str], row: TrialRow, curve: Sequence[EvaluationRow]) -> None:
    """Send one trial's curve to these trackers (`wandb`, `mlflow`)."""
    from accelerate import Accelerator

    accelerator = Accelerator(log_with=list(names), cpu=True)
    config = {k: v for k, v in row.to_json().items() if isinstance(v, str | int | float)}
    named = {"wandb": {"name": run_name(row)}, "mlflow": {"run_name": run_name(row)}}
    accelerator.init_trackers(row.sweep, config=config, init_kwargs=named)
    for point in curve:
        accelerator.log(_values(point), step=point.step)
    if row.test_accuracy is not None:
        accelerator.log({"Accuracy/Test": row.test_accuracy}, step=curve[-1].step)
    accelerator.end_training()
