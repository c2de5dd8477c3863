from __future__ import annotations

import pytest

from harness.engines.queue import Queue
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Failed
from harness.trials.spec import Plan
from headstart.errors import StorageError
from headstart.records import read_json


@pytest.fixture
def queue_of(write_sweep, tmp_path):
    """A queue of the small sweep (changed) in a run folder, with its plan."""
    with RunFolder(tmp_path / "run") as folder:

        def make(*replacements, only=None):
            plan = make_plan(load_sweep(write_sweep(*replacements)), DataCatalogue())
            if only:
                plan = Plan(plan.sweep, tuple(t for t in plan.trials if t.stage == only))
            return Queue(plan, folder, {}, lambda spec, error: {"status": "failed", "error": error})

        yield make


def finish(queue: Queue, trial, status: str = "done") -> None:
    row = {"trial_id": trial.id, "status": status, "files": ["trial.json"], "attempts": 1}
    folder = queue.folders([trial])[trial.id]
    folder.begin()
    (folder.result / "trial.json").write_text(f'{{"status": "{status}"}}')
    queue.take(Ended(trial.id, row))


def test_a_trial_is_ready_when_the_one_it_starts_from_is_done(queue_of):
    queue = queue_of()
    first = [queue.next_unit()[0] for _ in range(4)]
    assert {trial.arm for trial in first} == {"drawn", "scratch"}
    assert queue.next_unit() is None
    assert not queue.finished
    stage = next(trial for trial in first if trial.arm == "drawn")
    finish(queue, stage)
    (child,) = queue.next_unit()
    assert (child.arm, child.parent) == ("pretrained", stage.id)


def test_what_descends_from_a_diverged_trial_is_given_up_with_the_reason(queue_of):
    queue = queue_of()
    stage = queue.next_unit()[0]
    finish(queue, stage, "diverged")
    (error,) = queue.failed.values()
    assert "diverged" in error


def test_a_failure_is_tried_again_and_then_given_up(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 1\nresources: {max_failures: 1}"))
    stage = queue.next_unit()[0]
    queue.crashed([stage], "killed")
    assert queue.next_unit()[0] == stage
    queue.crashed([stage], "killed again")
    assert set(queue.failed.values()) == {
        "killed again", f"the trial it starts from ({stage.id}) failed: killed again",
    }  # fmt: skip
    recorded = read_json(queue.folder.path / "trials" / stage.id / "trial.json", None)
    assert recorded["status"] == "failed"


def test_a_wrong_setting_is_not_tried_again(queue_of):
    queue = queue_of()
    stage = queue.next_unit()[0]
    queue.take(Failed(stage.id, "no such layer", retry=False))
    assert stage.id in queue.failed


def test_packs_hold_seeds_of_one_arm(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 5\nresources: {pack: 3, gpus: 1}"))
    unit = queue.next_unit()
    assert len(unit) == 3
    assert len({(trial.stage, trial.arm) for trial in unit}) == 1
    queue.crashed(unit, "its worker died")
    again = queue.next_unit()
    assert {trial.id for trial in again} == {trial.id for trial in unit}


def test_on_cpus_only_trials_that_share_a_frozen_part_are_packed(queue_of):
    arms = (
        "  pretrained: {initialize: drawn}",
        "  pretrained: {initialize: drawn, fine_tune: last_2}",
    )
    queue = queue_of(("seeds: 2", "seeds: 3\nresources: {pack: 3}"), arms)
    stages = [queue.next_unit() for _ in range(6)]
    assert {len(unit) for unit in stages} == {1}
    for (trial,) in stages:
        if trial.arm == "drawn":
            finish(queue, trial)
    assert [trial.arm for trial in queue.next_unit()] == ["pretrained"] * 3


@pytest.mark.parametrize(
    ("resources", "sizes"),
    [
        ("pack: auto, gpus: 1", [5, 5]),  # a worker divides them by what it measures
        ("pack: auto", [1, 1]),
        ("pack: 3", [1, 1]),
        ("pack: 3, fuse: always", [3, 2]),
    ],
)
def test_how_many_trials_a_worker_is_given(queue_of, resources, sizes):
    queue = queue_of(("seeds: 2", f"seeds: 5\nresources: {{{resources}}}"))
    assert [len(queue.next_unit()) for _ in sizes] == sizes


def test_arms_alone_do_not_run_the_stages_that_they_need(queue_of):
    queue = queue_of(only="arm")
    ready = []
    while (unit := queue.next_unit()) is not None:
        ready += unit
    assert {trial.arm for trial in ready} == {"scratch"}
    assert all("has not finished" in error for error in queue.failed.values())
    assert len(queue.failed) == 2


def test_a_full_disk_ends_the_run(queue_of):
    queue = queue_of()
    stage = queue.next_unit()[0]
    with pytest.raises(StorageError, match="full"):
        queue.take(Failed(stage.id, "the disk is full", retry=False, fatal=True))


def test_what_failed_once_goes_first_and_packs_keep_the_order_of_the_plan(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 6\nresources: {pack: 2, gpus: 1}"))
    first, second = queue.next_unit(), queue.next_unit()
    queue.take(Failed(second[0].id, "a passing trouble", retry=True))
    again = queue.next_unit()
    assert again[0] == second[0]
    assert again[0].arm == again[1].arm
    seeds = [t.seed for t in (*first, *second, *again[1:])]
    assert seeds == sorted(seeds)
