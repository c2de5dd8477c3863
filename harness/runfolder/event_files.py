"""Learning curves as TensorBoard's event files: of trials that run, and of those that ended.

In: rows and evaluations. Out: one run a trial, under a name that no other trial has, so that none
takes another's place. The file of an ended trial comes from its record, so it has the same bytes
whenever it is written. While the trial runs, a file beside that name grows; it gives way to the
other one. The command writes both, so workers spend no time on them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from headstart.files import atomic_path, distinct_name, storage_errors
from headstart.rows import EvaluationRow, TrialRow

TAGS = {
    "Loss/Train": "train_loss",
    "Loss/Validation": "val_loss",
    "Accuracy/Train": "train_accuracy",
    "Accuracy/Validation": "val_accuracy",
    "Balanced accuracy/Validation": "val_balanced_accuracy",
    "Macro F1/Validation": "val_macro_f1",
    "Loss/Validation on right labels": "val_right_loss",
    "Accuracy/Validation on right labels": "val_right_accuracy",
    "Learning rate": "learning_rate",
}
TEST_TAG = "Accuracy/Test"
GROWING = ".running"  # after the name: TensorBoard reads on in a file until one of a later name


def run_name(row: TrialRow) -> str:
    """`ARM/seed-0003-1a2b3c4d`, of a search `ARM/search-0003-…`: with the beginning of the id.

    Arm and seed alone name many trials: all that a search tries, a stage and an arm of one name,
    and those of the sweep file as it was before.
    """
    kind = row.stage if row.stage in ("search", "double", "refit") else "seed"
    return f"{distinct_name(row.arm)}/{kind}-{row.seed:04d}-{row.trial_id[:8]}"


def event_file(folder: Path, row: TrialRow) -> Path:
    """Where the events of an ended trial lie below `folder`."""
    return folder / run_name(row) / f"events.out.tfevents.{row.trial_id}"


def write_tensorboard(folder: Path, row: TrialRow, curve: Sequence[EvaluationRow]) -> Path:
    """Write one ended trial's curve as an event file below `folder`, unless it is there.

    The times in it are the trial's own: when it ended, less the training time that was left.
    """
    path = event_file(folder, row)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        end = datetime.fromisoformat(row.finished_at).timestamp()
        began_at = end - (curve[-1].train_time_s if curve else 0.0)
        with atomic_path(path) as temporary:
            _append(temporary, [_head(began_at), *_events(curve, began_at, row.test_accuracy)])
        path.with_name(path.name + GROWING).unlink(missing_ok=True)
    return path


class GrowingFiles:
    """The event files of the trials that run now, below `folder`; one command writes them.

    Several of its threads may write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, tuple[int, float]] = {}  # points, and when step 0 was
        self._lock = threading.Lock()

    def write(self, row: TrialRow, curve: Sequence[EvaluationRow]) -> None:
        """Add what is new of a running trial's curve; what another command left is replaced.

        Args:
            row: names the trial; where it has a test accuracy, that stands at the last point.
        """
        with self._lock:
            self._write(row, curve)

    def _write(self, row: TrialRow, curve: Sequence[EvaluationRow]) -> None:
        path = event_file(self.folder, row)
        path = path.with_name(path.name + GROWING)
        n_written, began_at = self._written.get(row.trial_id, (0, 0.0))
        if len(curve) <= n_written:
            return
        if not n_written:
            began_at = time.time() - curve[-1].train_time_s
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            _append(path, [_head(began_at)])
        self._written.pop(row.trial_id, None)  # half an event on a full disk: begun anew
        _append(path, _events(curve[n_written:], began_at, row.test_accuracy))
        self._written[row.trial_id] = len(curve), began_at


def values_of(point: EvaluationRow) -> dict[str, float]:
    """What an evaluation says, by tag; a version before may not have recorded all."""
    values = {tag: getattr(point, column) for tag, column in TAGS.items()}
    return {tag: value for tag, value in values.items() if value is not None}


def _append(path: Path, events: Iterable[bytes]) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    with storage_errors(path), open(path, "ab") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event)
        writer.flush()


def _head(began_at: float) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return bytes(Event(wall_time=began_at, file_version="brain.Event:2").SerializeToString())


def _events(
    points: Sequence[EvaluationRow], began_at: float, test_accuracy: float | None
) -> Iterator[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    for point in points:
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in values_of(point).items()
            if math.isfinite(value)
        ]
        if point is points[-1] and test_accuracy is not None:
            values.append(Summary.Value(tag=TEST_TAG, simple_value=test_accuracy))
        wall_time = began_at + point.train_time_s
        event = Event(wall_time=wall_time, step=point.step, summary=Summary(value=values))
        yield event.SerializeToString()
