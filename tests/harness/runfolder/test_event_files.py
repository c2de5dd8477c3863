from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.runfolder import event_files
from harness.runfolder.event_files import GrowingFiles, write_tensorboard
from headstart.errors import StorageError
from headstart.rows import EvaluationRow, TrialRow

ROW = TrialRow(
    trial_id="0123abcd89ef4567", arm='a<b>&"c_%$#', seed=3, sweep="small", test_accuracy=0.75,
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
    assert path.parent.name == "seed-0003-0123abcd"
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


def test_no_trial_takes_the_place_of_another(tmp_path):
    """Arms of other scripts, a stage named like an arm, trials of one search, an earlier plan."""
    rows = [
        replace(ROW, arm=arm, stage=stage, trial_id=f"{number:08x}")
        for number, (arm, stage) in enumerate(
            [("с нуля", "arm"), ("обучение", "arm"), ("a", "arm"), ("a", "pretrain"), ("a", "arm"),
             ("a", "search"), ("a", "search"), ("a b", "arm"), ("a-b", "arm"), ("x" * 99, "arm"),
             ("x" * 98, "arm")]
        )
    ]  # fmt: skip
    for _ in range(2):  # a second run of the same command
        paths = [write_tensorboard(tmp_path, row, CURVE) for row in rows]
        assert len({path.parent for path in paths}) == len(rows)
        assert sorted(tmp_path.glob("*/*/*")) == sorted(paths)
    assert [str(path.parent.relative_to(tmp_path)) for path in paths[1:7:4]] == [
        "обучение/seed-0003-00000001", "a/search-0003-00000005",
    ]  # fmt: skip


def test_the_file_of_a_running_trial_grows_and_gives_way_to_the_whole_one(tmp_path):
    """TensorBoard that has it open goes on in it; one that is started later finds the other."""
    running = replace(ROW, test_accuracy=None)
    growing = GrowingFiles(tmp_path)
    growing.write(running, CURVE[:1])
    (path,) = tmp_path.glob("*/*/*")
    watching = EventAccumulator(str(path.parent)).Reload()
    growing.write(running, CURVE[:1])
    growing.write(ROW, CURVE)
    watching.Reload()
    accuracies = [(e.step, e.value) for e in watching.Scalars("Accuracy/Validation")]
    assert accuracies == [(0, 0.125), (10, 0.5)]
    assert [e.value for e in watching.Scalars("Accuracy/Test")] == [0.75]
    last = write_tensorboard(tmp_path, ROW, CURVE)
    assert last.name < path.name, "a TensorBoard that reads the one does not go on to the other"
    assert list(tmp_path.glob("*/*/*")) == [last]
    assert last.read_bytes() == write_tensorboard(tmp_path / "later", ROW, CURVE).read_bytes()


def test_a_file_that_a_killed_command_left_is_begun_anew(tmp_path):
    running = replace(ROW, test_accuracy=None)
    GrowingFiles(tmp_path).write(running, CURVE)
    GrowingFiles(tmp_path).write(running, CURVE)
    (path,) = tmp_path.glob("*/*/*")
    events = EventAccumulator(str(path.parent)).Reload()
    assert [e.step for e in events.Scalars("Accuracy/Validation")] == [0, 10]


def test_a_file_that_a_full_disk_cut_off_is_begun_anew(tmp_path, monkeypatch):
    running = replace(ROW, test_accuracy=None)
    growing = GrowingFiles(tmp_path)
    growing.write(running, CURVE[:1])
    append = event_files._append

    def fill_the_disk(path: Path, events: Iterable[bytes]) -> None:
        append(path, events)
        os.truncate(path, path.stat().st_size - 5)
        raise StorageError(f"{path}: cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(event_files, "_append", fill_the_disk)
        with pytest.raises(StorageError):
            growing.write(running, CURVE)
    growing.write(running, CURVE)
    (path,) = tmp_path.glob("*/*/*")
    events = EventAccumulator(str(path.parent)).Reload()
    assert [e.step for e in events.Scalars("Accuracy/Validation")] == [0, 10]


def test_accuracy_and_loss_of_training_and_validation_are_there(tmp_path):
    curve = [CURVE[0], replace(CURVE[1], train_accuracy=0.375)]
    path = write_tensorboard(tmp_path, ROW, curve)
    events = EventAccumulator(str(path.parent)).Reload()
    last = {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
    assert last == {
        "Accuracy/Train": 0.375, "Accuracy/Validation": 0.5, "Accuracy/Test": 0.75,
        "Loss/Train": 1.5, "Loss/Validation": 1.25, "Learning rate": 0.25,
    }  # fmt: skip
