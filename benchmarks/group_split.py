"""Whole groups shared out among parts: ours beside scikit-learn's StratifiedGroupKFold.

    python -m benchmarks.group_split [--draws 40]

Both share out the same groups in one run: 80 / 20 % (five folds, one of them tests) and 70 / 15 /
15 % (twenty folds, three of them validate and three test). A draw has the same seed in both; with
scikit-learn it tests on other folds each time, since the largest groups come to the first folds
whatever the seed. Of the validation and test parts of all draws:

- images: how far a part's size is from what was asked for, in per cent of that, the mean;
- class shares: the largest difference between a class's share of the part and of the set, in
  percentage points, the mean and the worst;
- lacking: how many parts of all lack a class, training parts included;
- different: how many different test parts the draws have;
- CPU milliseconds of a draw.

The groups are made up from one seed, but for handwritten62 with its writers (HEADSTART_DATA or
data/), which is named and left out where it is not there.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from datasets import load_dataset, locate_dataset
from datasets.group_split import assign_groups
from headstart.errors import DataNotFoundError, HeadstartError

PARTS = {"80 / 20": (4, 1), "70 / 15 / 15": (14, 3, 3)}  # folds of each part
CLASSES = [0.5, 0.3, 0.15, 0.05]


@dataclass(frozen=True)
class Grouped:
    """Labels and groups, int64 (N,), and the images of each class in each group."""

    name: str
    labels: np.ndarray
    groups: np.ndarray
    counts: np.ndarray


Search = Callable[[Grouped, tuple[int, ...], int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=40)
    given = parser.parse_args()
    measures = "images | class shares, mean | worst | lacking | different | CPU ms"
    print(f"| images by group | parts, % | by | {measures} |")
    print("|---|---|---|" + "---|" * 6)
    for data in (*handwriting(), *made_up()):
        n_groups, n_classes = data.counts.shape
        sizes = f"{len(data.labels):,} of {n_groups:,} groups, {n_classes} classes"
        for parts, folds in PARTS.items():
            for name, search in (("headstart", ours), ("scikit-learn", theirs)):
                cells = measured(data, folds, search, given.draws)
                print(f"| {data.name}: {sizes} | {parts} | {name} | {cells} |", flush=True)


def handwriting() -> Iterator[Grouped]:
    """handwritten62 with its writers: the last number of `img001-017.png`."""
    try:
        (source, *_) = locate_dataset("handwritten62")
        options = {"path": str(source.absolute()), "group_pattern": r".*-(\d+)"}
        dataset = load_dataset("folder", options, image_size=(32, 32))
    except DataNotFoundError as err:
        print(f"handwritten62 is left out: {err}", file=sys.stderr)
        return
    except HeadstartError as err:
        stop(str(err))
    assert dataset.groups is not None
    yield grouped("writers of handwritten62", dataset.labels, dataset.groups)


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(2)


def made_up() -> Iterator[Grouped]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 20, 60))
    yield grouped("patients of one class each", rng.choice(4, 60, p=CLASSES)[groups], groups)
    groups = np.minimum(rng.zipf(1.8, 600), 60)
    yield grouped("a few large scenes", rng.choice(4, len(groups), p=CLASSES), groups)
    groups = np.repeat(np.arange(20), 30)
    yield grouped("writers of as many each", rng.choice(4, len(groups), p=CLASSES), groups)
    groups = np.repeat(np.arange(1_000), rng.integers(1, 20, 1_000))
    leaning = rng.dirichlet(CLASSES, 1_000).cumsum(axis=1)[groups]
    labels = (rng.random((len(groups), 1)) > leaning[:, :-1]).sum(axis=1)
    yield grouped("many patients", labels, groups)


def grouped(name: str, labels: np.ndarray, groups: np.ndarray) -> Grouped:
    members, groups = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(members), labels.max() + 1), np.int64)
    np.add.at(counts, (groups, labels), 1)
    return Grouped(name, labels, groups, counts)


def ours(data: Grouped, folds: tuple[int, ...], draw: int) -> np.ndarray:
    """The part of each image, int64 (N,): 0 trains, the last one tests."""
    ends = np.cumsum(folds)[:, None] / sum(folds) * data.counts.sum(axis=0)
    wanted = np.diff(np.round(ends).astype(np.int64), axis=0, prepend=0)
    return assign_groups(data.counts, wanted, np.random.default_rng(draw))[data.groups]


def theirs(data: Grouped, folds: tuple[int, ...], draw: int) -> np.ndarray:
    """The same: its folds joined to parts, the first of them at number `draw`."""
    n_folds = sum(folds)
    part_of_fold = np.roll(np.repeat(np.arange(len(folds))[::-1], folds[::-1]), draw)
    part_of = np.empty(len(data.labels), np.int64)
    drawn = StratifiedGroupKFold(n_folds, shuffle=True, random_state=draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer images than folds
        tested = [images for _, images in drawn.split(data.labels, data.labels, data.groups)]
    for part, images in zip(part_of_fold, tested, strict=True):
        part_of[images] = part
    return part_of


def measured(data: Grouped, folds: tuple[int, ...], search: Search, n_draws: int) -> str:
    """The cells of a row."""
    start = time.process_time()
    draws = [search(data, folds, draw) for draw in range(n_draws)]
    cpu_ms = 1e3 * (time.process_time() - start) / n_draws
    counts = np.stack([class_counts(data, part_of, len(folds)) for part_of in draws])
    sizes = counts.sum(axis=2)
    asked = len(data.labels) * np.array(folds) / sum(folds)
    missed = np.abs(sizes - asked)[:, 1:] / asked[1:]
    shares = counts / np.maximum(sizes, 1)[:, :, None] - data.counts.sum(axis=0) / len(data.labels)
    largest = 100 * np.abs(shares[:, 1:]).max(axis=2)
    lacking = np.count_nonzero((counts == 0).any(axis=2))
    n_different = len(np.unique(np.stack(draws) == len(folds) - 1, axis=0))
    cells = (
        f"{100 * missed.mean():.2f} %", f"{largest.mean():.2f}", f"{largest.max():.2f}",
        f"{lacking} of {sizes.size}", f"{n_different} of {n_draws}", f"{cpu_ms:.1f}",
    )  # fmt: skip
    return " | ".join(cells)


def class_counts(data: Grouped, part_of: np.ndarray, n_parts: int) -> np.ndarray:
    counts = np.zeros((n_parts, data.counts.shape[1]), np.int64)
    np.add.at(counts, (part_of, data.labels), 1)
    return counts


if __name__ == "__main__":
    main()
