"""A simulated thousand: plan and schedule 100,000 dry trials on 64 nodes of 16 GPUs.

    python benchmarks/scale.py [--trials 100000] [--nodes 64] [--gpus 16] [--folder N …]

The plan is made by `make_plan` and the trials are handed out by the sweep's own `Queue`, with a
clock that jumps from one event to the next: a trial lasts as long as a model of real durations says
(a median for each arm, a log-normal spread, a start of the worker before its first trial), some
crash, and nodes die and come back. What is measured is real: seconds and memory of planning, and
seconds of the queue's work for each trial. What is simulated is the wait.

An array job is simulated too: stages on one node, then independent shards.

The cost of a run folder is measured apart, on this machine's disk: so many trials with the files
that a trial leaves are published, looked up again as a resumed command does, counted as
`slurm.status` does, and merged; with a folder for each trial and with packs.

Not in here: Ray's own work for each trial, and the latency of a network file system.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.scale_allocation import Outcome, Simulation, simulate_array  # noqa: E402
from benchmarks.scale_records import Seconds, folder_costs, timed  # noqa: E402
from harness.plan.planner import make_plan  # noqa: E402
from harness.sweepfile.reader import load_sweep  # noqa: E402
from harness.trials.catalogue import DataCatalogue  # noqa: E402
from harness.trials.spec import Plan  # noqa: E402

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


def plan_trials(n: int, pack: int, scratch: Path) -> tuple[Plan, Seconds]:
    """A plan of at least `n` trials, and what it took (data sets opened before)."""
    sweep_file = scratch / "sweep.yaml"
    sweep_file.write_text(SWEEP.format(seeds=-(-n // 4), pack=pack))
    sweep, catalogue = load_sweep(sweep_file), DataCatalogue(allow_download=False)
    make_plan(sweep, catalogue, range(1))
    plans: list[Plan] = []
    took = timed(lambda: plans.append(make_plan(sweep, catalogue)))
    return plans[0], took


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--gpus", type=int, default=16, help="of a node")
    parser.add_argument("--pack", type=int, default=1, help="trials that a GPU takes in one go")
    parser.add_argument("--crash-rate", type=float, default=0.002, help="share of units")
    parser.add_argument("--death-every", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument(
        "--folder", type=int, nargs="*", default=[1000, 10_000, 100_000], metavar="N"
    )
    parser.add_argument("--driver-ms", type=float, nargs="*", default=[5, 20, 50], metavar="MS")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        plan, planning = plan_trials(given.trials, given.pack, Path(scratch))
        n = len(plan.trials)
        print(
            f"plan: {n:,} trials in {planning.wall:.1f} s, {planning.cpu:.1f} s of "
            "the processor's time (goal: 10 s for 100,000)"
        )
        began = time.perf_counter()
        n_shard = len(plan.shard(1, given.nodes).trials)
        shard_s = time.perf_counter() - began
        print(f"shard 1/{given.nodes} of an array job: {n_shard:,} trials in {shard_s:.2f} s")
        print(f"plan handed to workers: {len(pickle.dumps(plan.by_id)) / 1e6:.0f} MB pickled")
        rng = np.random.default_rng(given.seed)
        show("nothing dies", Simulation(plan, given.nodes, given.gpus, rng).run(), given)
        deaths = (given.crash_rate, given.death_every)
        words = f"{deaths[0]:.1%} of units crash, a node dies every {deaths[1]:.0f} s"
        show(words, Simulation(plan, given.nodes, given.gpus, rng, *deaths).run(), given)
        for ms in given.driver_ms:
            simulation = Simulation(plan, given.nodes, given.gpus, rng, *deaths, driver_s=ms / 1e3)
            show(f"{words}, {ms:g} ms of the command for each trial", simulation.run(), given)
        show_array(simulate_array(plan, given.nodes, given.gpus, rng), given.gpus)
        print(f"peak memory: {peak_gb():.2f} GB (goal: 2)")
        show_folders(plan, [min(size, n) for size in given.folder], Path(scratch))


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def show(what: str, outcome: Outcome, given: argparse.Namespace) -> None:
    slots = given.nodes * given.gpus
    n = outcome.n_done + outcome.n_failed
    share = outcome.busy_s / (slots * outcome.makespan_s)
    print(
        f"{slots:,} GPUs, {what}: {outcome.n_done:,} done, {outcome.n_failed} failed in "
        f"{outcome.makespan_s / 3600:.2f} simulated hours; GPUs at work {share:.1%}, "
        f"{outcome.lost_s / 3600:.1f} GPU hours lost; the queue took {outcome.wall_s:.1f} s, "
        f"{outcome.wall_s / n * 1e6:.0f} µs a trial"
    )


def show_array(outcomes: Sequence[Outcome], n_gpus: int) -> None:
    """The first job makes the stages on one node; then each shard has a node to itself."""
    stages, *shards = outcomes
    slowest = max(shard.makespan_s for shard in shards)
    share = sum(shard.busy_s for shard in shards) / (len(shards) * n_gpus * slowest)
    sizes = [shard.n_done for shard in shards]
    print(
        f"array job: {stages.n_done:,} stages on one node in {stages.makespan_s / 3600:.2f} "
        f"simulated hours; {len(shards)} shards of {min(sizes):,} to {max(sizes):,} trials in "
        f"{slowest / 3600:.2f} hours, GPUs at work {share:.1%}"
    )


def show_folders(plan: Plan, sizes: Sequence[int], scratch: Path) -> None:
    print("run folder; seconds on the wall (of the processor); small files are all but weights")
    print(
        "layout      trials  publish, a trial     pack, a trial       looked up          status"
        "          merged   memory    files  folders  small files"
    )
    for size in dict.fromkeys(sizes):
        for cost in folder_costs(plan, size, scratch):
            each = (f"{s.wall * 1e3:.1f} ms ({s.cpu * 1e3:.1f})" for s in (cost.publish, cost.pack))
            whole = (
                f"{s.wall:.2f} s ({s.cpu:.2f})" for s in (cost.look_up, cost.status, cost.merge)
            )
            times = "".join(f"{text:>18}" for text in each) + "".join(f"{t:>16}" for t in whole)
            print(
                f"{cost.layout:<8} {cost.n:9,}{times} {cost.peak_gb:5.2f} GB {cost.n_files:8,} "
                f"{cost.n_folders:8,} {cost.n_bytes / 1e6:9.1f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
