"""Near-duplicates that are there, and changed copies that are found: ours beside imagehash's pHash.

    python -m benchmarks.near_duplicates [--sets mnist cifar10 …] [--copies 300] [--seed 1]

Both look at the same images in one run. pHash (64 bits) calls two images doubles where their
hashes differ in at most so many bits. For each set:

- test images called doubles of a training image; where the set has no test part, images called
  doubles of any other;
- of changed copies of training images, the share of which the original is found (recall);
- "another": the share of all these copies that are called doubles of an image which is not their
  original;
- CPU seconds of the first search, hashing included.

Needs imagehash and the data (HEADSTART_DATA or data/); a set that is not there is named and left
out. CIFAR-10 is read from class folders in train/ and test/, in `cifar10/cifar10.zip`.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn

import cv2
import numpy as np
from PIL import Image

from datasets import Dataset, load_dataset
from datasets.locations import data_folder
from datasets.near_duplicates import near_pairs
from headstart.errors import DataNotFoundError, HeadstartError

CIFAR10 = "cifar10/cifar10.zip"
ANTS_BEES = "ants_bees/ants_bees.zip"
SETS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "cifar10": ("folder", {"path": CIFAR10}),
    "ants_bees": ("folder", {"path": ANTS_BEES, "image_size": (224, 224)}),
    "mnist": ("mnist", {}),
    "handwritten62": ("handwritten62", {"image_size": (64, 64)}),
}
DISTANCES = (8, 2)  # bits; 8 is usual, 2 is strict
_BLOCK = 256  # images whose hashes are compared with all others at once


@dataclass(frozen=True)
class Pictures:
    """What is searched: uint8 (N, C, H, W), as of `Dataset.first_copy`, and uint64 (N,) hashes."""

    images: np.ndarray
    first_copy: np.ndarray
    hashes: np.ndarray


@dataclass
class Row:
    """What one way of searching finds. `search` gives pairs, the first of each is tested."""

    name: str
    search: Callable[[Pictures, np.ndarray], np.ndarray]
    doubles: str = ""
    cpu_s: float = 0.0
    recalls: tuple[float, ...] = ()
    anothers: tuple[float, ...] = ()

    def cells(self) -> str:
        recalls = " | ".join(f"{recall:.2f}" for recall in self.recalls)
        another = f"{100 * np.mean(self.anothers):.1f} %"
        return f"{self.name} | {self.doubles} | {recalls} | {another} | {self.cpu_s:.2f}"


def as_jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def resized(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, None, fx=2 / 3, fy=2 / 3, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1])


def brighter(image: np.ndarray) -> np.ndarray:
    return np.clip(image * 1.1, 0, 255).astype(np.uint8)


def cropped(image: np.ndarray, is_centred: bool) -> np.ndarray:
    """Without 3 % of each side's length, at least 1 pixel (2 where centred), at its old size."""
    height, width = image.shape[:2]
    rows, columns = max(1, round(0.03 * height)), max(1, round(0.03 * width))
    if is_centred:
        top, left = max(1, rows // 2), max(1, columns // 2)
        kept = image[top : height - top, left : width - left]
    else:
        kept = image[rows:, columns:]
    return cv2.resize(kept, (width, height))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG quality 50": as_jpeg,
    "resized to two thirds and back": resized,
    "brightness +10 %": brighter,
    "cropped by 3 % at one corner": lambda image: cropped(image, is_centred=False),
    "cropped by 3 %, centred": lambda image: cropped(image, is_centred=True),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--copies", type=int, default=300, help="changed copies of each kind")
    parser.add_argument("--seed", type=int, default=1, help="which images are copied")
    given = parser.parse_args()
    if find_spec("imagehash") is None:
        stop("imagehash is not installed; this compares with it: pip install imagehash")
    print_header = True
    for name, dataset in loaded(given.sets):
        if print_header:
            print(f"| set | by | called doubles | {' | '.join(CHANGES)} | another | CPU s |")
            print("|---|---|---|" + "---|" * len(CHANGES) + "---|---|")
            print_header = False
        for row in rows_of(dataset, given.copies, np.random.default_rng(given.seed)):
            print(f"| {name} | {row.cells()} |", flush=True)
    if print_header:
        sys.exit(2)


def loaded(names: list[str]) -> Iterator[tuple[str, Dataset]]:
    """Those of the sets that are there; each other is named in a line."""
    folder = data_folder()
    for name in names:
        kind, options = SETS[name]
        if kind == "folder" and not (folder / options["path"]).is_file():
            print(f"{name} is left out: {folder / options['path']} is not there", file=sys.stderr)
            continue
        try:
            yield name, load_dataset(kind, allow_download=False, **options)
        except DataNotFoundError as err:
            print(f"{name} is left out: {err}", file=sys.stderr)
        except HeadstartError as err:
            stop(str(err))


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(2)


def rows_of(dataset: Dataset, n_copies: int, rng: np.random.Generator) -> list[Row]:
    """Ours, then pHash at each distance."""
    assert dataset.first_copy is not None
    start = time.process_time()
    own = Pictures(dataset.images, dataset.first_copy, hashes_of(dataset.images))
    hashing_s = time.process_time() - start
    theirs = [Row(f"pHash, {d} bits", partial(within, d), cpu_s=hashing_s) for d in DISTANCES]
    rows = [Row("headstart", ours), *theirs]
    for row in rows:
        start = time.process_time()
        row.doubles = doubles(dataset, partial(row.search, own))
        row.cpu_s += time.process_time() - start
    trained = dataset.parts.get("train", np.arange(len(dataset.labels)))
    originals = rng.choice(trained, min(n_copies, len(trained)), replace=False)
    for change in CHANGES.values():
        pictures = with_copies(own, originals, change)
        for row in rows:
            recall, another = shares_of_copies(row.search, pictures, originals)
            row.recalls, row.anothers = (*row.recalls, recall), (*row.anothers, another)
    return rows


def ours(pictures: Pictures, tested: np.ndarray) -> np.ndarray:
    return near_pairs(pictures.images, pictures.first_copy, tested)


def within(distance: int, pictures: Pictures, tested: np.ndarray) -> np.ndarray:
    """Pairs (i, j), int64 (n, 2), whose hashes differ in at most so many bits; no exact copies."""
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(tested), _BLOCK):
        block = tested[start : start + _BLOCK]
        apart = np.bitwise_count(pictures.hashes[block, None] ^ pictures.hashes)
        rows, columns = np.nonzero(apart <= distance)
        is_other = pictures.first_copy[block[rows]] != pictures.first_copy[columns]
        pairs.append(np.stack([block[rows], columns], axis=1)[is_other])
    return np.concatenate(pairs)


