"""What is said about a run: jobs, nodes, trials, speed; from files and squeue alone."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSlurm

from headstart.errors import RunFolderError
from slurm.jobs import Job, read_jobs, record_jobs
from slurm.status import count_trials, describe_trials, main, read_nodes

NOW = 1_800_000_000.0
ROOT = Path(__file__).resolve().parents[2]


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two trials done 10 and 20 minutes ago, one failed, one running, two left over."""
    run = tmp_path / "run"
    ids = ["done1", "done2", "failed", "running", "left", "never"]
    _write(run / "plan.json", {"sweep": "small", "trials": [{"id": name} for name in ids]})
    for name, minutes in (("done1", 10), ("done2", 20)):
        row = {"status": "done", "finished_at": _iso(NOW - 60 * minutes)}
        _write(run / "trials" / name / "trial.json", row)
    _write(run / "trials" / "failed" / "trial.json", {"status": "failed", "finished_at": ""})
    (run / "trials" / "running" / "state" / "live").mkdir(parents=True)
    (run / "trials" / "left" / "state" / "dead").mkdir(parents=True)
    lock = {"generation": "live", "heartbeat_at": _iso(NOW - 10)}
    _write(run / ".lock-1-of-2.json", lock)
    _write(run / ".lock-2-of-2.json", {"generation": "dead", "heartbeat_at": _iso(NOW - 300)})
    (run / "slurm").mkdir()
    job = Job("7", "7", "ray", 2, 1, str(run / "slurm/7.out"), _iso(NOW), "submit")
    record_jobs(run, [job])
    return run


def test_trials_are_counted_by_their_records_and_the_live_lock(run: Path) -> None:
    trials = count_trials(run, NOW)
    assert trials is not None
    assert (trials.n_done, trials.n_failed, trials.n_running, trials.n_to_come) == (2, 1, 1, 2)
    # one trial has ended in the 20 minutes since the first one did; three are left
    assert trials.rate_per_h == pytest.approx(3.0)
    assert trials.left_s == pytest.approx(3600.0)
    assert "2 done, 1 running, 1 failed, 2 to come" in describe_trials(trials)[0]


def test_old_trials_say_nothing_about_speed(run: Path) -> None:
    trials = count_trials(run, NOW + 7200)
    assert trials is not None
    assert trials.rate_per_h is None
    assert trials.left_s is None


def test_a_file_that_is_half_written_is_no_record_yet(run: Path) -> None:
    (run / "trials" / "done1" / "trial.json").write_text('{"status": "do')
    trials = count_trials(run, NOW)
    assert trials is not None
    assert trials.n_done == 1


def test_without_a_plan_there_is_nothing_to_count(tmp_path: Path) -> None:
    assert count_trials(tmp_path, NOW) is None
    assert "no plan yet" in describe_trials(None)[0]


def test_a_node_that_is_silent_is_said_to_be(run: Path) -> None:
    for name, silent_s in (("n1", 5.0), ("n2", 300.0)):
        beat = {"node": name, "at": NOW - silent_s, "every_s": 10.0, "load": 1.5}
        _write(run / "slurm" / ".job-7" / f"node-{name}.json", beat)
    assert [(node.name, node.is_well) for node in read_nodes(run, NOW)] == [
        ("n1", True), ("n2", False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("7|7|RUNNING|0:10|1:00:00|2|n[1-2]|None\n", "job      7 ray: RUNNING on n[1-2], 0:10 of"),
        ("7|7|PENDING|0:00|1:00:00|2||Priority\n", "job      7 ray: PENDING (Priority)"),
        ("9|9|RUNNING|0:10|1:00:00|2|n1|None\n", "job      7 ray: not in the queue any more"),
    ],
)
def test_jobs_are_shown_as_the_queue_has_them(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str], queue: str, said: str
) -> None:
    slurm.answer("squeue", queue)
    main([str(run)])
    assert said in capsys.readouterr().out


