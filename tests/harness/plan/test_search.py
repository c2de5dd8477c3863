"""Searches, run: deterministic, on record, resumable, and blind to every test image."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets.split import split_dataset
from harness.plan.planner import make_plan
from harness.plan.search import (
    Course,
    Entry,
    Searched,
    Study,
    plan_searches,
    record_path,
    recorded,
    run_searches,
    studies_of,
)
from harness.runfolder.folder import RunFolder, TrialFolder, write_curve
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings.search import draw
from harness.training.context import TrialContext
from harness.training.trial import Trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan, TrialSpec
from headstart.digests import sealed
from headstart.errors import InputError, MissingPackageError, RunFolderError
from headstart.files import write_json
from headstart.rows import EvaluationRow, TrialRow
from runs import ROOT, command, environment, fingerprints, held, run, run_here, wait_until_held

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


# -- what a search decides, with trials that somebody else ran -------------------------------


class Trials:
    """A stand-in that runs a plan: it leaves the records that trials would leave.

    Args:
        folder: the run folder.
        score: a trial's status, accuracy and loss.
        stop_after: rungs after which a signal came.
    """

    def __init__(self, folder: Path, score, stop_after: int = 99):
        self.folder, self.score, self.stop_after = folder, score, stop_after
        folder.mkdir(exist_ok=True)
        self.calls: list[tuple[Plan, Plan]] = []

    def run(self, whole: Plan, part: Plan) -> None:
        self.calls.append((whole, part))
        for trial in part.trials:
            folder = self.folder / "trials" / trial.id
            folder.mkdir(parents=True, exist_ok=True)
            status, accuracy, loss = self.score(trial)
            write_json(folder / "trial.json", TrialRow(trial_id=trial.id, status=status).to_json())
            points = [(0.1, 9.0), (accuracy, loss), (0.0, math.nan), (accuracy - 0.1, loss + 0.5)]
            rows = [EvaluationRow(trial_id=trial.id, val_accuracy=a, val_loss=b) for a, b in points]
            write_curve(folder / "curve.parquet", rows)

    def is_stopped(self) -> bool:
        return len(self.calls) >= self.stop_after

    def search(self, plan: Plan, catalogue: DataCatalogue) -> Searched:
        return run_searches(plan, catalogue, self.folder, self.run, self.is_stopped)


def near_a_thousandth(trial) -> tuple[str, float, float]:
    """The nearer its learning rate is to 0.001, the better a trial is."""
    loss = abs(math.log10(trial.condition.train.learning_rate) + 3)
    return "done", 1 - loss / 10, loss


@pytest.fixture
def plan_of(tmp_path, catalogue):
    def plan(*replacements, text=SWEEP) -> Plan:
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "sweep.yaml").write_text(text)
        return make_plan(load_sweep(tmp_path / "sweep.yaml"), catalogue)

    return plan


def of(study: Study, sample: int, epochs: int | None) -> TrialSpec:
    """The search trial of configuration `sample`."""
    return study.trial(draw(study.search, sample), epochs)


def best_first(studies) -> dict[int, list[int]]:
    """By seed, the numbers of the configurations from the best to the worst."""
    return {
        study.base.seed: sorted(
            range(study.search.samples), key=lambda k: near_a_thousandth(of(study, k, 1))[2]
        )
        for study in studies
    }


def test_a_search_goes_rung_by_rung_and_its_winners_values_are_the_arms(
    plan_of, catalogue, tmp_path
):
    plan = plan_of()
    trials = Trials(tmp_path / "run", near_a_thousandth)
    searched = trials.search(plan, catalogue)
    studies = {study.base.seed: study for study in studies_of(plan, catalogue)}
    order = best_first(studies.values())
    (whole, first), (_, second) = trials.calls
    rung = [of(studies[seed], k, 1).id for seed in (0, 1) for k in range(4)]
    assert [t.id for t in first.trials] == rung
    assert [t.id for t in whole.trials] == [*rung, *(t.id for t in plan.trials)]
    ids = [
        of(studies[seed], k, epochs).id
        for seed in (0, 1)
        for epochs, samples in ((1, range(4)), (3, order[seed][:2]))
        for k in samples
    ]
    assert [t.id for t in second.trials] == ids
    assert searched.blocked == {}
    arms = [t for t in searched.plan.trials if t.stage == "arm"]
    assert [(t.arm, t.seed) for t in arms] == [(t.arm, t.seed) for t in plan.trials]
    for trial, written in zip(arms, plan.trials, strict=True):
        if trial.arm == "plain":
            assert trial == written
        else:
            winner = of(studies[trial.seed], order[trial.seed][0], None)
            assert trial.condition == winner.condition
            assert trial.condition.train.epochs == 3
            values = draw(studies[trial.seed].search, order[trial.seed][0])
            assert trial.id == studies[trial.seed].chosen(written, values).id
    assert [t.id for t in searched.plan.trials[:12]] == ids


def test_the_record_tells_the_whole_search(plan_of, catalogue, tmp_path):
    plan = plan_of(("seeds: 2", "seeds: 1"))
    Trials(tmp_path / "run", near_a_thousandth).search(plan, catalogue)
    (study,) = studies_of(plan, catalogue)
    order = best_first([study])[0]

    def told(sample: int, epochs: int) -> dict:
        trial = of(study, sample, epochs)
        _, accuracy, loss = near_a_thousandth(trial)
        return {
            "sample": sample,
            "values": draw(study.search, sample),
            "trial_id": trial.id, "status": "done", "val_accuracy": accuracy, "val_loss": loss,
        }  # fmt: skip

    best = near_a_thousandth(of(study, order[0], 3))[2]
    record = dict(records_of(tmp_path / "run"))
    assert record == sealed(record)
    del record["sha256"]
    assert record == {
        "format": 1,
        "arm": "scratch",
        "search": study.search.model_dump(mode="json", exclude_unset=True),
        "one_search_for": "each seed",
        "searches": {
            "0": {
                "key": study.key,
                "seeds": [0],
                "winner": told(order[0], 3),
                "reason": f"the lowest validation loss of 2 configurations ({best:.4g}); "
                "they were the best of 4",
                "n_trials": 6,
                "rungs": [
                    {"epochs": 1, "ranking": [told(k, 1) for k in order]},
                    {"epochs": 3, "ranking": [told(k, 3) for k in order[:2]]},
                ],
            }
        },
    }


def test_what_is_on_record_is_not_searched_again(plan_of, catalogue, tmp_path):
    plan = plan_of()
    first = Trials(tmp_path / "run", near_a_thousandth).search(plan, catalogue)
    record = (tmp_path / "run" / "search" / "scratch.json").read_text()
    trials = Trials(tmp_path / "run", near_a_thousandth)
    again = trials.search(plan, catalogue)
    assert trials.calls == []
    assert (tmp_path / "run" / "search" / "scratch.json").read_text() == record
    ids = {t.id for t in first.plan.trials}
    assert {t.id for t in again.plan.trials} == ids
    assert {t.id for t in recorded(plan, catalogue, tmp_path / "run").plan.trials} == ids
    shown = plan_searches(plan, catalogue, tmp_path / "run")
    assert {t.id for t in shown.trials} == ids
    assert shown.notes == plan.notes, "no budget is told of a search that is decided"


def test_further_seeds_are_searched_and_added_to_the_record(plan_of, catalogue, tmp_path):
    one_rung = ("  rungs: [1, 3]\n  keep: 0.5\n", "")
    few = plan_of(("seeds: 2", "seeds: [2, 10]"), one_rung)
    Trials(tmp_path / "run", near_a_thousandth).search(few, catalogue)
    trials = Trials(tmp_path / "run", near_a_thousandth)
    trials.search(plan_of(("seeds: 2", "seeds: [1, 2, 10]"), one_rung), catalogue)
    ((_, part),) = trials.calls
    assert {t.seed for t in part.trials if t.id not in {f.id for f in few.trials}} >= {1}
    record = records_of(tmp_path / "run")
    assert list(record["searches"]) == ["1", "2", "10"]
    for told in record["searches"].values():
        assert [rung["epochs"] for rung in told["rungs"]] == [3], "the arm's own"
        assert told["n_trials"] == 4
        assert told["reason"].endswith(")"), "there was no rung before"


def test_one_search_serves_all_seeds_where_all_share_their_test_images(
    plan_of, catalogue, tmp_path
):
    plan = plan_of(("seeds: 2", "seeds: [3, 1, 2]\nvary: [order, init]"))
    trials = Trials(tmp_path / "run", near_a_thousandth)
    searched = trials.search(plan, catalogue)
    (study,) = studies_of(plan, catalogue)
    assert (study.base.seed, study.seeds) == (1, (3, 1, 2))
    assert {t.seed for t in trials.calls[0][1].trials} == {1}
    values = {
        (t.condition.train.learning_rate, t.condition.train.batch_size)
        for t in searched.plan.trials if t.stage == "arm" and t.arm == "scratch"
    }  # fmt: skip
    assert len(values) == 1
    record = records_of(tmp_path / "run")
    assert record["one_search_for"] == "all seeds"
    assert record["searches"]["1"]["seeds"] == [3, 1, 2]
    one = plan_of(("seeds: 2", "seeds: 1\nvary: [order, init]"))
    Trials(tmp_path / "one", near_a_thousandth).search(one, catalogue)
    assert records_of(tmp_path / "one")["one_search_for"] == "each seed"


def test_equal_configurations_are_trained_once(plan_of, catalogue, tmp_path):
    space = "  learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}\n"
    no_views = ("  augment: {choice: [{}, {rotate: 10}]}\n", "")
    plan = plan_of((space, ""), no_views, ("samples: 4", "samples: 9"), ("seeds: 2", "seeds: 1"))
    trials = Trials(tmp_path / "run", near_a_thousandth)
    trials.search(plan, catalogue)
    assert [len(part.trials) for _, part in trials.calls] == [2, 3]
    told = records_of(tmp_path / "run")["searches"]["0"]
    assert told["n_trials"] == 3
    numbers = [entry["sample"] for entry in told["rungs"][0]["ranking"]]
    assert numbers == sorted(numbers), "the lower number wins where all else is equal"
    assert numbers[0] == 0
    assert "(0); 2 tied" not in told["reason"], "one trial was left on the last rung"


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("val_accuracy", "the highest validation accuracy of 4 configurations (0.75); 4 tied and "
         "the better validation loss decided, then the number"),
        ("val_loss", "the lowest validation loss of 4 configurations (0.5); 4 tied and the better "
         "validation accuracy decided, then the number"),
    ],
)  # fmt: skip
def test_a_tie_is_said(plan_of, catalogue, tmp_path, metric, reason):
    plan = plan_of(
        ("  rungs: [1, 3]\n  keep: 0.5\n", ""), ("metric: val_loss", f"metric: {metric}"),
        ("seeds: 2", "seeds: 1"),
    )  # fmt: skip
    Trials(tmp_path / "run", lambda trial: ("done", 0.75, 0.5)).search(plan, catalogue)
    told = records_of(tmp_path / "run")["searches"]["0"]
    assert told["reason"] == reason
    assert told["winner"]["sample"] == 0


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_the_other_score_decides_a_tie(plan_of, catalogue, tmp_path, metric):
    plan = plan_of(
        ("  rungs: [1, 3]\n  keep: 0.5\n", ""), ("metric: val_loss", f"metric: {metric}"),
        ("seeds: 2", "seeds: 1"),
    )  # fmt: skip
    (study,) = studies_of(plan, catalogue)
    third = of(study, 2, None).id

    def score(trial):
        better = trial.id == third
        if metric == "val_accuracy":
            return "done", 0.75, 0.4 if better else 0.5
        return "done", 0.8 if better else 0.75, 0.5

    Trials(tmp_path / "run", score).search(plan, catalogue)
    told = records_of(tmp_path / "run")["searches"]["0"]
    assert told["winner"]["sample"] == 2
    assert [entry["sample"] for entry in told["rungs"][0]["ranking"]] == [2, 0, 1, 3]
    scores = told["winner"]["val_accuracy"], told["winner"]["val_loss"]
    assert scores == ((0.75, 0.4) if metric == "val_accuracy" else (0.8, 0.5))


def test_a_stopped_search_decides_nothing(plan_of, catalogue, tmp_path):
    plan = plan_of()
    trials = Trials(tmp_path / "run", near_a_thousandth, stop_after=1)
    searched = trials.search(plan, catalogue)
    assert len(trials.calls) == 1
    assert searched.plan == trials.calls[0][0]
    assert [t for t in searched.plan.trials if t.stage == "arm"] == list(plan.trials)
    assert searched.blocked == {}
    assert not (tmp_path / "run" / "search").exists()


def test_an_arm_whose_search_failed_is_blocked_and_the_others_go_on(plan_of, catalogue, tmp_path):
    plan = plan_of()

    def score(trial):
        return ("diverged" if trial.seed == 0 else "done", 0.5, 1.0)

    trials = Trials(tmp_path / "run", score)
    searched = trials.search(plan, catalogue)
    assert len(trials.calls) == 2
    (blocked,) = [t for t in plan.trials if (t.arm, t.seed) == ("scratch", 0)]
    assert searched.blocked == {
        blocked.id: "no trial of the search for its settings finished (4 ran; why: "
        f"python -m harness.status {tmp_path / 'run'})"
    }
    assert blocked in searched.plan.trials
    assert list(records_of(tmp_path / "run")["searches"]) == ["1"]


def test_what_did_not_finish_is_on_record_without_scores(plan_of, catalogue, tmp_path):
    plan = plan_of(("  rungs: [1, 3]\n  keep: 0.5\n", ""), ("seeds: 2", "seeds: 1"))
    (study,) = studies_of(plan, catalogue)
    ids = [of(study, k, None).id for k in range(4)]

    def score(trial):
        statuses = dict(zip(ids, ("diverged", "done", "failed", "done"), strict=True))
        return statuses[trial.id], 0.5, 1.0

    Trials(tmp_path / "run", score).search(plan, catalogue)
    ranking = records_of(tmp_path / "run")["searches"]["0"]["rungs"][0]["ranking"]
    assert [(e["sample"], e["status"], e["val_accuracy"], e["val_loss"]) for e in ranking] == [
        (1, "done", 0.5, 1.0), (3, "done", 0.5, 1.0), (0, "diverged", None, None),
        (2, "failed", None, None),
    ]  # fmt: skip


def test_stages_stand_before_the_search_trials_that_start_from_them(plan_of, catalogue, tmp_path):
    stage = "pretrain:\n  drawn: {data: {name: glyphs, count: 300, seed: 2, train: 200}}\narms:"
    plan = plan_of(("arms:", stage), ("scratch: {}", "scratch: {initialize: drawn}"))
    searched = Trials(tmp_path / "run", near_a_thousandth).search(plan, catalogue)
    stages = [t.stage for t in searched.plan.trials]
    assert stages == ["pretrain"] * 2 + ["search"] * 12 + ["arm"] * 4
    parents = {t.seed: t.id for t in searched.plan.trials if t.stage == "pretrain"}
    assert all(t.parent == parents[t.seed] for t in searched.plan.trials if t.arm == "scratch")


def test_a_dry_run_shows_what_a_search_begins_with(plan_of, catalogue, tmp_path):
    plan = plan_of()
    shown = plan_searches(plan, catalogue, tmp_path)
    assert [t.stage for t in shown.trials] == ["search"] * 8 + ["arm"] * 4
    assert len({t.id for t in shown.trials[8:]}) == 2  # the searched arm's will be others
    assert list(shown.repeated()) == []
    assert {t.condition.train.epochs for t in shown.trials[:8]} == {1}
    assert shown.notes[-1] == (
        "scratch: a search trains 4 for 1 epoch, then 2 for 3 epochs; the winner's values then hold"
    )
    one_rung = plan_of(("  rungs: [1, 3]\n", ""))
    assert plan_searches(one_rung, catalogue, tmp_path).notes[-1] == (
        "scratch: a search trains 4 for the arm's epochs; the winner's values then hold"
    )


def test_a_search_that_is_not_decided_says_where_and_what_to_do(plan_of, catalogue, tmp_path):
    with pytest.raises(
        InputError,
        match=rf"'scratch' at seed 0 is not decided in {tmp_path}: run the sweep whole first",
    ):
        recorded(plan_of(), catalogue, tmp_path)


@pytest.mark.parametrize("change", ["samples: 5", "samples: 4\n  seed: 1"])
def test_a_record_of_another_search_is_none(plan_of, catalogue, tmp_path, change):
    Trials(tmp_path / "run", near_a_thousandth).search(plan_of(), catalogue)
    changed = plan_of(("samples: 4", change))
    with pytest.raises(InputError, match="is not decided"):
        recorded(changed, catalogue, tmp_path / "run")


def test_records_of_arms_with_strange_names_are_told_apart(tmp_path):
    assert record_path(tmp_path, "scratch") == tmp_path / "search" / "scratch.json"
    names = ("a b", "a/b", "a-b", "x" * 70, "x" * 71)
    paths = [record_path(tmp_path, name) for name in names]
    assert len(set(paths)) == 5
    assert {path.parent for path in paths} == {tmp_path / "search"}
    assert record_path(tmp_path, "a b").name == "a-b-fbd987.json"
    assert [len(path.stem) for path in paths] == [10, 10, 3, 67, 67]


# -- searches that are run ------------------------------------------------------------------


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
    context = TrialContext(catalogue=catalogue)
    trial = Trial(spec, TrialFolder(tmp_path / spec.id, "g"), context)
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


@pytest.mark.slow
def test_a_stopped_search_goes_on_and_decides_the_same(sweep_file, finished, tmp_path):
    """Slow: a search is run several times."""
    out = tmp_path / "stopped"
    publish = RunFolder.publish

    def publish_and_ask(folder, trial_id, row):
        publish(folder, trial_id, row)
        if n_ended(out) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "publish", publish_and_ask)
        assert run_here(sweep_file, out).returncode == 75
    assert n_ended(out) == 3
    assert not (out / "search").exists()
    done = run_here(sweep_file, out)
    assert done.returncode == 0, done.stderr
    assert records_of(out) == records_of(finished)
    assert fingerprints(out) == fingerprints(finished)


@pytest.mark.slow
def test_a_stopped_command_goes_on_and_decides_the_same(sweep_file, finished, tmp_path):
    """Slow: two commands, each of which starts workers that import torch."""
    out = tmp_path / "stopped"
    fourth = "harness.runfolder.folder:RunFolder.publish:4"
    process = subprocess.Popen(
        command(sweep_file, out, "--engine", "local", "--slots", "1"), cwd=ROOT,
        env={**environment(), **held(fourth, tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until_held(process, tmp_path)
    assert n_ended(out) == 3
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
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
        return Entry(sample, {}, None, status, accuracy, loss)  # type: ignore[arg-type]

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
    course = Course(study, rungs=[[Entry(0, {}, of(study, 0, 1), "pending", 0.0, 0.0)]])
    _close_rung(course, tmp_path)
    searched = _settled(plan, [course])
    assert list(searched.blocked) == [study.base.id]
    assert "no trial of the search for its settings finished" in searched.blocked[study.base.id]


# -- settings of a stage ----------------------------------------------------------------------

WITH_STAGES = """\
name: pretraining
question: How long should pretraining train, and at which rate?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, per_class: true, train: 8, validation: 4, test: 4}
train: {batch_size: 16, epochs: 3}
pretrain:
  first: {data: {name: glyphs, count: 200, seed: 3}}
  drawn: {data: {name: glyphs, count: 200, seed: 2}, initialize: first, train: {epochs: 5}}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
  plain: {initialize: drawn, fine_tune: last_2, search: none}
