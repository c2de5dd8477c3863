"""A sweep that is watched: its curves are there while it runs, and it ends as one that is not.

A worker waits amid its trial until the test has seen what it is to see, on a fast machine too.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_sweep import SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.watch.follow import Follower
from harness.watch.summary import summarize
from runs import ROOT, environment, held

# Commands of their own, which train for half a minute, and longer where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
STEP = "harness.training.loop:Trainer.step:200"  # `drawn` has 14, an arm 900


def start(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    """The command; the first of its workers that comes to its 200th step waits there for `go`."""
    sweep = tmp_path / "small.yaml"
    sweep.write_text(SMALL.replace("epochs: 3", "epochs: 90").replace("seeds: 2", "seeds: 1"))
    command = [sys.executable, "-m", "harness.sweep", str(sweep), "--engine", "local"]
    for name in ("at", "go"):
        (tmp_path / name).unlink(missing_ok=True)
    return subprocess.Popen(
        [*command, "--out", str(tmp_path / "run"), *more], cwd=ROOT,
        env={**environment(), **held(STEP, tmp_path)},
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def ask(host: str) -> dict:
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET", "/data.json")
    return json.loads(connection.getresponse().read())


def test_a_sweep_that_is_watched(tmp_path):
    process = start(tmp_path, "--watch")
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    host = next(m[1] for line in lines if (m := re.search(r"watch it at http://(\S+)/", line)))
    seen, growing = [], []
    while process.poll() is None:
        try:
            seen.append(ask(host))
        except (OSError, http.client.HTTPException):  # the page ends before the command: amid this
            continue
        growing += (tmp_path / "run" / "tensorboard").glob("*/*/*.running")
        if growing and any(_shows_a_curve_and_an_end(data) for data in seen):
            (tmp_path / "go").touch()
        time.sleep(1)
    process.stderr.close()
    assert process.returncode == 0
    assert any(_shows_a_curve_and_an_end(data) for data in seen)
    assert growing, "TensorBoard sees trials that run"
    run = tmp_path / "run"
    assert summarize(_looked(run))["state"] == "over"
    assert not list(run.glob(".*")) + list(run.glob("tensorboard/*/*/*.running"))
    assert len(json.loads((run / "looks.json").read_text())["reports"]) == 1
    for folder in run.glob("tensorboard/*/*"):
        events = EventAccumulator(str(folder)).Reload()
        assert {"Accuracy/Train", "Accuracy/Validation", "Loss/Train", "Loss/Validation"} <= set(
            events.Tags()["scalars"]
        )


def test_a_sweep_that_is_killed_and_goes_on(tmp_path):
    """The page keeps the curves of what ran, and has the part before when the trials go on."""
    process = start(tmp_path, "--state-every", "0")
    follower = Follower(tmp_path / "run")
    while not _running_arms(follower) and process.poll() is None:
        time.sleep(1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    data = summarize(_looked(tmp_path / "run"))
    assert data["state"] == "stopped"
    assert "to go on: python -m harness.sweep" in data["line"]
    assert data["runs"]
    process = start(tmp_path)
    points: list[dict] = []
    while process.poll() is None:
        if now := _running_arms(follower):
            points += now
            (tmp_path / "go").touch()
        time.sleep(1)
    assert process.returncode == 0
    first = {point["trial"]: point["step"] for point in reversed(points)}
    assert set(first.values()) == {0}, "from the beginning, though it goes on from a state"


def _shows_a_curve_and_an_end(data: dict) -> bool:
    """While a trial runs: a point of its own curve, and in how long all will have ended."""
    runs = any(arm["running"] for arm in data["arms"])
    return runs and any(point["runs"] for point in data["runs"]) and "left" in data["line"]


def _looked(run: Path) -> Follower:
    follower = Follower(run)
    follower.look()
    return follower


def _running_arms(follower: Follower) -> list[dict]:
    follower.look()
    return [point for point in summarize(follower)["runs"] if point["runs"]]
