"""Stopping a run: jobs are asked to save and stop, and cannot put themselves back."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeSlurm

from slurm.cancel import ask_to_stop, end_now, main, stop
from slurm.jobs import Job, QueueEntry, record_jobs


def _job(job_id: str) -> Job:
    return Job(job_id, job_id, "ray", 2, 1, "log", "2026-01-01T00:00:00+00:00", "submit")


def _entry(job_id: str, state: str, array_id: str | None = None) -> QueueEntry:
    return QueueEntry(job_id, array_id or job_id, state, "0:10", "1:00:00", "1", "n1", "None")


def test_waiting_jobs_leave_the_queue_and_running_ones_are_told(slurm: FakeSlurm) -> None:
    ask_to_stop([_entry("7_[3-9%2]", "PENDING", "7"), _entry("7_1", "RUNNING", "7")])
    assert slurm.calls == [
        "scontrol update JobId=7_[3-9] Requeue=0",
        "scontrol update JobId=7_1 Requeue=0",
        "scancel --state=PENDING 7",
        "scancel --batch --signal=USR2 7_1",
    ]


def test_a_task_that_ended_just_now_spares_the_others(
    slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.answer("scontrol", complaint="7_1: Job has already finished\n", status=1)
    ask_to_stop([_entry("7_1", "RUNNING", "7"), _entry("7_2", "RUNNING", "7")])
    assert slurm.calls[-2:] == [
        "scancel --batch --signal=USR2 7_1", "scancel --batch --signal=USR2 7_2",
    ]  # fmt: skip
    assert "scontrol refuses: 7_1: Job has already finished" in capsys.readouterr().out


def test_nothing_queued_is_nothing_to_do(
    slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slurm").mkdir()
    record_jobs(tmp_path, [_job("7")])
    assert main([str(tmp_path)]) == 0
    assert "no job of it is in the queue" in capsys.readouterr().out


def test_waiting_ends_with_what_is_left(slurm: FakeSlurm) -> None:
    slurm.answer("squeue", "7|7|RUNNING|0:10|1:00:00|1|n1|None\n")
    clock = iter(range(0, 1000, 30))
    left = stop([_job("7")], ask_to_stop, sleep=lambda _: None, clock=lambda: next(clock))
    assert [entry.id for entry in left] == ["7"]
    assert slurm.calls.count("scancel --batch --signal=USR2 7") == 1


def test_waiting_ends_as_soon_as_all_is_gone(slurm: FakeSlurm) -> None:
    slurm.answer("squeue", "7|7|RUNNING|0:10|1:00:00|1|n1|None\n")

    def end_of_job(_: float) -> None:
        slurm.answer("squeue", "")

    assert stop([_job("7")], ask_to_stop, sleep=end_of_job) == ()


@pytest.mark.parametrize(
    ("states", "told"),
    [(("COMPLETING", "PENDING"), ["--state=PENDING 7"]),
     (("PENDING", "RUNNING"), ["--state=PENDING 7", "--batch --signal=USR2 7"]),
     (("CONFIGURING",), ["7"])],
    ids=["goes back into the queue", "begins at this moment", "its nodes start up"],
)  # fmt: skip
def test_a_job_that_changes_while_it_is_told_is_told_again(
    slurm: FakeSlurm, states: tuple[str, ...], told: list[str]
) -> None:
    later = iter([*states[1:], None])

    def look(state: str | None) -> None:
        slurm.answer("squeue", f"7|7|{state}|0:10|1:00:00|1|n1|None\n" if state else "")

    look(states[0])
    assert stop([_job("7")], ask_to_stop, sleep=lambda _: look(next(later))) == ()
    assert [call for call in slurm.calls if "scancel" in call] == [f"scancel {t}" for t in told]


def test_ending_now_spares_the_rest_where_one_ended_by_itself(slurm: FakeSlurm) -> None:
    slurm.answer("scancel", complaint="Kill job error on job id 7: Invalid job id\n", status=1)
    end_now([_entry("7", "RUNNING"), _entry("8_1", "RUNNING", "8"), _entry("8_2", "RUNNING", "8")])
    assert slurm.calls == ["scancel 7 8"]
