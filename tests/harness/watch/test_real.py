"""A sweep that is watched: its curves are there while it runs, and it ends as one that is not."""

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

# Commands of their own, which train for half a minute, and longer where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[3]


def start(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    sweep = tmp_path / "small.yaml"
    sweep.write_text(SMALL.replace("epochs: 3", "epochs: 90").replace("seeds: 2", "seeds: 1"))
    command = [sys.executable, "-m", "harness.sweep", str(sweep), "--engine", "local"]
    return subprocess.Popen(
        [*command, "--out", str(tmp_path / "run"), *more],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
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
        time.sleep(1)
    process.stderr.close()
    assert process.returncode == 0
    running = [data for data in seen if any(arm["running"] for arm in data["arms"])]
    assert any(point["runs"] for data in running for point in data["runs"])
    assert any("left" in data["line"] for data in running)
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
    deadline = time.monotonic() + 600
    follower = Follower(tmp_path / "run")
    while not (before := _running_arms(follower)) and time.monotonic() < deadline:
        time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    data = summarize(_looked(tmp_path / "run"))
    assert data["state"] == "stopped"
    assert "to go on: python -m harness.sweep" in data["line"]
    assert data["runs"]
    assert before
    process = start(tmp_path)
    while process.poll() is None:
        if points := _running_arms(follower):
            first = {point["trial"]: point["step"] for point in reversed(points)}
            assert set(first.values()) == {0}, "from the beginning, though it goes on from a state"
        time.sleep(1)
    assert process.returncode == 0


def _looked(run: Path) -> Follower:
    follower = Follower(run)
    follower.look()
    return follower


def _running_arms(follower: Follower) -> list[dict]:
    follower.look()
    return [point for point in summarize(follower)["runs"] if point["runs"]]
