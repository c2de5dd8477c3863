"""A simulated thousand: plan and schedule 100,000 dry trials on 64 nodes of 16 GPUs.

    python benchmarks/scale.py [--trials 100000] [--nodes 64] [--gpus 16] [--folder 1000 10000]

The plan is made by `make_plan` and the trials are handed out by the sweep's own `Queue`, with a
clock that jumps from one event to the next: a trial lasts as long as a model of real durations says
(a median for each arm, a log-normal spread, a start of the worker before its first trial), some
crash, and nodes die and come back. What is measured is real: seconds and memory of planning, and
seconds of the queue's work for each trial. What is simulated is the wait.

The cost of a run folder is measured apart, on this machine's disk: so many trials with the files
that a trial leaves are begun, published, looked up again as a resumed command does, and merged.

Not in here: Ray's own work for each trial, and the latency of a network file system.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.events import Ended  # noqa: E402
from harness.plan import DataCatalogue, Plan, TrialSpec, make_plan  # noqa: E402
from harness.queue import Queue, Unit  # noqa: E402
from harness.rows import identity  # noqa: E402
from harness.spec import load_sweep  # noqa: E402
from harness.store import RunFolder, TrialFolder, write_curve  # noqa: E402

SWEEP = """\
name: scale
question: How does a plan of this size behave?
model: {{name: lenet5}}
data: {{name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}}
train: {{learning_rate: 1.0e-3, batch_size: 32, epochs: 3}}
pretrain:
  drawn:
    data: {{name: glyphs, count: 300, seed: 2, train: 200, validation: 50}}
arms:
  scratch: {{}}
  pretrained: {{initialize: drawn}}
  last_layer: {{initialize: drawn, fine_tune: last_layer}}
seeds: {seeds}
resources: {{gpus: 1, pack: {pack}, max_failures: 10}}
"""
MEDIAN_S = {"drawn": 20.0, "scratch": 60.0, "pretrained": 60.0, "last_layer": 10.0}
SPREAD = 0.15  # of the logarithm of a duration
START_S = 12.0  # of a worker, before its first trial
BACK_AFTER_S = 300.0  # a dead node
CURVE_POINTS = 40
MODEL_BYTES = 247_560  # LeNet-5


@dataclass
class MemoryFolder:
    """What the queue needs of a run folder, without a disk."""

    n_published: int = 0
    failed: list[str] = field(default_factory=list)

    def adopt(self, trial_ids: Sequence[str]) -> dict[str, Any]:
        return {}

    def trial_folder(self, trial_id: str) -> TrialFolder:
        return TrialFolder(Path(trial_id), "simulated")

    def publish(self, trial_id: str, row: Mapping[str, Any]) -> None:
        self.n_published += 1

    def fail(self, trial_id: str, row: Mapping[str, Any]) -> None:
        self.failed.append(trial_id)


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
    """

    def __init__(
        self,
        plan: Plan,
        n_nodes: int,
        n_gpus: int,
        rng: np.random.Generator,
        crash_rate: float = 0.0,
        death_every_s: float = 0.0,
    ):
        self.folder = MemoryFolder()
        self.queue = Queue(
            plan,
            self.folder,  # type: ignore[arg-type]
            {},
            lambda spec, error: {"status": "failed", "error": error},
        )
        self.rng = rng
        self.crash_rate = crash_rate
        self.death_every_s = death_every_s
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
            self.now, order, what, where = heapq.heappop(self.events)
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
        while self.idle and (unit := self.queue.next_unit()) is not None:
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
            self.lost_s += max(0.0, self.now - start)
            self.fresh.add(gpu)
            self.queue.crashed(unit, "its worker process died")
        else:
            self.busy_s += end - start
            for trial in unit:
                self.queue.take(Ended(trial.id, {"status": "done", "files": []}))
            self.queue.unit_over(unit)
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


