"""`python -m harness.status DIR`: what a run folder holds, and why trials failed.

Reads the folder only, so it works while a sweep runs, after it, and on another machine.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.cli import run_command
from headstart.records import check_run_folder, read_json, trial_rows


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.status",
        description="Trials of a run folder by arm: done, running, failed, pending; and why they "
        "failed.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    given = parser.parse_args(argv)
    check_run_folder(given.folder)
    for line in describe(given.folder):
        print(line)
    return 0


def describe(folder: Path) -> Iterator[str]:
    """Lines of text: who holds the folder, counts by arm, each failure with its reason."""
    plan = read_json(folder / "plan.json", {"sweep": folder.name, "trials": []})
    yield f"{plan['sweep']} in {folder}"
    locks = [read_json(path, {}) for path in sorted(folder.glob(".lock-*.json"))]
    for lock in locks:
        holder = f"process {lock.get('pid')} on {lock.get('host')}"
        yield f"held by {holder}, heartbeat {lock.get('heartbeat_at')}"
    counts: dict[tuple[str, str], Counter[str]] = {}
    troubles: list[str] = []
    rows = dict(trial_rows(folder, [trial["id"] for trial in plan["trials"]]))
    for trial in plan["trials"]:
        row = rows[trial["id"]]
        state = _state_of(folder / "trials" / trial["id"], row, bool(locks))
        counts.setdefault((trial["stage"], trial["arm"]), Counter())[state] += 1
        if state in ("failed", "diverged"):
            assert row is not None
            troubles.append(_trouble(trial, row))
    states = ("done", "diverged", "failed", "running", "to go on", "pending")
    width = max([len(arm) for _, arm in counts], default=0)
    for (stage, arm), by_state in counts.items():
        shown = ", ".join(f"{by_state[s]} {s}" for s in states if by_state[s])
        yield f"  {stage:<8}  {arm:<{width}}  {shown}"
    yield from troubles


def _state_of(folder: Path, row: dict[str, Any] | None, held: bool) -> str:
    if row is not None:
        return str(row["status"])
    if not (folder / "state").is_dir():
        return "pending"
    return "running" if held else "to go on"


def _trouble(trial: dict[str, Any], row: dict[str, Any]) -> str:
    lines = str(row["error"]).strip().splitlines() or ["no reason was recorded"]
    where = f"{trial['arm']} seed {trial['seed']} ({trial['id']})"
    attempts = row.get("attempts", 0)
    detail = "".join(f"\n      {line}" for line in lines[:-1][-12:])
    return f"  {row['status']}: {where}, {attempts} attempts: {lines[-1]}{detail}"


if __name__ == "__main__":
    run_command(main)
