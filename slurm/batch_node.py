"""The node of a job's batch script, as its other nodes see it: whether it is gone, and what then.

In: the job's private folder, where the head leaves signs of life, and SLURM's answers. Out: the
job is back in the queue, or ended, and its log says why. A job of several nodes outlives the node
of its script (`--no-kill`), and SLURM would let it wait for its time limit with nobody at work.
This is a process of its own, which outlives its step: SLURM ends a step whose `srun` is killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from headstart.cli import run_command
from headstart.errors import InputError
from slurm.jobs import call_slurm

POLL_S = 1.0
ASK_S = 10.0
UPDATE_S, UPDATE_TRIES = 3.0, 30
SILENT_S = 30.0  # after which SLURM is asked; the head beats every 10 s


@dataclass(frozen=True)
class Job:
    """What all nodes of one round of a job share."""

    folder: Path  # private, on the shared file system
    round: str
    tmp: Path  # of the job, on each node

    @property
    def address_file(self) -> Path:
        return self.folder / f"address-{self.round}"

    @property
    def alive_file(self) -> Path:
        """Changes with each heartbeat of the head."""
        return self.folder / f"alive-{self.round}"

    def head_beat(self) -> float:
        """When the head gave its last sign of life, by the clock of the shared file system."""
        try:
            return self.alive_file.stat().st_mtime
        except OSError:
            return 0.0

    def head_is_silent(self) -> bool:
        """Whether the last sign of life is old, by the same clock."""
        probe = self.folder / f".probe-{socket.gethostname()}"
        try:
            probe.touch()
            return probe.stat().st_mtime - self.alive_file.stat().st_mtime > SILENT_S
        except OSError:  # the head has not begun, or the folder is gone
            return False

    def is_over(self) -> bool:
        """Whether the round has ended; also when its folder is gone.

        A file system that fails for a moment has not ended it.
        """
        try:
            return (self.folder / "round").read_text("utf-8", "replace").strip() != self.round
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False


def _count(name: str) -> int:
    return int(os.environ.get(name) or 0)


@dataclass(frozen=True)
class BatchNode:
    """The node that runs the batch script of this job; the job's environment says which job."""

    name: str
    log: Path
    needs_all_nodes: bool  # whether the sweep cannot run on fewer nodes than were asked for
    job_id: str = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID", ""))
    n_restarts: int = field(default_factory=lambda: _count("SLURM_RESTART_COUNT"))
    n_nodes: int = field(default_factory=lambda: _count("SLURM_JOB_NUM_NODES"))

    def act(self, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Put the job back into the queue, or end it, if SLURM has taken this node out of it.

        Returns whether nothing is left to watch: that was done, or this start of the job is over.

        Raises:
            InputError: SLURM does not answer.
        """
        job = self._job()
        if not job.keys() >= {"JobState", "Restarts", "NodeList"}:
            return False
        if job["JobState"] != "RUNNING" or job["Restarts"] != str(self.n_restarts):
            return True
        left = call_slurm("scontrol", "show", "hostnames", job["NodeList"]).split()
        if self.name in left:
            return False
        if job.get("Requeue") == "0":
            call_slurm("scancel", self.job_id)
            self._say("not requeued: it may not be; submit again to go on")
        else:
            call_slurm("scontrol", "requeue", self.job_id)
            self._say("requeued: it goes on from the saved states")
            if not self.needs_all_nodes:
                self._ask_for_fewer(len(left), sleep)
        return True

    def _job(self) -> dict[str, str]:
        shown = call_slurm("scontrol", "show", "job", "--oneliner", self.job_id)
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def _ask_for_fewer(self, n_left: int, sleep: Callable[[float], None]) -> None:
        """The node that is gone may stay so. SLURM refuses while it still clears the job away."""
        wanted = (f"NumNodes={n_left}-{max(n_left, self.n_nodes)}", f"NumTasks={n_left}")
        for _ in range(UPDATE_TRIES):
            with suppress(InputError):  # the controller is busy, and asked again
                if self._job().get("JobState") == "PENDING":
                    call_slurm("scontrol", "update", f"JobId={self.job_id}", *wanted)
                    return
            sleep(UPDATE_S)

    def _say(self, text: str) -> None:
        """Into the job's log, which nobody else writes to any more."""
        line = f"[{time.strftime('%F %T')} job {self.job_id}] the script's node {self.name} is gone"
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{line}; {text}\n")


def start_guard(job: Job, node: str, head: str, needs_all_nodes: bool) -> None:
    """Start this module on a node, unless it runs there for this round; it ends with the round."""
    try:
        (job.folder / f"guard-{job.round}-{node}").touch(exist_ok=False)
    except OSError:
        return
    command = [sys.executable, "-m", "slurm.batch_node", str(job.folder), job.round, head]
    subprocess.run(
        ["setsid", "--fork", *command, *(["--all-nodes"] if needs_all_nodes else [])],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m slurm.batch_node", description=__doc__)
    parser.add_argument("folder", type=Path, help="the job's private folder")
    parser.add_argument("round")
    parser.add_argument("head", help="the node of the batch script")
    parser.add_argument("--all-nodes", action="store_true", help="the sweep needs all nodes")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it requeues the job that it belongs to
    log = given.folder.parent / f"{os.environ.get('SLURM_JOB_ID')}.out"
    watch(Job(given.folder, given.round, Path()), BatchNode(given.head, log, given.all_nodes))


def watch(job: Job, node: BatchNode, sleep: Callable[[float], None] = time.sleep) -> None:
    """Stay until the round is over, and act for the batch script once its node is gone."""
    while not job.is_over():
        sleep(POLL_S)
        if job.head_is_silent():
            try:
                if node.act():
                    return
            except InputError:
                pass  # the controller is busy, or cut off from here: asked again
            sleep(ASK_S)


if __name__ == "__main__":
    run_command(main)
