"""A training step with `train.compile` against one without it, in turn in one run, on one thread.

    python benchmarks/compiled.py [NAME[:SIDE] …] [--batch-size 8] [--rounds 5]

Steps are the harness's own (forward, loss, backward, SGD), of random weights and images. Times are
processor time. `compiling` (the compiler and g++) is what a trial pays once for each size of batch;
`pays after` is how many steps make up for it; a dash: never.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.seeds import derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.compiling import compiled, forget
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from models.build import build_model

NETWORKS = ("timm/tf_efficientnet_lite0:96", "squeezenet1_0:96", "timm/vit_tiny_patch16_224:96")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NAME[:SIDE]")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="each way so often, in turn")
    given = parser.parse_args()
    print(f"{'network':34} {'compiling':>10} {'without':>9} {'with':>9}  ratio  pays after",
          flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for named in given.networks:
            name, _, side = named.partition(":")
            measure(name, int(side or 96), given.batch_size, given.rounds, Path(folder))
        forget()


def measure(name: str, side: int, batch_size: int, rounds: int, folder: Path) -> None:
    """Print one network's row."""
    plain, made = (trainer(name, side, batch_size, folder, flag) for flag in (False, True))
    before = spent()
    made.compile_ahead()
    compiling = spent() - before
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(rounds):
        for way, its in (("without", plain), ("with", made)):
            its.step()  # caches are the other's
            before = time.process_time()
            its.step()
            seconds[way].append(time.process_time() - before)
    without, with_it = (median(each) for each in seconds.values())
    gain = without - with_it
    pays = f"{compiling / gain:,.0f} steps" if gain > 0 else "–"
    print(f"{name:34} {compiling:8.1f} s {without * 1e3:6.0f} ms {with_it * 1e3:6.0f} ms "
          f"{without / with_it:5.2f}×  {pays}", flush=True)  # fmt: skip


def spent() -> float:
    """Processor seconds of this process and of those that it started."""
    return sum(os.times()[:4])


def trainer(name: str, side: int, batch_size: int, folder: Path, is_compiled: bool) -> Trainer:
    settings = Train(optimizer="sgd", learning_rate=1e-3, batch_size=batch_size, epochs=1000)
    set_up_process(settings)
    network = build_model(
        name, n_classes=2, image_size=(side, side), channels=3, init_seed=0, head_seed=1,
        options={"image_size": side} if name not in ("lenet5", "mlp") else {},
    )  # fmt: skip
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch_size, 3, side, side), generator=draws, dtype=torch.uint8)
    part = Part(images, torch.arange(batch_size) % 2, torch.arange(batch_size).numpy())
    return Trainer(
        network,
        part,
        settings,
        derive_streams(0, 0, ("order", "augment", "dropout")),
        make_accelerator("float32", "cpu"),
        Normalise((0.5,) * 3, (0.25,) * 3, torch.device("cpu")),
        [{"params": list(network.parameters())}],
        compiler=(lambda module: compiled(module, folder, 1)) if is_compiled else None,
    )


if __name__ == "__main__":
    main()
