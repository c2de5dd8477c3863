"""A training step by several processes: our sum of gradients and torch's, in turn in one run.

    python benchmarks/workers.py [--workers 2] [--networks squeezenet1_0:64 resnet18:32] [--rows 16]

Processes on CPUs over gloo, one thread each; every one computes `--rows` images a step. Five
programs, with the same weights and images:

- `ours`: `harness/teams/gradient_sum.py` as trials use it;
- `buckets`: the same with buckets of 25 MB for any number of processes (the usual for two);
- `after`: one message after the backward pass;
- `ddp`: torch's `DistributedDataParallel`, gradients as views of its buckets;
- `alone`: no message at all, which is what the others could reach at best.

Prints the median step of the slowest process, ratios to `ddp`, and how far the weights of `ours`
end from those of `ddp`, relative to the way that training moved them.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.teams.collective import Group, meet, open_meeting
from harness.teams.gradient_sum import BUCKET_BYTES, GradientSum
from models.build import build_model
from models.dropout import set_dropout_generator

PROGRAMS = {"ours": None, "buckets": BUCKET_BYTES, "after": float("inf"), "ddp": 0, "alone": 0}
Step = Callable[[Tensor, Tensor], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--networks", nargs="+", default=["squeezenet1_0:64", "resnet18:32"])
    parser.add_argument("--rows", type=int, default=16, help="images of each process in a step")
    parser.add_argument("--rounds", type=int, default=20, help="steps of each program, in turn")
    given = parser.parse_args()
    for text in given.networks:
        name, side = text.split(":")
        _, seconds, apart = run(given.workers, (name, int(side), given.rows, given.rounds))[0]
        times = ", ".join(f"{k} {s * 1e3:.1f} ms" for k, s in seconds.items())
        ratios = ", ".join(f"{seconds['ddp'] / seconds[k]:.2f}× {k}" for k in PROGRAMS)
        print(f"{text}, {given.workers} processes of {given.rows} images: {times}")
        print(f"  as fast as ddp: {ratios}; weights apart by {apart:.1e}", flush=True)


def run(n: int, task: tuple[str, int, int, int]) -> list[tuple[int, dict[str, float], float]]:
    """What each of `n` processes measured."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in range(n):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(theirs, rank, n, task), daemon=True))
        processes[-1].start()
        pipes.append(ours)
    try:
        port = pipes[0].recv()
        for pipe in pipes:
            pipe.send(port)
        return [pipe.recv() for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def serve(pipe: Connection, rank: int, n: int, task: tuple[str, int, int, int]) -> None:
    torch.set_num_threads(1)
    store = None
    if rank == 0:
        store, port = open_meeting("127.0.0.1", n)
        pipe.send(port)
    group = meet("127.0.0.1", pipe.recv(), rank, n, torch.device("cpu"), store)
    pipe.send((rank, *measured(group, *task)))
    pipe.recv()  # stays until all have what they need of it


def measured(
    group: Group, name: str, side: int, rows: int, rounds: int
) -> tuple[dict[str, float], float]:
    """Median seconds of a step by program, of the slowest rank; how far ours ends from DDP's."""
    network = build_model(
        name, n_classes=10, image_size=(side, side), channels=3, init_seed=0, head_seed=1
    )
    networks = {program: copy.deepcopy(network) for program in PROGRAMS}
    masks = torch.Generator()
    for each in networks.values():
        set_dropout_generator(each, masks)
    steps = {program: step_of(program, networks[program], group) for program in PROGRAMS}
    draws = torch.Generator().manual_seed(group.rank)
    spent: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    for k in range(rounds + 2):
        images = torch.randn(rows, 3, side, side, generator=draws)
        labels = torch.randint(10, (rows,), generator=draws)
        first = k % len(PROGRAMS)  # each program is the first of a round as often as any other
        for program in [*PROGRAMS, *PROGRAMS][first : first + len(PROGRAMS)]:
            group.sum_(torch.zeros(1))  # all begin together
            masks.manual_seed(k)
            started = time.perf_counter()
            steps[program](images, labels)
            if k >= 2:
                spent[program].append(time.perf_counter() - started)
    seconds = {}
    for program, values in spent.items():
        of_all = torch.zeros(group.n, dtype=torch.float64)
        of_all[group.rank] = median(values)
        seconds[program] = float(group.sum_(of_all).max())
    ours, ddp, start = map(weights_of, (networks["ours"], networks["ddp"], network))
    apart = float((ours - ddp).norm() / (ddp - start).norm())
    return seconds, apart


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def step_of(program: str, network: nn.Module, group: Group) -> Step:
    """A program's forward, backward and update."""
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD(parameters, 1e-3, fused=True)
    called = network
    sums = None
    if program == "ddp":
        called = DistributedDataParallel(
            network, forward_sync_buffers=False, gradient_as_bucket_view=True
        )
    elif program != "alone":
        sums = GradientSum(parameters, group, 2, PROGRAMS[program])

    def step(images: Tensor, labels: Tensor) -> None:
        loss = F.cross_entropy(called(images), labels)
        if sums is None:
            loss.backward()
        else:
            loss = loss / group.n
            sums.begin(torch.stack([loss.detach(), torch.zeros_like(loss.detach())]))
            loss.backward()
            sums.finish()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
