"""What the live page knows of a run folder, from before its plan to after its end."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.samples.redrawn import accuracy_interval
from harness.watch.follow import COLUMNS, Follower
from harness.watch.summary import MOST_RUNS, MOST_SINGLE, _as_reported, interval, summarize
from headstart.archives import Archives
from headstart.records import PlannedTrial
from headstart.rows import TrialRow


def looked(follower: Follower) -> dict:
    follower.look()
    return summarize(follower)


def counts(data: dict) -> dict[str, dict[str, int]]:
    states = ("planned", "running", "done", "failed", "diverged")
    return {arm["name"]: {s: arm[s] for s in states if arm[s]} for arm in data["arms"]}


def test_a_run_is_followed_from_its_beginning_to_its_end(run):
    follower = Follower(run.path)
    data = looked(follower)
    assert (data["state"], data["arms"]) == ("not begun", [])
    run.begin()
    data = looked(follower)
    assert data["question"] == "Does <b>it</b> help?"
    assert data["line"] == "0 of 6 trials are done, 0 running."
    first, second = run.ids[2:4]
    run.say(17490.0, **{first: 4})
    data = looked(follower)
    assert data["line"] == "0 of 6 trials are done, 1 running, about 4 h 51 min left."
    assert counts(data)["<i>a</i>"] == {"planned": 1, "running": 1}
    assert [arm["share"] for arm in data["arms"]] == [0.0, 0.25, 0.0], "4 of 8 steps of one of two"
    points = [p for p in data["runs"] if p["quantity"] == "accuracy"]
    assert [(p["step"], p["value"], p["runs"]) for p in points] == [(0, 0.0, True), (4, 0.4, True)]
    run.say(10.0, **{first: 8, second: 0})
    grown = [p["step"] for p in looked(follower)["runs"] if p["trial"] == first]
    assert grown == [0, 4, 8, 0, 4, 8]
    for trial_id in run.ids:
        run.end(trial_id)
    run.say()
    data = looked(follower)
    assert data["line"] == "6 of 6 trials are done; the report is being written."
    run.lock.release()
    data = looked(follower)
    assert data["state"] == "over"
    means = [p for p in data["curves"] if p["arm"] == 1 and p["quantity"] == "accuracy"]
    assert [(p["step"], p["mean"], p["n"]) for p in means] == [
        (0, 0.0, 2),
        (4, 0.4, 2),
        (8, 0.8, 2),
    ]


def test_a_record_is_read_once_and_what_changes_again(run, monkeypatch):
    import harness.watch.follow as module

    run.begin()
    run.end(run.ids[0])
    run.end(run.ids[1], status="failed", error="no\nValueError: wrong")
    read = []
    original = module.read_row
    monkeypatch.setattr(
        module, "read_row", lambda path: read.append(path.parent.name) or original(path)
    )
    follower = Follower(run.path)
    for _ in range(3):
        data = looked(follower)
    assert read == run.ids[:2]
    assert data["log"] == ["drawn seed 1 failed: ValueError: wrong"]
    run.say(**{run.ids[1]: 0})
    assert looked(follower)["log"] == [], "it runs again"
    run.end(run.ids[1])
    assert counts(looked(follower))["drawn"] == {"done": 2}
    assert read == [*run.ids[:2], run.ids[1]]


def test_a_run_that_was_killed_is_stopped_and_keeps_its_curves(run):
    run.begin()
    run.end(run.ids[0])
    run.say(60.0, **{run.ids[2]: 4})
    lock = json.loads(run.lock.path.read_text())
    run.lock.release()
    run.lock.path.write_text(json.dumps({**lock, "pid": 2**22 - 1, "process_started": "1"}))
    data = looked(Follower(run.path))
    assert data["state"] == "stopped"
    assert data["line"] == (
        "1 of 6 trials is done. The run was stopped; to go on: python -m harness.sweep made.yaml"
    )
    assert counts(data)["<i>a</i>"] == {"planned": 2}
    assert any(point["trial"] == run.ids[2] for point in data["runs"])
    run.lock.path.unlink()


def test_estimates_have_intervals_and_the_page_has_no_verdict(run):
    run.begin(**{"<i>a</i>": "the second"})
    run.end(run.ids[5], status="failed", error="ValueError: wrong")
    for trial_id, accuracy in zip(run.ids[2:4], (0.7, 0.8), strict=True):
        run.end(trial_id, test_accuracy=accuracy)
    run.end(run.ids[0], test_accuracy=None, best_val_accuracy=0.5)
    data = looked(Follower(run.path))
    low, high = stats.t.interval(0.95, 1, 0.75, stats.sem([0.7, 0.8]))
    mean, *ends = interval([0.7, 0.8])
    assert [mean, *ends] == pytest.approx([0.75, low, high])
    finals = {arm["name"]: (arm["final"], arm["range"], arm["of"]) for arm in data["arms"]}
    assert finals == {
        "drawn": ("50.00 %", "", "validation"),
        "the second": ("75.00 %", "11.47 to 100.00 %", "test"),
        "b": ("", "", ""),
    }
    assert data["log"] == ["b seed 1 failed: ValueError: wrong"]
    five = [0.70, 0.72, 0.75, 0.80, 0.71]
    reported = accuracy_interval(np.array(five), 0.0)
    assert _as_reported(tuple(five)) == (reported.estimate, reported.low, reported.high)
    text = json.dumps(data).lower()
    assert not [word for word in ("better", "worse", "p_value", "verdict", "shown") if word in text]


def test_what_cannot_be_read_is_a_line(run):
    run.begin()
    run.end(run.ids[0])
    (run.path / "trials" / run.ids[0] / "curve.parquet").write_bytes(b"PAR1")
    (run.path / "trials" / run.ids[1]).mkdir()
    (run.path / "trials" / run.ids[1] / "trial.json").write_text("{")
    data = looked(Follower(run.path))
    assert len(data["log"]) == 2
    assert all("cannot be read" in line or "damaged" in line for line in data["log"])


def test_many_curves_are_read_in_pieces_and_from_the_table_first(run):
    run.begin()
    for trial_id in run.ids:
        run.end(trial_id)
    follower = Follower(run.path)
    looks = iter([False] * (len(run.ids) + 2) + [True] * 99)
    follower.look(lambda: next(looks))
    assert summarize(follower)["log"] == ["4 of 6 curves of ended trials are not read yet"]
    follower.look()
    assert summarize(follower)["log"] == []


def test_of_many_trials_some_are_drawn_alone_and_those_that_run_first(run):
    run.begin()
    run.say(**{run.ids[5]: 4})
    follower = Follower(run.path)
    follower.look()
    trials = [PlannedTrial(f"t{n}", "arm", "b", n, None) for n in range(3000)]
    follower.plan = replace(follower.plan, trials=(*trials, *follower.plan.trials))
    for trial in trials:
        follower.rows[trial.id] = TrialRow(trial_id=trial.id, status="done")
        follower.curves[trial.id] = {name: [0, 1] for name in COLUMNS}
    data = summarize(follower)
    drawn = {point["trial"] for point in data["runs"]}
    assert run.ids[5] in drawn
    assert 40 <= len(drawn) <= MOST_RUNS
    assert len(data["runs"]) <= MOST_SINGLE
    (mean,) = (p for p in data["curves"] if p["quantity"] == "accuracy" and p["step"] == 1
               and p["part"] == "validation")  # fmt: skip
    assert mean["n"] == len(trials), "the mean is of all"


def test_trials_are_followed_into_archives(run):
    run.begin()
    for trial_id in run.ids[:3]:
        run.end(trial_id)
    follower = Follower(run.path)
    looked(follower)
    Archives(run.path).write("late", run.path / "trials", run.ids[1:3])
    run.end(run.ids[3])
    Archives(run.path).write("later", run.path / "trials", run.ids[3:4])
    data = looked(follower)
    assert counts(data)["<i>a</i>"] == {"done": 2}
    steps = [p["step"] for p in data["runs"] if p["trial"] == run.ids[3]]
    assert steps == [0, 4, 8, 0, 4, 8]
    assert data["log"] == []


def test_a_folder_that_may_only_be_read_stays_as_it_is(run):
    run.begin()
    run.end(run.ids[0])
    before = sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*"))
    for folder in (run.path, run.path / "trials"):
        os.chmod(folder, 0o555)
    looked(Follower(run.path))
    for folder in (run.path, run.path / "trials"):
        os.chmod(folder, 0o755)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in run.path.rglob("*")) == before