search:
  pretrain.drawn.train.epochs: {integer: [1, 40]}
  samples: 4
  rungs: [1, 3]
  keep: 0.5
seeds: 2
"""


def longer_is_better(plans) -> Callable[[TrialSpec], tuple[str, float, float]]:
    """The more epochs a trial's stage trained, the better it is."""

    def score(trial: TrialSpec) -> tuple[str, float, float]:
        stage = plans()[-1][0].by_id.get(trial.parent)
        n = stage.condition.train.epochs if stage else 0
        return "done", n / 100, 1 / (n + 1)

    return score


def test_a_stage_is_trained_as_drawn_and_the_arm_starts_from_the_winners(
    plan_of, catalogue, tmp_path
):
    rate = "learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}"
    plan = plan_of(("pretrain.drawn", f"{rate}\n  pretrain.drawn"), text=WITH_STAGES)
    runs: list[Trials] = []
    runs.append(Trials(tmp_path / "run", longer_is_better(lambda: runs[0].calls)))
    searched = runs[0].search(plan, catalogue)
    assert {study.base.arm for study in studies_of(plan, catalogue)} == {"scratch", "pretrained"}
    for study in studies_of(plan, catalogue):
        assert study.draws_stages == (study.base.arm == "pretrained")
    stages = {t.id: t for t in searched.plan.trials if t.stage == "pretrain"}
    for trial in searched.plan.trials:
        if (trial.stage, trial.arm) != ("search", "pretrained"):
            continue
        stage = stages[trial.parent]
        n = trial.grid["pretrain.drawn.train.epochs"]
        assert stage.condition.train.epochs == n
        assert (stage.arm, stage.seed) == (f"drawn [epochs={n}]", trial.seed)
        assert stages[stage.parent].arm == "first"
        assert trial.condition.train.learning_rate == trial.grid["train.learning_rate"]
    best = max(
        draw(plan.sweep.searches["pretrained"], k)["pretrain.drawn.train.epochs"] for k in range(4)
    )
    for trial, written in zip(
        [t for t in searched.plan.trials if t.stage == "arm"],
        [t for t in plan.trials if t.stage == "arm"],
        strict=True,
    ):
        if trial.arm == "pretrained":
            assert stages[trial.parent].condition.train.epochs == best
            assert trial.id != written.id
        elif trial.arm == "plain":
            assert trial == written
    again = recorded(plan, catalogue, tmp_path / "run")
    assert set(again.plan.by_id) == set(searched.plan.by_id)  # in the order of the rankings
    assert [t.id for t in again.plan.trials if t.stage == "arm"] == [
        t.id for t in searched.plan.trials if t.stage == "arm"
    ]


