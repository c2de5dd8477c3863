"""What a batch script does with signals and accidents, run by bash with SLURM's commands faked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from stand_in import N_TRIALS, expected_result

from slurm.render import Work, render_batch_script
from slurm.settings import load_settings

SCONTROL = """\
state="JobState=${FAKE_STATE:-RUNNING} Requeue=${FAKE_REQUEUE:-1}"
case $1 in
show)
  [ "$2" != hostnames ] || { tr , "\n" <<< "$3"; exit; }
  echo . >> "$FAKE_FOLDER/asked"
  (($(wc -l < "$FAKE_FOLDER/asked") > ${FAKE_BUSY:-0})) || exit 1
  [[ $4 == *_* || -z $SLURM_ARRAY_JOB_ID ]] || echo "JobId=8 JobState=COMPLETED EndTime=Unknown ."
  echo "JobId=7 $state EndTime=$FAKE_END ExcNodeList=${FAKE_EXCLUDED:-(null)}" .
  ;;
requeue) echo "$@" >> "$FAKE_FOLDER/scontrol"; exit "${FAKE_REFUSES:-0}" ;;
update) [ -z "$FAKE_KEEPS" ] || exit 1; echo "$@" >> "$FAKE_FOLDER/scontrol" ;;
esac
"""


@dataclass
class Script:
    """A rendered script and the folder it works on; `start` runs it as a job would."""

    text: str
    run: Path
    environment: dict[str, str]

    def start(self, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", self.text], env={**self.environment, **more}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def requeued(self) -> list[str]:
        path = Path(self.environment["FAKE_FOLDER"]) / "scontrol"
        return path.read_text().splitlines() if path.exists() else []

    def rows(self) -> list[dict[str, object]]:
        paths = sorted((self.run / "trials").glob("*/trial.json"))
        return [json.loads(path.read_text()) for path in paths]

    def held(self, trial: int, **more: str) -> subprocess.Popen[str]:
        """Start; trials before this one have ended, and it waits, with a state, for its end."""
        process = self.start(STAND_IN_TICK_S="0.01", STAND_IN_HOLD=str(trial), **more)
        return self._until(process, f"trials/{trial}/state/state-1.pt")

    def begun(self, **more: str) -> subprocess.Popen[str]:
        """Start; the sweep has begun, and is far from its first state."""
        return self._until(self.start(STAND_IN_TICK_S="300", **more), "calls.txt")

    def _until(self, process: subprocess.Popen[str], name: str) -> subprocess.Popen[str]:
        while not (self.run / name).exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        return process


@pytest.fixture
def script(tmp_path: Path, stand_in_bin: Path) -> Iterator[Callable[..., Script]]:
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    (fakes / "scontrol").write_text(f"#!/bin/bash\n{SCONTROL}")
    (fakes / "scontrol").chmod(0o755)
    (fakes / "sinfo").write_text('#!/bin/bash\nprintf "%s\\n" $FAKE_NODES\n')
    (fakes / "sinfo").chmod(0o755)
    started: list[Script] = []

    def make(**flags: object) -> Script:
        run = tmp_path / "a run"
        (run / "trials").mkdir(parents=True)
        (run / "slurm").mkdir()
        work = Work("part2", run / "slurm" / "sweep.yaml", run, (), tmp_path, "submit", False)
        given = {"mode": "array", "shards": 1, "activate": "true", **flags}
        text = render_batch_script(load_settings(None, given), work, "shards")
        environment = {
            **os.environ, "PATH": f"{fakes}:{stand_in_bin}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1", "FAKE_FOLDER": str(tmp_path),
            "TMPDIR": str(tmp_path), "FAKE_END": "Unknown", "SLURMD_NODENAME": "n1",
            "SLURM_JOB_PARTITION": "main", "FAKE_NODES": "n1 n2 n3 n4 n5",
        }  # fmt: skip
        environment.pop("HEADSTART_CACHE", None)
        started.append(Script(text, run, environment))
        return started[-1]

    yield make
    assert not list(tmp_path.glob("hs-*")), "the job left its temporary folder"


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def test_an_undisturbed_job_ends_with_the_sweeps_status(script: Callable[..., Script]) -> None:
    job = script()
    status, output = _finish(job.start(STAND_IN_TICK_S="0.01"))
    assert status == 0, output
    assert [row["result"] for row in job.rows()] == [expected_result(t) for t in range(N_TRIALS)]
    assert not job.requeued


@pytest.mark.slow
@pytest.mark.parametrize("status", [1, 2])
def test_failed_trials_and_wrong_input_are_not_requeued(
    script: Callable[..., Script], status: int
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    assert _finish(job.start(STAND_IN_STATUS=str(status)))[0] == status
    assert not job.requeued


@pytest.mark.slow
def test_a_signalled_job_saves_requeues_itself_and_goes_on_to_equal_results(
    script: Callable[..., Script],
) -> None:
    job = script()
    process = job.held(2)
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7"]), output
    assert 2 <= len(job.rows()) < N_TRIALS
    status, output = _finish(job.start(SLURM_RESTART_COUNT="1", STAND_IN_TICK_S="0.01"))
    assert status == 0, output
    assert [row["result"] for row in job.rows()] == [expected_result(t) for t in range(N_TRIALS)]
    assert sorted(row["attempts"] for row in job.rows())[-1] == 2  # type: ignore[type-var]


@pytest.mark.slow
def test_a_task_of_an_array_sends_itself_back_and_not_the_whole_array(
    script: Callable[..., Script],
) -> None:
    """Slow: several processes, one after the other, for one job.

    SLURM_JOB_ID of the last task is the array's; its line is one of many that SLURM shows."""
    job = script(shards=3)
    task = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3", "FAKE_END": _in(7200)}
    process = job.begun(**task)
    process.send_signal(signal.SIGUSR2)
    os.kill(_child_named(process.pid, "stand_in.py"), signal.SIGKILL)  # it would sleep on
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7_3"]), output
    assert "job 7_3] requeued" in output


