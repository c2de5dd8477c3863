"""MNIST with wrong labels: 60,000 JPEGs in ten folders, the set of "Part 3".

`image_NNNNNN.jpg` is MNIST's training image of that number; the folder is its label here, which is
wrong for 999 of 1,000. Models are judged on MNIST's own test part, whose labels are right.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import numpy as np

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.files.trees import open_tree
from datasets.images.blocks import decode_files
from datasets.images.decode import OnDamaged
from datasets.locations import first_existing, not_found
from datasets.preprocess import resize, shape_images
from datasets.sets import mnist
from headstart.errors import DataError, DataNotFoundError
from headstart.settings import key

VERSION = 1
OWN_SIZE = (28, 28)
_MEMBER = re.compile(r"(?:^|/)(\d)/image_(\d{6})\.jpe?g$", re.IGNORECASE)
INFO = DatasetInfo(is_ink=True, preprocess="mnist_style")


class Options(DatasetOptions):
    """Which images test, and what becomes of damaged ones."""

    test: Literal["mnist", "none"] = key("Whether MNIST's 10,000 test images are the test part, "
        "or there is none.", "mnist", example="none")  # fmt: skip
    on_damaged: OnDamaged = key("Whether a damaged image is refused, or skipped with a note in "
        "the report.", "refuse", example="skip")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The zip file or the folder, and MNIST's files unless `test` is `none`."""
    own = request.data_dir / "mnist_task3"
    folders = [own / "mnistTask", own, request.data_dir / "mnistTask"]
    candidates = [
        own / "mnistTask3.zip",
        request.data_dir / "mnistTask3.zip",
        *(folder for folder in folders if os.path.isdir(folder / "0")),
    ]
    path = first_existing(candidates)
    if path is None:
        raise not_found(
            "mnist_task3",
            request,
            f"put mnistTask3.zip into {own}; it has no public source. The like can be made from "
            "MNIST: {name: mnist, corrupt_labels: {kind: complementary, fraction: 0.999}}",
        )
    return (path,) if options.test == "none" else (path, *mnist.locate(mnist.Options(), request))


def load(options: Options, request: Request) -> Dataset:
    """The images by number, then MNIST's test images."""
    (path, *_) = locate(options.model_copy(update={"test": "none"}), request)
    test = mnist.load(mnist.Options(), request) if options.test == "mnist" else None
    sources = [path] if test is None else [path, *mnist.locate(mnist.Options(), request)]
    return cached(
        "mnist_task3",
        VERSION,
        options,
        request,
        sources,
        lambda asked: _decode(path, options, asked, test),
        may_repeat=False,
    )


def right_labels(options: Options, request: Request, n_images: int) -> np.ndarray | None:
    """MNIST's own label of each image that `load` gives, by the number in the image's name.

    None where MNIST does not lie beside it, or an image has no such number (or was skipped).
    """
    (path, *_) = locate(options.model_copy(update={"test": "none"}), request)
    try:
        digits = mnist.load(mnist.Options(), request)
    except DataNotFoundError:
        return None
    with open_tree(path) as tree:
        matches = map(_MEMBER.search, tree.names)
        numbers = np.array(sorted(int(m[2]) for m in matches if m is not None), np.int64)
    of_train = digits.labels[digits.parts["train"]]
    of_test = digits.labels[digits.parts["test"]] if options.test == "mnist" else of_train[:0]
    if len(numbers) + len(of_test) != n_images or numbers.max() >= len(of_train):
        return None
    return np.concatenate([of_train[numbers], of_test])


def _decode(path: Path, options: Options, request: Request, test: Dataset | None) -> Dataset:
    size = request.image_size or OWN_SIZE
    with open_tree(path) as tree:
        matches = ((name, _MEMBER.search(name)) for name in tree.names)
        members = sorted((int(m[2]), int(m[1]), name) for name, m in matches if m is not None)
        if not members:
            raise DataError(f"{path}: no image named like 0/image_000007.jpg is in it")
        images, good, skipped = decode_files(
            tree,
            [name for *_, name in members],
            lambda image: resize(image, size),
            options.on_damaged,
            as_gray=True,
        )
    images = shape_images(images, size, request.channels)
    labels = np.array([label for _, label, _ in members])[good]
    parts = {}
    if test is not None:
        parts = {"train": np.arange(len(labels))}
        parts["test"] = np.arange(len(labels), len(labels) + len(test.parts["test"]))
        images = np.concatenate([images, test.images[test.parts["test"]]])
        labels = np.concatenate([labels, test.labels[test.parts["test"]]])
    return build_dataset(
        "mnist_task3",
        images,
        labels,
        tuple("0123456789"),
        source=str(path),
        parts=parts,
        notes=["the labels of the train part are wrong for 999 of 1,000 images", *skipped],
    )