def test_a_stage_as_written_from_which_nothing_starts_any_more_does_not_run(
    plan_of, catalogue, tmp_path
):
    without_plain = ("  plain: {initialize: drawn, fine_tune: last_2, search: none}\n", "")
    plan = plan_of(without_plain, ("seeds: 2", "seeds: 1"), text=WITH_STAGES)
    runs: list[Trials] = []
    runs.append(Trials(tmp_path / "run", longer_is_better(lambda: runs[0].calls)))
    searched = runs[0].search(plan, catalogue)
    (written,) = plan.by_arm["pretrain", "drawn"]
    for _, part in runs[0].calls:
        assert written.id not in part.by_id
    assert written.id not in searched.plan.by_id
    assert all(t.parent in searched.plan.by_id for t in searched.plan.trials if t.parent)
    # what was drawn is the trial of a stage that somebody writes so
    n = max(
        draw(plan.sweep.searches["pretrained"], k)["pretrain.drawn.train.epochs"] for k in range(4)
    )
    same = plan_of(without_plain, ("epochs: 5", f"epochs: {n}"), text=WITH_STAGES)
    (arm,) = [t for t in searched.plan.trials if (t.stage, t.arm) == ("arm", "pretrained")]
    assert arm.parent == same.by_arm["pretrain", "drawn"][0].id


