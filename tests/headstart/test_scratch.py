"""A folder of the command's own: closed, short, and gone in the end, a killed command's too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from headstart import scratch
from headstart.scratch import MOST_LETTERS, PREFIX, end_session, scratch_folder, session_members

HOLDS = """
import os, subprocess, sys, tempfile, time
from headstart.scratch import note_session, scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder() as folder:
    child = subprocess.Popen(
        ["tail", "-f", str(folder / "lock")], start_new_session=True, stdout=subprocess.DEVNULL
    )
    note_session(folder, child.pid)
    print(folder, child.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def short_tmp(monkeypatch):
    """A folder for temporary files whose name is as short as that of `/tmp`."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def holder(short_tmp):
    """A command that holds a folder and has a process of its own; (process, folder, session)."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(short_tmp)], stdout=subprocess.PIPE, text=True
    )
    folder, session = process.stdout.readline().split()
    yield process, Path(folder), int(session)
    process.kill()
    process.wait()
    process.stdout.close()
    end_session(int(session))


def test_the_folder_is_this_users_alone_and_goes(short_tmp):
    with scratch_folder() as folder:
        assert folder.parent == short_tmp
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(str(folder)) <= MOST_LETTERS
        (folder / "below").mkdir()
    assert not list(short_tmp.iterdir())


def test_no_file_is_written_to_find_the_place(short_tmp, monkeypatch):
    """As Python does once in each process: a command that is killed meanwhile would leave it."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(short_tmp))
    with scratch_folder() as folder:
        assert folder.parent == short_tmp
        assert tempfile.tempdir is None, "Python has not looked"


def test_where_the_named_folder_is_none_another_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nothing"))
    for name in ("TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    with scratch_folder() as folder:
        assert folder.parent == Path("/tmp")


def test_a_long_name_is_not_used_and_the_user_is_told(monkeypatch, tmp_path, capsys):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with scratch_folder() as folder:
        assert len(str(folder)) <= MOST_LETTERS
        assert folder.parent == Path("/tmp")
    assert not list(long.iterdir())
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(long) in said


def test_a_living_command_keeps_its_folder(holder):
    _, folder, session = holder
    with scratch_folder():
        pass
    assert folder.exists()
    assert session_members(session)


def test_what_a_killed_command_left_is_removed_by_the_next(holder):
    process, folder, session = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.exists()
    assert session_members(session), "else there is nothing to end"
    with scratch_folder() as own:
        assert list(own.parent.iterdir()) == [own]
    assert not session_members(session)


def test_other_processes_that_have_the_number_by_now_are_left_alone(holder):
    process, folder, _ = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    other = subprocess.Popen(
        ["sleep", "60"], start_new_session=True, env={"PATH": os.environ["PATH"]}
    )
    try:
        (folder / scratch.SESSION).write_text(str(other.pid))
        with scratch_folder():
            assert other.poll() is None
        assert not folder.exists()
    finally:
        other.kill()
        other.wait()


def test_folders_of_others_are_left_alone(short_tmp):
    """One that only looks like ours, one that is being made, and a link to somebody's folder."""
    foreign = short_tmp / f"{PREFIX}of-others"
    foreign.mkdir()
    (foreign / "work").touch()
    os.utime(foreign, (0, 0))
    new = short_tmp / f"{PREFIX}newly-made"
    new.mkdir()
    target = short_tmp / "target"
    target.mkdir()
    (target / scratch.LOCK).touch()
    (short_tmp / f"{PREFIX}a-link").symlink_to(target)
    with scratch_folder():
        pass
    assert (foreign / "work").exists()
    assert new.exists()
    assert (target / scratch.LOCK).exists()


def test_an_empty_folder_of_a_command_killed_at_once_goes_too(short_tmp):
    empty = short_tmp / f"{PREFIX}empty"
    empty.mkdir()
    os.utime(empty, (time.time() - 60,) * 2)
    with scratch_folder():
        pass
    assert not empty.exists()
