"""What a run folder holds, followed while it changes: each file is read when it is new, and once.

In: a run folder that a command may be writing, on this machine or another one. Out: the plan, the
rows of ended trials, their curves, what the commands say of running ones, and which commands live.
Nothing is written, so the folder may be read-only. What cannot be read is a line of text, and is
tried again when it changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.runfolder.running import VALUES, WATCHED, Number, Running, read_running
from headstart.archives import Archives
from headstart.curves import read_evaluations
from headstart.digests import read_sealed_text
from headstart.errors import HeadstartError
from headstart.foreign import read_inside
from headstart.lock import Holder, holders
from headstart.records import (
    CURVE,
    FINAL,
    MAX_BYTES,
    PlannedTrial,
    PlanRecord,
    checked_bytes,
    read_object,
    read_plan,
    read_row,
)
from headstart.rows import TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("step", *VALUES, *WATCHED)
Curve = Mapping[str, Sequence[Number]]  # by column; as long as one another
Seen = tuple[int, int, int]  # of a file: another one has other numbers
MANY = 20  # curves to read: then the table of all curves is looked at first


@dataclass(frozen=True)
class About:
    """What stands at the head of the page."""

    question: str = ""
    command: str = ""  # that goes on with the run
    stand_ins: tuple[str, ...] = ()


class Follower:
    """One run folder; `look` brings what is known of it up to date."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.about = About()
        self.plan = PlanRecord(run.name, ())
        self.rows: dict[str, TrialRow] = {}
        self.curves: dict[str, Curve] = {}  # of ended trials
        self.running: list[Running] = []
        self.alive: dict[str, Holder] = {}  # commands that show life, by generation
        self.has_begun = False
        self.damaged: dict[str, str] = {}  # what cannot be read, by file
        self.n_unread = 0  # trials that ended and whose curves are not read yet
        self._seen: dict[str, Seen | None] = {}
        self._archives: Archives | None = None

    def look(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Read what is new; where `is_enough` says so, the rest is for the next look."""
        locks = holders(self.run)
        self.alive = {h.generation: h for h in locks if h.shows_life(time.time())}
        self.running = read_running(self.run)
        self._read("plan.json", self._read_plan)
        self._read("provenance.json", self._read_about)
        for trial in self._planned():
            if is_enough():
                return
            self._read(f"trials/{trial.id}/trial.json", partial(self._read_row, trial))
        self._read("packs", self._read_archives)
        self._read_curves(is_enough)

    def state_of(self, trial: PlannedTrial) -> str:
        """`planned`, `running`, `done`, `failed` or `diverged`."""
        row = self.rows.get(trial.id)
        if row is not None and row.status in FINAL:
            return row.status
        if any(trial.id in said.trials for said in self.running if said.generation in self.alive):
            return "running"
        return "planned" if row is None else row.status

    def curve_of(self, trial: PlannedTrial) -> Curve:
        """As far as it is known; of a trial that was stopped too."""
        if trial.id in self.curves:
            return self.curves[trial.id]
        said = (running.trials.get(trial.id) for running in self.running)
        return next((each.curve for each in said if each is not None and each.curve), {})

    def _planned(self) -> list[PlannedTrial]:
        """Those whose record may be new."""
        final = {i for i, row in self.rows.items() if row.status in FINAL}
        return [trial for trial in self.plan.trials if trial.id not in final]

    def _read(self, name: str, read: Callable[[], None]) -> None:
        """Read a file or folder that has changed since it was last read."""
        try:
            stat = (self.run / name).lstat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            return
        if self._seen.get(name) == seen:
            return
        self._seen[name] = seen
        try:
            read()
            self.damaged.pop(name, None)
        except (HeadstartError, OSError, ValueError) as err:
            self.damaged[name] = str(err)

    def _read_plan(self) -> None:
        plan = read_plan(self.run)
        if plan is not None:
            once = {trial.id: trial for trial in plan.trials}  # two stages may share a trial
            self.plan = replace(plan, trials=tuple(once.values()))
            self.has_begun = True

    def _read_about(self) -> None:
        content = read_object(self.run / "provenance.json") or {}
        data = content.get("data")
        names = [
            f"{use.get('name')} in place of {use['not_used'][0].get('name')}"
            for use in (data if isinstance(data, list) else [])
            if isinstance(use, dict) and use.get("not_used")
        ]
        command = str(content.get("command", ""))
        self.about = About(_question(self.run), command, tuple(names))

    def _read_row(self, trial: PlannedTrial) -> None:
        row = read_row(self.run / "trials" / trial.id / "trial.json")
        if row is not None:
            self.rows[trial.id] = row

    def _read_archives(self) -> None:
        if self._archives is None:
            self._archives = Archives(self.run)
        self._archives.refresh()
        for trial_id, row in self._archives.rows(trial.id for trial in self._planned()):
            self.rows[trial_id] = row

    def _read_curves(self, is_enough: Callable[[], bool]) -> None:
        wanted = [i for i, row in self.rows.items() if row.status in FINAL and i not in self.curves]
        if len(wanted) > MANY:
            self._read("curves.parquet", partial(self._read_table, set(wanted)))
            wanted = [trial_id for trial_id in wanted if trial_id not in self.curves]
        for position, trial_id in enumerate(wanted):
            self.n_unread = len(wanted) - position
            if is_enough():
                return
            self._read_curve(trial_id)
        self.n_unread = 0

    def _read_table(self, wanted: set[str]) -> None:
        table = read_evaluations(read_inside(self.run, "curves.parquet", MAX_BYTES))
        ids = table["trial_id"].to_pylist()
        columns = _columns(table)
        starts = [n for n, trial_id in enumerate(ids) if n == 0 or ids[n - 1] != trial_id]
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            if ids[start] in wanted:
                self.curves[ids[start]] = {name: v[start:end] for name, v in columns.items()}

    def _read_curve(self, trial_id: str) -> None:
        self.curves[trial_id] = {}  # once, whatever comes of it
        try:
            row = self.rows[trial_id]
            content = checked_bytes(self.run, trial_id, CURVE, row, self._archives)
            if content is None:  # it moves into an archive just now
                del self.curves[trial_id]
            else:
                self.curves[trial_id] = _columns(read_evaluations(content, trial_id))
        except (HeadstartError, OSError, ValueError) as err:
            self.damaged[trial_id] = str(err)


def _columns(table: pa.Table) -> dict[str, list[Number]]:
    return {name: table[name].to_pylist() for name in COLUMNS if name in table.schema.names}


def _question(run: Path) -> str:
    from headstart.yaml12 import RECORD, parse_yaml

    path = run / "sweep.yaml"
    content = parse_yaml(read_sealed_text(path), str(path), limits=RECORD).plain()
    return str(content.get("question", "")) if isinstance(content, dict) else ""
