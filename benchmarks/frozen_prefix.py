"""Fine-tuning the last layers by Headstart and by the plain program, timed in one run.

    python benchmarks/frozen_prefix.py [--quick] [--case NAME …]

Cases: `last_layer` and `last_2` of LeNet-5 and `last_layer` of SqueezeNet 1.0 at 64 px on MNIST, 10
seeds × 10 epochs. The plain program is what a user would otherwise write: frozen layers with
`requires_grad=False`, torch's own modules and optimizer, a `Dataset` of PIL images with
torchvision's transforms, a `DataLoader`, one trial after another. Headstart runs the same trials as
one pack in one process: the frozen part once (its pass over all images counted, with an empty cache
of features), the heads together. Both get one thread, the same images, batch size, epochs and
evaluations (validation each epoch, the test part once), and neither counts imports: both run on a
few images first.

Every epoch of the plain program costs the same, so fewer may be timed (`--plain-seeds`,
`--plain-epochs`) and scaled; what was timed and what was scaled is printed. Needs MNIST
(HEADSTART_DATA or data/); the weights are random, since their values cost no time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SWEEP = """\
name: frozen-prefix
question: What does a frozen front cost?
model: {model}
data: {{name: mnist, train: {train}, validation: {validation}, test: {test}}}
train: {{optimizer: adam, learning_rate: 1.0e-3, batch_size: 128, epochs: {epochs}}}
arms:
  frozen: {{fine_tune: {fine_tune}}}
seeds: {seeds}
vary: [order, head, dropout]
resources: {{gpus: 0, pack: {seeds}}}
"""


@dataclass(frozen=True)
class Case:
    """What is fine-tuned, and the ratio that is aimed at."""

    model: str
    fine_tune: str
    goal: float
    image_size: int = 28


CASES = {
    "lenet5-last_layer": Case("{name: lenet5}", "last_layer", 20),
    "lenet5-last_2": Case("{name: lenet5}", "last_2", 20),
    "squeezenet1_0-last_layer": Case(
        "{name: squeezenet1_0, image_size: 64, channels: 3}", "last_layer", 50, 64
    ),
}


@dataclass(frozen=True)
class Amount:
    """How much is trained, and how much of it the plain program is timed on."""

    train: int
    validation: int
    test: int
    seeds: int
    epochs: int
    plain_seeds: int
    plain_epochs: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=CASES, help="default: all")
    parser.add_argument("--quick", action="store_true", help="few images; plain timed on 1 epoch")
    parser.add_argument("--images", type=int, help="training images (10,000; quick: 2,000)")
    parser.add_argument("--plain-seeds", type=int, default=1, help="timed; the rest is scaled")
    parser.add_argument("--plain-epochs", type=int, help="timed; the rest is scaled (2; quick: 1)")
    given = parser.parse_args()
    n = given.images or (2000 if given.quick else 10_000)
    amount = Amount(
        train=n, validation=n // 10, test=n // 5, seeds=10, epochs=10,
        plain_seeds=given.plain_seeds,
        plain_epochs=given.plain_epochs or (1 if given.quick else 2),
    )  # fmt: skip
    print(f"{amount.seeds} seeds × {amount.epochs} epochs of {n} images, one thread, one slot")
    for name in given.case or CASES:
        warm_up(CASES[name])
        compare(name, CASES[name], amount)


def warm_up(case: Case) -> None:
    """Run both programs on a few images, so that imports and first calls are not timed."""
    few = Amount(
        train=256, validation=100, test=100, seeds=2, epochs=1, plain_seeds=1, plain_epochs=1
    )
    with tempfile.TemporaryDirectory() as scratch:
        time_headstart(case, few, Path(scratch))
    time_plain(case, few)


def compare(name: str, case: Case, amount: Amount) -> None:
    """Time both programs on one case and print the ratio."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, row = time_headstart(case, amount, Path(scratch))
    epoch_s, rest_s = time_plain(case, amount)
    plain = amount.seeds * (amount.epochs * epoch_s + rest_s)
    timed = f"{amount.plain_seeds} seed(s) × {amount.plain_epochs} epoch(s)"
    print(
        f"{name}: plain {plain:.1f} s (scaled from {timed}: {epoch_s:.2f} s an epoch, "
        f"{rest_s:.2f} s the rest of a trial); Headstart {ours:.2f} s, of it "
        f"{row['prefix_time_s']:.2f} s for the frozen part ({row['ran_as']}); "
        f"ratio {plain / ours:.0f} (goal: {case.goal:.0f})"
    )


