"""What `--dry-run` makes of records that other programs left beside the run folder."""

from __future__ import annotations

import json

import pytest
from small_sweep import SMALL

from harness.plan import dry_run
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.training.cards import Cards
from harness.trials.catalogue import DataCatalogue
from runs import run_here


@pytest.mark.parametrize(
    "record",
    [
        {"status": "done"},
        {"status": "done", "model": "lenet5", "files": ["trial.json"]},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1, "files": [1, 2]},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1, "files": ["a\0b"],
         "train_time_s": 1.0},
        {"status": "done", "model": "lenet5", "n_train": 100, "epochs": 1,
         "train_time_s": float("nan")},
        {"status": "done", "model": "lenet5", "n_train": 10**30, "epochs": 1},
        {"status": "finished", "score": 0.5},
        [1, 2],
        "text",
    ],
)  # fmt: skip
def test_a_record_of_another_program_beside_out_tells_nothing(write_sweep, tmp_path, record):
    folder = tmp_path / "beside" / "trials" / "a"
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(record))
    done = run_here(write_sweep(text=SMALL), tmp_path / "run", "--dry-run")
    assert done.returncode == 0
    assert "Time and disk: not known before a first trial" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        ("gpus: 0.5", "15 trials, 4 at once on this machine"),  # a CPU, and no GPU is idle
        ("gpus: 1, workers: 2", "15 trials, 2 at once on this machine"),
        ("workers: 2", "15 trials, 2 at once on this machine"),
        ("workers: 8", "This machine would refuse it: resources.gpus: 1, resources.workers: 8:"),
    ],
)
def test_trials_at_once_are_those_of_the_run(write_sweep, tmp_path, monkeypatch, resources, line):
    monkeypatch.setattr(dry_run, "cards_here", lambda: Cards(("a card",) * 4))
    monkeypatch.setattr(dry_run, "available_cpus", lambda: 1)
    sweep = SMALL.replace("seeds: 2", f"seeds: 5\nresources: {{pack: 1, {resources}}}")
    plan = make_plan(load_sweep(write_sweep(text=sweep)), DataCatalogue())
    assert line in list(dry_run.describe_plan(plan, tmp_path / "run"))[-1]
