"""A signal ends a command where it is; work that ends by itself is given a few seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart import signals
from headstart.signals import SIGNALS, StoppedBySignal, StopRequest, deaf_children

ROOT = Path(__file__).resolve().parents[2]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def work(*numbers: int) -> None:
    """Minutes of work in which signals come, 0.1 s after each other."""
    for number in numbers:
        send(number)
        time.sleep(0.1)
    time.sleep(120)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_is_going_on(number):
    request = StopRequest()
    with pytest.raises(StoppedBySignal), request.listening():
        work(number)
    assert request.by == signal.Signals(number).name
    assert f"Stopped by {request.by}: " in request.message
    assert not isinstance(signal.getsignal(number), StopRequest), "the handler of before is back"


def test_no_trial_takes_a_stop_for_its_own_failure():
    assert not issubclass(StoppedBySignal, Exception)


def test_patient_work_ends_by_itself(monkeypatch):
    monkeypatch.setattr(signals, "SAME_S", 60.0)  # however long this machine takes between them
    request, asked = StopRequest(), []
    with request.listening(), request.patience(lambda: asked.append(1)):
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # `timeout` signals its child, and then the group of its child
        time.sleep(0.05)
    assert (request.by, asked) == ("SIGTERM", [1])


def test_a_failing_action_loses_no_request():
    def fail() -> None:
        raise OSError("no space left")

    request, asked = StopRequest(), []
    with request.listening(), request.patience(fail, lambda: asked.append(1)):
        send(signal.SIGTERM)
        time.sleep(0.05)
    assert (request.by, asked) == ("SIGTERM", [1])


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE_S", 0.2)
    request, began = StopRequest(), time.monotonic()
    with pytest.raises(StoppedBySignal), request.listening(), request.patience():
        work(signal.SIGINT)
    assert 0.2 <= time.monotonic() - began < 60


def test_a_second_signal_ends_the_patience(monkeypatch):
    monkeypatch.setattr(signals, "SAME_S", 0.05)
    request = StopRequest()
    with pytest.raises(StoppedBySignal), request.listening(), request.patience():
        work(signal.SIGTERM, signal.SIGTERM)


STUCK = """
import os, signal, time
from headstart import signals
signals.CLEAN_UP_S = 0.2
with signals.StopRequest().listening():
    for _ in range(100):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:
            pass  # as code does that swallows every exception
"""


def test_a_command_that_swallows_the_exception_ends_all_the_same():
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 75
    assert done.stderr.startswith("Stopped by SIGTERM: ")
    assert done.stderr.count("\n") == 1


def test_a_signal_while_the_process_writes_a_message_ends_it_too():
    script = """
import io, os, signal, sys
from headstart.signals import end_at_once

class Signalled(io.RawIOBase):
    def writable(self):
        return True
    def write(self, content):
        os.kill(os.getpid(), signal.SIGTERM)
        return len(content)

end_at_once()
sys.stderr = io.TextIOWrapper(io.BufferedWriter(Signalled()))
print("a message", file=sys.stderr, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 75
    assert done.stderr.startswith("Stopped by SIGTERM")


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest().listening():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            send(signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_child_is_deaf_and_this_process_is_not(number):
    with deaf_children():
        child = subprocess.Popen(["sleep", "30"])
    try:
        child.send_signal(number)
        time.sleep(0.1)
        assert child.poll() is None
        with pytest.raises(StoppedBySignal), StopRequest().listening():
            work(number)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("number", [n for n in SIGNALS if n != signal.SIGINT])
def test_a_signal_while_a_command_is_being_imported_is_no_crash(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.sweep", str(tmp_path / "none.yaml")],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not catches(process.pid, number):
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75
    assert said.startswith(f"Stopped by {signal.Signals(number).name}: ")
    assert said.count("\n") == 1


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler of its own for the signal (SIGINT: Python has always)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (number - 1) & 1)
