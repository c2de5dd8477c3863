"""Searches, run: deterministic, on record, resumable, and blind to every test image."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets.split import split_dataset
from harness.plan.planner import make_plan
from harness.plan.search import Course, Entry, plan_searches, recorded, studies_of
from harness.runfolder.folder import TrialFolder
from harness.sweepfile.reader import load_sweep
from harness.training.context import TrialContext
from harness.training.trial import Trial
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError
from runs import ROOT, command, environment, fingerprints, run, run_here, sigterm_when

SWEEP = """\
name: searched
question: Which settings suit drawn digits?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, per_class: true, train: 8, validation: 4, test: 4}
train: {batch_size: 16, epochs: 3, select: val_loss}
arms:
  scratch: {}
  plain: {search: none}
search:
  learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}
  dropout: {choice: [0.0, 0.5]}
  augment: {choice: [{}, {rotate: 10}]}
  samples: 4
  rungs: [1, 3]
  keep: 0.5
  metric: val_loss
seeds: 2
"""


@pytest.fixture(scope="module")
def catalogue() -> DataCatalogue:
    return DataCatalogue(allow_download=False)


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "searched.yaml"
    path.write_text(SWEEP)
    return path


@pytest.fixture(scope="module")
def finished(sweep_file, tmp_path_factory) -> Path:
    """The run folder of the sweep, whole."""
    out = tmp_path_factory.mktemp("runs") / "searched"
    done = run_here(sweep_file, out)
    assert done.returncode == 0, done.stderr
    return out


def trials_of(out: Path) -> list[dict]:
    return pq.read_table(out / "trials.parquet").to_pylist()


def records_of(out: Path) -> dict:
    return json.loads((out / "search" / "scratch.json").read_text())


def test_no_record_of_a_search_has_a_test_score(finished):
    rows = [row for row in trials_of(finished) if row["stage"] == "search"]
    assert len(rows) == 2 * (4 + 2)  # two seeds, four configurations and the best two
    for row in rows:
        assert row["status"] == "done"
        assert (row["test_accuracy"], row["test_loss"], row["n_test"]) == (None, None, 0)
        folder = finished / "trials" / row["trial_id"]
        assert {path.name for path in folder.iterdir()} == {"trial.json", "curve.parquet"}
    told = json.dumps(records_of(finished)["searches"])
    assert "test" not in told


def test_a_search_trial_has_no_test_images_to_look_at(sweep_file, catalogue, tmp_path):
    plan = make_plan(load_sweep(sweep_file), catalogue)
    spec = next(t for t in plan_searches(plan, catalogue, tmp_path).trials if t.stage == "search")
    arm = next(t for t in plan.trials if t.arm == "scratch" and t.seed == spec.seed)
    around = TrialContext(catalogue=catalogue)
    trial = Trial(spec, TrialFolder(tmp_path / spec.id, "g"), around)
    assert len(trial.parts.test) == 0
    rng = np.random.default_rng(arm.streams["split"])
    tested = split_dataset(catalogue.open(arm.data), arm.data.choice.split, rng).test
    seen = [*trial.parts.train.indices, *trial.parts.validation.indices]
    assert len(tested) == 40
    assert not set(tested.tolist()) & {int(i) for i in seen}


def test_each_seed_that_draws_its_own_test_images_has_a_search_of_its_own(sweep_file, catalogue):
    sweep = load_sweep(sweep_file)
    studies = studies_of(make_plan(sweep, catalogue), catalogue)
    assert [(s.base.seed, s.seeds) for s in studies] == [(0, (0,)), (1, (1,))]
    fixed = load_sweep(sweep_file, None, ("vary=[order, init]",))
    (study,) = studies_of(make_plan(fixed, catalogue), catalogue)
    assert (study.base.seed, study.seeds) == (0, (0, 1))


def test_winners_values_are_the_arms_and_the_record_says_why(finished):
    record = records_of(finished)
    assert record["one_search_for"] == "each seed"
    for seed, told in record["searches"].items():
        values, rungs = told["winner"]["values"], told["rungs"]
        row = next(
            r for r in trials_of(finished)
            if (r["stage"], r["arm"], r["seed"]) == ("arm", "scratch", int(seed))
        )  # fmt: skip
        assert row["learning_rate"] == values["train.learning_rate"]
        assert row["test_accuracy"] is not None
        assert [rung["epochs"] for rung in rungs] == [1, 3]
        best_two = {entry["sample"] for entry in rungs[0]["ranking"][:2]}
        assert {entry["sample"] for entry in rungs[1]["ranking"]} == best_two
        losses = [entry["val_loss"] for entry in rungs[1]["ranking"]]
        assert losses == sorted(losses)
        assert told["winner"] == rungs[1]["ranking"][0]
        assert "the lowest validation loss of 2 configurations" in told["reason"]
        assert "the best of 4" in told["reason"]
    unsearched = [r for r in trials_of(finished) if r["arm"] == "plain"]
    assert {r["learning_rate"] for r in unsearched} == {1e-3}


def test_the_same_command_runs_nothing_again_and_keeps_the_record(sweep_file, finished):
    before = {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/trial.json")}
    assert len(before) == 2 * (4 + 2 + 2)
    record = (finished / "search" / "scratch.json").read_text()
    done = run_here(sweep_file, finished)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in finished.glob("trials/*/trial.json")} == before
    assert (finished / "search" / "scratch.json").read_text() == record


def n_ended(out: Path) -> int:
    return len(list(out.glob("trials/*/trial.json")))


def test_a_stopped_search_goes_on_and_decides_the_same(sweep_file, finished, tmp_path):
    out = tmp_path / "stopped"
    with sigterm_when(lambda: n_ended(out) >= 3):
        assert run_here(sweep_file, out).returncode == 75
    assert 3 <= n_ended(out) < 2 * 4
    assert not (out / "search").exists()
    done = run_here(sweep_file, out)
    assert done.returncode == 0, done.stderr
    assert records_of(out) == records_of(finished)
    assert fingerprints(out) == fingerprints(finished)


@pytest.mark.slow
def test_a_stopped_command_goes_on_and_decides_the_same(sweep_file, finished, tmp_path):
    """Slow: two commands, each of which starts workers that import torch."""
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        command(sweep_file, out, "--engine", "local", "--slots", "1"),
        cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 240
    while time.monotonic() < until and n_ended(out) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 75, errors
    assert not (out / "search").exists()
    done = run(sweep_file, out, "--engine", "local", "--slots", "1", timeout=540)
    assert done.returncode == 0, done.stderr
    assert records_of(out) == records_of(finished)
    assert fingerprints(out) == fingerprints(finished)


@pytest.mark.slow
def test_ray_decides_the_same(sweep_file, finished, tmp_path):
    """Slow: starts Ray and its workers."""
    out = tmp_path / "ray"
    done = run(sweep_file, out, "--engine", "ray", timeout=540)
    assert done.returncode == 0, done.stderr
    assert records_of(out) == records_of(finished)
    assert fingerprints(out) == fingerprints(finished)


def test_parts_of_a_sweep_wait_for_its_searches(sweep_file, catalogue, finished, tmp_path):
    plan = make_plan(load_sweep(sweep_file), catalogue)
    with pytest.raises(
        InputError, match=r"arm 'scratch' at seed 0 is not decided .* run the sweep"
    ):
        recorded(plan, catalogue, tmp_path)
    known = recorded(plan, catalogue, finished)
    assert {t.id for t in known.plan.trials} == {row["trial_id"] for row in trials_of(finished)}
    shown = plan_searches(plan, catalogue, finished)
    assert {t.id for t in shown.trials} == {t.id for t in known.plan.trials}
    new = plan_searches(plan, catalogue, tmp_path)
    assert [t.stage for t in new.trials].count("search") == 2 * 4
    assert "a search trains 4 for 1 epoch, then 2 for 3 epochs" in new.notes[-1]
    longer = make_plan(load_sweep(sweep_file, None, ("search.samples=5",)), catalogue)
    with pytest.raises(InputError, match="is not decided"):  # a record of another search
        recorded(longer, catalogue, finished)


def test_ranking_puts_what_did_not_finish_last_and_breaks_ties_by_the_other_score_and_number():
    def entry(sample, accuracy, loss, status="done"):
        return Entry(sample, None, status, accuracy, loss)  # type: ignore[arg-type]

    entries = [
        entry(0, float("nan"), float("nan"), "diverged"),
        entry(1, 0.9, 0.4),
        entry(2, 0.9, 0.3),
        entry(3, 0.8, 0.2),
        entry(4, 0.9, 0.3),
    ]

    def order(metric):
        return [e.sample for e in sorted(entries, key=lambda e: e.rank(metric))]

    assert order("val_accuracy") == [2, 4, 1, 3, 0]
    assert order("val_loss") == [3, 2, 4, 1, 0]


def test_an_arm_whose_search_failed_is_a_failed_row_that_says_so(sweep_file, catalogue, tmp_path):
    from harness.plan.search import _close_rung, _settled

    plan = make_plan(load_sweep(sweep_file), catalogue)
    study = studies_of(plan, catalogue)[0]
    course = Course(study, rungs=[[Entry(0, study.trial(0, 1), "pending", 0.0, 0.0)]])
    _close_rung(course, tmp_path, 0)
    searched = _settled(plan, [course])
    assert list(searched.blocked) == [study.base.id]
    assert "no trial of the search for its settings finished" in searched.blocked[study.base.id]