def plan_trials(n: int, pack: int, scratch: Path) -> tuple[Plan, float]:
    """A plan of at least `n` trials, and the seconds that it took (data sets opened before)."""
    sweep_file = scratch / "sweep.yaml"
    sweep_file.write_text(SWEEP.format(seeds=-(-n // 4), pack=pack))
    sweep, catalogue = load_sweep(sweep_file), DataCatalogue(allow_download=False)
    make_plan(sweep, catalogue, range(1))
    began = time.perf_counter()
    plan = make_plan(sweep, catalogue)
    return plan, time.perf_counter() - began


@dataclass(frozen=True)
class FolderCost:
    """Seconds and sizes of a run folder of `n` trials."""

    n: int
    publish_s: float
    look_up_s: float
    merge_s: float
    n_files: int
    n_bytes: int


def folder_cost(plan: Plan, n: int, scratch: Path) -> FolderCost:
    """Let `n` trials of a plan leave their files in a run folder, and read it back."""
    part = Plan(plan.sweep, plan.trials[:n])
    points = [
        {
            "trial_id": "", "arm": "", "seed": 0, "step": step, "epoch": step / 10,
            "samples": step * 32, "train_time_s": step * 0.01, "learning_rate": 1e-3,
            "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5,
        }
        for step in range(CURVE_POINTS)
    ]  # fmt: skip
    write_curve(scratch / "curve.parquet", points)
    model = bytes(MODEL_BYTES)
    with RunFolder(scratch / "run") as folder:
        publish_s = 0.0
        for spec in part.trials:
            began = time.perf_counter()
            place = folder.trial_folder(spec.id)
            place.begin()
            row = {
                **identity(spec, "scale"), "status": "done", "error": "", "attempts": 1,
                "files": ["trial.json", "curve.parquet", "model.safetensors"],
            }  # fmt: skip
            shutil.copyfile(scratch / "curve.parquet", place.result / "curve.parquet")
            (place.result / "model.safetensors").write_bytes(model)
            (place.result / "trial.json").write_text(json.dumps(row))
            folder.publish(spec.id, row)
            publish_s += time.perf_counter() - began
        began = time.perf_counter()
        assert len(folder.finished(trial.id for trial in part.trials)) == n
        look_up_s = time.perf_counter() - began
        began = time.perf_counter()
        folder.write_tables(part)
        merge_s = time.perf_counter() - began
    files = [path for path in (scratch / "run").rglob("*") if path.is_file()]
    n_bytes = sum(path.stat().st_size for path in files)
    shutil.rmtree(scratch / "run")
    return FolderCost(n, publish_s, look_up_s, merge_s, len(files), n_bytes)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--gpus", type=int, default=16, help="of a node")
    parser.add_argument("--pack", type=int, default=1, help="trials that a GPU takes in one go")
    parser.add_argument("--crash-rate", type=float, default=0.002, help="share of units")
    parser.add_argument("--death-every", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--folder", type=int, nargs="*", default=[1000, 10_000], metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        plan, planning_s = plan_trials(given.trials, given.pack, Path(scratch))
        n = len(plan.trials)
        print(f"plan: {n:,} trials in {planning_s:.1f} s (goal: 10 s for 100,000)")
        began = time.perf_counter()
        n_shard = len(plan.shard(1, given.nodes).trials)
        shard_s = time.perf_counter() - began
        print(f"shard 1/{given.nodes} of an array job: {n_shard:,} trials in {shard_s:.2f} s")
        for crash_rate, death_every in ((0.0, 0.0), (given.crash_rate, given.death_every)):
            rng = np.random.default_rng(given.seed)
            simulation = Simulation(plan, given.nodes, given.gpus, rng, crash_rate, death_every)
            show(simulation.run(), given, crash_rate, death_every)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory: {peak:.2f} GB (goal: 2)")
        print("run folder    trials   publish/trial  looked up   merged     files      bytes")
        for size in given.folder:
            cost = folder_cost(plan, min(size, n), Path(scratch))
            print(
                f"           {cost.n:9,}   {cost.publish_s / cost.n * 1e3:8.2f} ms   "
                f"{cost.look_up_s:6.2f} s   {cost.merge_s:6.2f} s  {cost.n_files:9,}  "
                f"{cost.n_bytes / 1e6:7.0f} MB"
            )


def show(outcome: Outcome, given: argparse.Namespace, crash_rate: float, deaths: float) -> None:
    slots = given.nodes * given.gpus
    n = outcome.n_done + outcome.n_failed
    what = f"{crash_rate:.1%} of units crash, a node dies every {deaths:.0f} s" if deaths else (
        "nothing dies"
    )  # fmt: skip
    share = outcome.busy_s / (slots * outcome.makespan_s)
    print(
        f"{slots:,} GPUs, {what}: {outcome.n_done:,} done, {outcome.n_failed} failed in "
        f"{outcome.makespan_s / 3600:.2f} simulated hours; GPUs at work {share:.1%}, "
        f"{outcome.lost_s / 3600:.1f} GPU hours lost; the queue took {outcome.wall_s:.1f} s, "
        f"{outcome.wall_s / n * 1e6:.0f} µs a trial"
    )


if __name__ == "__main__":
    main()
