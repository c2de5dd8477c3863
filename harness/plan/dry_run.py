"""What `--dry-run` prints: the trials by stage and arm, and what they will take.

Time and disk are estimated from what is known: finished trials of the same arm in this run folder,
else of the same network in the folders beside it, scaled by images trained on. Where nothing is
known, that is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.plan import data_lines, disk, room
from harness.plan.slots import trials_at_once
from harness.runfolder.provenance import available_cpus
from harness.sweepfile import frozen
from harness.teams import rules
from harness.training.cards import Cards, cards_here
from harness.trials.spec import Plan, TrialSpec
from harness.trials.time_left import duration_text
from headstart.errors import InputError, RunFolderError
from headstart.records import FINAL, finished_rows, trial_rows
from headstart.rows import TrialRow

MAX_NEIGHBOURS = 20


@dataclass(frozen=True)
class Cost:
    """What a finished trial took: images shown, seconds, and bytes of its files."""

    row: TrialRow
    n_images: int
    seconds: float
    n_bytes: int


def describe_plan(plan: Plan, out: Path, n_at_once: int | None = None) -> Iterator[str]:
    """Lines of text: one a stage or arm, totals, and estimates.

    n_at_once: trials at once that a person asks for; None leaves it to the machine.
    """
    yield from data_lines.stand_ins(plan)
    lines: dict[tuple[str, str, str], Counter[str]] = {}  # by stage, arm and data
    left: dict[str, TrialSpec] = {}
    rows = dict(trial_rows(out, plan.by_id))
    for trial in plan.trials:
        data = trial.data.choice.shown
        if trial.data.stand_in_for:
            data += f" (stand-in for {trial.data.stand_in_for})"
        state = _state_of(out / "trials" / trial.id, rows[trial.id])
        lines.setdefault((trial.stage, plan.shown_arm(trial), data), Counter()).update(
            ["trials", state]
        )
        if state != "done":
            left[trial.id] = trial
    yield f"{plan.sweep.name}: {plan.sweep.question}"
    yield f"run folder: {out}"
    yield from _as_table(lines)
    yield from plan.repeated()
    yield from data_lines.describe(plan, all_notes=True)  # no report holds the others
    yield from plan.notes
    yield from frozen.notes(plan.sweep)
    cards = Cards() if plan.sweep.resources.gpus == 0 else cards_here()
    resources = plan.sweep.resources.settled(len(cards))
    if plan.sweep.resources.gpus == "auto":
        yield f"resources.gpus: auto is decided where the trials run; this machine {cards.line()}"
    if resources.pack != 1:
        from harness.joint import fused  # torch: only where packs are asked for

        yield from fused.notes(plan, resources)
    if resources.gpus:
        from harness.plan import gpu_kernels  # torch: only where GPUs are asked for

        yield from gpu_kernels.notes(plan)
    yield from rules.notes(plan)
    yield from disk.describe(plan)
    try:
        n_slots = trials_at_once(resources, n_at_once, available_cpus(), len(cards), cards.remark)
    except InputError as err:  # the sweep may be for another machine
        yield f"This machine would refuse it: {err}"
    else:
        if left:
            here = room.there(out, resources, cards, min(n_slots, len(left)))
            yield room.line(room.needed(plan, resources, left, here), here)
        yield _estimate(list(left.values()), out, n_slots)
    yield from data_lines.stand_ins(plan, with_reasons=False)


def _state_of(folder: Path, row: TrialRow | None) -> str:
    if row is not None and row.status in FINAL:
        return "done"
    return "to go on" if any(folder.glob("state/*/state-*.pt")) else "new"


def _as_table(lines: Mapping[tuple[str, str, str], Counter[str]]) -> Iterator[str]:
    columns = ("trials", "done", "to go on", "new")
    counted = [(*names, *(str(counts[c]) for c in columns)) for names, counts in lines.items()]
    totals = [str(sum(counts[c] for counts in lines.values())) for c in columns]
    header = ("stage", "arm", "data", *columns)
    cells = [header, *counted, ("all", "", "", *totals)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        shown = [
            c.ljust(w) if i < 3 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(shown).rstrip()


def _estimate(left: list[TrialSpec], out: Path, n_slots: int) -> str:
    if not left:
        return "Nothing is left to run."
    known = _Known(_known_costs(out))
    going_by = [known.alike(trial) for trial in left]
    if not all(going_by):
        return (
            f"Time and disk: not known before a first trial of each network has finished here; "
            f"{_trials(len(left))}, {n_slots} at once on this machine."
        )
    seconds = sum(map(_seconds, left, going_by)) / n_slots
    disk = sum(alike.n_bytes for alike in going_by)
    n_known = len(frozenset().union(*{alike.trial_ids for alike in going_by}))
    return (
        f"About {duration_text(seconds)} for {_trials(len(left))}, {n_slots} at once on this "
        f"machine, and {disk / 1e6:.0f} MB of disk, going by {n_known} finished "
        f"trial{'s' * (n_known != 1)}."
    )


def _known_costs(out: Path) -> list[Cost]:
    """Costs of finished trials in this folder and its neighbours, which may be anybody's.

    A record that names no images or no seconds, as another program may write one, tells nothing.
    """
    beside = (path for path in out.parent.glob("*") if path != out and path.is_dir())
    folders = [out, *sorted(beside)[:MAX_NEIGHBOURS]]
    costs = []
    for folder in folders:
        try:
            rows = finished_rows(folder)[:200]
            of_folder = [_cost(folder, row) for row in rows if row.status == "done"]
        except (RunFolderError, OSError, ValueError):
            continue
        costs += [c for c in of_folder if c.n_images > 0 and 0 <= c.seconds < math.inf]
    return costs


def _cost(folder: Path, row: TrialRow) -> Cost:
    files = (folder / "trials" / row.trial_id / name for name in row.files)
    return Cost(
        row,
        n_images=(row.n_train or 0) * row.epochs,
        seconds=(row.train_time_s or 0.0) + (row.eval_time_s or 0.0),
        n_bytes=sum(file.stat().st_size for file in files if file.exists()),
    )


@dataclass(frozen=True)
class _Alike:
    """What trials that are alike took together; empty where none was seen."""

    costs: Sequence[Cost]

    def __bool__(self) -> bool:
        return bool(self.costs)

    @cached_property
    def trial_ids(self) -> frozenset[str]:
        return frozenset(cost.row.trial_id for cost in self.costs)

    @cached_property
    def n_bytes(self) -> float:
        """The mean of one."""
        return sum(cost.n_bytes for cost in self.costs) / len(self.costs)

    @cached_property
    def seconds_per_image(self) -> float:
        return sum(cost.seconds for cost in self.costs) / sum(cost.n_images for cost in self.costs)


class _Known:
    """Costs of finished trials; those that are alike are looked up once for all."""

    def __init__(self, costs: Sequence[Cost]):
        self.costs = costs
        self._by_id = {cost.row.trial_id: _Alike([cost]) for cost in costs}
        self._by_likeness: dict[tuple[str, str, str, int], _Alike] = {}

    def alike(self, trial: TrialSpec) -> _Alike:
        """The costs that tell most of a trial; none where no trial of its network was seen."""
        if trial.id in self._by_id:
            return self._by_id[trial.id]
        network, data = trial.condition.model.shown, trial.data.choice.shown
        key = (network, trial.arm, data, trial.condition.train.epochs)
        if key not in self._by_likeness:
            self._by_likeness[key] = _Alike(self._most_alike(*key))
        return self._by_likeness[key]

    def _most_alike(self, network: str, arm: str, data: str, epochs: int) -> list[Cost]:
        same_network = [cost for cost in self.costs if cost.row.model == network]
        same_arm = [c for c in same_network if c.row.arm == arm and c.row.epochs == epochs]
        same_data = [cost for cost in same_network if cost.row.dataset == data]
        return same_arm or same_data or same_network


def _seconds(trial: TrialSpec, alike: _Alike) -> float:
    """Estimated seconds of a trial that is like those of the costs, by images trained on."""
    n_train = _n_train(trial) or alike.costs[0].row.n_train or 0
    n_images = n_train * trial.condition.train.for_images(n_train).epochs
    return alike.seconds_per_image * n_images


def _n_train(trial: TrialSpec) -> int | None:
    """Images that it will train on; None where only the data set's own parts tell."""
    split, data = trial.data.choice.split, trial.data
    if split.train is not None:
        return split.train * (len(data.class_names) if split.per_class else 1)
    if split.split is not None:
        return round(split.split["train"] * data.n_images)
    if split.fold is not None:
        return round(0.9 * (1 - 1 / split.fold.of) * (split.fold.images or data.n_images))
    return None


def _trials(n: int) -> str:
    return f"{n} trial{'' if n == 1 else 's'}"
