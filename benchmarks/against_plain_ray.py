"""The same trials by Headstart and by a plain Ray Tune program, timed in turn in one run.

    python benchmarks/against_plain_ray.py [--seeds 8] [--rounds 1] [--images 10000] [--epochs 2]

Two arms (two learning rates) × seeds of LeNet-5 on MNIST, one trial a core, all start-up included.
The plain program is written as PyTorch's own Ray Tune tutorial writes it: a function trainable, a
`Dataset` of PIL images with torchvision's transforms, a `DataLoader`, a report every epoch. Both
programs get one thread a trial, the same images, batch size and epochs, and evaluate alike.

Prints the ratio of wall-clock times, trials an hour, the share of this machine's float32
matrix-product rate that training reaches, and the harness's overhead: wall time × slots against the
sum of `train_time_s + eval_time_s`. Needs MNIST (HEADSTART_DATA or data/).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SWEEP = """\
name: against-plain-ray
question: Which learning rate trains LeNet-5 better in a few epochs?
model: {{name: lenet5}}
data: {{name: mnist, train: {images}, validation: 2000}}
train: {{optimizer: adam, batch_size: 128, epochs: {epochs}}}
arms:
  slow: {{train: {{learning_rate: 3.0e-4}}}}
  fast: {{train: {{learning_rate: 1.0e-3}}}}
seeds: {seeds}
compare: [{{treatment: fast, control: slow}}]
resources: {{gpus: 0, pack: 1}}
"""
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="each program this often, in turn")
    parser.add_argument("--loader-workers", type=int, default=0, help="of the plain DataLoader")
    parser.add_argument("--only", choices=("headstart", "plain"), help="time one program")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        run_plain(given)
        return
    compare(given)


def compare(given: argparse.Namespace) -> None:
    """Run both programs in turn as whole processes and print what is to be known."""
    n_trials = 2 * given.seeds
    slots = len(os.sched_getaffinity(0))
    seconds: dict[str, list[float]] = {"headstart": [], "plain": []}
    rate = matrix_product_rate()
    print(f"{n_trials} trials, {given.epochs} epochs of {given.images} images, {slots} slots")
    print(f"float32 2048³ matrix product on one thread: {rate / 1e9:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as scratch:
        sweep = Path(scratch) / "sweep.yaml"
        sweep.write_text(SWEEP.format(images=given.images, epochs=given.epochs, seeds=given.seeds))
        for round_number in range(given.rounds):
            for name in ("headstart", "plain"):
                if given.only in (None, name):
                    out = Path(scratch) / f"run-{round_number}"
                    seconds[name].append(timed(command(name, given, sweep, out)))
                    print(f"  {name}: {seconds[name][-1]:.1f} s", flush=True)
        if seconds["headstart"]:
            show_headstart(seconds["headstart"], Path(scratch), slots, n_trials, rate)
    for name, each in seconds.items():
        if each:
            print(f"{name}: {n_trials / median(each) * 3600:.0f} trials an hour")
    if all(seconds.values()):
        ratios = [p / h for p, h in zip(seconds["plain"], seconds["headstart"], strict=True)]
        print(f"ratio plain / headstart, all start-up included: {median(ratios):.1f}")


def command(name: str, given: argparse.Namespace, sweep: Path, out: Path) -> list[str]:
    if name == "headstart":
        return [sys.executable, "-m", "harness.sweep", str(sweep), "--out", str(out), "--no-report"]
    options = [f"--seeds={given.seeds}", f"--images={given.images}", f"--epochs={given.epochs}"]
    workers = f"--loader-workers={given.loader_workers}"
    return [sys.executable, __file__, "--plain", workers, *options]


def timed(arguments: list[str]) -> float:
    """Wall seconds of a whole process; its output is shown only where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.perf_counter() - started


