from __future__ import annotations

import json

import pytest

from harness.engines.queue import AUTO_AT_MOST, Queue
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Failed, GivenBack, Progress, Started, Stopped
from harness.trials.spec import Plan
from headstart.errors import StorageError
from headstart.records import read_row, trial_row
from headstart.rows import EvaluationRow, TrialRow


@pytest.fixture
def queue_of(write_sweep, tmp_path):
    """A queue of the small sweep (changed) in a run folder, with its plan."""
    with RunFolder(tmp_path / "run") as folder:

        def make(*replacements, only=None, rows=None, **others):
            plan = make_plan(load_sweep(write_sweep(*replacements)), DataCatalogue())
            if only:
                plan = Plan(plan.sweep, tuple(t for t in plan.trials if t.stage == only))
            return Queue(plan, folder, rows or {}, failed_row, **others)

        yield make


def failed_row(trial, error: str) -> TrialRow:
    return TrialRow(trial_id=trial.id, status="failed", error=error)


def finish(queue: Queue, trial, status: str = "done") -> None:
    row = TrialRow(trial_id=trial.id, status=status, files=("trial.json",), attempts=1)
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
    recorded = read_row(queue.folder.path / "trials" / stage.id / "trial.json")
    assert recorded.status == "failed"


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


def test_units_are_shared_out_so_that_no_gpu_idles(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 30\nresources: {gpus: 1}"))
    sizes = [len(queue.next_unit(n_free)) for n_free in range(8, 0, -1)]
    assert sizes == [8, 8, 7, 7, 8, 8, 7, 7]
    assert queue.next_unit() is None
    assert len(queue.running) == 60


@pytest.mark.parametrize(("pack", "sizes"), [(8, [3, 2, 3, 2]), (2, [2, 2, 1, 2]), (1, [1] * 4)])
def test_a_pack_is_the_most_and_what_is_ready_is_shared_below_it(queue_of, pack, sizes):
    queue = queue_of(("seeds: 2", f"seeds: 5\nresources: {{gpus: 1, pack: {pack}}}"))
    assert [len(queue.next_unit(n_free)) for n_free in (4, 3, 2, 1)] == sizes


def test_on_cpus_a_pack_is_the_same_however_many_workers_are_free(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 5\nresources: {pack: 3, fuse: always, gpus: 0}"))
    assert [len(queue.next_unit(8)) for _ in range(2)] == [3, 2]


def test_what_a_worker_gives_back_is_next_and_no_unit_of_its_arm_is_larger(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 6\nresources: {gpus: 1}"), only="arm")
    unit = queue.next_unit()
    for trial in reversed(unit[2:]):
        queue.take(GivenBack(trial.id))
    assert queue.running == {trial.id for trial in unit[:2]}
    others = [queue.next_unit(), queue.next_unit()]
    assert others == [unit[2:4], unit[4:]]
    queue.crashed(unit, "killed")
    assert queue.running == {trial.id for trial in unit[2:]}, "they are others' now"
    queue.unit_over(unit)
    assert queue.running == {trial.id for trial in unit[2:]}
    queue.unit_over(others[0])
    assert queue.running == {trial.id for trial in others[1]}


def test_what_is_given_back_after_all_others_ended_runs_alone(queue_of):
    """The last evaluation of one had no room beside the others', which then ended."""
    queue = queue_of(("seeds: 2", "seeds: 3\nresources: {gpus: 1}"), only="arm")
    unit = queue.next_unit()
    assert len(unit) == 3
    for trial in unit[:2]:
        queue.take(Failed(trial.id, "wrong", retry=False))
    queue.take(GivenBack(unit[2].id))
    assert queue.next_unit() == unit[2:]


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


def by_name(queue: Queue) -> dict:
    return {(trial.arm, trial.seed): trial for trial in queue.plan.trials}


def test_a_run_is_over_when_nothing_runs_waits_or_is_ready(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 1"))
    assert (queue.finished, queue.n_left) == (False, 3)
    stage, scratch = queue.next_unit()[0], queue.next_unit()[0]
    finish(queue, scratch)
    assert (queue.finished, queue.n_left) == (False, 2)
    finish(queue, stage)
    assert (queue.finished, queue.n_left) == (False, 1), "the arm that waited is ready"
    (pretrained,) = queue.next_unit()
    assert queue.finished is False, "it runs"
    finish(queue, pretrained)
    assert (queue.finished, queue.n_left) == (True, 0)
    assert queue.next_unit() is None
    assert {i: row.status for i, row in queue.rows.items()} == dict.fromkeys(
        (t.id for t in queue.plan.trials), "done"
    )


def test_a_failed_trial_and_what_descends_from_it_are_not_left(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 1"))
    stage = queue.next_unit()[0]
    queue.take(Failed(stage.id, "no such layer", retry=False))
    assert (queue.finished, queue.n_left) == (False, 1)
    finish(queue, queue.next_unit()[0])
    assert (queue.finished, queue.n_left) == (True, 0)


def test_stopped_is_over_when_the_last_worker_is_back(queue_of):
    queue = queue_of()
    stage = queue.next_unit()[0]
    queue.stop()
    assert queue.next_unit() is None, "nothing more starts"
    assert queue.finished is False, "one trial runs"
    queue.take(Stopped(stage.id, 4))
    assert (queue.finished, queue.n_left) == (True, 6)
    assert queue.failed == queue.failures == {}, "to stop when asked is no failure"


def test_a_trial_that_fails_while_all_stops_is_not_tried_again(queue_of):
    queue = queue_of()
    stage = queue.next_unit()[0]
    queue.stop()
    queue.take(Failed(stage.id, "killed", retry=True))
    assert queue.failed[stage.id] == "killed"


def test_a_trial_that_stops_unasked_has_failed_once_and_starts_again(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 2\nresources: {max_failures: 1}"))
    stage = queue.next_unit()[0]
    queue.take(Stopped(stage.id, 4))
    assert queue.running == set()
    assert queue.next_unit() == (stage,)
    queue.take(Stopped(stage.id, 8))
    assert queue.failed[stage.id] == "stopped without being asked"


@pytest.mark.parametrize("most", [0, 2])
def test_a_trial_is_tried_again_as_often_as_the_sweep_says(queue_of, most):
    queue = queue_of(("seeds: 2", f"seeds: 1\nresources: {{max_failures: {most}}}"))
    stage = queue.next_unit()[0]
    for _ in range(most):
        queue.take(Failed(stage.id, "a passing trouble", retry=True))
        assert (queue.running, queue.failed) == (set(), {})
        assert queue.next_unit() == (stage,)
    queue.take(Failed(stage.id, "a lasting trouble", retry=True))
    assert queue.failed[stage.id] == "a lasting trouble"


def test_failures_are_counted_for_each_trial(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 2\nresources: {max_failures: 1}"))
    for _ in range(2):
        queue.take(Failed(queue.next_unit()[0].id, "a passing trouble", retry=True))
        finish(queue, queue.next_unit()[0])
    assert set(queue.failures.values()) == {1}
    assert queue.failed == {}


def test_every_generation_below_a_failed_stage_is_given_up_with_the_last_line(queue_of):
    chain = (
        "    train: {epochs: 2, augment: {rotate: 15}}\n",
        "    train: {epochs: 2}\n  tuned: {data: {name: glyphs, count: 300, seed: 3, train: 200,"
        " validation: 50}, initialize: drawn}\n",
    )
    queue = queue_of(chain, ("initialize: drawn}\nseeds: 2", "initialize: tuned}\nseeds: 1"))
    names = by_name(queue)
    stage, tuned = names["drawn", 0], names["tuned", 0]
    assert queue.next_unit() == (stage,)
    queue.take(Failed(stage.id, "Traceback:\n  a line\nValueError: no\n", retry=False))
    assert queue.failed[tuned.id] == f"the trial it starts from ({stage.id}) failed: ValueError: no"
    assert queue.failed[names["pretrained", 0].id] == (
        f"the trial it starts from ({tuned.id}) failed: "
        f"the trial it starts from ({stage.id}) failed: ValueError: no"
    )
    assert trial_row(queue.folder.path / "trials" / tuned.id).status == "failed"
    assert queue.n_left == 1


def test_a_dead_worker_costs_an_attempt_of_the_trial_it_was_at_alone(queue_of):
    heard = []
    queue = queue_of(
        ("seeds: 2", "seeds: 6\nresources: {pack: 3, gpus: 1, max_failures: 0}"),
        listen=heard.append,
    )
    unit = queue.next_unit()
    finish(queue, unit[0])
    heard.clear()
    queue.crashed(unit, "killed")
    assert heard == [Failed(unit[1].id, "killed", retry=False)]
    assert (queue.failures, queue.failed) == (
        {unit[1].id: 1},
        {unit[1].id: "killed"} | queue.failed,
    )
    assert queue.running == set()
    assert queue.next_unit()[0] == unit[2], "the one behind it goes first"


def test_a_listener_hears_that_a_dead_workers_trial_is_tried_again(queue_of):
    heard = []
    queue = queue_of(listen=heard.append)
    (stage,) = queue.next_unit()
    queue.crashed([stage], "killed")
    assert heard == [Failed(stage.id, "killed", retry=True)]


def test_a_listener_hears_every_event_after_it_took_effect(queue_of):
    heard = []
    queue = queue_of(("seeds: 2", "seeds: 1"), listen=lambda e: heard.append((e, queue.n_left)))
    (stage,) = queue.next_unit()
    began, moved = Started(stage.id), Progress(stage.id, 8, 100.0, EvaluationRow(step=4))
    queue.take(began)
    queue.take(moved)
    assert queue.running == {stage.id}
    finish(queue, stage)
    assert heard[:2] == [(began, 3), (moved, 3)]
    assert (type(heard[2][0]), heard[2][1]) == (Ended, 2)


def test_a_unit_that_is_over_leaves_its_small_files_together(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 3\nresources: {pack: 2, gpus: 1}"), only="arm")
    unit, alone = queue.next_unit(), queue.next_unit()
    assert (len(unit), len(alone)) == (2, 1)
    for trial in (*unit, *alone):
        finish(queue, trial)
    queue.unit_over(iter(unit))
    queue.unit_over(alone)
    packs = queue.folder.path / "packs"
    assert len(list(packs.iterdir())) == 1
    trials = queue.folder.path / "trials"
    assert [(trials / t.id).exists() for t in (*unit, *alone)] == [False, False, True]
    assert set(queue.folder.finished([t.id for t in unit])) == {t.id for t in unit}


def test_what_a_stopped_worker_did_not_begin_runs_no_more_and_is_left(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 2\nresources: {pack: 2, gpus: 1}"), only="arm")
    unit = queue.next_unit()
    assert queue.running == {trial.id for trial in unit}
    queue.stop()
    queue.unit_over(unit)
    assert queue.running == set()
    assert (queue.finished, queue.n_left) == (True, 2)


def test_rows_of_finished_trials_are_not_run_and_their_children_are_ready(queue_of):
    first = queue_of(("seeds: 2", "seeds: 1"))
    names = by_name(first)
    rows = {names["drawn", 0].id: TrialRow(status="done")}
    queue = queue_of(("seeds: 2", "seeds: 1"), rows=rows)
    assert queue.n_left == 2
    assert {queue.next_unit()[0].arm for _ in range(2)} == {"scratch", "pretrained"}
    assert queue.next_unit() is None
    assert len(rows) == 1, "the caller's rows are the caller's"


def test_a_trial_that_ended_before_its_command_died_is_adopted(queue_of, tmp_path):
    queue = queue_of(("seeds: 2", "seeds: 1"))
    (stage,) = queue.next_unit()
    row = TrialRow(trial_id=stage.id, status="done", files=("trial.json",), attempts=1)
    result = queue.folder.path / "trials" / stage.id / "state" / "of-another-command" / "result"
    result.mkdir(parents=True)
    (result / "trial.json").write_text(json.dumps(row.to_json()))
    again = queue_of(("seeds: 2", "seeds: 1"))
    assert again.rows == {stage.id: row}
    assert {again.next_unit()[0].arm for _ in range(2)} == {"scratch", "pretrained"}


def test_a_diverged_stage_that_was_recorded_earlier_is_named(queue_of):
    stage = by_name(queue_of())["drawn", 0]
    queue = queue_of(rows={stage.id: TrialRow(status="diverged")})
    assert list(queue.failed.values()) == [f"the trial it starts from ({stage.id}) diverged"]


def test_auto_gives_a_worker_with_a_gpu_no_more_than_it_may_choose_from(queue_of):
    n = AUTO_AT_MOST + 3
    assert AUTO_AT_MOST == 256
    queue = queue_of(("seeds: 2", f"seeds: {n}\nresources: {{pack: auto, gpus: 1}}"), only="arm")
    assert [len(queue.next_unit()) for _ in range(2)] == [130, 129], "of alike size"


def test_several_failed_trials_go_before_those_that_did_not_begin(queue_of):
    queue = queue_of(("seeds: 2", "seeds: 3"), only="arm")
    first, second = queue.next_unit()[0], queue.next_unit()[0]
    for trial in (first, second):
        queue.take(Failed(trial.id, "a passing trouble", retry=True))
    assert [queue.next_unit()[0].seed for _ in range(3)] == [1, 0, 2]
