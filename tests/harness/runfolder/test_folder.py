from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from harness.runfolder import lock as lock_module
from harness.runfolder.folder import RunFolder, TrialFolder
from harness.runfolder.lock import Lock
from headstart.errors import LockedError, RunFolderError, StorageError
from headstart.files import atomic_file, write_json
from headstart.records import check_run_folder
from headstart.rows import TrialRow


def write_result(folder: TrialFolder, status: str = "done") -> TrialRow:
    folder.begin()
    (folder.result / "curve.parquet").write_bytes(b"curve")
    files = ("curve.parquet", "trial.json")
    row = TrialRow(trial_id=folder.path.name, status=status, files=files, attempts=1)
    write_json(folder.result / "trial.json", row.to_json())
    return row


def test_a_trial_is_finished_when_its_files_have_moved_up(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        row = write_result(run.trial_folder("a"))
        assert run.finished(["a"]) == {}
        run.publish("a", row)
        assert run.finished(["a"])["a"].status == "done"
        assert sorted(os.listdir(run.path / "trials" / "a")) == ["curve.parquet", "trial.json"]


def test_what_an_orphan_writes_is_never_read(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        orphan = first.trial_folder("a")
        orphan.begin()
        orphan.new_state(10).write_bytes(b"ten")
    with RunFolder(tmp_path / "run") as second:
        second.adopt(["a"])
        mine = second.trial_folder("a")
        state = mine.state_file()
        assert state is not None
        assert state.read_bytes() == b"ten"
        with pytest.raises(FileNotFoundError):
            orphan.new_state(20).write_bytes(b"twenty")
        orphan.work.mkdir(parents=True)  # even one that makes its folder anew
        orphan.new_state(20).write_bytes(b"twenty")
        assert mine.state_file() == state


def test_a_trial_that_ended_just_before_its_command_died_is_not_run_again(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        write_result(first.trial_folder("a"))
    with RunFolder(tmp_path / "run") as second:
        assert set(second.adopt(["a"])) == {"a"}
        assert set(second.finished(["a"])) == {"a"}


def test_attempts_count_every_start(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        assert run.trial_folder("a").begin() == 1
        assert run.trial_folder("a").begin() == 2
        run.fail("a", TrialRow(trial_id="a", status="failed"))
    with RunFolder(tmp_path / "run") as run:
        assert run.finished(["a"]) == {}, "a failed trial runs again"
        assert run.trial_folder("a").begin() == 3


def test_a_second_command_is_refused_and_says_who_holds_the_folder(tmp_path):
    with RunFolder(tmp_path / "run"):
        with (
            pytest.raises(LockedError, match=f"process {os.getpid()} on"),
            RunFolder(tmp_path / "run"),
        ):
            pass
        with RunFolder(tmp_path / "run", shard=(2, 3)):
            pass  # the lock is one for each shard
    with RunFolder(tmp_path / "run"):
        pass


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


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"), RunFolder(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(RunFolderError, match="is no run folder"):
        check_run_folder(tmp_path)
    with pytest.raises(RunFolderError, match="is a file"):
        check_run_folder(tmp_path / "thesis.tex")


def test_a_full_disk_is_one_line_and_the_old_content_stays(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")

    def overflow() -> None:
        with atomic_file(target) as file, open("/dev/full", "w") as full:
            file.write("new")
            full.write("x" * 100_000)
            full.flush()

    with pytest.raises(StorageError, match="No space left"):
        overflow()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]
