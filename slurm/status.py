"""`python -m slurm.status RUN`: what became of a submitted run, while it runs or afterwards.

In: the run folder and `squeue`. Out: text: jobs in the queue, nodes and their last sign of life,
trials done, running, failed and to come, how fast and how much longer. Reads only; a file that
another node is writing, or a listing that lags, makes a number a few seconds old and nothing worse.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headstart.cli import run_command, to_path
from headstart.errors import InputError
from headstart.files import read_mapping
from headstart.lock import holders
from headstart.records import FINAL, check_run_folder, read_plan, trial_rows
from slurm.jobs import Job, QueueEntry, latest_submission, queue_entries, read_jobs

SILENT_AFTER = 4  # heartbeats of a node that may be missed
RATE_WINDOW_S = 3600.0
_TASKS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?")  # 3, 4-9, 0-12:4


@dataclass(frozen=True)
class Trials:
    """The trials of a plan by what has become of them."""

    n_done: int
    n_diverged: int
    n_failed: int
    n_running: int
    n_to_come: int
    rate_per_h: float | None  # over the last hour; None where nothing has ended in it
    left_s: float | None


@dataclass(frozen=True)
class NodeHealth:
    """A node of a running job, and how long ago its Ray gave a sign of life."""

    name: str
    silent_s: float
    load: float
    is_well: bool


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m slurm.status", description=__doc__)
    parser.add_argument("run", type=to_path, metavar="RUN", help="the run folder")
    run: Path = parser.parse_args(argv).run
    check_run_folder(run)
    jobs = read_jobs(run)
    now = time.time()
    try:
        entries = queue_entries(jobs)
        queue = [_describe_job(job, entries) for job in latest_submission(jobs)]
    except InputError as err:
        queue = [f"queue    unknown: {err}"]
    print(f"run      {run}")
    print("\n".join(queue))
    for node in read_nodes(run, now):
        state = "well" if node.is_well else "SILENT"
        print(
            f"node     {node.name}: {state}, seen {node.silent_s:.0f} s ago, load {node.load:.1f}"
        )
    print("\n".join(describe_trials(count_trials(run, now))))


def _describe_job(job: Job, entries: Sequence[QueueEntry]) -> str:
    of_job = [entry for entry in entries if entry.array_id == job.id]
    if not of_job:
        return f"job      {job.id} {job.part}: not in the queue any more; log {job.log}"
    if len(of_job) == 1 and job.n_tasks == 1:
        entry = of_job[0]
        where = f"on {entry.nodes}" if entry.nodes else f"({entry.reason})"
        return (
            f"job      {job.id} {job.part}: {entry.state} {where}, {entry.elapsed} of {entry.limit}"
        )
    counts: Counter[str] = Counter()
    for entry in of_job:
        counts[entry.state] += _n_tasks(entry.id)
    states = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
    return f"job      {job.id} {job.part}: {states}, {job.n_tasks - counts.total()} over"


def _n_tasks(entry_id: str) -> int:
    """How many tasks a line of squeue stands for: `12_3` one, `12_[4-9,11%2]` seven.

    Raises:
        InputError: squeue names tasks in another way.
    """
    _, bracket, ranges = entry_id.partition("[")
    if not bracket:
        return 1
    n_tasks = 0
    for item in ranges.rstrip("]").split("%")[0].split(","):
        tasks = _TASKS.fullmatch(item)
        if tasks is None:
            raise InputError(f"squeue: {entry_id[:200]!r} does not name tasks as 12_[4-9,11] does")
        first, last, step = (int(number or 0) for number in tasks.groups())
        n_tasks += max(0, (last or first) - first) // max(1, step) + 1
    return n_tasks


def read_nodes(run: Path, now: float) -> list[NodeHealth]:
    """The nodes that a running Ray job of this folder has; none for other jobs."""
    nodes = []
    for path in sorted((run / "slurm").glob(".job-*/node-*.json")):
        beat = read_mapping(path)
        with suppress(KeyError, TypeError, ValueError, OverflowError):  # damaged: it says nothing
            silent_s = max(0.0, now - float(beat["at"]))
            is_well = silent_s <= SILENT_AFTER * float(beat["every_s"])
            nodes.append(NodeHealth(str(beat["node"]), silent_s, float(beat["load"]), is_well))
    return nodes


def count_trials(run: Path, now: float) -> Trials | None:
    """Count the trials of the plan by their records; None where no plan was made yet.

    A trial runs when a command that holds a lock of the folder, and shows signs of life, has begun
    it. The rate is of the trials that ended in the last hour, since the first of them.
    """
    plan = read_plan(run, strict=False)
    if plan is None:
        return None
    generations = set(_live_generations(run, now))
    statuses: Counter[str] = Counter()
    ended: list[float] = []
    ids = [trial.id for trial in plan.trials]
    for trial_id, row in trial_rows(run, ids, strict=False):
        if row is not None and row.status in FINAL:
            statuses[row.status] += 1
            ended += _moment(row.finished_at)
        elif _entries(run / "trials" / trial_id / "state") & generations:
            statuses["running"] += 1
        else:
            statuses["to come" if row is None else row.status] += 1
    n_left = statuses["running"] + statuses["to come"]
    rate = _rate_per_h(ended, now)
    return Trials(
        n_done=statuses["done"],
        n_diverged=statuses["diverged"],
        n_failed=statuses["failed"],
        n_running=statuses["running"],
        n_to_come=statuses["to come"],
        rate_per_h=rate,
        left_s=n_left / rate * 3600 if rate and n_left else None,
    )


def _entries(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _live_generations(run: Path, now: float) -> Iterator[str]:
    return (holder.generation for holder in holders(run) if holder.shows_life(now))


def _moment(written: str) -> list[float]:
    """Seconds since 1970 of a time as records have it; none where it is none."""
    with suppress(ValueError, OverflowError):
        return [datetime.fromisoformat(written).timestamp()]
    return []


def _rate_per_h(ended: Sequence[float], now: float) -> float | None:
    recent = sorted(at for at in ended if now - at <= RATE_WINDOW_S)
    if len(recent) < 2:
        return None
    return (len(recent) - 1) / max(now - recent[0], 1.0) * 3600


def describe_trials(trials: Trials | None) -> list[str]:
    """The lines about trials, for people."""
    if trials is None:
        return ["trials   no plan yet: the first job has not begun"]
    diverged = f", {trials.n_diverged} diverged" if trials.n_diverged else ""
    lines = [
        f"trials   {trials.n_done} done{diverged}, {trials.n_running} running, "
        f"{trials.n_failed} failed, {trials.n_to_come} to come"
    ]
    if trials.rate_per_h is not None:
        lines.append(f"speed    {trials.rate_per_h:.1f} trials an hour")
    if trials.left_s is not None:
        hours, minutes = divmod(round(trials.left_s / 60), 60)
        end = datetime.fromtimestamp(time.time() + trials.left_s, UTC).astimezone()
        lines.append(f"left     about {hours} h {minutes:02d} min while jobs run: {end:%F %R}")
    return lines


if __name__ == "__main__":
    run_command(main)
