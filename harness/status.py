"""`python -m harness.status DIR`: what a run folder holds, and why trials failed.

Reads the folder only, so it works while a sweep runs, after it, and on another machine. A trial is
running where a command that shows signs of life has begun it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.runfolder.running import read_running, time_left_now
from harness.trials.time_left import duration_text
from headstart.cli import run_command, to_path
from headstart.lock import holders
from headstart.records import PlannedTrial, PlanRecord, check_run_folder, read_plan, trial_rows
from headstart.rows import TrialRow


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.status",
        description="Trials of a run folder by arm: done, running, failed, pending; and why they "
        "failed.",
    )
    parser.add_argument("folder", type=to_path, metavar="DIR")
    given = parser.parse_args(argv)
    check_run_folder(given.folder)
    for line in describe(given.folder):
        print(line)
    return 0


def describe(folder: Path) -> Iterator[str]:
    """Lines of text: who holds the folder, counts by arm, each failure with its reason."""
    plan = read_plan(folder) or PlanRecord(folder.name, ())
    yield f"{plan.sweep} in {folder}"
    locks = holders(folder)
    alive = {holder.generation for holder in locks if holder.shows_life(time.time())}
    for holder in locks:
        command = f"process {holder.pid} on {holder.host}" if holder.pid else "its command"
        if holder.generation in alive:
            yield f"held by {command}, heartbeat {holder.heartbeat_at}"
        else:
            yield f"{command} is gone (last heartbeat {holder.heartbeat_at or 'unknown'})"
    left_s = time_left_now(read_running(folder), alive, time.time())
    if left_s is not None:
        yield f"about {duration_text(left_s)} left"
    counts: dict[tuple[str, str], Counter[str]] = {}
    troubles: list[str] = []
    rows = dict(trial_rows(folder, [trial.id for trial in plan.trials]))
    for trial in plan.trials:
        row = rows[trial.id]
        state = _state_of(folder / "trials" / trial.id, row, alive)
        arm = trial.arm if trial.stage == "pretrain" else plan.labels.get(trial.arm, trial.arm)
        counts.setdefault((trial.stage, arm), Counter())[state] += 1
        if row is not None and state in ("failed", "diverged"):
            troubles.append(_trouble(replace(trial, arm=arm), row))
    states = ("done", "diverged", "failed", "running", "to go on", "pending")
    width = max([len(arm) for _, arm in counts], default=0)
    for (stage, arm), by_state in counts.items():
        shown = ", ".join(f"{by_state[s]} {s}" for s in states if by_state[s])
        yield f"  {stage:<8}  {arm:<{width}}  {shown}"
    yield from troubles


def _state_of(folder: Path, row: TrialRow | None, alive: Collection[str]) -> str:
    """`alive` are the generations of the commands that run; one works in a folder of its name."""
    is_running = any((folder / "state" / generation).is_dir() for generation in alive)
    if row is not None and not (is_running and row.status == "failed"):
        return row.status
    if is_running:
        return "running"
    return "to go on" if (folder / "state").is_dir() else "pending"


def _trouble(trial: PlannedTrial, row: TrialRow) -> str:
    lines = row.error.strip().splitlines() or ["no reason was recorded"]
    where = f"{trial.arm} seed {trial.seed} ({trial.id})"
    detail = "".join(f"\n      {line}" for line in lines[:-1][-12:])
    return f"  {row.status}: {where}, {row.attempts} attempts: {lines[-1]}{detail}"


if __name__ == "__main__":
    run_command(main)
