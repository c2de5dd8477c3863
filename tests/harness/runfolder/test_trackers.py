from __future__ import annotations

from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.runfolder.trackers import check_trackers, write_tensorboard
from headstart.errors import MissingPackageError
from headstart.rows import EvaluationRow, TrialRow

ROW = TrialRow(
    trial_id="abc", arm='a<b>&"c_%$#', seed=3, sweep="small", test_accuracy=0.75,
    finished_at="2026-01-02T03:04:05+00:00",
)  # fmt: skip
CURVE = [
    EvaluationRow(
        step=0, train_loss=float("nan"), val_loss=2.3, val_accuracy=0.125, learning_rate=0.5
    ),
    EvaluationRow(
        step=10, train_time_s=2.0, train_loss=1.5, val_loss=1.25, val_accuracy=0.5,
        learning_rate=0.25,
    ),
]  # fmt: skip


def test_tensorboard_reads_the_curve_that_was_written(tmp_path):
    path = write_tensorboard(tmp_path, ROW, CURVE)
    assert path.parent.name == "seed-0003"
    assert path.parent.parent.parent == tmp_path, "an arm's name makes no folders"
    events = EventAccumulator(str(path.parent)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("Accuracy/Validation")] == [
        (0, 0.125),
        (10, 0.5),
    ]
    assert [(e.step, e.value) for e in events.Scalars("Loss/Train")] == [(10, 1.5)]
    assert [e.value for e in events.Scalars("Accuracy/Test")] == [0.75]
    assert [e.value for e in events.Scalars("Learning rate")] == [0.5, 0.25]


def test_the_file_is_the_same_bytes_whenever_it_is_written(tmp_path):
    first = write_tensorboard(tmp_path / "one", ROW, CURVE).read_bytes()
    assert write_tensorboard(tmp_path / "two", ROW, CURVE).read_bytes() == first


def test_another_trial_under_the_same_name_takes_its_place(tmp_path):
    write_tensorboard(tmp_path, ROW, CURVE)
    path = write_tensorboard(tmp_path, replace(ROW, trial_id="def"), CURVE)
    assert [p.name for p in path.parent.iterdir()] == ["events.out.tfevents.def"]


def test_a_missing_tracker_is_said_before_anything_runs():
    check_trackers(["tensorboard"])
    with pytest.raises(MissingPackageError, match="--extra mlflow"):
        check_trackers(["tensorboard", "mlflow"])
