"""A simulated allocation: the sweep's own `Queue`, and a clock that jumps.

In: a plan, nodes and GPUs, and a model of what lasts, crashes and dies. Out: how long it would take
and how much of the GPUs' time is work. Beside `scale.py`, which prints it, so that tests can drive
it.
"""

from __future__ import annotations

import heapq
import pickle
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.scale_records import made_row
from harness.engines.queue import Queue, Unit
from harness.runfolder.folder import TrialFolder
from harness.trials.events import Ended
from harness.trials.spec import Plan, TrialSpec
from headstart.rows import TrialRow

MEDIAN_S = {"drawn": 20.0, "scratch": 60.0, "pretrained": 60.0, "last_layer": 10.0}
SPREAD = 0.15  # of the logarithm of a duration
START_S = 12.0  # of a worker, before its first trial
BACK_AFTER_S = 300.0  # a dead node


@dataclass
class MemoryFolder:
    """What the queue needs of a run folder, without a disk."""

    n_published: int = 0
    n_archives: int = 0
    failed: list[str] = field(default_factory=list)

    def adopt(self, trial_ids: Sequence[str]) -> dict[str, TrialRow]:
        return {}

    def tidy(self, trial_ids: Iterable[str]) -> None:
        """Nothing is left on a disk."""

    def trial_folder(self, trial_id: str) -> TrialFolder:
        return TrialFolder(Path(trial_id), "simulated")

    def publish(self, trial_id: str, row: TrialRow) -> None:
        self.n_published += 1

    def fail(self, trial_id: str, row: TrialRow) -> None:
        self.failed.append(trial_id)

    def archive(self, trials: Iterable[TrialSpec]) -> None:
        self.n_archives += 1


@dataclass(frozen=True)
class Outcome:
    """One simulated run.

    Attributes:
        makespan_s: simulated seconds from the first start to the last end.
        busy_s: simulated seconds of work that counted, over all GPUs.
        lost_s: simulated seconds of work that a crash threw away.
        wall_s: real seconds of the loop: the queue's work and this simulation's own.
    """

    n_done: int
    n_failed: int
    makespan_s: float
    busy_s: float
    lost_s: float
    wall_s: float


