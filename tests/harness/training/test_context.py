"""What a process gives its trials: whether they shall stop."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.training import context
from harness.training.context import StopFile
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
