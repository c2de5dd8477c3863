from __future__ import annotations

import threading

import pytest

from harness.engines import current
from harness.engines.current import SHARE, KeepCurrent, running_now
from harness.trials.events import Ended, Failed, Progress, Resumed, Started
from headstart.errors import RunFolderError, StorageError
from headstart.rows import EvaluationRow, TrialRow


def test_curves_of_running_trials_grow_and_go_when_the_trial_ends():
    keep = KeepCurrent()
    first, second = EvaluationRow(step=0), EvaluationRow(step=4)
    for event in (
        Started("a"), Progress("a", 8, 5.0, first), Started("b"),
        Resumed("b", 5, 8, (first, second)), Progress("b", 8, 7.0, EvaluationRow(step=8)),
        Started("c"),
    ):  # fmt: skip
        keep.take(event)
    running = running_now(keep, "g", 2, 60.0)
    assert {i: trial.step for i, trial in running.trials.items()} == {"a": 0, "b": 8, "c": 0}
    assert running.trials["b"].curve["step"] == [0, 4, 8]
    keep.take(Ended("a", TrialRow()))
    keep.take(Failed("c", "no", retry=True))
    assert list(keep.curves()) == ["b"]
    assert keep.n_ended == 1


def test_a_task_takes_a_small_share_of_the_time():
    clock, times = [0.0], []
    keep = KeepCurrent(lambda: clock[0])

    def slow() -> None:
        times.append(clock[0])
        clock[0] += 2.0

    keep.add(5.0, slow, "tables")
    for clock[0] in (4.0, 6.0, 9.0, 8.0 + 2.0 / SHARE - 1.0, 8.0 + 2.0 / SHARE):
        keep._do_what_is_due(keep.tasks)
    assert times == [6.0, 8.0 + 2.0 / SHARE]


def test_tasks_are_done_beside_the_command_and_none_goes_on_after_it():
    keep, begun, go_on, done = KeepCurrent(), threading.Event(), threading.Event(), []

    def write_tables() -> None:
        begun.set()
        assert go_on.wait(60)
        done.append("tables")

    keep.add(0.0, write_tables, "tables")
    with keep.working():
        assert begun.wait(60)
        threading.Timer(0.3, go_on.set).start()
    assert done == ["tables"], "an older table must not replace the one that is written next"


def test_a_service_that_hangs_holds_up_nothing_of_ours(monkeypatch):
    monkeypatch.setattr(current, "JOIN_S", 0.0)
    keep, hangs, is_over = KeepCurrent(), threading.Event(), threading.Event()
    times = threading.Semaphore(0)

    def talk() -> None:
        hangs.set()
        is_over.wait(60)

    keep.add(0.0, talk, "wandb", is_remote=True)
    keep.add(0.0, times.release, "running trials")
    try:
        with keep.working():
            assert hangs.wait(60)
            assert all(times.acquire(timeout=60) for _ in range(3))
    finally:
        is_over.set()


def fails(error):
    def work():
        raise error

    return work


def test_what_hinders_it_is_remarked_once_and_a_full_disk_ends_the_command():
    keep = KeepCurrent()
    keep.add(0.0, fails(RunFolderError("x: is not there, though its trial ended")), "tables")
    keep.add(0.0, fails(ConnectionError("no\nanswer")), "wandb")
    for task in (*keep.tasks, *keep.tasks):
        keep._do(task)
    keep.check()
    assert keep.remarks == ["wandb: ConnectionError: no answer"]
    keep.add(0.0, fails(StorageError("x: cannot be written")), "tables")
    keep._do(keep.tasks[-1])
    with pytest.raises(StorageError, match="cannot be written"):
        keep.check()