def show_headstart(
    seconds: list[float], scratch: Path, slots: int, n_trials: int, rate: float
) -> None:
    """Overhead and arithmetic rate, from the harness's own records of its last run."""
    import pyarrow.parquet as pq

    last = sorted(scratch.glob("run-*"))[-1]
    rows = pq.read_table(last / "trials.parquet").to_pylist()
    busy = sum(row["train_time_s"] + row["eval_time_s"] for row in rows)
    wall = seconds[-1]
    beyond = wall - 12.0
    print(
        f"headstart's trials: Σ(train + eval) = {busy:.1f} s; wall × slots = {wall * slots:.1f} s"
    )
    print(f"overhead beyond a fixed start of 12 s: {beyond * slots / busy - 1:+.1%}")
    flops = training_flops_per_image()
    images = sum(row["n_train"] * row["epochs"] for row in rows)
    reached = flops * images / sum(row["train_time_s"] for row in rows)
    print(
        f"training: {flops / 1e6:.2f} MFLOP an image, {reached / 1e9:.1f} GFLOP/s a thread, "
        f"{reached / rate:.0%} of the matrix-product rate"
    )


def matrix_product_rate() -> float:
    """FLOP/s of a 2048³ float32 product on one thread: the best of ten."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def training_flops_per_image() -> float:
    """Forward and backward of LeNet-5, 2 FLOP a multiply-add, counted by PyTorch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from models.build import build_model

    network = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=0, head_seed=0
    )
    with FlopCounterMode(display=False) as counter:
        network(torch.rand(8, 1, 28, 28)).sum().backward()
    return counter.get_total_flops() / 8


# -- the plain program -----------------------------------------------------------------------


def run_plain(given: argparse.Namespace) -> None:
    """As the tutorial does it: `tune.Tuner` over a function, one process a trial."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray import tune

    root = str(Path(os.environ.get("HEADSTART_DATA", "data")).absolute() / "mnist")
    storage = tempfile.mkdtemp()
    tuner = tune.Tuner(
        tune.with_resources(train_plain, {"cpu": 1}),
        param_space={
            "lr": tune.grid_search([3e-4, 1e-3]),
            "seed": tune.grid_search(list(range(given.seeds))),
            "root": root,
            "images": given.images,
            "epochs": given.epochs,
            "loader_workers": given.loader_workers,
        },
        run_config=tune.RunConfig(storage_path=storage, verbose=0),
    )
    results = tuner.fit()
    assert len(results) == 2 * given.seeds
    assert not results.errors
    shutil.rmtree(storage, ignore_errors=True)


def train_plain(config: dict) -> None:
    """One trial: LeNet-5, Adam, an evaluation an epoch, the test set at the end."""
    import torch
    import torch.nn.functional as F
    from ray import tune
    from torch import nn
    from torch.utils.data import DataLoader, Subset
    from torchvision import transforms
    from torchvision.datasets import MNIST

    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])

    class LeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(400, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = torch.flatten(x, 1)
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    train_set = MNIST(config["root"], train=True, transform=transform)
    test_set = MNIST(config["root"], train=False, transform=transform)
    order = torch.randperm(len(train_set)).tolist()
    n_train = config["images"]
    workers = config["loader_workers"]
    train = DataLoader(
        Subset(train_set, order[:n_train]), batch_size=128, shuffle=True, num_workers=workers
    )
    validation = DataLoader(
        Subset(train_set, order[n_train : n_train + 2000]), batch_size=128, num_workers=workers
    )
    test = DataLoader(test_set, batch_size=128, num_workers=workers)
    network = LeNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=config["lr"])

    def accuracy(loader: DataLoader) -> float:
        network.eval()
        right = total = 0
        with torch.no_grad():
            for images, labels in loader:
                right += (network(images).argmax(1) == labels).sum().item()
                total += len(labels)
        return right / total

    for _ in range(config["epochs"]):
        network.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
        tune.report({"val_accuracy": accuracy(validation), "test_accuracy": float("nan")})
    tune.report({"val_accuracy": accuracy(validation), "test_accuracy": accuracy(test)})


if __name__ == "__main__":
    main()
