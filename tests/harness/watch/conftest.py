"""A run folder that grows as a test says: what a command writes, without one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.runfolder.folder import write_curve, write_record
from harness.runfolder.running import (
    Running,
    RunningTrial,
    columns_of_curve,
    running_path,
    write_running,
)
from headstart.digests import digest_of_file, sealed_text, write_sealed_json
from headstart.lock import Lock
from headstart.records import PlannedTrial, PlanRecord
from headstart.rows import EvaluationRow, TrialRow


class MadeRun:
    """Two seeds of two arms and of a stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "trials").mkdir(parents=True)
        (path / "sweep.yaml").write_text(
            sealed_text("name: made\nquestion: Does <b>it</b> help?\n")
        )
        self.lock = Lock(path / ".lock-1-of-1.json", "gen")

    def begin(self, **labels: str) -> None:
        """A command takes the folder and writes its plan."""
        self.lock.acquire()
        arms = (("pretrain", "drawn"), ("arm", "<i>a</i>"), ("arm", "b"))
        trials = tuple(
            PlannedTrial(f"{arm[-1]}{seed}".replace(">", "x"), stage, arm, seed, None)
            for stage, arm in arms
            for seed in range(2)
        )
        write_sealed_json(self.path / "plan.json", asdict(PlanRecord("made", trials, labels)))
        command = {"command": "python -m harness.sweep made.yaml", "data": []}
        (self.path / "provenance.json").write_text(json.dumps(command))
        self.ids = [trial.id for trial in trials]

    def say(self, left_s: float | None = None, **steps: int) -> None:
        """What the command says of running trials: how far each came of 8 steps."""
        trials = {
            trial_id: RunningTrial(8, 1.0, columns_of_curve(self.curve(trial_id, step)))
            for trial_id, step in steps.items()
        }
        running = Running("gen", time.time(), left_s, 2, trials)
        write_running(running_path(self.path, (1, 1)), running)

    def curve(self, trial_id: str, last: int) -> list[EvaluationRow]:
        return [
            EvaluationRow(trial_id=trial_id, step=step, val_accuracy=step / 10, train_accuracy=None,
                          train_loss=float("nan") if step == 0 else 1.0, val_loss=2.0)
            for step in range(0, last + 1, 4)
        ]  # fmt: skip

    def end(self, trial_id: str, **row: object) -> None:
        """A trial's files, as its command publishes them."""
        folder = self.path / "trials" / trial_id
        folder.mkdir(exist_ok=True)
        values = {"status": "done", "test_accuracy": 0.75, **row}
        digests = None
        if values["status"] != "failed":
            write_curve(folder / "curve.parquet", self.curve(trial_id, 8))
            digests = {"curve.parquet": digest_of_file(folder / "curve.parquet")}
        made = TrialRow(trial_id=trial_id, digests=digests, **values)
        write_record(folder / "trial.json", made)


@pytest.fixture
def run(tmp_path: Path):
    made = MadeRun(tmp_path / "made")
    yield made
    made.lock.release()