@pytest.mark.slow
def test_trials_that_ended_together_are_progress_too(script: Callable[..., Script]) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.begun()
    (job.run / "packs").mkdir()
    (job.run / "packs" / "together.zip").touch()
    process.send_signal(signal.SIGUSR2)
    os.kill(_child_named(process.pid, "stand_in.py"), signal.SIGKILL)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7"]), output


@pytest.mark.slow
def test_a_controller_that_is_busy_for_a_moment_is_asked_again(
    script: Callable[..., Script],
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.held(1, FAKE_BUSY="2")
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7"]), output


@pytest.mark.slow
def test_where_slurm_does_not_answer_the_log_says_so(script: Callable[..., Script]) -> None:
    job = script()
    process = job.held(1, FAKE_BUSY="9")
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, [])
    assert "not requeued: SLURM did not answer; submit again" in output


BROKEN = {
    "no Python": {"activate": "python() { return 127; }"},
    "no temporary folder": {"scratch": "/proc/nowhere"},
    "no working folder": {"activate": "cd() { return 1; }"},
    "no run folder": {"activate": "touch() { return 1; }"},
}


@pytest.mark.parametrize("flags", BROKEN.values(), ids=BROKEN)
def test_a_node_that_cannot_run_the_sweep_is_left_for_another(
    script: Callable[..., Script], flags: dict[str, str]
) -> None:
    job = script(**flags)
    status, output = _finish(job.start(FAKE_EXCLUDED="n9"))
    assert status == 2
    assert job.requeued == ["requeue 7", "update JobId=7 ExcNodeList=n1,n9"], output
    assert "this node cannot run the sweep:" in output
    assert "requeued, for other nodes than n1,n9" in output
    assert not (job.run / "calls.txt").exists()


@pytest.mark.slow
def test_a_node_that_slurm_refuses_to_leave_out_is_not_said_to_be(
    script: Callable[..., Script],
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script(**BROKEN["no Python"])
    status, output = _finish(job.start(FAKE_KEEPS="1"))
    assert (status, job.requeued) == (2, ["requeue 7"]), output
    assert "requeued, for any node: SLURM refused to leave out n1" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "reason"),
    [({"FAKE_NODES": "n1 n2", "FAKE_EXCLUDED": "n2"}, "no other node is left to try"),
     ({"FAKE_EXCLUDED": "n2,n3,n4"}, "no other node is left to try"),
     ({"SLURM_RESTART_COUNT": "100"}, "it was 100 times"),
     ({"FAKE_STATE": "COMPLETING"}, "it was cancelled"),
     ({"FAKE_REQUEUE": "0"}, "it may not be")],
    ids=["no other node", "three were broken", "too often", "cancelled", "asked to stop"],
)  # fmt: skip
def test_what_no_node_can_run_ends_with_the_reason(
    script: Callable[..., Script], given: dict[str, str], reason: str
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script(**BROKEN["no Python"])
    status, output = _finish(job.start(**given))
    assert (status, job.requeued) == (2, []), output
    assert f"not requeued: {reason}" in output


def test_a_job_without_requeueing_ends_on_a_broken_node(script: Callable[..., Script]) -> None:
    job = script(requeue=False, **BROKEN["no Python"])
    status, output = _finish(job.start())
    assert (status, job.requeued) == (2, [])
    assert "this node cannot run the sweep: Python does not start" in output


@pytest.mark.slow
def test_a_start_leaves_the_files_of_other_jobs_alone_and_removes_its_own_earlier_ones(
    script: Callable[..., Script], tmp_path: Path
) -> None:
    """Slow: several processes, one after the other, for one job."""
    for name in ("hs-7-0", "hs-77-0", "hs-6-1"):
        (tmp_path / name).mkdir()
    status, output = _finish(script().start(SLURM_RESTART_COUNT="1", STAND_IN_TICK_S="0.01"))
    assert status == 0, output
    left = sorted(path.name for path in tmp_path.glob("hs-*"))
    assert left == ["hs-6-1", "hs-77-0"]
    for name in left:
        (tmp_path / name).rmdir()


@pytest.mark.slow
def test_a_cancelled_job_stays_cancelled(script: Callable[..., Script]) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.held(1, FAKE_STATE="COMPLETING")
    process.send_signal(signal.SIGTERM)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, [])
    assert "not requeued: it was cancelled" in output