class Simulation:
    """An allocation that empties a `Queue`: the engine's part, with a clock that jumps.

    Args:
        plan: the trials.
        n_nodes, n_gpus: of the allocation; one unit of trials at a time on a GPU.
        rng: of durations, crashes and deaths.
        crash_rate: share of units whose worker dies on the way.
        death_every_s: mean simulated seconds between deaths of nodes; 0 for none.
        driver_s: simulated seconds that the command, which takes one event after another, spends
            on a trial's end (the run folder's part above all); a GPU waits for its turn.
        rows: of trials that are finished already.
    """

    def __init__(
        self,
        plan: Plan,
        n_nodes: int,
        n_gpus: int,
        rng: np.random.Generator,
        crash_rate: float = 0.0,
        death_every_s: float = 0.0,
        driver_s: float = 0.0,
        rows: Mapping[str, TrialRow] | None = None,
    ):
        self.folder = MemoryFolder()
        self.queue = Queue(
            plan,
            self.folder,  # type: ignore[arg-type]
            rows or {},
            lambda spec, error: TrialRow(status="failed", error=error),
        )
        self.rng = rng
        self.crash_rate = crash_rate
        self.death_every_s = death_every_s
        self.driver_s = driver_s
        self.n_nodes, self.n_gpus = n_nodes, n_gpus
        self.now = self.busy_s = self.lost_s = 0.0
        self.n_events = 0
        self.events: list[tuple[float, int, str, int]] = []  # time, order, what, GPU or node
        self.running: dict[int, tuple[Unit, float, float, int]] = {}  # GPU → …, start, end, order
        self.fresh = set(range(n_nodes * n_gpus))  # GPUs without a started worker
        self.idle = list(range(n_nodes * n_gpus))[::-1]
        self.dead: set[int] = set()

    def run(self) -> Outcome:
        """Until nothing is left."""
        began = time.perf_counter()
        if self.death_every_s:
            self._at(self.rng.exponential(self.death_every_s), "death", 0)
        self._fill()
        while not self.queue.finished:
            when, order, what, where = heapq.heappop(self.events)
            self.now = max(self.now, when)  # the command may still be at what came before
            if what == "death":
                self._node_dies()
            elif what == "back":
                self.dead.discard(where)
                self.idle += self._gpus_of(where)
            elif self.running.get(where, ((), 0.0, 0.0, -1))[3] == order:
                self._unit_ends(where, crashed=what == "crash")
            self._fill()
        wall = time.perf_counter() - began
        n_failed = len(self.folder.failed)
        return Outcome(self.folder.n_published, n_failed, self.now, self.busy_s, self.lost_s, wall)

    def _fill(self) -> None:
        while self.idle and (unit := self.queue.next_unit(len(self.idle))) is not None:
            gpu = self.idle.pop()
            lasts = sum(self._duration(trial) for trial in unit)
            start_s = START_S if gpu in self.fresh else 0.0
            self.fresh.discard(gpu)
            crashes = self.rng.random() < self.crash_rate
            end = self.now + start_s + lasts * (self.rng.random() if crashes else 1.0)
            order = self._at(end, "crash" if crashes else "end", gpu)
            self.running[gpu] = (unit, self.now + start_s, end, order)

    def _duration(self, trial: TrialSpec) -> float:
        return MEDIAN_S[trial.arm] * float(np.exp(self.rng.normal(0.0, SPREAD)))

    def _unit_ends(self, gpu: int, crashed: bool) -> None:
        unit, start, end, _ = self.running.pop(gpu)
        if crashed:
            self.lost_s += max(0.0, min(self.now, end) - start)
            self.fresh.add(gpu)
            self.queue.crashed(unit, "its worker process died")
        else:
            self.busy_s += end - start
            for trial in unit:
                event = Ended(trial.id, made_row(trial))
                self.queue.take(pickle.loads(pickle.dumps(event)))  # as it comes from a worker
            self.queue.unit_over(unit)
            self.now += self.driver_s * len(unit)
        if gpu // self.n_gpus not in self.dead:
            self.idle.append(gpu)

    def _node_dies(self) -> None:
        node = int(self.rng.integers(self.n_nodes))
        self._at(self.now + self.rng.exponential(self.death_every_s), "death", 0)
        if node in self.dead:
            return
        self.dead.add(node)
        for gpu in self._gpus_of(node):
            if gpu in self.running:
                self._unit_ends(gpu, crashed=True)
        self.idle = [gpu for gpu in self.idle if gpu // self.n_gpus != node]
        self._at(self.now + BACK_AFTER_S, "back", node)

    def _gpus_of(self, node: int) -> range:
        return range(node * self.n_gpus, (node + 1) * self.n_gpus)

    def _at(self, when: float, what: str, where: int) -> int:
        self.n_events += 1
        heapq.heappush(self.events, (when, self.n_events, what, where))
        return self.n_events


def simulate_array(
    plan: Plan, n_nodes: int, n_gpus: int, rng: np.random.Generator
) -> list[Outcome]:
    """An array job as `slurm.submit --mode array` makes it: stages on one node, then the shards.

    Returns the outcome of the first job, which makes the stages, and of each shard, one a node.
    """
    stages = Plan(plan.sweep, tuple(t for t in plan.trials if t.stage == "pretrain"))
    outcomes = [Simulation(stages, 1, n_gpus, rng).run()]
    made = {stage.id: TrialRow(status="done") for stage in stages.trials}
    for k in range(1, n_nodes + 1):
        arms = tuple(t for t in plan.shard(k, n_nodes).trials if t.stage == "arm")
        outcomes.append(Simulation(Plan(plan.sweep, arms), 1, n_gpus, rng, rows=made).run())
    return outcomes