def test_what_is_drawn_for_the_first_of_two_stages_trains_both_anew(plan_of, catalogue):
    plan = plan_of(("pretrain.drawn", "pretrain.first"), text=WITH_STAGES)
    (study, _) = (s for s in studies_of(plan, catalogue) if s.base.arm == "pretrained")
    first, second = study.stages(study.base, draw(study.search, 0))
    n = draw(study.search, 0)["pretrain.first.train.epochs"]
    assert (first.arm, second.arm) == (f"first [epochs={n}]", f"drawn [epochs={n}]")
    assert (second.parent, of(study, 0, 1).parent) == (first.id, second.id)
    assert second.condition.train.epochs == 5


def test_the_dry_run_says_that_configurations_have_pretrainings_of_their_own(
    plan_of, catalogue, tmp_path
):
    shown = plan_searches(plan_of(text=WITH_STAGES), catalogue, tmp_path)
    assert shown.notes[-1] == (
        "pretrained: a search trains 4 for 1 epoch, then 2 for 3 epochs, each after a pretraining "
        "of its own; the winner's values then hold"
    )
    assert all(trial.parent in shown.by_id for trial in shown.trials if trial.parent)


# -- configurations that are drawn otherwise --------------------------------------------------

TPE = (
    ("samples: 4\n  rungs: [1, 3]\n  keep: 0.5", "samples: 12\n  sampler: tpe\n  rounds: 3"),
    ("seeds: 2", "seeds: 1"),
)


