"""What precedes a sweep on a node: the lock of a killed start, downloads in a local cache."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from slurm.prepare import STALE_AFTER_S, prepare_cache, wait_for_lock


class Clock:
    """Time that passes only by sleeping; `at` runs things when it has come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, object] = {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for when in [when for when in self.at if when <= self.now]:
            self.at.pop(when)()  # type: ignore[operator]


def _lock(path: Path, host: str, beat: str) -> None:
    path.write_text(json.dumps({"host": host, "heartbeat_at": beat}))


def _wait(path: Path, clock: Clock) -> float:
    wait_for_lock(path, sleep=clock.sleep, clock=lambda: clock.now)
    return clock.now


def test_a_free_lock_and_one_of_this_machine_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / ".lock-1-of-1.json"
    assert _wait(path, Clock()) == 0
    _lock(path, socket.gethostname(), "12:00")
    assert _wait(path, Clock()) == 0


def test_a_lock_without_heartbeat_is_waited_for_until_it_counts_as_stale(tmp_path: Path) -> None:
    path = tmp_path / ".lock-1-of-1.json"
    _lock(path, "another-node", "12:00")
    assert _wait(path, Clock()) == STALE_AFTER_S


@pytest.mark.parametrize("what", ["released", "renewed"])
def test_a_lock_that_is_released_or_lives_ends_the_wait(tmp_path: Path, what: str) -> None:
    path = tmp_path / ".lock-1-of-1.json"
    _lock(path, "another-node", "12:00")
    clock = Clock()
    clock.at[20.0] = (
        path.unlink if what == "released" else lambda: _lock(path, "another-node", "12:01")
    )
    assert _wait(path, clock) == 20.0


def test_a_local_cache_finds_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "home" / "downloads"
    monkeypatch.setenv("HEADSTART_DOWNLOADS", str(downloads))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "local"))
    prepare_cache()
    prepare_cache()  # a second start in the same folder
    (downloads / "mnist.gz").touch()
    assert (tmp_path / "local" / "downloads" / "mnist.gz").exists()
    (tmp_path / "home" / "weights" / "resnet18.pth").touch()
    assert (tmp_path / "local" / "weights" / "resnet18.pth").exists()


def test_a_shared_cache_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    prepare_cache()
    assert list(tmp_path.iterdir()) == []
