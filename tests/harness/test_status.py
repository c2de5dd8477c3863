"""`harness.status`: counts by arm, who holds the folder, and why trials failed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.runfolder.running import Running, running_path, write_running
from harness.status import describe, main
from headstart.errors import RunFolderError
from headstart.lock import Lock
from headstart.processes import process_started, this_machine
from headstart.records import PlannedTrial, PlanRecord
from headstart.rows import TrialRow


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two arms: done, diverged and failed trials, one with a state, one not begun."""
    trials = [PlannedTrial("p", "pretrain", "drawn", 0, None)]
    trials += [PlannedTrial(f"s{seed}", "arm", "scratch", seed, None) for seed in range(3)]
    trials += [
        PlannedTrial("t0", "arm", "tuned", 0, "p"),
        PlannedTrial("t1", "arm", "tuned", 1, "p"),
    ]
    (tmp_path / "plan.json").write_text(json.dumps(asdict(PlanRecord("small", tuple(trials)))))
    error = "\n".join(f"line {n}" for n in range(20)) + "\nValueError: no\n"
    for row in (
        TrialRow(trial_id="p", status="done"),
        TrialRow(trial_id="s0", status="done"),
        TrialRow(trial_id="s1", status="diverged", error="not finite", attempts=1),
        TrialRow(trial_id="s2", status="failed", error=error, attempts=4),
    ):
        folder = tmp_path / "trials" / row.trial_id
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(json.dumps(row.to_json()))
    (tmp_path / "trials" / "t0" / "state").mkdir(parents=True)
    return tmp_path


def test_trials_are_counted_by_arm_and_failures_have_their_reason(run):
    assert list(describe(run)) == [
        f"small in {run}",
        "  pretrain  drawn    1 done",
        "  arm       scratch  1 done, 1 diverged, 1 failed",
        "  arm       tuned    1 to go on, 1 pending",
        "  diverged: scratch seed 1 (s1), 1 attempts: not finite",
        "  failed: scratch seed 2 (s2), 4 attempts: ValueError: no"
        + "".join(f"\n      line {n}" for n in range(8, 20)),
    ]


def test_while_a_command_holds_the_folder_trials_run(run):
    lock = Lock(run / ".lock-1-of-1.json", "mine")
    lock.acquire()
    begun_by_another = list(describe(run))
    for trial_id in ("t0", "s2"):
        (run / "trials" / trial_id / "state" / "mine").mkdir(parents=True)
    lines = list(describe(run))
    said = Running("mine", time.time() + 60.0, 4 * 3600 + 51 * 60)
    write_running(running_path(run, (1, 1)), said)
    with_estimate = list(describe(run))
    lock.release()
    assert with_estimate == [*lines[:2], "about 4 h 51 min left", *lines[2:]]
    assert lines[1].startswith("held by process ")
    assert ", heartbeat 20" in lines[1]
    assert begun_by_another[4] == "  arm       tuned    1 to go on, 1 pending"
    assert lines[3:5] == [
        "  arm       scratch  1 done, 1 diverged, 1 running",
        "  arm       tuned    1 running, 1 pending",
    ]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_nothing_runs_after_its_command_died(run, elsewhere):
    """Killed on this machine, and silent for two minutes on another one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = process_started(process.pid)
    beat = (datetime.now(UTC) - timedelta(minutes=2 * elsewhere)).isoformat(timespec="seconds")
    lock = {
        "host": "node", "machine": "another" if elsewhere else this_machine(),
        "pid": process.pid, "process_started": started, "generation": "dead",
        "started_at": beat, "heartbeat_at": beat,
    }  # fmt: skip
    (run / ".lock-1-of-1.json").write_text(json.dumps(lock))
    (run / "trials" / "t0" / "state" / "dead").mkdir()
    lines = list(describe(run))
    assert lines[1] == f"process {process.pid} on node is gone (last heartbeat {beat})"
    assert lines[4] == "  arm       tuned    1 to go on, 1 pending"


def test_a_reason_that_was_not_recorded_is_said(run):
    row = TrialRow(trial_id="s1", status="failed")
    (run / "trials" / "s1" / "trial.json").write_text(json.dumps(row.to_json()))
    assert "no reason was recorded" in "\n".join(describe(run))


def test_the_command_prints_the_lines_and_refuses_other_folders(run, tmp_path, capsys):
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == "\n".join(describe(run)) + "\n"
    (run / "plan.json").unlink()
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == f"{run.name} in {run}\n"
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="is no run folder"):
        main([str(tmp_path / "empty")])


def test_labels_stand_in_place_of_names(run: Path) -> None:
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(plan | {"labels": {"scratch": "From scratch"}}))
    lines = [*describe(run)]
    assert not any("scratch " in line.replace("From scratch", "") for line in lines)
    assert any("From scratch seed 2 (s2)" in line for line in lines)
