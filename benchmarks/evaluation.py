"""Evaluating images on a CPU in parts of 100 and in batches of 1,000, timed in turn in one run.

    python benchmarks/evaluation.py [--images 2000] [--rounds 3]

One thread, float32, random weights. Prints images a second of both, the ratio, and whether the
logits are the same bits: `harness/train.py` evaluates in parts on a CPU because they are.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.train import CPU_PART, EVALUATION_BATCH
from models.build import build_model

NETWORKS = (
    ("lenet5", (28, 28), 1),
    ("midas_cnn", (28, 28), 1),
    ("midas_cnn", (40, 40), 1),
    ("squeezenet1_0", (64, 64), 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many is shown")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, size, channels in NETWORKS:
        network = build_model(
            name, n_classes=10, image_size=size, channels=channels, init_seed=0, head_seed=1
        ).eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(given.images, channels, *size, generator=generator)
        best, logits = {}, {}
        for _ in range(given.rounds):
            for part in (EVALUATION_BATCH, CPU_PART):
                started = time.perf_counter()
                logits[part] = logits_of(network, images, part)
                seconds = time.perf_counter() - started
                best[part] = min(seconds, best.get(part, seconds))
        whole, parts = (given.images / best[part] for part in (EVALUATION_BATCH, CPU_PART))
        bits = "same" if torch.equal(*logits.values()) else "OTHER"
        print(
            f"{name:14} {size[0]}×{size[1]}: {parts:6,.0f} images/s in parts of {CPU_PART}, "
            f"{whole:6,.0f} in batches of {EVALUATION_BATCH}: {parts / whole:.2f}×, {bits} bits",
            flush=True,
        )


@torch.no_grad()
def logits_of(network: nn.Module, images: Tensor, part: int) -> Tensor:
    return torch.cat([network(each) for each in images.split(part)])


if __name__ == "__main__":
    main()
