"""Which trials may start, and what became of each.

In: a plan, the rows of finished trials, and the events of running ones. Out: units that are ready
to run, and the run folder filled. An engine asks for a unit, runs it somewhere and hands back its
events. The queue publishes finished trials, tries failed ones again, and gives up trials whose
start cannot be made. All this is the same for every engine, so it stands alone: an engine only
decides where a unit runs.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from harness.runfolder.folder import RunFolder, TrialFolder
from harness.sweepfile.frozen import reason_against
from harness.sweepfile.settings import Settled
from harness.trials.events import Ended, Event, Failed, GivenBack, Stopped
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import StorageError
from headstart.rows import TrialRow

Unit = tuple[TrialSpec, ...]
AUTO_AT_MOST = 256  # trials that a worker is given where `pack: auto` lets it choose


@dataclass(eq=False, repr=False)
class Queue:
    """The state of one run of a plan."""

    plan: Plan
    folder: RunFolder  # held by this command
    rows: dict[str, TrialRow]  # of trials that are finished already
    # Makes the row of a trial that could not finish, from it and the error.
    failed_row: Callable[[TrialSpec, str], TrialRow]
    listen: Callable[[Event], None] = lambda event: None  # to every event, after it took effect

    def __post_init__(self) -> None:
        unfinished = [trial_id for trial_id in self.plan.by_id if trial_id not in self.rows]
        self.folder.tidy(self.rows)
        self.rows = {**self.rows, **self.folder.adopt(unfinished)}
        self.max_failures = self.plan.sweep.resources.max_failures
        self.resources: Settled = self.plan.sweep.resources.settled(0)  # until the engine knows
        self.failures: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.running: set[str] = set()
        self._unit_of: dict[str, Unit] = {}  # that a running trial was handed out in
        self._fits: dict[tuple[str, str], int] = {}  # of a stage's arm: trials that a worker kept
        self.stopping = False
        self._waiting: dict[str, list[TrialSpec]] = {}
        self._ready = _Line()
        for trial in self.plan.by_id.values():  # two stages may come to the same trial
            if trial.id not in self.rows:
                self._enqueue(trial)

    @property
    def finished(self) -> bool:
        """Nothing runs and nothing is left to start."""
        return not self.running and (self.stopping or not (self._ready or self._waiting))

    @property
    def n_left(self) -> int:
        ended = self.rows.keys() | self.failed.keys()
        return len(self.plan.by_id.keys() - ended)

    def next_unit(self, n_free: int = 1) -> Unit | None:
        """Trials for one worker to run in one go; None while nothing is ready.

        Where `n_free` workers with GPUs have nothing to do, each gets its share of what is ready.
        """
        if self.stopping or not self._ready:
            return None
        unit = self._ready.take(self._most_together(self._ready.first, n_free))
        self.running.update(trial.id for trial in unit)
        self._unit_of.update((trial.id, unit) for trial in unit)
        return unit

    def folders(self, unit: Iterable[TrialSpec]) -> dict[str, TrialFolder]:
        return {trial.id: self.folder.trial_folder(trial.id) for trial in unit}

    def take(self, event: Event) -> None:
        """Let an event of a worker take effect.

        Raises:
            StorageError: the worker met a full disk; the run must end.
        """
        if isinstance(event, Ended):
            self._end(event)
        elif isinstance(event, GivenBack):
            self._take_back(self.plan.by_id[event.trial_id])
        elif isinstance(event, Stopped):
            self.running.discard(event.trial_id)
            if not self.stopping:
                self._fail(self.plan.by_id[event.trial_id], "stopped without being asked", True)
        elif isinstance(event, Failed):
            if event.fatal:
                raise StorageError(event.error)
            self.running.discard(event.trial_id)
            self._fail(self.plan.by_id[event.trial_id], event.error, event.retry)
        self.listen(event)

    def crashed(self, unit: Iterable[TrialSpec], error: str) -> None:
        """A worker died: its running trial has failed once; the unit's later ones wait again."""
        left = self._held(unit)
        for position, trial in enumerate(left):
            self.running.discard(trial.id)
            if position == 0:
                self._fail(trial, error, retry=True)
                self.listen(Failed(trial.id, error, retry=trial.id not in self.failed))
            else:
                self._ready.put(trial, last=False)

    def unit_over(self, unit: Iterable[TrialSpec]) -> None:
        """A worker has finished a unit; trials that it did not begin (it was stopped) stay left."""
        unit = tuple(unit)
        self.running.difference_update(trial.id for trial in self._held(unit))
        if len(unit) > 1:
            self.folder.archive(unit)

    def stop(self) -> None:
        """Start nothing more."""
        self.stopping = True

    def _enqueue(self, trial: TrialSpec) -> None:
        first = self.rows.get(trial.waits_for or "")
        if trial.waits_for is None or (first is not None and first.status == "done"):
            self._ready.put(trial)
        elif first is not None:
            self._give_up(trial, f"{_first_of(trial)} diverged")
        elif trial.waits_for not in self.plan.by_id:
            self._give_up(trial, f"{_first_of(trial)} has not finished")
        else:
            self._waiting.setdefault(trial.waits_for, []).append(trial)

    def _end(self, event: Ended) -> None:
        self.folder.publish(event.trial_id, event.row)
        self.running.discard(event.trial_id)
        self.rows[event.trial_id] = event.row
        for child in self._waiting.pop(event.trial_id, []):
            self._enqueue(child)

    def _held(self, unit: Iterable[TrialSpec]) -> list[TrialSpec]:
        """Those of the unit's trials that its worker has: it gave no other one the trial back."""
        unit = tuple(unit)
        return [t for t in unit if t.id in self.running and self._unit_of[t.id] == unit]

    def _take_back(self, trial: TrialSpec) -> None:
        """A trial waits again, and no further unit of its arm is larger than what was kept."""
        self.running.discard(trial.id)
        self._ready.put(trial, last=False)
        n_kept = len(self._held(self._unit_of[trial.id]))
        self._fits[trial.stage, trial.arm] = max(1, n_kept)  # the others may have ended by now

    def _fail(self, trial: TrialSpec, error: str, retry: bool) -> None:
        n_failures = self.failures[trial.id] = self.failures.get(trial.id, 0) + 1
        if retry and n_failures <= self.max_failures and not self.stopping:
            self._ready.put(trial, last=False)
        else:
            self._give_up(trial, error)

    def _give_up(self, trial: TrialSpec, error: str) -> None:
        self.failed[trial.id] = error
        self.folder.fail(trial.id, self.failed_row(trial, error))
        for child in self._waiting.pop(trial.id, []):
            last_line = error.strip().splitlines()[-1]
            self._give_up(child, f"{_first_of(child)} failed: {last_line}")

    def _most_together(self, first: TrialSpec, n_free: int) -> int:
        """Trials of a unit. On CPUs a pack that shares no frozen part would keep slots idle.

        Refits train by themselves: each has a number of steps and learning rates of its own.
        """
        if first.stage == "refit":
            return 1
        resources = self.resources
        if resources.gpus > 0:
            most = AUTO_AT_MOST if resources.pack == "auto" else resources.pack
            most = min(most, self._fits.get((first.stage, first.arm), most))
            most = min(most, math.ceil(len(self._ready) / max(1, n_free)))
            n_alike = self._ready.n_like(first)
            return math.ceil(n_alike / math.ceil(n_alike / most))  # units of an arm are alike
        shares = resources.fuse == "always" or reason_against(first.condition) is None
        return resources.pack if shares and resources.pack != "auto" else 1


