"""The lock of a run folder: who holds it, whose lock is dead, and who notices a lost one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from harness.runfolder.folder import RunFolder
from headstart import lock as lock_module
from headstart.errors import LockedError, StorageError
from headstart.lock import Holder, Lock, holders
from headstart.processes import process_started


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from harness.runfolder.folder import RunFolder\n"
        f"RunFolder(Path({str(tmp_path / 'run')!r})).__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert list((tmp_path / "run").glob(".lock-*"))
    started = time.monotonic()
    with RunFolder(tmp_path / "run"):
        assert time.monotonic() - started < lock_module.HEARTBEAT_S


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
    assert mine.lost.wait(timeout=60)
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
    assert lock._place()
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
    times = iter(f"2026-01-02T03:{s // 60:02d}:{s % 60:02d}+00:00" for s in range(3600))
    monkeypatch.setattr(lock_module, "_now", lambda: next(times))
    lock = Lock(tmp_path / ".lock-2-of-3.json", "mine")
    lock.acquire()
    (first,) = holders(tmp_path)
    assert (first.pid, first.generation, first.started_at[-8:]) == (os.getpid(), "mine", "00+00:00")
    assert process_started(os.getpid()) == first.process_started
    until = time.monotonic() + 60
    while holders(tmp_path)[0].heartbeat_at == first.heartbeat_at:
        assert time.monotonic() < until
    assert holders(tmp_path)[0].started_at == first.started_at
    lock.release()
    assert list(tmp_path.iterdir()) == []


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


def test_on_a_full_disk_a_lock_stays_young(tmp_path, monkeypatch):
    path = tmp_path / ".lock-1-of-1.json"
    held(path)
    os.utime(path, (0, 0))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    Lock(path, "theirs")._renew()
    assert time.time() - path.stat().st_mtime < 60


# -- what else may have the name of a lock, and file systems that lack something -----------


def refuse_links(monkeypatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


NO_LINKS = [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK]


@pytest.mark.parametrize("number", NO_LINKS)
def test_without_hard_links_the_lock_is_one_too(tmp_path, monkeypatch, number):
    refuse_links(monkeypatch, number)
    path = tmp_path / ".lock-1-of-1.json"
    mine = Lock(path, "mine")
    mine.acquire()
    assert [holder.generation for holder in holders(tmp_path)] == ["mine"]
    with pytest.raises(LockedError, match=f"process {os.getpid()} on"):
        Lock(path, "theirs").acquire()
    mine.release()
    assert list(tmp_path.iterdir()) == []
    held(path, pid=2**22 + 1)  # of a dead process
    mine.acquire()
    mine.release()
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_begin_at_once_without_links_one_gets_the_lock(tmp_path, monkeypatch):
    refuse_links(monkeypatch, errno.EPERM)
    path = tmp_path / ".lock-1-of-1.json"
    start, got = threading.Barrier(8), []

    def begin(name: str) -> None:
        start.wait()
        try:
            Lock(path, name).acquire()
        except LockedError:
            return
        got.append(name)

    threads = [threading.Thread(target=begin, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert [holder.generation for holder in holders(tmp_path)] == got


def test_a_renewed_lock_is_put_back_without_links(tmp_path, monkeypatch):
    path = tmp_path / ".lock-1-of-1.json"
    seen = held(path, generation="stale")
    renewed = replace(seen, generation="renewed")
    path.write_text(json.dumps(asdict(renewed)))
    refuse_links(monkeypatch, errno.ENOTSUP)
    Lock(path, "mine")._remove_stale(seen)
    assert holders(tmp_path) == [renewed]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_lock_whose_command_died_before_it_wrote_it_is_taken_over_soon(tmp_path):
    """So it lies there where a file system has no links."""
    path = tmp_path / ".lock-1-of-1.json"
    path.touch()
    started = time.monotonic()
    lock = Lock(path, "mine")
    lock.acquire()
    assert time.monotonic() - started < lock_module.STALE_AFTER_S / 2
    lock.release()


@pytest.mark.parametrize("kind", ["folder", "old folder", "link", "pipe"])
def test_what_is_no_file_is_no_lock(tmp_path, kind):
    path = tmp_path / ".lock-1-of-1.json"
    if kind == "link":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "content").write_text("of somebody")
    if kind == "old folder":
        os.utime(path, (0, 0))
    with pytest.raises(LockedError, match=r"\.lock-1-of-1\.json: is no file, .*; remove it"):
        Lock(path, "mine").acquire()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert holders(tmp_path) == [Holder()] or kind == "link"


def test_a_lock_from_the_future_says_what_to_do(tmp_path):
    path = tmp_path / ".lock-1-of-1.json"
    held(path, machine="elsewhere", host="elsewhere", pid=7)
    with pytest.raises(LockedError, match=r"process 7 on elsewhere, .*stop it$"):
        Lock(path, "mine").acquire()
    ahead = time.time() + 7200
    os.utime(path, (ahead, ahead))
    message = r"process 7 on elsewhere, .*7,[12]\d\d s ahead of the clock .*remove .*\.lock-1-of-1"
    with pytest.raises(LockedError, match=message):
        Lock(path, "mine").acquire()


def test_the_lock_of_a_dead_process_is_taken_over_whatever_its_time(tmp_path):
    path = tmp_path / ".lock-1-of-1.json"
    for at in (0, time.time() + 10**8):
        held(path, pid=2**22 + 1)
        os.utime(path, (at, at))
        lock = Lock(path, "mine")
        lock.acquire()
        lock.release()


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"pid": "x\\u0000"}', '{"pid": true}', "\x00\x80", '{"host": []}']
)
def test_a_lock_with_any_content_is_one_line(tmp_path, content):
    path = tmp_path / ".lock-1-of-1.json"
    path.write_bytes(content.encode("latin-1"))
    assert holders(tmp_path) == [Holder()]
    with pytest.raises(LockedError, match="another command works in this run folder"):
        Lock(path, "mine").acquire()


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StorageError, match="cannot be written: No space left"):
        Lock(tmp_path / ".lock-1-of-1.json", "mine").acquire()
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