def drawn_in(out: Path) -> list[dict]:
    """The values of all configurations on record, by their number."""
    record = json.loads((out / "search" / "scratch.json").read_text())
    (search,) = record["searches"].values()
    (rung,) = search["rungs"]
    return [e["values"] for e in sorted(rung["ranking"], key=lambda entry: entry["sample"])]


@pytest.mark.slow
def test_tpe_trains_in_rounds_and_a_stopped_search_proposes_the_same(plan_of, catalogue, tmp_path):
    """Slow: a search is run several times."""
    plan = plan_of(*TPE)
    whole = Trials(tmp_path / "whole", near_a_thousandth)
    decided = whole.search(plan, catalogue)
    rounds = [[t for t in part.trials if t.stage == "search"] for _, part in whole.calls]
    assert [len(each) for each in rounds] == [4, 8, 12]
    best = min(drawn_in(whole.folder), key=lambda v: abs(math.log10(v["train.learning_rate"]) + 3))
    arm = next(t for t in decided.plan.trials if t.stage == "arm" and t.arm == "scratch")
    assert arm.condition.train.learning_rate == best["train.learning_rate"]

    folder = tmp_path / "stopped"
    Trials(folder, near_a_thousandth, stop_after=2).search(plan, catalogue)
    assert not (folder / "search").exists()
    again = Trials(folder, near_a_thousandth)
    assert again.search(plan, catalogue).plan.trials == decided.plan.trials
    assert drawn_in(folder) == drawn_in(whole.folder)
    known = recorded(plan, catalogue, folder).plan.by_id
    assert known == decided.plan.by_id, "though in the order of the ranking"


