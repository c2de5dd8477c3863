"""What a command keeps up to date in its run folder while trials run, beside its own work.

In: the events of its trials. Out: the file of running trials, TensorBoard's event files, curves for
other trackers, and the tables. A thread does it, at a pace that it measures: no task takes over
`SHARE` of the time, so a run folder of any size slows no trial by more. The trackers may be on a
network that hangs, and nothing else must: they have a thread of their own. It stands alone because
engines and trials know nothing of it, and all of it can be made again from the records.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.runfolder.running import Running, RunningTrial, columns_of_curve
from harness.trials.events import (
    Ended,
    Event,
    Failed,
    GivenBack,
    Progress,
    Resumed,
    Started,
    Stopped,
)
from headstart.errors import HeadstartError, StorageError
from headstart.rows import EvaluationRow

SHARE = 1 / 100  # of the time that one task may take
WAIT_S = 0.5
JOIN_S = 20.0  # for a service that is being talked to when the command ends


@dataclass
class RunningCurve:
    """A trial that runs, as its events tell."""

    n_steps: int = 0
    images_per_s: float = 0.0
    points: list[EvaluationRow] = field(default_factory=list)


@dataclass
class Task:
    """Something that is brought up to date: how often at most, and what does it."""

    every_s: float
    work: Callable[[], None]
    name: str  # for remarks
    is_remote: bool  # it may hang
    next_at: float


class KeepCurrent:
    """Collects what trials report and runs its tasks in threads of their own.

    Args:
        now: the clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.tasks: list[Task] = []
        self.n_ended = 0
        self.remarks: list[str] = []  # why something is not up to date, each once
        self._running: dict[str, RunningCurve] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._full: StorageError | None = None

    def add(
        self, every_s: float, work: Callable[[], None], name: str, is_remote: bool = False
    ) -> None:
        """Let `work` be done at most so often, first when that time has passed."""
        self.tasks.append(Task(every_s, work, name, is_remote, self.now() + every_s))

    @contextmanager
    def working(self) -> Iterator[None]:
        """In this block the tasks are done; of those that are not remote, none goes on after it."""
        groups = [[t for t in self.tasks if t.is_remote == remote] for remote in (False, True)]
        own, remote = (threading.Thread(target=self._work, args=(g,), daemon=True) for g in groups)
        own.start()
        remote.start()
        try:
            yield
        finally:
            self._stop.set()
            own.join()
            remote.join(JOIN_S)

    def take(self, event: Event) -> None:
        """Note an event; the command calls it, so it must be quick."""
        with self._lock:
            if isinstance(event, Started):
                self._running[event.trial_id] = RunningCurve()
            elif isinstance(event, Resumed):
                points = list(event.curve)
                self._running[event.trial_id] = RunningCurve(event.n_steps, 0.0, points)
            elif isinstance(event, Progress):
                curve = self._running.setdefault(event.trial_id, RunningCurve())
                curve.n_steps, curve.images_per_s = event.n_steps, event.images_per_s
                curve.points.append(event.evaluation)
            elif isinstance(event, Ended | Stopped | Failed | GivenBack):
                self._running.pop(event.trial_id, None)
                self.n_ended += isinstance(event, Ended)

    def curves(self) -> dict[str, RunningCurve]:
        """The trials that run now, by id; copies that later events leave alone."""
        with self._lock:
            return {
                trial_id: RunningCurve(curve.n_steps, curve.images_per_s, list(curve.points))
                for trial_id, curve in self._running.items()
            }

    def check(self) -> None:
        """Raise what ends the command: a full disk."""
        if self._full is not None:
            raise self._full

    def _work(self, tasks: Sequence[Task]) -> None:
        while tasks and not self._stop.wait(WAIT_S):
            self._do_what_is_due(tasks)

    def _do_what_is_due(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            started = self.now()
            if started >= task.next_at and not self._stop.is_set():
                self._do(task)
                took = self.now() - started
                task.next_at = self.now() + max(task.every_s, took / SHARE)

    def _do(self, task: Task) -> None:
        try:
            task.work()
        except StorageError as err:
            self._full = err
        except HeadstartError:  # files move while trials end; damage is met at the command's end
            return
        except Exception as err:  # a service that does not answer ends no run
            line = trouble_line(task.name, err)
            if line not in self.remarks:
                self.remarks.append(line)


def trouble_line(name: str, err: Exception) -> str:
    """What a service's own error says, on one line."""
    return " ".join(f"{name}: {type(err).__name__}: {err}".split())[:300]


def running_now(
    keep: KeepCurrent, generation: str, n_slots: int, time_left_s: float | None
) -> Running:
    """What the file of running trials is to say."""
    trials = {
        trial_id: RunningTrial(curve.n_steps, curve.images_per_s, columns_of_curve(curve.points))
        for trial_id, curve in keep.curves().items()
    }
    return Running(generation, time.time(), time_left_s, n_slots, trials)