def test_tasks_of_an_array_are_counted_by_state(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job("8", "7", "shards", 10, 10, "8_*.out", _iso(NOW), "submit")
    record_jobs(run, [job])
    slurm.answer(
        "squeue",
        "8_[4-6,9%2]|8|PENDING|0:00|1:00:00|1||Resources\n"
        "8_1|8|RUNNING|0:10|1:00:00|1|n1|None\n8_2|8|RUNNING|0:10|1:00:00|1|n2|None\n",
    )
    main([str(run)])
    assert "8 shards: 4 PENDING, 2 RUNNING, 4 over" in capsys.readouterr().out


def test_jobs_of_earlier_submissions_are_not_shown(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    record_jobs(run, [Job("9", "9", "shards", 2, 2, "9_*.out", _iso(NOW), "submit")])
    main([str(run)])
    said = capsys.readouterr().out
    assert "job      9 shards" in said
    assert "job      7" not in said


def test_trials_are_shown_where_the_queue_cannot_be_asked(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.answer("squeue", complaint="slurm_load_jobs error: Unable to contact", status=1)
    main([str(run)])
    said = capsys.readouterr().out
    assert "queue    unknown: squeue refuses: slurm_load_jobs error" in said
    assert "2 done" in said


@pytest.mark.parametrize(
    ("tasks", "n_tasks"),
    [("8_7", 1), ("8_[3]", 1), ("8_[0-12:4]", 4), ("8_[1-999999999]", 999999999)],
)
def test_every_way_of_naming_tasks_is_counted(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str], tasks: str, n_tasks: int
) -> None:
    record_jobs(run, [Job("8", "8", "shards", 1, n_tasks, "8_*.out", _iso(NOW), "submit")])
    slurm.answer("squeue", f"{tasks}|8|PENDING|0:00|1:00:00|1||Resources\n")
    main([str(run)])
    said = capsys.readouterr().out
    assert "PENDING (Resources)" in said if n_tasks == 1 else f"{n_tasks} PENDING, 0 over" in said


@pytest.mark.parametrize(
    "line", ["8_[1-4,...]|8|PENDING|0|1|1||R", "slurm is down", "8_1|8|RUNNING"]
)
def test_a_line_of_squeue_that_is_not_as_asked_for_is_said(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    record_jobs(run, [Job("8", "8", "shards", 10, 10, "8_*.out", _iso(NOW), "submit")])
    slurm.answer("squeue", f"{line}\n")
    main([str(run)])
    said = capsys.readouterr().out
    assert "queue    unknown: squeue: " in said
    assert line.split("|")[0] in said
    assert "2 done" in said


def test_long_lists_of_tasks_are_asked_for_whole(
    run: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.answer("squeue")
    script = slurm.folder / "squeue"
    script.write_text(f'#!/bin/bash\necho "$SLURM_BITSTR_LEN" > "{slurm.folder}/length"\n')
    main([str(run)])
    assert (slurm.folder / "length").read_text() == "0\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 100_000, "recursion"),
        ('[{"id": 7}]', "0.id"),
        ('{"id": "7"}', "array"),
        ("[]", "names no job"),
        ("[", "EOF"),
    ],
)
def test_a_damaged_record_of_jobs_is_one_line(run: Path, content: str, said: str) -> None:
    (run / "slurm" / "jobs.json").write_text(content)
    with pytest.raises(RunFolderError, match=said) as caught:
        read_jobs(run)
    assert str(caught.value).startswith(f"{run}/slurm/jobs.json: ")
    assert len(str(caught.value).splitlines()) == 1


def test_damaged_heartbeats_and_times_say_nothing(run: Path) -> None:
    node = {"node": "n1", "load": 0.5, "at": NOW - 5, "every_s": 10.0}
    for number, wrong in enumerate([{}, {"at": 10**400}, {"every_s": None}, {"load": "much"}]):
        _write(run / "slurm" / ".job-7" / f"node-{number}.json", node | wrong)
    assert [each.name for each in read_nodes(run, NOW)] == ["n1"]
    _write(run / ".lock-1-of-2.json", {"generation": "live", "heartbeat_at": "yesterday"})
    _write(run / "trials" / "done1" / "trial.json", {"status": "done", "finished_at": "soon"})
    trials = count_trials(run, NOW)
    assert trials is not None
    assert (trials.n_done, trials.n_running, trials.rate_per_h) == (2, 0, None)


@pytest.mark.parametrize("command", ["status", "cancel", "submit"])
def test_commands_need_neither_torch_nor_ray(command: str) -> None:
    code = (
        f"import sys, slurm.{command}; "
        "sys.exit([m for m in ('torch', 'ray', 'pandas', 'cv2') if m in sys.modules] != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_folder_without_jobs_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "slurm.status", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no job was submitted for it" in done.stderr
