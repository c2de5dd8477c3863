"""LeNet-5's training step on a CPU, its layers joined and one by one, timed in turn in one run.

    python benchmarks/pooled.py [--batch-sizes 32 64 128 256 512] [--rounds 5]

Three programs, the same weights and images, one thread, forward, backward and Adam:

- `joined`: `models/networks/lenet5.py` as trials train it (`models/networks/pooled.py`);
- `layers`: the same layers one by one, channels last;
- `usual`: ReLU before pooling, torch's default layout, as it is usually written.

Prints the median step of each and the ratios to `joined`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.build import build_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--rounds", type=int, default=5, help="each network so often, in turn")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'images':>7} {'joined':>9} {'layers':>9} {'usual':>9}   joined is as fast as")
    for size in given.batch_sizes:
        seconds = steps_of(networks(), size, given.rounds)
        joined, layers, usual = (median(each) for each in seconds.values())
        times = " ".join(f"{s * 1e3:6.2f} ms" for s in (joined, layers, usual))
        print(f"{size:7} {times}   {layers / joined:.2f}× layers, {usual / joined:.2f}× usual")


def networks() -> dict[str, nn.Module]:
    """The three programs, with equal weights of their own."""
    shape = {"n_classes": 10, "image_size": (28, 28), "channels": 1}
    joined = build_model("lenet5", init_seed=0, head_seed=1, **shape)
    layers = nn.Sequential(*copy.deepcopy(joined))
    usual = nn.Sequential(*copy.deepcopy(joined))
    for k in (1, 4):  # pooling, ReLU
        usual[k], usual[k + 1] = usual[k + 1], usual[k]
    return {
        "joined": joined,
        "layers": layers,
        "usual": usual.to(memory_format=torch.contiguous_format),
    }


def steps_of(programs: dict[str, nn.Module], size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each training step of each program, after a few that are not counted."""
    images = torch.randn(size, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size) % 10
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=3e-4, fused=True)
        for name, network in programs.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, network in programs.items():
            for _ in range(3):
                step(network, optimizers[name], images, labels)
            for _ in range(max(5, 4_000 // size)):
                started = time.perf_counter()
                step(network, optimizers[name], images, labels)
                seconds[name].append(time.perf_counter() - started)
    return seconds


def step(
    network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> None:
    F.cross_entropy(network(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad()


if __name__ == "__main__":
    main()
