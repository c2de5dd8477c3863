from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import upkeep
from harness.engines.current import KeepCurrent
from harness.trials.events import Ended
from headstart.errors import RunFolderError
from headstart.rows import EvaluationRow, TrialRow

ROW = TrialRow(
    trial_id="0123abcd89ef4567", arm="scratch", seed=3, status="done", test_accuracy=0.75,
    finished_at="2026-01-02T03:04:05+00:00",
)  # fmt: skip
CURVE = [EvaluationRow(step=0, val_accuracy=0.125), EvaluationRow(step=10, val_accuracy=0.5)]


class Ran:
    """A run folder with trials that have ended, as `upkeep` sees it."""

    def __init__(self, path: Path, rows: list[TrialRow]):
        self.path, self.rows = path, rows
        self.damage: list[RunFolderError] = []
        self.n_written = 0

    def new_curves(self, plan: object) -> list[tuple[TrialRow, list[EvaluationRow]]]:
        logged = {path.name.rpartition(".")[2] for path in self.path.glob("*/*/*/events*")}
        return [(row, CURVE) for row in self.rows if row.trial_id not in logged]

    def write_tables(self, plan: object, wait_s: float) -> Counter[str]:
        if self.damage:
            raise self.damage.pop()
        self.n_written += 1
        return Counter()


class Service:
    """A tracker that has no network at first."""

    names = ("wandb",)
    is_there = False
    sent: tuple[str, ...] = ()

    def send(self, row: TrialRow, curve: list[EvaluationRow], has_ended: bool) -> None:
        if not self.is_there:
            raise ConnectionError("no\nanswer")
        self.sent += (row.trial_id,)


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setattr(upkeep, "Trackers", lambda path, names: service)
    return service


def plan_that_tracks(*names: str) -> SimpleNamespace:
    return SimpleNamespace(sweep=SimpleNamespace(track=names))


def test_a_service_without_an_answer_ends_no_command_and_gets_its_curves_later(
    tmp_path, service, capsys
):
    """TensorBoard shows all curves, whatever becomes of the service."""
    folder = Ran(tmp_path, [ROW, replace(ROW, trial_id="f" * 16, seed=4)])
    plan = plan_that_tracks("tensorboard", "wandb")
    upkeep.track(plan, folder)
    said = capsys.readouterr().err
    assert said == (
        "wandb: ConnectionError: no answer; the same command sends the curves that are missing "
        "there\n"
    )
    assert len(list(tmp_path.glob("tensorboard/*/*/*.running"))) == 2
    service.is_there = True
    upkeep.track(plan, folder)
    assert service.sent == (ROW.trial_id, "f" * 16)
    files = list(tmp_path.glob("tensorboard/*/*/*"))
    assert sorted(path.suffix for path in files) == [f".{ROW.trial_id}", f".{'f' * 16}"]
    assert not capsys.readouterr().err


def test_damage_in_the_run_folder_is_no_matter_of_the_service(tmp_path, service):
    folder = Ran(tmp_path, [])
    folder.new_curves = lambda plan: (_ for _ in ()).throw(RunFolderError("x: is damaged"))
    with pytest.raises(RunFolderError, match="is damaged"):
        upkeep.track(plan_that_tracks("wandb"), folder)


def test_tables_are_written_again_where_a_file_was_on_its_way(tmp_path):
    """And not where no trial has ended since."""
    keep, folder = KeepCurrent(), Ran(tmp_path, [])
    folder.damage = [RunFolderError("x: is not there, though its trial ended")]
    upkeep._keep_tables(keep, plan_that_tracks(), folder)
    keep.take(Ended(ROW.trial_id, ROW))
    for expected in (0, 1, 1):
        keep._do(keep.tasks[0])
        assert folder.n_written == expected