def test_a_record_gives_an_arm_no_value_that_its_search_does_not_draw(plan_of, catalogue, tmp_path):
    """Whoever hands on a run folder chooses among what the sweep asks, and nothing else."""
    run = tmp_path / "run"
    plan = plan_of(*TPE)
    Trials(run, near_a_thousandth).search(plan, catalogue)
    path = run / "search" / "scratch.json"
    content = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    for changed in ({"train.learning_rate": 5.0}, {"train.loss": "theirs.py:focal"}):
        record = copy.deepcopy(content)
        record["searches"]["0"]["winner"]["values"].update(changed)
        path.write_text(json.dumps(sealed(record)))
        with pytest.raises(RunFolderError, match="is no record of a search"):
            recorded(plan, catalogue, run)


@pytest.mark.slow
def test_later_rounds_of_tpe_follow_from_the_results(plan_of, catalogue, tmp_path):
    """Told the opposite, it proposes others; what did not finish is no reason to stop.

    Slow: a search is run in rounds.
    """

    def far_from_a_thousandth(trial) -> tuple[str, float, float]:
        _, accuracy, loss = near_a_thousandth(trial)
        return "done", 1 - accuracy, 3 - loss

    def often_failed(trial) -> tuple[str, float, float]:
        failed = trial.condition.train.learning_rate < 1e-3
        return ("failed" if failed else "done", *near_a_thousandth(trial)[1:])

    plan, drawn = plan_of(*TPE), []
    for number, score in enumerate((near_a_thousandth, far_from_a_thousandth, often_failed)):
        trials = Trials(tmp_path / str(number), score)
        trials.search(plan, catalogue)
        drawn.append(drawn_in(trials.folder))
    assert drawn[0][:4] == drawn[1][:4] == drawn[2][:4]
    assert drawn[0][4:] != drawn[1][4:]
    off = [
        np.mean([abs(math.log10(v["train.learning_rate"]) + 3) for v in each[4:]])
        for each in drawn[:2]
    ]
    assert off[0] < off[1]


