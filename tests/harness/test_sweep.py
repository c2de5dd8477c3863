"""A signal ends the command in every phase: status 75, one line, nothing left behind."""

from __future__ import annotations

import os
import signal
import time

import pytest

import harness.sweep
from harness.runfolder.folder import RunFolder
from headstart.signals import SIGNALS
from runs import run_here

PHASES = {
    "reading": (harness.sweep, "load_sweep"),
    "planning": (harness.sweep, "make_plan"),
    "taking the run folder": (harness.sweep.provenance, "collect"),
    "tables": (RunFolder, "write_tables"),
    "images": (harness.sweep, "_keep_images"),
    "trackers": (harness.sweep, "_track"),
    "report": (harness.sweep, "_report"),
}


@pytest.fixture
def signalled(monkeypatch):
    """Let a phase take long, and a signal come in it."""

    def signalled(phase: str, number: int) -> None:
        owner, name = PHASES[phase]

        def long(*_: object, **__: object) -> None:
            os.kill(os.getpid(), number)
            time.sleep(20)

        monkeypatch.setattr(owner, name, long)

    return signalled


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("phase", ["reading", "planning"])
def test_a_signal_ends_what_comes_before_the_trials(
    write_sweep, tmp_path, signalled, phase, number
):
    signalled(phase, number)
    began = time.monotonic()
    done = run_here(write_sweep(), tmp_path / "run")
    assert time.monotonic() - began < 5
    assert done.returncode == 75
    name = signal.Signals(number).name
    assert done.stderr.splitlines() == [
        f"Stopped by {name}: what has ended is kept. The same command goes on from here."
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("phase", [name for name in PHASES if name not in ("reading", "planning")])
def test_a_signal_ends_what_comes_with_the_run_folder_and_after(
    write_sweep, tmp_path, signalled, phase, monkeypatch
):
    sweep, out = write_sweep(("seeds: 2", "seeds: 1")), tmp_path / "run"
    signalled(phase, signal.SIGTERM)
    done = run_here(sweep, out, report=True)
    assert done.returncode == 75
    assert done.stderr.count("Stopped by SIGTERM") == 1
    assert "Traceback" not in done.stderr
    assert not list(out.glob(".*")), "no lock, no stop file"
    monkeypatch.undo()
    assert run_here(sweep, out).returncode == 0
