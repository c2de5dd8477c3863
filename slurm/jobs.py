"""Which jobs belong to a run folder, and what SLURM says about them.

Owns `RUN/slurm/jobs.json`, where a submission records its jobs, and the calls of SLURM's commands.
Works on any machine that sees the run folder and has `squeue`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from headstart.errors import InputError, RunFolderError
from headstart.files import write_json
from headstart.foreign import read_inside

SLURM_TIMEOUT_S = 60.0
_FIELDS = ("id", "array_id", "state", "elapsed", "limit", "n_nodes", "nodes", "reason")
_FORMAT = "%i|%F|%T|%M|%l|%D|%N|%r"


@dataclass(frozen=True)
class Job:
    """One submitted job."""

    id: str
    submission: str  # id of the first job that was submitted with it
    part: str
    n_nodes: int
    n_tasks: int  # of its array; 1 for a job that is none
    log: str  # with SLURM's own %j, %A, %a filled in where that is possible
    submitted_at: str
    command: str


_JOBS = TypeAdapter(tuple[Job, ...])


@dataclass(frozen=True)
class QueueEntry:
    """One line of squeue: a job, a task of an array, or the tasks that are still pending."""

    id: str
    array_id: str
    state: str
    elapsed: str
    limit: str
    n_nodes: str
    nodes: str
    reason: str


def read_jobs(run: Path) -> tuple[Job, ...]:
    """The jobs of all submissions of a run folder, oldest first.

    Raises:
        RunFolderError: nothing was submitted for this folder, or its record is damaged.
    """
    path = run / "slurm" / "jobs.json"
    try:
        jobs = _JOBS.validate_json(read_inside(run, "slurm/jobs.json"), strict=True)
    except FileNotFoundError:
        raise RunFolderError(f"{run}: no job was submitted for it (no slurm/jobs.json)") from None
    except OSError as err:
        raise RunFolderError(f"{path}: cannot be read: {err.strerror}") from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise RunFolderError(f"{path}: cannot be read: {place}: {first['msg']}") from err
    if not jobs:
        raise RunFolderError(f"{path}: names no job; remove it and submit again")
    return jobs


def latest_submission(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that were submitted last, together."""
    return [job for job in jobs if job.submission == jobs[-1].submission]


def record_jobs(run: Path, jobs: Iterable[Job]) -> None:
    """Add jobs to the record of a run folder."""
    known = read_jobs(run) if (run / "slurm" / "jobs.json").exists() else ()
    write_json(run / "slurm" / "jobs.json", [asdict(job) for job in (*known, *jobs)])


def remove_private_folders(run: Path) -> None:
    """Remove what jobs that are gone left of their own: a token, an address, heartbeats.

    A job does so at its end, unless it was killed.
    """
    for folder in (run / "slurm").glob(".job-*"):
        shutil.rmtree(folder, ignore_errors=True)


def queue_entries(jobs: Iterable[Job]) -> tuple[QueueEntry, ...]:
    """What is still in the queue of these jobs; none for those that have left it.

    Raises:
        InputError: squeue is not here, or the controller does not answer.
    """
    ours = {job.id for job in jobs}
    if not ours:
        return ()
    # Asked for by user, not by id: squeue refuses a list in which one id is no longer known.
    text = call_slurm("squeue", "--me", "--noheader", f"--format={_FORMAT}")
    entries = (_entry(line) for line in text.split("\n") if line)
    return tuple(entry for entry in entries if entry.array_id in ours)


def _entry(line: str) -> QueueEntry:
    fields = line.split("|", len(_FIELDS) - 1)
    if len(fields) != len(_FIELDS):
        raise InputError(f"squeue: {line[:200]!r} is no line of the form {_FORMAT}")
    return QueueEntry(*fields)


def call_slurm(*command: str) -> str:
    """Run one of SLURM's commands; returns its output without the last line end.

    Raises:
        InputError: it is not installed here, refuses, or does not answer in a minute.
    """
    if shutil.which(command[0]) is None:
        raise InputError(
            f"{command[0]} is not on this machine: run this on a login node of the cluster"
        )
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace",
            timeout=SLURM_TIMEOUT_S, check=False,
            env={**os.environ, "SLURM_BITSTR_LEN": "0"},  # long lists of tasks whole
        )  # fmt: skip
    except subprocess.TimeoutExpired as err:
        raise InputError(f"{command[0]} gave no answer within {SLURM_TIMEOUT_S:g} s") from err
    if done.returncode:
        raise InputError(f"{command[0]} refuses: {_complaint(command, done.stderr)}")
    return done.stdout.rstrip("\n")


def _complaint(command: Sequence[str], stderr: str) -> str:
    """The lines of a SLURM command's complaint as one, without its name before each."""
    lines = [line.removeprefix(f"{command[0]}: ") for line in stderr.splitlines() if line.strip()]
    return "; ".join(line.removeprefix("error: ") for line in lines) or "(without a reason)"
