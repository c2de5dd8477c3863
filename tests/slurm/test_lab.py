"""Jobs on a real SLURM of two nodes: submitted, preempted, killed, cancelled; nothing left behind.

Whatever a test strikes waits there until it has been struck, however fast or slow a machine is.
Slow, all of them: Ray takes some ten seconds to start, SLURM looks at time limits twice a
minute, and time is what these tests are about.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from card_counters import read_ledger
from disturbed import HOOKS
from fake_card import Card
from fakes import SWEEP
from lab import Lab, LabError
from stand_in import N_TRIALS, expected_result

from slurm.jobs import Job, read_jobs

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
RUN_LIMIT_S = 600
TIME_MIN = 20  # that a job may take
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


class Site:
    """Submitting from the project's folder to the lab, the sweep stood in for unless said."""

    def __init__(self, lab: Lab, sweep_file: Path, folder: Path, bin_folder: Path):
        self.lab = lab
        self.sweep_file = sweep_file
        self.folder = folder
        self.activate = f"PATH={bin_folder}:$PATH"

    def command(self, *words: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, text=True, capture_output=True, timeout=300,
            env={**self.lab.environment, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def submit(
        self,
        name: str,
        *flags: str,
        is_real: bool = False,
        options: str = "",
        tick_s: float = 0.02,
        report_s: float = 0,
        hold: Sequence[int] = (),
    ) -> tuple[Path, tuple[Job, ...]]:
        """Submit; returns the run folder and its jobs. A real sweep may have further options.

        Each start of a trial of the stand-in that `hold` names waits after its first tick.
        """
        run = self.folder / name
        activate = [] if is_real else ["--activate", self.activate]
        if options:
            bin_folder = _bin_with(options, self.sweep_file.parent)
            activate = ["--activate", f"PATH={bin_folder}:$PATH; {self.held}"]
        self.command(
            "slurm.submit", str(self.sweep_file), "--out", str(run), "--cpus-per-node", "1",
            "--time", str(TIME_MIN), *activate, *flags,
            STAND_IN_TICK_S=str(tick_s), STAND_IN_REPORT_S=str(report_s),
            STAND_IN_HOLD=" ".join(map(str, hold)),
        )  # fmt: skip
        return run, read_jobs(run)

    @property
    def held(self) -> str:
        """Lines of a script: the first worker of a job or task waits at a step for `go`."""
        at, go = (shlex.quote(str(self.sweep_file.with_name(name))) for name in ("at", "go"))
        return (
            f"export PYTHONPATH={shlex.quote(str(HOOKS))} HEADSTART_TEST_HOLD={STEP} "
            f"HEADSTART_TEST_AT={at}-${{SLURM_ARRAY_TASK_ID:-0}} HEADSTART_TEST_GO={go}"
        )

    def let_go(self) -> None:
        self.sweep_file.with_name("go").touch()

    def wait_for_held(self, *tasks: int) -> None:
        """Wait until a worker of each of these tasks waits; 0: of a job that is no array."""
        paths = [self.sweep_file.with_name(f"at-{task}") for task in tasks]
        self.wait_until(lambda: all(path.exists() for path in paths), "workers wait")

    def wait(self, job: Job, state: str = "COMPLETED") -> None:
        """Wait until a job has ended, in this state."""
        try:
            ended = self.lab.wait_for(job.id, *ENDED, timeout_s=RUN_LIMIT_S)
        except LabError as err:
            raise AssertionError(f"{err}\n{self.log(job)}") from err
        assert ended == state, self.log(job)

    def log(self, job: Job) -> str:
        folder, name = os.path.split(job.log)
        return "\n".join(path.read_text() for path in sorted(Path(folder).glob(name)))

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + RUN_LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.2)

    def go_on(self, job_id: str, begins: str = "now+3") -> None:
        """Spare the two minutes that SLURM lets a requeued job wait."""
        self.wait_until(lambda: self.lab.job_state(job_id) == "PENDING", "requeued")
        self.wait_until(
            lambda: self._start_soon(job_id, begins), "taken by a controller that clears it away"
        )

    def keep_back(self, job_id: str) -> None:
        """Let a requeued job wait until it is to go on: a test may take longer than two minutes."""
        self.go_on(job_id, "now+1hour")

    def _start_soon(self, job_id: str, begins: str = "now+3") -> bool:
        """Not at once: SLURM takes back the credentials of the start before by the second.

        With all of its time, whatever a test has left it.
        """
        update = ("scontrol", "update", f"JobId={job_id}")
        try:
            self.lab.run(*update, f"StartTime={begins}", f"TimeLimit={TIME_MIN}")
        except LabError:
            return False
        return True

    def nudge(self, *job_ids: str) -> bool:
        """Spare those that wait the two minutes; true, to be part of a condition."""
        for job_id in job_ids:
            shown = self.lab.run("scontrol", "show", "job", "-o", job_id)
            begins = shown.split(" EligibleTime=")[1].split()[0]
            is_waiting = " JobState=PENDING " in shown and begins != "Unknown"
            if is_waiting and datetime.fromisoformat(begins) > datetime.now() + timedelta(
                seconds=9
            ):
                self._start_soon(job_id)
        return True

    def states(self, job: Job) -> list[str]:
        """Of each task of an array, in order."""
        return [self.lab.job_state(f"{job.id}_{task}") for task in range(1, job.n_tasks + 1)]

    def wait_for_starts(self, run: Path, *n_starts: int) -> None:
        """Wait until the shards have been started so often, each; more often is an error."""
        self.wait_until(lambda: sum(_starts(run)) >= sum(n_starts), f"starts {n_starts}")
        assert _starts(run) == list(n_starts)

    def assert_nothing_left(self, *jobs: Job) -> None:
        """No process of these jobs, none of their folders, and no token."""
        self.wait_until(
            lambda: (
                not any(f"hs-{job.id}-" in line for job in jobs for line in self._lab_processes())
            ),
            "all processes of the jobs gone",
        )
        for job in jobs:
            assert not list(Path("/tmp").glob(f"hs-{job.id}-*"))
            assert not list(Path(job.log).parent.glob(".job-*"))

    def _lab_processes(self) -> list[str]:
        return [line for node in self.lab.nodes for line in _command_lines(self.lab, node.name)]


@pytest.fixture
def site(lab: Lab, sweep_file: Path, tmp_path: Path, stand_in_bin: Path) -> Site:
    return Site(lab, sweep_file, tmp_path / "it's a folder", stand_in_bin)


def _bin_with(options: str, folder: Path) -> Path:
    """A folder for PATH whose `python` gives the real sweep these options too."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/bash\nreal="{sys.executable}"\n'
        f'[ "$2" != harness.sweep ] || exec "$real" "$@" {options}\nexec "$real" "$@"\n'
    )
    python.chmod(0o755)
    return python.parent


def _rows(run: Path) -> list[dict[str, object]]:
    paths = sorted((run / "trials").glob("*/trial.json"))
    return [json.loads(path.read_text()) for path in paths]


def _starts(run: Path) -> list[int]:
    """How often the stand-in was started for each of three shards."""
    calls = (
        [line.split() for line in _lines(run / "calls.txt")] if (run / "calls.txt").exists() else []
    )
    return [sum(f"{shard}/3" in words for words in calls) for shard in (1, 2, 3)]


def _assert_never_back(run: Path) -> None:
    """Each start of a trial goes on from a state that is later than that of the start before."""
    reached: dict[str, int] = {}
    for line in _lines(run / "starts.txt"):
        trial, tick = line.split()
        assert int(tick) >= reached.get(trial, 0)
        reached[trial] = int(tick)


def _ticks(run: Path, trial: int) -> int:
    """How far the last state of a trial is."""
    path = run / "trials" / str(trial) / "state" / "state-1.pt"
    return int(json.loads(path.read_text())[0]) if path.exists() else 0


def _all_are_beyond(run: Path, reached: list[int]) -> bool:
    """Whether each of the first trials has a later state than what it had reached."""
    return all(_ticks(run, trial) > ticks for trial, ticks in enumerate(reached))


def _holds(lab: Lab, node: str, word: str) -> bool:
    """Whether a process on a node has this word in its command line."""
    return any(word in line for line in _command_lines(lab, node))


def _command_lines(lab: Lab, node: str) -> list[str]:
    """Of the processes on a node; one that ends meanwhile has none."""
    lines = []
    for pid in lab.processes(node):
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            lines.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return lines


def _lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def _assert_undisturbed(run: Path) -> None:
    assert [row["result"] for row in _rows(run)] == [expected_result(t) for t in range(N_TRIALS)]


def _profile_with_cards(folder: Path, card: Card) -> tuple[Path, Path, Path]:
    """A site whose nodes have two cards each, stood in for; the ledger of its processes; a file.

    The cards of both nodes have the same numbers, as they would on two machines. A process waits
    at its first computation on a card until the file is there.
    """
    profile, ledger, may_go_on = folder / "site.yaml", folder / "ledger", folder / "go"
    given = card.environment(2, 6, ledger=ledger, FAKE_HOLD=str(may_go_on))
    names = [name for name in given if name.startswith(("LD_", "FAKE_", "TORCH_"))]
    lines = [f"  - {json.dumps(f'export {name}={shlex.quote(given[name])}')}" for name in names]
    profile.write_text("\n".join(["gpus_per_node: 2", "setup:", *lines]) + "\n")
    return profile, ledger, may_go_on


@pytest.mark.parametrize(
    ("flags", "options", "hosts"),
    [
        (("--nodes", "2"), "--no-report", {"n1": 2, "n2": 2}),
        (("--mode", "array", "--shards", "1"), "", {"n1": 4}),
    ],
)
def test_each_trial_of_a_job_with_gpus_has_a_card_of_its_own(
    site: Site, card: Card, flags: tuple[str, ...], options: str, hosts: dict[str, int]
) -> None:
    """Four trials on cards that SLURM gives out and PyTorch sees; Ray's own libraries see none.

    The first trials wait until every card of the job has one, so none is over before a second node
    has joined, however fast a machine is.
    """
    site.sweep_file.write_text(
        SWEEP[: SWEEP.index("\ntrain:") + 1]
        + "train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 1}\n"
        + "arms: {one: {}, two: {train: {batch_size: 16}}}\nseeds: 2\n"
        "resources: {gpus: 1, pack: 1}\n"
    )
    profile, ledger, may_go_on = _profile_with_cards(site.sweep_file.parent, card)
    given = ("--profile-file", str(profile), "--cpus-per-node", "2", *flags)
    run, jobs = site.submit("cards", *given, is_real=True, options=options)
    for job in jobs[1:]:  # the report of an array, which other tests read
        site.lab.run("scancel", job.id)
    n_cards = 2 * len(hosts)
    try:
        site.wait_until(lambda: len(read_ledger(ledger)) == n_cards, "a process on every card")
    finally:
        may_go_on.touch()
    site.lab.wait_for(jobs[0].id, *ENDED, timeout_s=RUN_LIMIT_S)
    rows = _rows(run)
    assert len(rows) == 4, [site.log(job) for job in jobs]
    for row in rows:  # done, or diverged: the stand-in computes nothing
        assert row["device"] == "Stand-in for an H100", row
        assert (row["gpu_share"], row["gpu_workers"]) == (1, 1)
    trained = [process for process in read_ledger(ledger).values() if process.launches > 100]
    assert all(len(process.cards) == 1 for process in trained), trained
    assert {process.cards[0] for process in trained} == {0, 1}
    assert len(trained) == n_cards
    assert Counter(row["host"] for row in rows) == hosts
    site.assert_nothing_left(*jobs)


def test_an_array_makes_stages_then_shards_then_the_report(site: Site) -> None:
    run, jobs = site.submit("array", "--mode", "array", "--shards", "2")
    site.wait(jobs[-1])
    calls = [line.split("--only ")[1].split()[0] for line in _lines(run / "calls.txt")]
    assert calls == ["pretrain", "arms", "arms", "report"]
    shards = [line.split("--shard ")[1] for line in _lines(run / "calls.txt") if "--shard" in line]
    assert sorted(shards) == ["1/2", "2/2"]
    _assert_undisturbed(run)
    site.assert_nothing_left(*jobs)


def test_a_preempted_job_requeues_itself_and_goes_on(site: Site) -> None:
    flags = ("--mode", "array", "--shards", "1", "--sbatch", "exclusive")
    run, jobs = site.submit("preempted", *flags, hold=[1])
    shards = next(job for job in jobs if job.part == "shards")
    site.wait_until(lambda: _ticks(run, 1), "a trial has ended, and the next one begun")
    site.lab.run("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null",
                 "--wrap=sleep 1")  # fmt: skip
    site.go_on(shards.id)
    (run / "hurry").touch()
    site.wait(jobs[-1])  # the report waited for the requeued job
    log = site.log(shards)
    assert "SIGUSR2 came" in log
    assert "requeued: it goes on" in log
    assert "start 1.1 of the sweep" in log
    _assert_undisturbed(run)
    assert sorted(int(str(row["attempts"])) for row in _rows(run))[-1] == 2


def _submit_three(
    site: Site, name: str, *flags: str, hold: Sequence[int] = (), tick_s: float = 0.02
) -> tuple[Path, Job, Job]:
    """Three tasks of two trials each; returns the run folder, the array and the report."""
    flags = ("--mode", "array", "--shards", "3", *flags)
    run, jobs = site.submit(name, *flags, hold=hold, tick_s=tick_s)
    shards, report = jobs[-2:]
    return run, shards, report


def test_notice_to_a_task_sends_back_that_task_alone(site: Site) -> None:
    """The last task's job id is the array's: it must not take the others with it."""
    run, shards, report = _submit_three(site, "tasks", hold=[0, 1, 2])
    site.wait_for_starts(run, 1, 1, 1)
    for task, expected in (
        (3, ["RUNNING", "RUNNING", "PENDING"]),
        (1, ["PENDING", "RUNNING", "PENDING"]),
        (2, ["PENDING", "PENDING", "PENDING"]),
    ):
        site.wait_until(lambda: list(run.glob("trials/*/state/state-1.pt")), "a saved state")
        site.lab.run("scancel", "--signal=USR2", "--batch", f"{shards.id}_{task}")
        site.keep_back(f"{shards.id}_{task}")
        assert site.states(shards) == expected
    (run / "hurry").touch()
    for task in (1, 2, 3):
        site.go_on(f"{shards.id}_{task}")
    site.wait(report)
    assert _starts(run) == [2, 2, 2]
    assert site.log(shards).count("requeued: it goes on from the saved states") == 3
    _assert_undisturbed(run)


def test_a_task_that_has_ended_is_not_run_again(site: Site) -> None:
    """One task at once: the middle one, and then the last one, are sent back."""
    run, shards, report = _submit_three(site, "one at once", "--at-once", "1", hold=[1, 2])
    site.wait_for_starts(run, 1, 1, 0)
    site.lab.run("scancel", "--signal=USR2", "--batch", f"{shards.id}_2")
    site.keep_back(f"{shards.id}_2")
    site.wait_for_starts(run, 1, 1, 1)
    assert site.states(shards) == ["COMPLETED", "PENDING", "RUNNING"]
    site.lab.run("scancel", "--signal=USR2", "--batch", f"{shards.id}_3")
    site.keep_back(f"{shards.id}_3")
    assert site.states(shards) == ["COMPLETED", "PENDING", "PENDING"]
    (run / "hurry").touch()
    for task in (2, 3):
        site.go_on(f"{shards.id}_{task}")
    site.wait(report)
    assert _starts(run) == [1, 2, 2]
    _assert_undisturbed(run)


def test_each_task_goes_its_own_way(site: Site) -> None:
    """Of two at once: one is cancelled, one requeued by hand, the last reaches its time limit."""
    run, shards, report = _submit_three(site, "apart", "--at-once", "2", hold=[0, 1, 2])
    site.wait_for_starts(run, 1, 1, 0)
    site.wait_until(lambda: len(list(run.glob("trials/*/state/state-1.pt"))) > 1, "saved states")
    site.lab.run("scancel", f"{shards.id}_1")
    site.lab.run("scontrol", "requeue", f"{shards.id}_2")
    site.keep_back(f"{shards.id}_2")
    site.wait_for_starts(run, 1, 1, 1)
    site.wait_until(lambda: (run / "trials/2/state/state-1.pt").exists(), "task 3 has saved")
    site.lab.end_soon(f"{shards.id}_3")
    site.keep_back(f"{shards.id}_3")
    assert site.states(shards) == ["CANCELLED", "PENDING", "PENDING"]
    (run / "hurry").touch()
    for task in (2, 3):
        site.go_on(f"{shards.id}_{task}")
    site.wait(report)
    assert _starts(run) == [1, 2, 2]
    assert [row["result"] for row in _rows(run)] == [expected_result(t) for t in (1, 2, 4, 5)]
    assert "not requeued: it was cancelled" in site.log(shards)


def test_an_array_of_which_a_task_has_ended_can_be_cancelled(site: Site) -> None:
    run, shards, _ = _submit_three(site, "ended", "--at-once", "1", hold=[4])
    site.wait_for_starts(run, 1, 1, 0)
    site.wait_until(lambda: _ticks(run, 4), "the second task has ended a trial")
    assert "stopped; what is finished is kept" in site.command("slurm.cancel", str(run))
    assert site.states(shards) == ["COMPLETED", "FAILED", "CANCELLED"]
    assert _starts(run) == [1, 1, 0]


def test_cancel_leaves_a_folder_that_can_be_gone_on_with(site: Site) -> None:
    flags = ("--mode", "array", "--shards", "1")
    run, jobs = site.submit("cancelled", *flags, hold=[1])
    site.wait_until(lambda: _ticks(run, 1), "a trial has ended, and the next one begun")
    assert "1 RUNNING" in site.command("slurm.status", str(run)) or "RUNNING on" in site.command(
        "slurm.status", str(run)
    )
    assert "stopped; what is finished is kept" in site.command("slurm.cancel", str(run))
    assert 1 <= len(_rows(run)) < N_TRIALS
    assert "not requeued: it may not be (slurm.cancel" in site.log(jobs[1])
    run, jobs = site.submit("cancelled", *flags)
    site.wait(jobs[-1])
    _assert_undisturbed(run)


def test_a_report_that_takes_longer_than_its_job_ends_with_the_reason(site: Site) -> None:
    """What comes two minutes or less before the end is taken for the time limit."""
    flags = ("--mode", "array", "--shards", "1", "--time", "2")
    run, jobs = site.submit("long report", *flags, report_s=600)
    site.wait_until(lambda: (run / "reports.txt").exists(), "the report is written")
    site.lab.run("scancel", "--signal=USR2", "--batch", jobs[-1].id, check=False)  # or SLURM did
    site.wait(jobs[-1], "FAILED")
    assert "not requeued: the report takes longer than this" in site.log(jobs[-1])
    assert _lines(run / "reports.txt") == ["begun"]
    _assert_undisturbed(run)


def test_a_time_limit_inside_the_report_costs_the_report_alone(site: Site) -> None:
    """The next start of the job finds all trials done and writes the report."""
    run, (job,) = site.submit("limit", "--nodes", "1", report_s=600)
    site.wait_until(lambda: (run / "reports.txt").exists(), "the report is written")
    site.lab.end_soon(job.id)
    site.go_on(job.id)
    (run / "hurry").touch()
    site.wait(job)
    assert "SIGUSR2 came" in site.log(job)
    assert "start 1.1 of the sweep" in site.log(job)
    assert _lines(run / "reports.txt") == ["begun", "begun", "done"]
    assert [line.split()[1] for line in _lines(run / "starts.txt")] == ["0"] * N_TRIALS
    _assert_undisturbed(run)
    site.assert_nothing_left(job)


def test_two_jobs_with_a_cluster_each_share_both_nodes(site: Site) -> None:
    runs = [site.submit(f"ray{i}", "--nodes", "2", tick_s=RUN_LIMIT_S) for i in (1, 2)]
    nodes = "ray?/slurm/.job-*/node-n2.json"
    site.wait_until(lambda: len([*site.folder.glob(nodes)]) == 2, "n2 has joined both")
    for run, (job,) in runs:
        (run / "hurry").touch()
        site.wait(job)
        _assert_undisturbed(run)
    addresses = [_lines(run / "calls.txt")[0].split("--address ")[1] for run, _ in runs]
    assert addresses[0].split(":")[0] == addresses[1].split(":")[0] == site.lab.nodes[0].address
    assert addresses[0] != addresses[1]
    site.assert_nothing_left(*(job for _, (job,) in runs))


def test_a_job_whose_batch_node_dies_goes_on_with_the_node_that_is_left(site: Site) -> None:
    """SLURM itself would let the job stand until its time limit, with nobody at work."""
    run, (job,) = site.submit("batch node", "--nodes", "2", hold=[0])
    site.wait_until(lambda: list(run.glob("slurm/.job-*/guard-*")), "n2 has joined")
    site.wait_until(lambda: list(run.glob("trials/*/state/state-1.pt")), "a saved state")
    (head,) = [node.name for node in site.lab.nodes if _holds(site.lab, node.name, "srun")]
    site.lab.kill_node(head)
    try:
        site.go_on(job.id)
        (run / "hurry").touch()
        site.wait(job)
    finally:
        site.lab.revive_node(head)
    assert f"the script's node {head} is gone; requeued: it goes on" in site.log(job)
    assert "start 1.1 of the sweep" in site.log(job)
    _assert_undisturbed(run)
    _assert_never_back(run)
    site.assert_nothing_left(job)


def test_a_node_that_dies_twice_costs_an_array_nothing(site: Site) -> None:
    """SLURM sends the tasks back by itself; each start goes on where the one before was."""
    run, shards, report = _submit_three(site, "twice", "--sbatch", "nodelist=n2", hold=[0, 1])
    tasks = [f"{shards.id}_1", f"{shards.id}_2"]  # the node takes two at once
    reached = [0, 0]
    for _ in range(2):
        site.wait_until(lambda: site.nudge(*tasks) and _all_are_beyond(run, reached), "states")
        site.lab.kill_node("n2")
        reached[:] = [_ticks(run, trial) for trial in (0, 1)]
        site.wait_until(lambda: "RUNNING" not in site.states(shards), "n2 is seen to be down")
        site.lab.run("scontrol", "hold", f"{shards.id}_3")
        site.lab.revive_node("n2")
    site.wait_until(lambda: site.nudge(*tasks) and _all_are_beyond(run, reached), "states")
    (run / "hurry").touch()
    site.lab.run("scontrol", "release", f"{shards.id}_3")
    site.wait_until(lambda: site.nudge(*tasks) and len(_rows(run)) == N_TRIALS, "all trials")
    site.wait(report)
    _assert_undisturbed(run)
    _assert_never_back(run)
    # Or more: on a node that is back SLURM may still end the start before, and hit the next one.
    assert min(_starts(run)[:2]) >= 3
    assert "cannot run the sweep" not in site.log(shards)


def test_a_node_that_is_broken_from_the_start_is_left_to_others(site: Site, tmp_path: Path) -> None:
    """Its Python does not start: without care it would swallow one task after the other."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "python").write_text("#!/bin/sh\nexit 1\n")
    (broken / "python").chmod(0o755)
    only_n2 = f"[ $SLURMD_NODENAME != n2 ] || PATH={broken}:$PATH"
    site.activate = f"{site.activate}; {only_n2}"
    run, shards, report = _submit_three(site, "broken", tick_s=RUN_LIMIT_S)
    site.wait_until(lambda: "requeued, for other nodes than n2" in site.log(shards), "left")
    site.wait_until(lambda: "PENDING" in site.states(shards), "requeued")
    (run / "hurry").touch()
    (task,) = [k for k in (1, 2, 3) if site.lab.job_state(f"{shards.id}_{k}") == "PENDING"]
    site.go_on(f"{shards.id}_{task}")
    site.wait(report)
    _assert_undisturbed(run)
    assert "n2" not in "".join(_lines_with(site.log(shards), "start "))


def test_a_broken_node_of_a_ray_job_is_given_up(site: Site, tmp_path: Path) -> None:
    """Its Ray never starts; the sweep runs on the other node."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "python").write_text(
        '#!/bin/sh\n[ "$SLURMD_NODENAME" != n2 ] || exit 1\nPATH="${PATH#*:}"; exec python "$@"\n'
    )
    (broken / "python").chmod(0o755)
    site.activate = f"{site.activate}; PATH={broken}:$PATH"
    run, (job,) = site.submit("given up", "--nodes", "2", tick_s=RUN_LIMIT_S)
    site.wait_until(lambda: "the sweep goes on without n2" in site.log(job), "given up")
    (run / "hurry").touch()
    site.wait(job)
    _assert_undisturbed(run)
    site.assert_nothing_left(job)


def test_a_killed_head_is_started_again_in_the_same_job(site: Site) -> None:
    run, (job,) = site.submit("head", "--nodes", "2", hold=[1])
    site.wait_until(lambda: _ticks(run, 1), "a trial has ended, and the next one begun")
    (token,) = run.glob("slurm/.job-*/token")
    assert (token.stat().st_mode & 0o777, token.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not any(token.read_text() in line for line in site._lab_processes())
    site.lab.run("scancel", "--signal=KILL", f"{job.id}.0")
    site.wait_until(lambda: "start 0.2 of the sweep" in site.log(job), "a second start")
    (run / "hurry").touch()
    site.wait(job)
    _assert_undisturbed(run)
    site.assert_nothing_left(job)


# Trials that save after each step; one of them is met while a worker waits at its 100th of 200.
LONGER = ("--set", "train.epochs=20")
STATES = "--state-every 0"
STEP = "harness.training.loop:Trainer.step:100"  # a stage has 14 steps


@pytest.fixture(scope="module")
def weights_alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Weights by trial of the real sweep on this machine alone, undisturbed."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "small.yaml").write_text(SWEEP, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "harness.sweep", str(folder / "small.yaml"), "--out",
         str(folder / "run"), "--engine", "local", "--slots", "2", "--no-report", *LONGER],
        cwd=ROOT, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return _weights(folder / "run")


def _weights(run: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in run.glob("trials/*/model.*")}


def _with_states(run: Path) -> set[Path]:
    """The folders of trials that have saved a state."""
    return {path.parents[2] for path in run.glob("trials/*/state/*/state-*.pt")}


def _may_go_on(run: Path) -> bool:
    """Whether a command has not told its workers to stop yet."""
    texts = []
    for path in run.glob(".control-*"):
        with suppress(FileNotFoundError):  # it has ended
            texts.append(path.read_text())
    return any(text != "stop" for text in texts)


def test_tasks_of_a_real_sweep_are_preempted_and_go_on_to_equal_bits(
    site: Site, weights_alone: dict[str, bytes]
) -> None:
    """The last task's id is the array's: it must not send the first one back a second time."""
    flags = ("--mode", "array", "--shards", "2", *LONGER)
    run, jobs = site.submit("real array", *flags, options=STATES)
    _, shards, report = jobs
    tasks = [f"{shards.id}_{task}" for task in (1, 2)]
    site.wait_for_held(1, 2)
    assert len(_with_states(run)) == 2, "a trial of each task"
    for task in tasks:
        site.lab.run("scancel", "--signal=USR2", "--batch", task)
    site.wait_until(lambda: not _may_go_on(run), "both sweeps were told to stop")
    site.let_go()
    for task in tasks:
        site.go_on(task)
    site.wait(report)
    assert site.log(shards).count("requeued: it goes on from the saved states") == 2
    assert _weights(run) == weights_alone
    assert len(weights_alone) == 6
    assert (run / "report" / "index.html").exists()


def test_a_sweep_over_two_nodes_survives_the_death_of_one_with_equal_bits(
    site: Site, weights_alone: dict[str, bytes]
) -> None:
    """The real sweep: trials, Ray and files of it, against a run on this machine alone."""
    flags = ("--nodes", "2", *LONGER)
    run, (job,) = site.submit("real", *flags, options=f"{STATES} --no-report")
    site.wait_for_held(0)
    site.wait_until(lambda: list(run.glob("slurm/.job-*/node-n2.json")), "n2 has joined")
    # One worker waits in its first arm: what has ended beside the two stages, the other one did.
    site.wait_until(lambda: len(_rows(run)) >= 3, "both nodes train")
    site.lab.kill_node("n2")  # the last test of the lab: nobody needs the node after it
    site.let_go()
    site.wait(job)
    assert _weights(run) == weights_alone
    assert all(row["status"] == "done" for row in _rows(run))
    site.assert_nothing_left(job)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