def _first_of(trial: TrialSpec) -> str:
    """What a message calls the trial that this one waits for."""
    return f"the trial it {'refits' if trial.refits else 'starts from'} ({trial.waits_for})"


class _Line:
    """Trials in the order in which they wait; no method slows down with the number that wait."""

    def __init__(self) -> None:
        self._all: OrderedDict[str, TrialSpec] = OrderedDict()
        self._alike: dict[tuple[str, str], OrderedDict[str, TrialSpec]] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def first(self) -> TrialSpec:
        return next(iter(self._all.values()))

    def n_like(self, trial: TrialSpec) -> int:
        """Trials of this one's arm that wait, it included."""
        return len(self._lines_of(trial)[1])

    def put(self, trial: TrialSpec, last: bool = True) -> None:
        for line in self._lines_of(trial):
            line[trial.id] = trial
            line.move_to_end(trial.id, last=last)

    def take(self, most: int) -> Unit:
        """The first trial and those of its arm that come next, since only they can be one pack."""
        unit = tuple(islice(self._lines_of(self.first)[1].values(), most))
        for trial in unit:
            for line in self._lines_of(trial):
                del line[trial.id]
        return unit

    def _lines_of(self, trial: TrialSpec) -> tuple[OrderedDict[str, TrialSpec], ...]:
        return self._all, self._alike.setdefault((trial.stage, trial.arm), OrderedDict())
