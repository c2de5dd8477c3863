"""A signal ends the command in every phase: status 75, one line, nothing left behind."""

from __future__ import annotations

import os
import signal
import time

import pytest

import harness.sweep
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.cards import Cards
from harness.trials.catalogue import DataCatalogue
from headstart.records import finished_rows
from headstart.signals import SIGNALS
from runs import fingerprints, run_here

PHASES = {
    "reading": (harness.sweep, "load_sweep"),
    "planning": (harness.sweep, "make_plan"),
    "taking the run folder": (harness.sweep.provenance, "collect"),
    "tables": (RunFolder, "write_tables"),
    "images": (harness.sweep, "_keep_images"),
    "trackers": (harness.sweep, "track"),
    "report": (harness.sweep, "_report"),
}


@pytest.fixture
def signalled(monkeypatch):
    """Let a phase take long, and a signal come in it."""

    def signalled(phase: str, number: int) -> None:
        owner, name = PHASES[phase]

        def long(*_: object, **__: object) -> None:
            os.kill(os.getpid(), number)
            time.sleep(120)

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
    assert time.monotonic() - began < 60
    assert done.returncode == 75
    name = signal.Signals(number).name
    assert done.stderr.splitlines() == [
        f"Stopped by {name}: what has ended is kept. The same command goes on from here."
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "phase",
    [
        "taking the run folder",
        "report",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("tables", "images", "trackers")),
    ],
)
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


@pytest.mark.slow
def test_data_and_where_trials_train_are_said_once_and_the_run_folder_keeps_auto(
    write_sweep, tmp_path, monkeypatch
):
    """Slow: processes of their own, each of which starts PyTorch."""
    out, nobody = tmp_path / "run", "{name: mnist, source: 'http://127.0.0.1:9'}"
    glyphs = "{name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}"
    sweep = write_sweep(
        ("seeds: 2", "seeds: 1"), (glyphs, f"{{first_of: [{nobody}, {glyphs}]}}")
    )  # fmt: skip
    monkeypatch.setattr(harness.sweep, "cards_here", lambda: Cards(remark="no card"))
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path))  # where MNIST is not
    done = run_here(sweep, out)
    first, *lines = done.stderr.splitlines()
    drawn, data = (line for line in lines if line.startswith("data: "))
    assert lines[4] == "small: trains on CPUs (no card)"
    assert done.stderr.count("trains on") == 1
    assert first == (
        "small: glyphs stands in for mnist (not on this machine, no connection to fetch it)"
    )
    assert drawn.startswith("data: glyphs (drawn), 300 images, 10 classes: 0 30, 1 30, ")
    assert data.startswith("data: glyphs (scratch, pretrained), 600 images, 10 classes: 0 60, ")
    assert done.stdout.splitlines()[-1] == "small: glyphs stands in for mnist"
    assert {row.device for row in finished_rows(out)} == {"cpu"}
    resources = load_sweep(out / "sweep.yaml").resources
    assert (resources.gpus, resources.pack) == ("auto", "auto")
    again = run_here(sweep, out)
    assert "trains on" not in again.stderr, "nothing is left to train"
    numbers = run_here(sweep, tmp_path / "other", "--set", "resources.gpus=0")
    assert "trains on" not in numbers.stderr


def test_a_folder_that_was_begun_with_numbers_goes_on(write_sweep, tmp_path):
    sweep, out = write_sweep(("seeds: 2", "seeds: 1")), tmp_path / "run"
    assert run_here(sweep, out, "--set", "resources={gpus: 0, pack: 1}").returncode == 0
    made = fingerprints(out)
    assert run_here(out / "sweep.yaml", out).returncode == 0
    assert run_here(sweep, out).returncode == 0
    assert fingerprints(out) == made
    assert {row.attempts for row in finished_rows(out)} == {1}


@pytest.mark.parametrize(
    ("n_gpus", "said", "gpus"),
    [(8, "trains on 8 GPUs of the Ray cluster", 1), (0, "trains on CPUs of the Ray cluster, ", 0)],
)
def test_a_cluster_decides_where_a_command_joins_one(write_sweep, capsys, n_gpus, said, gpus):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    place = harness.sweep._Place(None)
    assert place.joined(plan, n_gpus).gpus == gpus
    assert place.joined(plan, n_gpus).gpus == gpus
    assert capsys.readouterr().err.count(f"small: {said}") == 1