def hashes_of(images: np.ndarray) -> np.ndarray:
    """pHash of each of uint8 (N, C, H, W): uint64 (N,)."""
    import imagehash

    bits = [imagehash.phash(Image.fromarray(as_rows(image))).hash.ravel() for image in images]
    return np.packbits(np.stack(bits), axis=1).view(np.uint64).ravel()


def as_rows(image: np.ndarray) -> np.ndarray:
    """(C, H, W) as Pillow and OpenCV want it: (H, W), or (H, W, 3)."""
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def doubles(dataset: Dataset, search: Callable[[np.ndarray], np.ndarray]) -> str:
    """How many test images look like a training image; of a set without test part: any image."""
    everything = np.arange(len(dataset.labels))
    tested = dataset.parts.get("test", everything)
    pairs = search(tested)
    if "test" in dataset.parts:
        pairs = pairs[np.isin(pairs[:, 1], dataset.parts["train"]), 0]
    return f"{len(np.unique(pairs)):,} of {len(tested):,}"


def with_copies(
    own: Pictures, originals: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> Pictures:
    """All images, and after them a changed copy of each original."""
    changed = np.stack([change(as_rows(own.images[index])) for index in originals])
    copies = changed[:, None] if changed.ndim == 3 else changed.transpose(0, 3, 1, 2)
    return Pictures(
        np.concatenate([own.images, copies]),
        np.concatenate([own.first_copy, len(own.images) + np.arange(len(copies))]),
        np.concatenate([own.hashes, hashes_of(copies)]),
    )


def shares_of_copies(
    search: Callable[[Pictures, np.ndarray], np.ndarray], pictures: Pictures, originals: np.ndarray
) -> tuple[float, float]:
    """The shares of the copies whose original is found, and which are paired with another image."""
    n_own = len(pictures.images) - len(originals)
    pairs = search(pictures, np.arange(n_own, len(pictures.images)))
    pairs = pairs[pairs[:, 1] < n_own]
    copy = pairs[:, 0] - n_own
    is_original = pictures.first_copy[pairs[:, 1]] == pictures.first_copy[originals[copy]]
    n_found, n_another = (len(np.unique(copy[of])) for of in (is_original, ~is_original))
    return n_found / len(originals), n_another / len(originals)


if __name__ == "__main__":
    main()
