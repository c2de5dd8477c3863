"""PyTorch's transfer-learning tutorial as a user writes it, and by Headstart, in one run.

    python benchmarks/photographs.py [--case NAME …] [--seeds 10] [--epochs 5] [--size 224]
                                     [--plain-seeds 1] [--loader-workers 2] [--threads 1]

SqueezeNet 1.0 with ImageNet weights and a new last convolution, on the ants and bees. Cases:

- `features`: the last layer, of unchanged photographs (Headstart computes features once);
- `last_layer`: the last layer, with the tutorial's random crops and flips;
- `all`: all layers, with the same.

Both programs train with SGD (momentum 0.9, 0.0001, batches of 4; the tutorial's 0.001 kills
SqueezeNet's last ReLU, docs/recipes.md), split 37 photographs off `train` for validation after each
epoch, and score the tutorial's `val` once, with the weights of the best epoch. The plain program is
the tutorial's: `ImageFolder`, torchvision's transforms, a `DataLoader` that reads and decodes in
each epoch, one seed after another. Headstart is the command `harness.sweep`, from the zip file to
its records, without a report. Its random crops lie in the middle square of a photograph, which it
keeps at 256 pixels; those of the tutorial lie anywhere.

What counts: of the plain program the start of each DataLoader's workers and building each network,
not imports, not the unpacking of the zip file. Of Headstart decoding into an empty cache, the plan
and the records, not imports. Each program has a process of its own and the same count of threads.

Compared is processor time, children included, since it stands still while others use the machine;
wall time is beside it. All seeds cost the plain program the same, so one is timed and multiplied,
which is printed (`--plain-seeds 10` times ten). Needs `ants_bees` and the weights (HEADSTART_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RATE, BATCH, N_VALIDATION = 1e-4, 4, 37
SWEEP = """\
name: photographs
question: What does a seed of the tutorial cost?
model: {{name: squeezenet1_0, image_size: {size}}}
data: {{name: folder, path: ants_bees/ants_bees.zip, parts: {{train: train, test: val}},
       train: 207, validation: 37, preprocess: centre_crop}}
train:
  optimizer: sgd
  momentum: 0.9
  learning_rate: {rate}
  batch_size: {batch}
  epochs: {epochs}
  threads: {threads}
  crop_fraction: 0.875
  augment: {augment}
arms:
  tuned: {{initialize: imagenet, fine_tune: {fine_tune}}}
seeds: {seeds}
track: []
resources: {{gpus: 0, pack: {seeds}}}
"""


@dataclass(frozen=True)
class Case:
    """What trains, whether photographs are changed, and the ratio that is aimed at."""

    fine_tune: str
    changes: bool
    goal: float


CASES = {
    "features": Case("last_layer", False, 30),
    "last_layer": Case("last_layer", True, 2),
    "all": Case("all", True, 1.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=CASES, help="default: all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size", type=int, default=224, help="pixels that the network sees")
    parser.add_argument(
        "--plain-seeds", type=int, default=1, help="of the plain program; its time is multiplied"
    )
    parser.add_argument("--loader-workers", type=int, default=2, help="of the plain DataLoader")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in both programs")
    parser.add_argument("--program", choices=PROGRAMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.program:  # a process of its own, started below
        with tempfile.TemporaryDirectory() as scratch:
            print(json.dumps(PROGRAMS[given.program](given, Path(scratch))))
        return
    print(
        f"{given.seeds} seeds × {given.epochs} epochs at {given.size} px, {given.threads} "
        f"thread(s), DataLoader with {given.loader_workers} workers; processor seconds, load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print("| case | plain s | Headstart s | ratio | goal | wall | plain accuracy | Headstart's |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in given.case or CASES:
        print(row(name, CASES[name], given), flush=True)


def row(name: str, case: Case, given: argparse.Namespace) -> str:
    """Both programs on one case, as a line of the table."""
    ours = in_own_process("headstart", name, given, given.seeds)
    n_plain = min(given.plain_seeds, given.seeds)
    plain = in_own_process("plain", name, given, n_plain)
    scale = given.seeds / n_plain
    cpu, wall = scale * plain["cpu_s"], scale * plain["wall_s"]
    scaled = "" if n_plain == given.seeds else f" ({n_plain} seed(s) × {scale:g})"
    return (
        f"| {name} | {cpu:.1f}{scaled} | {ours['cpu_s']:.1f} | {cpu / ours['cpu_s']:.1f} | "
        f"{case.goal:g} | {wall / ours['wall_s']:.1f} | {accuracy(plain['accuracies'])} | "
        f"{accuracy(ours['accuracies'])} |"
    )


def in_own_process(program: str, case: str, given: argparse.Namespace, seeds: int) -> Any:
    options = {
        "--program": program, "--case": case, "--seeds": seeds, "--epochs": given.epochs,
        "--size": given.size, "--threads": given.threads, "--loader-workers": given.loader_workers,
    }  # fmt: skip
    argv = [sys.executable, __file__, *(str(word) for pair in options.items() for word in pair)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{case}: the {program} program ended with exit status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def accuracy(values: list[float]) -> str:
    """The mean, and from where to where the seeds lie."""
    mean, low, high = (
        100 * value for value in (sum(values) / len(values), min(values), max(values))
    )
    return (
        f"{mean:.1f} % (one seed)"
        if len(values) == 1
        else f"{mean:.1f} % ({low:.1f} to {high:.1f})"
    )


class Spent:
    """Processor seconds of this process and its ended children, and wall seconds, from here on."""

    def __init__(self) -> None:
        self.began = self._now()

    def so_far(self) -> dict[str, float]:
        cpu, wall = self._now()
        return {"cpu_s": cpu - self.began[0], "wall_s": wall - self.began[1]}

    @staticmethod
    def _now() -> tuple[float, float]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used), time.perf_counter()


# -- Headstart ---------------------------------------------------------------------------------


def by_headstart(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The command, in this process: what is measured begins after its imports."""
    import pandas as pd
    import torchvision  # noqa: F401  (the plain program's are loaded before it is timed, too)

    import harness.engines.here
    import harness.joint.heads
    import harness.training.trial  # noqa: F401
    from harness.sweep import main as sweep_command

    case = CASES[given.case[0]]
    os.environ["HEADSTART_CACHE"] = str(scratch / "cache")
    changes = "{random_resized_crop: [0.08, 1.0], horizontal_flip: 0.5}" if case.changes else "{}"
    sweep = scratch / "sweep.yaml"
    sweep.write_text(
        SWEEP.format(
            size=given.size, rate=RATE, batch=BATCH, epochs=given.epochs, threads=given.threads,
            augment=changes, fine_tune=case.fine_tune, seeds=given.seeds,
        )
    )  # fmt: skip
    options = ["--engine", "here", "--no-report", "--out", str(scratch / "run")]
    spent = Spent()
    output, sys.stdout = sys.stdout, sys.stderr
    status = sweep_command([str(sweep), *options])
    sys.stdout = output
    measured = spent.so_far()
    if status:
        sys.exit(f"harness.sweep ended with exit status {status}, its messages are above")
    trials = pd.read_parquet(scratch / "run" / "trials.parquet")
    return {**measured, "accuracies": trials["test_accuracy"].tolist()}


