"""Wrong labels that are found: our audit beside a plain program around cleanlab.

    python -m benchmarks.wrong_labels [--images 8000] [--seed 1] [--kind mixed|clean|uniform|pairs]

Both look at the same MNIST images and the same labels, one after the other in one run. `mixed`
replaces 3 % of the labels at random and calls a tenth of the fours nine. The plain program is what
cleanlab's documentation shows: out-of-sample probabilities of LeNet-5 from four folds (five epochs
of Adam, batches of 64, no augmentation), and `find_label_issues` of them. Ours is the command
`python -m harness.reference FOLDER --train FILE.npz` with the audit of what it leaves. For each:
labels listed, precision, recall, F1, and seconds of the whole, start of processes included. Needs
MNIST (HEADSTART_DATA or data/).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cleanlab.filter import find_label_issues
from torch import nn

from analysis.audit.audit import audit_labels
from analysis.audit.report import read_answers
from datasets import load_dataset

FOLDS, EPOCHS, BATCH, RATE = 4, 5, 64, 1e-3
N_CLASSES = 10


def spoilt(right: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Labels, int64 (n,), of which some are wrong."""
    given = right.copy()
    if kind in ("mixed", "uniform"):
        given = np.where(rng.random(len(right)) < 0.03, _other(right, rng), given)
    if kind == "mixed":
        given = np.where((right == 4) & (rng.random(len(right)) < 0.1), 9, given)
    if kind == "pairs":
        given = np.where(rng.random(len(right)) < 0.05, (right + 1) % N_CLASSES, given)
    return given


def _other(right: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (right + rng.integers(1, N_CLASSES, len(right))) % N_CLASSES


def lenet5() -> nn.Module:
    """LeNet-5 as a tutorial writes it."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, N_CLASSES),
    )  # fmt: skip


def plain(images: np.ndarray, given: np.ndarray, seed: int) -> np.ndarray:
    """The plain program: indices of labels that it lists."""
    x = torch.from_numpy(images)[:, None].float().div(255).sub(0.1307).div(0.3081)
    y = torch.from_numpy(given)
    torch.manual_seed(seed)
    order = torch.randperm(len(y))
    probabilities = np.zeros((len(y), N_CLASSES))
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = torch.from_numpy(np.setdiff1d(order.numpy(), held.numpy()))
        network = lenet5()
        optimizer = torch.optim.Adam(network.parameters(), RATE)
        for _ in range(EPOCHS):
            for batch in rest[torch.randperm(len(rest))].split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(network(x[batch]), y[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            probabilities[held] = network(x[held]).softmax(1).numpy()
    return np.flatnonzero(find_label_issues(given, probabilities, n_jobs=1))


def ours(images: np.ndarray, given: np.ndarray, folder: Path) -> np.ndarray:
    """The command and the audit of its answers: indices of labels that it lists."""
    np.savez(folder / "digits.npz", images=images, labels=given)
    run = folder / "audit"
    command = [sys.executable, "-m", "harness.reference", str(run), "--train"]
    subprocess.run([*command, str(folder / "digits.npz")], check=True, stdout=subprocess.DEVNULL)
    (path,) = (run / "audit").glob("*.npz")
    file = read_answers(path)
    return audit_labels(file.answers).listed["index"].to_numpy()


def scores(listed: np.ndarray, wrong: np.ndarray) -> str:
    """Listed, precision, recall and F1, as columns."""
    hits = len(np.intersect1d(listed, wrong))
    precision = hits / len(listed) if len(listed) else float("nan")
    recall = hits / len(wrong) if len(wrong) else float("nan")
    f1 = 2 * hits / (len(listed) + len(wrong)) if len(listed) + len(wrong) else float("nan")
    return f"{len(listed):>8}{precision:>11.3f}{recall:>9.3f}{f1:>8.3f}"


def main() -> None:
    """Print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.wrong_labels")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="mixed", choices=["mixed", "clean", "uniform", "pairs"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    mnist = load_dataset("mnist")
    rng = np.random.default_rng(options.seed)
    rows = rng.permutation(mnist.parts["train"])[: options.images]
    images, right = np.array(mnist.images[rows])[:, 0], mnist.labels[rows]
    given = spoilt(right, options.kind, rng)
    wrong = np.flatnonzero(given != right)
    print(f"{len(wrong):,} of {len(right):,} labels are wrong ({options.kind})")
    print(f"{'':<24}{'listed':>8}{'precision':>11}{'recall':>9}{'F1':>8}{'seconds':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, find in (
            ("cleanlab, plain program", lambda: plain(images, given, options.seed)),
            ("python -m analysis audit", lambda: ours(images, given, Path(folder))),
        ):
            started = time.perf_counter()
            listed = find()
            seconds = time.perf_counter() - started
            print(f"{name:<24}{scores(listed, wrong)}{seconds:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
