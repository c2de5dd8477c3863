"""Images shown to a network on a CPU in small parts and in whole batches, timed in turn.

    python benchmarks/evaluation.py [--images 2000] [--rounds 3]

One thread, float32, random weights, no gradients. As evaluations are (`harness/training/loop.py`:
parts of 100 of a batch of 1,000) and as the features of a frozen front are computed
(`harness/training/features.py`: parts of 64 of a chunk of 256; here of whole networks). Prints
images a second of both, the ratio, and whether what comes out is the same bits: only because it is
may the harness use parts.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.training import features, memory
from harness.training import loop as train
from harness.training.loop import in_parts
from models.build import build_model

NETWORKS = (
    ("lenet5", (28, 28), 1),
    ("midas_cnn", (28, 28), 1),
    ("midas_cnn", (40, 40), 1),
    ("squeezenet1_0", (64, 64), 3),
    ("resnet18", (64, 64), 3),
)
USES = ((memory.EVALUATION_BATCH, train.CPU_PART), (features.CHUNK, features.CPU_PART))


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
        for batch, part in USES:
            best: dict[int, float] = {}
            logits: dict[int, Tensor] = {}
            for _ in range(given.rounds):
                for size_of_part in (batch, part):
                    started = time.perf_counter()
                    logits[size_of_part] = logits_of(network, images, batch, size_of_part)
                    seconds = time.perf_counter() - started
                    best[size_of_part] = min(seconds, best.get(size_of_part, seconds))
            whole, parts = (given.images / best[each] for each in (batch, part))
            bits = "same" if torch.equal(*logits.values()) else "OTHER"
            print(
                f"{name:14} {size[0]}×{size[1]}: {parts:6,.0f} images/s in parts of {part}, "
                f"{whole:6,.0f} in batches of {batch}: {parts / whole:.2f}×, {bits} bits",
                flush=True,
            )


@torch.inference_mode()
def logits_of(network: nn.Module, images: Tensor, batch: int, part: int) -> Tensor:
    batches = images.split(batch)
    return torch.cat([network(each) for whole in batches for each in in_parts(whole, part)])


if __name__ == "__main__":
    main()