def test_the_dry_run_says_the_rounds_of_tpe(plan_of, catalogue, tmp_path):
    shown = plan_searches(plan_of(*TPE), catalogue, tmp_path)
    assert len([t for t in shown.trials if t.stage == "search"]) == 4
    assert shown.notes == (
        "scratch: a search trains 12 for the arm's epochs in 3 rounds, each of which knows the "
        "results before it; the winner's values then hold",
    )


def test_without_optuna_tpe_is_refused_before_anything_runs(
    plan_of, catalogue, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError, match=r"^search: sampler: tpe: .*--extra optuna$"):
        plan_searches(plan_of(*TPE), catalogue, tmp_path)


def test_sobol_points_are_searched_as_random_ones_are(plan_of, catalogue, tmp_path):
    trials = Trials(tmp_path / "run", near_a_thousandth)
    plan = plan_of(("  samples: 4", "  sampler: sobol\n  samples: 4"))
    decided = trials.search(plan, catalogue)
    search = plan.sweep.searches["scratch"]
    best = min(
        (draw(search, k)["train.learning_rate"] for k in range(4)),
        key=lambda rate: abs(math.log10(rate) + 3),
    )
    arms = [t for t in decided.plan.trials if t.stage == "arm" and t.arm == "scratch"]
    assert {t.condition.train.learning_rate for t in arms} == {best}
