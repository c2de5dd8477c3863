"""The lock of a run folder: who holds it, whose lock is dead, and who notices a lost one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.runfolder import lock as lock_module
from harness.runfolder.folder import RunFolder
from harness.runfolder.lock import Holder, Lock, holders
from headstart.errors import LockedError


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from harness.runfolder.folder import RunFolder\n"
        f"RunFolder(Path({str(tmp_path / 'run')!r})).__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert list((tmp_path / "run").glob(".lock-*"))
    started = time.monotonic()
    with RunFolder(tmp_path / "run"):
        assert time.monotonic() - started < 1


def test_the_lock_of_another_machine_is_judged_by_its_heartbeat(tmp_path, monkeypatch):
    (tmp_path / "run" / "trials").mkdir(parents=True)
    path = tmp_path / "run" / ".lock-1-of-1.json"
    path.write_text(
        json.dumps({"machine": "elsewhere", "host": "elsewhere", "pid": 1, "generation": "x"})
    )
    with pytest.raises(LockedError, match="elsewhere"):
        Lock(path, "mine").acquire()
    old = time.time() - lock_module.STALE_AFTER_S - 5
    os.utime(path, (old, old))
    mine = Lock(path, "mine")
    mine.acquire()
    mine.release()
    assert not path.exists()


def test_a_command_that_lost_its_lock_notices(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.02)
    mine = Lock(tmp_path / ".lock", "mine")
    mine.acquire()
    (tmp_path / ".lock").write_text(json.dumps({"generation": "theirs"}))
    assert mine.lost.wait(timeout=5)
    mine.release()
    assert json.loads((tmp_path / ".lock").read_text())["generation"] == "theirs"


def test_a_lock_that_could_not_be_read_once_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.02)
    looks = iter([lock_module.Holder(), None])  # an error of a network, and a file moved aside
    read = lock_module._read

    def read_with_gaps(path):
        holder = read(path)
        return holder if n_beats() % 2 else next(looks, holder)

    beats: list[int] = []

    def n_beats() -> int:
        beats.append(0)
        return len(beats)

    lock = Lock(tmp_path / ".lock", "mine")
    lock.acquire()
    monkeypatch.setattr(lock_module, "_read", read_with_gaps)
    while len(beats) < 8:
        assert not lock.lost.wait(timeout=0.02)
    lock.release()
    assert not (tmp_path / ".lock").exists()


def test_a_lock_file_that_is_damaged_is_taken_over_once_it_is_old(tmp_path):
    path = tmp_path / ".lock-1-of-1.json"
    for content in ("{", "[1]", '{"host": "elsewhere", "colour": "blue"}'):
        path.write_text(content)
        with pytest.raises(LockedError, match="another command"):
            Lock(path, "mine").acquire()
        old = time.time() - lock_module.STALE_AFTER_S - 5
        os.utime(path, (old, old))
        lock = Lock(path, "mine")
        lock.acquire()
        assert [holder.pid for holder in lock_module.holders(tmp_path)] == [os.getpid()]
        lock.release()


def held(path, **values) -> Holder:
    """A lock file as a command of this machine and process wrote it, or another one."""
    lock = Lock(path, "theirs")
    assert lock._link()
    (holder,) = holders(path.parent)
    changed = replace(holder, **values)
    path.write_text(json.dumps(asdict(changed)))
    return changed


@pytest.mark.parametrize("change", [{"process_started": "1"}, {"pid": 2**22 + 1}])
def test_a_process_number_that_was_used_again_holds_nothing(tmp_path, change):
    path = tmp_path / ".lock-1-of-1.json"
    held(path, **change)
    lock = Lock(path, "mine")
    lock.acquire()
    lock.release()


def test_the_file_says_who_holds_it_since_when_and_its_last_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.02)
    times = iter(f"2026-01-02T03:04:{second:02d}+00:00" for second in range(60))
    monkeypatch.setattr(lock_module, "_now", lambda: next(times))
    lock = Lock(tmp_path / ".lock-2-of-3.json", "mine")
    lock.acquire()
    (first,) = holders(tmp_path)
    assert (first.pid, first.generation, first.started_at[-8:]) == (os.getpid(), "mine", "00+00:00")
    assert lock_module._process_started(os.getpid()) == first.process_started
    until = time.monotonic() + 5
    while holders(tmp_path)[0].heartbeat_at == first.heartbeat_at:
        assert time.monotonic() < until
    assert holders(tmp_path)[0].started_at == first.started_at
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_gone_or_a_zombie_never_started():
    assert lock_module._process_started(2**22 + 1) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    until = time.monotonic() + 20
    while lock_module._process_started(child.pid) is not None:  # ended, and not waited for yet
        assert time.monotonic() < until
    child.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to read")
def test_a_process_may_have_any_name(tmp_path):
    (tmp_path / "a) Z (b").symlink_to(shutil.which("sleep"))
    child = subprocess.Popen([str(tmp_path / "a) Z (b"), "60"])
    until = time.monotonic() + 20
    while "Z" not in Path(f"/proc/{child.pid}/comm").read_text():  # it is being started
        assert time.monotonic() < until
    started = lock_module._process_started(child.pid)
    assert started is not None
    assert int(started) >= int(lock_module._process_started(os.getpid()))
    child.kill()
    child.wait()


def test_without_proc_a_process_is_alive_or_gone(monkeypatch):
    def nothing_there(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", nothing_there)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) != "/proc/self/stat")
    assert lock_module._process_started(os.getpid()) == "alive"
    assert lock_module._process_started(2**22 + 1) is None


def test_a_stale_lock_that_somebody_renewed_in_between_stays(tmp_path):
    path = tmp_path / ".lock-1-of-1.json"
    seen = held(path, generation="stale")
    renewed = replace(seen, generation="renewed")
    path.write_text(json.dumps(asdict(renewed)))
    Lock(path, "mine")._remove_stale(seen)
    assert holders(tmp_path) == [renewed]
    Lock(path, "mine")._remove_stale(renewed)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_keep_taking_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / ".lock-1-of-1.json"
    held(path)
    monkeypatch.setattr(Lock, "_is_stale", lambda self, holder: True)
    monkeypatch.setattr(Lock, "_remove_stale", lambda self, seen: None)
    with pytest.raises(LockedError, match="other commands are taking this run folder right now"):
        Lock(path, "mine").acquire()


def test_the_lock_of_another_command_is_not_released(tmp_path):
    path = tmp_path / ".lock-1-of-1.json"
    theirs = held(path)
    Lock(path, "mine").release()
    assert holders(tmp_path) == [theirs]
