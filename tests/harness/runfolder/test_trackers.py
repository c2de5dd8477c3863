"""What other services are sent; a stand-in for Accelerate notes it, since none is installed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.runfolder.trackers import REMEMBERED, Trackers, check_trackers
from headstart.errors import MissingPackageError
from headstart.rows import EvaluationRow, TrialRow

RUNNING = TrialRow(trial_id="0123abcd89ef4567", arm="a", seed=3, sweep="small", stage="search")
DONE = replace(RUNNING, status="done", test_accuracy=0.75, steps=10)
CURVE = [EvaluationRow(step=step, val_accuracy=step / 100) for step in (0, 10, 20)]


@pytest.fixture
def opened(monkeypatch):
    """Each session that was opened: its options, settings and what was logged."""
    sessions = []

    class Recorder:
        def __init__(self, log_with, cpu):
            self.names = log_with

        def init_trackers(self, project, config, init_kwargs):
            self.options, self.config, self.logged = init_kwargs, config, []
            sessions.append(self)

        def get_tracker(self, name, unwrap):
            assert (name, unwrap) == ("mlflow", True)
            return SimpleNamespace(info=SimpleNamespace(run_id="of-mlflow"))

        def log(self, values, step):
            self.logged.append((step, values.get("Accuracy/Validation", "tested")))

        def end_training(self):
            self.is_over = True

    monkeypatch.setattr("accelerate.Accelerator", Recorder)
    return sessions


def test_a_curve_is_sent_in_pieces_to_one_run_of_each_service(tmp_path, opened):
    """By a second command too, which learns from the run folder what the first one sent."""
    Trackers(tmp_path, ["wandb", "mlflow"]).send(RUNNING, CURVE[:2], has_ended=False)
    second = Trackers(tmp_path, ["wandb", "mlflow"])
    second.send(RUNNING, CURVE[:2], has_ended=False)  # nothing is new
    second.send(DONE, CURVE, has_ended=True)
    first, last = opened
    assert first.logged == [(0, 0.0), (10, 0.1)]
    assert last.logged == [(20, 0.2), (20, "tested")]
    name = "a/search-0003-0123abcd"
    assert (first.options["wandb"]["name"], first.options["mlflow"]) == (name, {"run_name": name})
    assert last.options["wandb"] == first.options["wandb"]
    assert last.options["mlflow"] == {"run_name": name, "run_id": "of-mlflow"}
    assert first.config["arm"] == "a"
    assert last.config["steps"] == 10
    assert not first.config.keys() & last.config.keys(), "a service takes no setting twice"
    assert not (tmp_path / REMEMBERED).exists()


def test_a_trial_that_ended_unseen_is_one_session(tmp_path, opened):
    Trackers(tmp_path, ["wandb"]).send(DONE, CURVE, has_ended=True)
    (only,) = opened
    assert [step for step, _ in only.logged] == [0, 10, 20, 20]
    assert {"arm", "steps"} <= only.config.keys()
    assert only.is_over


def test_a_missing_tracker_is_said_before_anything_runs():
    check_trackers(["tensorboard"])
    with pytest.raises(MissingPackageError, match="--extra mlflow"):
        check_trackers(["tensorboard", "mlflow"])
