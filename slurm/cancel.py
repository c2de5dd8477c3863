"""`python -m slurm.cancel RUN`: stop the jobs of a run so that it can be gone on with.

Jobs that wait are taken out of the queue. Those that run are told to stop as SLURM tells them
before a time limit: trials save their state, the jobs end and do not go back into the queue.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, EXIT_FAILED, InputError
from slurm.jobs import Job, QueueEntry, call_slurm, queue_entries, read_jobs, remove_private_folders

WAIT_S = 90.0
POLL_S = 2.0
BEGINNING = ("CONFIGURING",)  # the nodes start up; no script runs yet


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m slurm.cancel", description=__doc__)
    parser.add_argument("run", type=to_path, metavar="RUN", help="the run folder")
    parser.add_argument(
        "--now", action="store_true",
        help="do not let trials save: what they did since their last state is done again later",
    )  # fmt: skip
    given = parser.parse_args(argv)
    jobs = read_jobs(given.run)
    if not queue_entries(jobs):
        print(f"{given.run}: no job of it is in the queue")
        return EXIT_DONE
    left = stop(jobs, end_now if given.now else ask_to_stop)
    if left:
        print(f"still in the queue after {WAIT_S:g} s: {', '.join(entry.id for entry in left)}; "
              "look at its log, or add --now")  # fmt: skip
        return EXIT_FAILED
    remove_private_folders(given.run)
    print(f"{given.run}: stopped; what is finished is kept, and submitting again goes on from here")
    return EXIT_DONE


def end_now(entries: Sequence[QueueEntry]) -> None:
    """End what runs and take out what waits."""
    _ask("scancel", *dict.fromkeys(entry.array_id for entry in entries))


def ask_to_stop(entries: Sequence[QueueEntry]) -> None:
    """Forbid requeueing, take out what waits, signal the batch script of what runs.

    A job whose nodes are still being made ready has begun nothing, and is taken out too. One that
    SLURM clears away is left alone: it is gone after that, or waits again.
    """
    entries = [entry for entry in entries if entry.state != "COMPLETING"]
    for entry in entries:  # not by the array's id: SLURM complains where a task of it has ended
        job_id = re.sub(r"%\d+", "", entry.id)  # 12_[4-9%2]: without how many may run at once
        _ask("scontrol", "update", f"JobId={job_id}", "Requeue=0")
    waiting = dict.fromkeys(e.array_id for e in entries if e.state not in ("RUNNING", *BEGINNING))
    if waiting:
        _ask("scancel", "--state=PENDING", *waiting)
    for entry in entries:
        if entry.state == "RUNNING":
            _ask("scancel", "--batch", "--signal=USR2", entry.id)
        elif entry.state in BEGINNING:
            _ask("scancel", entry.id)


def _ask(*command: str) -> None:
    """A refusal is shown and spares the other jobs: one that ended just now cannot be changed."""
    try:
        call_slurm(*command)
    except InputError as err:
        print(err)


def stop(
    jobs: Sequence[Job],
    tell: Callable[[Sequence[QueueEntry]], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[QueueEntry, ...]:
    """Tell the jobs to stop until all are gone, or for `WAIT_S` seconds; returns what is left.

    Each is told once in each state: it may begin, or go back into the queue, while it is told.
    """
    until = clock() + WAIT_S
    left = queue_entries(jobs)
    told: set[tuple[str, str]] = set()
    while left and clock() < until:
        if news := [entry for entry in left if (entry.id, entry.state) not in told]:
            tell(news)
        told |= {(entry.id, entry.state) for entry in left}
        sleep(POLL_S)
        with suppress(InputError):  # a controller that is busy for a moment
            left = queue_entries(jobs)
    return left


if __name__ == "__main__":
    run_command(main)