# -- the tutorial's program ----------------------------------------------------------------------


def by_plain_program(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    import torch

    case = CASES[given.case[0]]
    torch.set_num_threads(given.threads)
    data = Path(os.environ.get("HEADSTART_DATA", "data"))
    with zipfile.ZipFile(data / "ants_bees" / "ants_bees.zip") as archive:
        archive.extractall(scratch)
    network_of(data, case)  # imports, and the weights come into the page cache
    spent = Spent()
    accuracies = [trained(seed, given, case, data, scratch) for seed in range(given.seeds)]
    return {**spent.so_far(), "accuracies": accuracies}


def trained(seed: int, given: argparse.Namespace, case: Case, data: Path, images: Path) -> float:
    """One seed: the accuracy on `val` by the weights of the best epoch."""
    import copy

    import torch
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    torch.manual_seed(seed)
    ending = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    kept = round(given.size / 0.875)
    whole = [transforms.Resize(kept), transforms.CenterCrop(given.size), *ending]
    random = [transforms.RandomResizedCrop(given.size), transforms.RandomHorizontalFlip(), *ending]
    shown = datasets.ImageFolder(images / "train", transforms.Compose(whole))
    changed = datasets.ImageFolder(
        images / "train", transforms.Compose(random if case.changes else whole)
    )
    order = torch.randperm(len(shown)).tolist()
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": given.loader_workers}
    train = DataLoader(Subset(changed, order[N_VALIDATION:]), shuffle=True, **options)
    validation = DataLoader(Subset(shown, order[:N_VALIDATION]), **options)
    test = DataLoader(datasets.ImageFolder(images / "val", transforms.Compose(whole)), **options)

    network, parameters = network_of(data, case)
    optimizer = torch.optim.SGD(parameters, lr=RATE, momentum=0.9)
    best, best_weights = -1.0, {}
    for _ in range(given.epochs):
        epoch(network, optimizer, train)
        right = accuracy_on(network, validation)
        if right > best:
            best, best_weights = right, copy.deepcopy(network.state_dict())
    network.load_state_dict(best_weights)
    return accuracy_on(network, test)


def network_of(data: Path, case: Case) -> tuple[Any, Any]:
    """SqueezeNet with a new last convolution, and the parameters that train."""
    from safetensors.torch import load_file
    from torch import nn
    from torchvision.models import squeezenet1_0

    network = squeezenet1_0()
    network.load_state_dict(load_file(data / "weights" / "squeezenet1_0_imagenet.safetensors"))
    if case.fine_tune == "last_layer":
        for parameter in network.parameters():
            parameter.requires_grad = False
    network.classifier[1] = nn.Conv2d(512, 2, kernel_size=1)
    whole = case.fine_tune == "all"
    return network, (network if whole else network.classifier[1]).parameters()


def epoch(network: Any, optimizer: Any, loader: Any) -> None:
    """One pass over the training photographs."""
    import torch.nn.functional as F

    network.train()
    for inputs, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), labels).backward()
        optimizer.step()


def accuracy_on(network: Any, loader: Any) -> float:
    """Fraction right."""
    import torch

    network.eval()
    right = n = 0
    with torch.no_grad():
        for inputs, labels in loader:
            right += int((network(inputs).argmax(1) == labels).sum())
            n += len(labels)
    return right / n


PROGRAMS = {"headstart": by_headstart, "plain": by_plain_program}

if __name__ == "__main__":
    main()