def time_headstart(case: Case, amount: Amount, scratch: Path) -> tuple[float, dict[str, Any]]:
    """Seconds for all trials, from specification to records, and the row of the first."""
    from harness.joint import heads, pack
    from harness.plan.planner import make_plan
    from harness.runfolder.folder import RunFolder
    from harness.sweepfile.reader import load_sweep
    from harness.training.context import TrialContext
    from harness.training.feature_store import FeatureStore
    from harness.trials.catalogue import DataCatalogue
    from harness.trials.events import Ended

    sweep = scratch / "sweep.yaml"
    sweep.write_text(
        SWEEP.format(
            model=case.model, fine_tune=case.fine_tune, train=amount.train, test=amount.test,
            validation=amount.validation, epochs=amount.epochs, seeds=amount.seeds,
        )
    )  # fmt: skip
    catalogue = DataCatalogue()
    plan = make_plan(load_sweep(sweep), catalogue)  # decodes the images, where nobody has yet
    started = time.perf_counter()
    rows = []
    with RunFolder(scratch / "run") as folder:
        context = TrialContext(catalogue, features=FeatureStore(scratch / "features"))
        assert heads.can_batch(plan.trials)
        folders = {trial.id: folder.trial_folder(trial.id) for trial in plan.trials}
        for event in pack.run_pack(plan.trials, folders, context, heads.HEADS):
            if isinstance(event, Ended):
                folder.publish(event.trial_id, event.row)
                rows.append(event.row.to_json())
    seconds = time.perf_counter() - started
    assert [row["status"] for row in rows] == ["done"] * amount.seeds
    return seconds, max(rows, key=lambda row: row["prefix_time_s"])


def time_plain(case: Case, amount: Amount) -> tuple[float, float]:
    """Seconds of the plain program: of an epoch with its validation, and of a trial beside them."""
    import torch
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    if case.image_size != 28:
        steps = [
            transforms.Grayscale(3), transforms.Resize(case.image_size), transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]  # fmt: skip
    transform = transforms.Compose(steps)
    root = Path(os.environ.get("HEADSTART_DATA", "data")) / "mnist"
    images = datasets.MNIST(str(root), train=True, transform=transform)
    test_images = datasets.MNIST(str(root), train=False, transform=transform)
    cut = amount.train + amount.validation
    train = DataLoader(Subset(images, range(amount.train)), batch_size=128, shuffle=True)
    validation = DataLoader(Subset(images, range(amount.train, cut)), batch_size=1000)
    test = DataLoader(Subset(test_images, range(amount.test)), batch_size=1000)
    epoch_s, rest_s = 0.0, 0.0
    for seed in range(amount.plain_seeds):
        started = time.perf_counter()
        torch.manual_seed(seed)
        network, optimizer = plain_network(case)
        rest_s += time.perf_counter() - started
        for _ in range(amount.plain_epochs):
            started = time.perf_counter()
            plain_epoch(network, optimizer, train)
            plain_accuracy(network, validation)
            epoch_s += time.perf_counter() - started
        started = time.perf_counter()
        plain_accuracy(network, test)
        rest_s += time.perf_counter() - started
    return epoch_s / (amount.plain_seeds * amount.plain_epochs), rest_s / amount.plain_seeds


def plain_network(case: Case) -> tuple[Any, Any]:
    """The network with all but its last layers frozen, and Adam over what is left."""
    import torch
    from torch import nn

    if case.image_size == 28:
        network: Any = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        layers = [layer for layer in network if list(layer.parameters())]
    else:
        from torchvision.models import squeezenet1_0

        network = squeezenet1_0(num_classes=10)
        layers = [network.classifier[1]]
    for parameter in network.parameters():
        parameter.requires_grad = False
    trained = layers[-2:] if case.fine_tune == "last_2" else layers[-1:]
    parameters = [p for layer in trained for p in layer.parameters()]
    for parameter in parameters:
        parameter.requires_grad = True
    return network, torch.optim.Adam(parameters, lr=1e-3)


def plain_epoch(network: Any, optimizer: Any, loader: Any) -> None:
    """One pass over the training images."""
    import torch.nn.functional as F

    network.train()
    for inputs, labels in loader:
        loss = F.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def plain_accuracy(network: Any, loader: Any) -> float:
    """Fraction right on one part of the data."""
    import torch

    network.eval()
    right = n = 0
    with torch.no_grad():
        for inputs, labels in loader:
            right += int((network(inputs).argmax(1) == labels).sum())
            n += len(labels)
    return right / n


if __name__ == "__main__":
    main()
