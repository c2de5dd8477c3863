"""`python -m slurm.cancel RUN`: stop the jobs of a run so that it can be gone on with.

Jobs that wait are taken out of the queue. Those that run are told to stop as SLURM tells them
before a time limit: trials save their state, the jobs end and do not go back into the queue.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence

from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, EXIT_FAILED, InputError
from slurm.jobs import Job, QueueEntry, call_slurm, queue_entries, read_jobs, remove_private_folders

WAIT_S = 90.0
POLL_S = 2.0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m slurm.cancel", description=__doc__)
    parser.add_argument("run", type=to_path, metavar="RUN", help="the run folder")
    parser.add_argument(
        "--now", action="store_true",
        help="do not let trials save: what they did since their last state is done again later",
    )  # fmt: skip
    given = parser.parse_args(argv)
    jobs = read_jobs(given.run)
    entries = queue_entries(jobs)
    if not entries:
        print(f"{given.run}: no job of it is in the queue")
        return EXIT_DONE
    if given.now:
        call_slurm("scancel", *{entry.array_id for entry in entries})
    else:
        ask_to_stop(entries)
    left = wait_until_gone(jobs)
    if left:
        print(f"still in the queue after {WAIT_S:g} s: {', '.join(entry.id for entry in left)}; "
              "look at its log, or add --now")  # fmt: skip
        return EXIT_FAILED
    remove_private_folders(given.run)
    print(f"{given.run}: stopped; what is finished is kept, and submitting again goes on from here")
    return EXIT_DONE


def ask_to_stop(entries: Sequence[QueueEntry]) -> None:
    """Forbid requeueing, take out what waits, signal the batch script of what runs."""
    for entry in entries:  # not by the array's id: SLURM complains where a task of it has ended
        job_id = re.sub(r"%\d+", "", entry.id)  # 12_[4-9%2]: without how many may run at once
        _ask("scontrol", "update", f"JobId={job_id}", "Requeue=0")
    waiting = {entry.array_id for entry in entries if entry.state != "RUNNING"}
    if waiting:
        _ask("scancel", "--state=PENDING", *waiting)
    for entry in entries:
        if entry.state == "RUNNING":
            _ask("scancel", "--batch", "--signal=USR2", entry.id)


def _ask(*command: str) -> None:
    """A refusal is shown and spares the other jobs: one that ended just now cannot be changed."""
    try:
        call_slurm(*command)
    except InputError as err:
        print(err)


def wait_until_gone(
    jobs: Sequence[Job],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[QueueEntry, ...]:
    """What is still in the queue when everything has ended, or after `WAIT_S` seconds."""
    until = clock() + WAIT_S
    left = queue_entries(jobs)
    while left and clock() < until:
        sleep(POLL_S)
        try:
            left = queue_entries(jobs)
        except InputError:
            continue  # a controller that is busy for a moment
    return left


if __name__ == "__main__":
    run_command(main)
