"""What a process gives its trials: whether they shall stop, and their share of a GPU."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.sweepfile.settings import Resources, Save
from harness.training import context
from harness.training.context import StopFile, WorkerSettings
from headstart.errors import StorageError


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "POLL_S", 0.0)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)


def test_workers_stop_when_they_are_asked_to(tmp_path):
    asked = StopFile(tmp_path / ".control")
    asked.create()
    worker = StopFile(asked.path)
    assert not worker()
    asked.request()
    assert worker()


def test_workers_stop_when_their_command_is_gone(tmp_path):
    worker = StopFile(tmp_path / ".control")
    worker.create()
    assert not worker()
    worker.path.unlink()
    assert worker()


def test_on_a_full_disk_workers_can_be_stopped(tmp_path, monkeypatch):
    worker = StopFile(tmp_path / ".control")
    worker.create()
    fill_disk(monkeypatch)
    StopFile(worker.path).request()
    assert worker()


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    fill_disk(monkeypatch)
    with pytest.raises(StorageError, match="cannot be written: No space left"):
        StopFile(tmp_path / ".control").create()


@pytest.mark.parametrize(
    ("gpus", "device", "share"), [(0, "cpu", 1), (0.25, "cuda", 0.25), (1, "cuda", 1)]
)
def test_a_worker_knows_its_share_of_a_gpu(tmp_path, gpus, device, share):
    settings = WorkerSettings("s", Save(), None, tmp_path / "stop")
    settings = settings.with_resources(Resources(gpus=gpus).settled(4))
    assert (settings.device, settings.gpu_share) == (device, share)
