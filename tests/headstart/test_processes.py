"""Telling a living process from a dead one, whatever its number, name or user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart import processes
from headstart.processes import UNKNOWN, is_alive, process_started, this_machine

NO_SUCH_PID = 2**22 + 1


def test_a_process_that_is_gone_or_a_zombie_never_started():
    assert process_started(NO_SUCH_PID) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    until = time.monotonic() + 120
    while process_started(child.pid) is not None:  # ended, and not waited for yet
        assert time.monotonic() < until
    child.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to read")
def test_a_process_may_have_any_name(tmp_path):
    (tmp_path / "a) Z (b").symlink_to(shutil.which("sleep"))
    child = subprocess.Popen([str(tmp_path / "a) Z (b"), "60"])
    until = time.monotonic() + 120
    while "Z" not in Path(f"/proc/{child.pid}/comm").read_text():  # it is being started
        assert time.monotonic() < until
    started = process_started(child.pid)
    assert started is not None
    assert int(started) >= int(process_started(os.getpid()))
    child.kill()
    child.wait()


def test_a_process_lives_while_its_number_and_its_start_agree():
    started = process_started(os.getpid())
    assert is_alive(os.getpid(), started)
    assert not is_alive(os.getpid(), "1"), "the number was used again"
    assert not is_alive(NO_SUCH_PID, started)


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_a_number_that_no_process_can_have_is_dead(pid):
    assert process_started(pid) is None


def test_without_proc_a_process_is_alive_or_gone(monkeypatch):
    def nothing_there(path: Path, *_: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", nothing_there)
    assert process_started(os.getpid()) == UNKNOWN
    assert is_alive(os.getpid(), "whenever")
    assert process_started(NO_SUCH_PID) is None


def test_a_process_of_another_user_is_alive_where_proc_hides_it(monkeypatch):
    def hidden(path: Path, *_: str) -> str:
        raise FileNotFoundError(path)

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", hidden)
    monkeypatch.setattr(processes.os, "kill", refused)
    assert is_alive(1, "17")


def test_a_machine_has_one_name():
    assert this_machine() == this_machine() != ""


def test_a_process_whose_name_is_not_utf_8_has_a_start():
    """The kernel gives names as they are; anybody may name a process so."""
    program = (
        "import time; open('/proc/self/comm', 'wb').write(b'caf\\xe9'); print(); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert b"caf\xe9" in Path(f"/proc/{process.pid}/stat").read_bytes()
        assert process_started(process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
