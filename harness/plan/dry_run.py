"""What `--dry-run` prints: the trials by stage and arm, and what they will take.

Time and disk are estimated from what is known: finished trials of the same arm in this run folder,
else of the same network in the folders beside it, scaled by images trained on. Where nothing is
known, that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.plan.slots import trials_at_once
from harness.runfolder.provenance import available_cpus
from harness.teams import rules as worker_rules
from harness.trials import frozen
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import RunFolderError
from headstart.records import FINAL, finished_rows, trial_rows

MAX_NEIGHBOURS = 20


@dataclass
class _Line:
    stage: str
    arm: str
    data: str
    n_trials: int = 0
    n_done: int = 0
    n_to_go_on: int = 0
    n_new: int = 0


def describe_plan(plan: Plan, out: Path) -> Iterator[str]:
    """Lines of text: one a stage or arm, totals, and estimates."""
    lines: dict[tuple[str, str], _Line] = {}
    left: list[TrialSpec] = []
    rows = dict(trial_rows(out, plan.by_id))
    for trial in plan.trials:
        data = trial.data.choice.name
        if trial.data.stand_in_for:
            data += f" (stand-in for {trial.data.stand_in_for})"
        line = lines.setdefault((trial.stage, trial.arm), _Line(trial.stage, trial.arm, data))
        line.n_trials += 1
        state = _state_of(out / "trials" / trial.id, rows[trial.id])
        line.n_done += state == "done"
        line.n_to_go_on += state == "to go on"
        line.n_new += state == "new"
        if state != "done":
            left.append(trial)
    yield f"{plan.sweep.name}: {plan.sweep.question}"
    yield f"run folder: {out}"
    yield from _as_table(list(lines.values()))
    yield from plan.notes
    yield from frozen.notes(plan)
    if plan.sweep.resources.pack != 1:
        from harness.joint import fused  # torch: only where packs are asked for

        yield from fused.notes(plan)
    yield from worker_rules.notes(plan)
    yield _estimate(plan, left, out)


def _state_of(folder: Path, row: dict[str, Any] | None) -> str:
    if row is not None and row.get("status") in FINAL:
        return "done"
    return "to go on" if any(folder.glob("state/*/state-*.pt")) else "new"


def _as_table(lines: list[_Line]) -> Iterator[str]:
    header = ("stage", "arm", "data", "trials", "done", "to go on", "new")
    rows = [(x.stage, x.arm, x.data, x.n_trials, x.n_done, x.n_to_go_on, x.n_new) for x in lines]
    totals = [sum(row[i] for row in rows) for i in range(3, 7)]  # type: ignore[misc]
    cells = [header, *[tuple(map(str, row)) for row in rows], ("all", "", "", *map(str, totals))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        shown = [
            c.ljust(w) if i < 3 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(shown).rstrip()


def _estimate(plan: Plan, left: list[TrialSpec], out: Path) -> str:
    if not left:
        return "Nothing is left to run."
    known = _known_rows(out)
    n_slots = trials_at_once(plan.sweep.resources, None, available_cpus(), None)
    going_by = [_alike(trial, known) for trial in left]
    if not all(going_by):
        return (
            f"Time and disk: not known before a first trial of each network has finished here; "
            f"{len(left)} trials, {n_slots} at once on this machine."
        )
    seconds = sum(map(_seconds, left, going_by)) / n_slots
    disk = sum(sum(row["_bytes"] for row in rows) / len(rows) for rows in going_by)
    n_known = len({row["trial_id"] for rows in going_by for row in rows})
    return (
        f"About {seconds / 60:.0f} min for {len(left)} trials, {n_slots} at once on this machine, "
        f"and {disk / 1e6:.0f} MB of disk, going by {n_known} finished trial{'s' * (n_known != 1)}."
    )


def _known_rows(out: Path) -> list[dict[str, Any]]:
    """Rows of finished trials in this folder and its neighbours, with the bytes they take."""
    folders = [out]
    if out.parent.is_dir():
        folders += sorted(p for p in out.parent.iterdir() if p != out and p.is_dir())[
            :MAX_NEIGHBOURS
        ]
    rows = []
    for folder in folders:
        try:
            found = finished_rows(folder)[:200]
        except RunFolderError:
            continue
        for row in found:
            if row.get("status") == "done":
                files = (folder / "trials" / row["trial_id"] / name for name in row["files"])
                rows.append({**row, "_bytes": sum(f.stat().st_size for f in files if f.exists())})
    return rows


def _alike(trial: TrialSpec, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that tell most of a trial; none where no trial of its network has been seen."""
    epochs = trial.condition.train.epochs
    same_network = [row for row in known if row["model"] == trial.condition.model.name]
    for same in (
        lambda row: row["trial_id"] == trial.id,
        lambda row: row["arm"] == trial.arm and row["epochs"] == epochs,
        lambda row: row["dataset"] == trial.data.choice.name,
        lambda row: True,
    ):
        rows = [row for row in same_network if same(row)]
        if rows:
            return rows
    return []


def _seconds(trial: TrialSpec, alike: list[dict[str, Any]]) -> float:
    """Estimated seconds of a trial that is like those of the rows, by images trained on."""
    images = sum(row["n_train"] * row["epochs"] for row in alike)
    spent = sum(row["train_time_s"] + row["eval_time_s"] for row in alike)
    n_train = _n_train(trial) or alike[0]["n_train"]
    return float(spent / images * n_train * trial.condition.train.for_images(n_train).epochs)


def _n_train(trial: TrialSpec) -> int | None:
    """Images that it will train on; None where only the data set's own parts tell."""
    split, data = trial.data.choice.split, trial.data
    if split.train is not None:
        return split.train * (len(data.class_names) if split.per_class else 1)
    if split.split is not None:
        return round(split.split["train"] * data.n_images)
    return None