@pytest.mark.slow
def test_a_job_that_is_forbidden_to_requeue_ends(script: Callable[..., Script]) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.held(1, FAKE_REQUEUE="0")
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, [])
    assert "not requeued: it may not be (slurm.cancel, or the site's rule)" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_s", "expected"), [(60, []), (7200, ["requeue 7"])], ids=["time limit", "preempted"]
)
def test_without_progress_only_a_preempted_job_goes_back_into_the_queue(
    script: Callable[..., Script], left_s: int, expected: list[str]
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.begun(FAKE_END=_in(left_s))
    process.send_signal(signal.SIGUSR2)
    os.kill(_child_named(process.pid, "stand_in.py"), signal.SIGKILL)  # it would sleep on
    status, output = _finish(process)
    assert (status, job.requeued) == (75, expected), output
    assert ("no trial ended and none saved its state" in output) is (not expected)


def _in(seconds: float) -> str:
    """A moment to come, as scontrol writes it."""
    return datetime.fromtimestamp(time.time() + seconds).strftime("%FT%T")


def test_notice_while_the_environment_is_made_ready_sends_the_job_back(
    script: Callable[..., Script],
) -> None:
    job = script(activate="kill -USR2 $$")
    status, output = _finish(job.start(FAKE_END=_in(7200)))
    assert (status, job.requeued) == (75, ["requeue 7"]), output
    assert not (job.run / "calls.txt").exists()


def test_notice_while_the_job_waits_for_a_lock_sends_it_back_at_once(
    script: Callable[..., Script],
) -> None:
    """The lock of the start before, on a node that died, takes a minute and a half to be stale."""
    job = script()
    lock = {"host": "n9", "heartbeat_at": "2026-01-01T00:00:00+00:00"}
    (job.run / ".lock-1-of-1.json").write_text(json.dumps(lock))
    process = job.start(FAKE_END=_in(7200))
    assert process.stdout is not None
    while "waiting until the lock of n9" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7"]), output
    assert not (job.run / "calls.txt").exists()


def test_a_job_that_is_cancelled_while_it_prepares_says_nothing_against_its_node(
    script: Callable[..., Script],
) -> None:
    """SLURM sends TERM to all processes of the job, so to Python too."""
    job = script(activate="python() { kill $$; return 143; }")
    status, output = _finish(job.start(FAKE_STATE="COMPLETING"))
    assert (status, job.requeued) == (75, []), output
    assert "not requeued: it was cancelled" in output
    assert "cannot run the sweep" not in output


@pytest.mark.slow
def test_lines_of_a_site_may_use_variables_that_are_not_set(script: Callable[..., Script]) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script(activate='PATH="$PATH$NOBODY_SET_THIS"')
    status, output = _finish(job.start(STAND_IN_TICK_S="0.01"))
    assert status == 0, output


@pytest.mark.slow
def test_a_controller_that_is_busy_at_the_start_is_asked_again(
    script: Callable[..., Script],
) -> None:
    """Without an answer nobody would know that this is no time limit but a preemption.

    Slow: several processes, one after the other, for one job.
    """
    job = script()
    process = job.begun(FAKE_END=_in(7200), FAKE_BUSY="2")
    process.send_signal(signal.SIGUSR2)
    os.kill(_child_named(process.pid, "stand_in.py"), signal.SIGKILL)  # it would sleep on
    status, output = _finish(process)
    assert (status, job.requeued) == (75, ["requeue 7"]), output


@pytest.mark.slow
def test_a_job_is_not_requeued_for_ever(script: Callable[..., Script]) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script(max_requeues=3)
    process = job.held(1, SLURM_RESTART_COUNT="3")
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert (status, job.requeued) == (75, [])
    assert "setting max_requeues" in output


@pytest.mark.slow
def test_where_slurm_refuses_to_requeue_the_log_says_what_to_do(
    script: Callable[..., Script],
) -> None:
    """Slow: several processes, one after the other, for one job."""
    job = script()
    process = job.held(1, FAKE_REFUSES="1")
    process.send_signal(signal.SIGUSR2)
    status, output = _finish(process)
    assert status == 75
    assert "SLURM refused; submit again to go on" in output


@pytest.mark.slow
def test_a_killed_sweep_goes_on_in_the_same_job(script: Callable[..., Script]) -> None:
    job = script()
    process = job.held(1)
    os.kill(_child_named(process.pid, "stand_in.py"), signal.SIGKILL)
    (job.run / "hurry").touch()
    status, output = _finish(process)
    assert status == 0, output
    assert "the sweep was killed (status 137); it goes on" in output
    assert [row["result"] for row in job.rows()] == [expected_result(t) for t in range(N_TRIALS)]
    assert not job.requeued


def _child_named(parent: int, word: str) -> int:
    """Id of the child process of `parent` whose command line has `word`."""
    children = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)],
                              capture_output=True, text=True).stdout  # fmt: skip
    return next(int(line.split()[0]) for line in children.splitlines() if word in line)
