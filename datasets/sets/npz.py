"""Anybody's arrays: an .npz file with images and labels, as exports from HDF5 or MedMNIST have.

`{name: npz, path: FILE}` takes a pair of arrays called `images`/`labels`, `x`/`y` or
`data`/`target`, or one such pair for each of train, validation and test (`x_train`, `train/data`,
`test_images`, …). Labels and the test part may lie in files of their own, as those of KMNIST do.
Layout, range and kind of labels are recognised, and what was recognised is said in the notes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datasets.arrays.named import (
    ArrayOptions,
    NamedArrays,
    array_of_kind,
    dataset_of_arrays,
    matched,
    read_named_arrays,
)
from datasets.base import Dataset, DatasetInfo, Request
from datasets.cache.cached import cached
from datasets.locations import user_path, user_paths
from headstart.errors import DataError
from headstart.packed import BROKEN, array_names, read_array
from headstart.settings import key

VERSION = 2
INFO = DatasetInfo(suffixes=(".npz",))


class Options(ArrayOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("The .npz file.", example="my/images.npz")
    labels_path: Path | None = key("A second .npz file, with the labels, where the first holds "
        "images alone.", None, example="my/labels.npz")  # fmt: skip
    test_path: Path | None = key("A file with the images of the test part.", None,
        example="my/test-images.npz")  # fmt: skip
    test_labels_path: Path | None = key("A file with the labels of the test part.", None,
        example="my/test-labels.npz")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .npz file, and those of the labels and of the test part where they are named."""
    paths = (options.path, options.labels_path, options.test_path, options.test_labels_path)
    return user_paths(paths, request.data_dir)


def load(options: Options, request: Request) -> Dataset:
    """All images of the file, part by part where it has parts."""
    paths = locate(options, request)
    return cached("npz", VERSION, options, request, paths, lambda asked: _decode(options, asked))


def _decode(options: Options, request: Request) -> Dataset:
    path = user_path(options.path, request.data_dir)
    train = _read(path, options.labels_path, "labels_path", request)
    parts = dict(train.parts)
    if options.test_path is not None:
        test_path = user_path(options.test_path, request.data_dir)
        test = _read(test_path, options.test_labels_path, "test_labels_path", request)
        for file, held in ((path, parts), (test_path, test.parts)):
            if set(held) != {""}:
                raise DataError(
                    f"{file}: holds the parts {', '.join(held)}; test_path is for files without "
                    "parts"
                )
        parts = {"train": parts[""], "test": test.parts[""]}
    elif options.test_labels_path is not None:
        raise DataError(f"{path}: test_labels_path without test_path; say both")
    return dataset_of_arrays(
        "npz", path, parts, options, request, train.notes, class_names=train.class_names
    )


def _read(path: Path, labels_path: Path | None, option: str, request: Request) -> NamedArrays:
    """What one file holds; or its images alone, with the labels of another."""
    if labels_path is None:
        try:
            with _opened(path) as (keys, read):
                return read_named_arrays(path, keys, read)
        except DataError as err:
            raise DataError(f"{err}{_hint(path, option, err)}") from err
    other = user_path(labels_path, request.data_dir)
    with _opened(path) as (keys, read):
        images_key = array_of_kind(path, "x", keys)
        images = read(images_key)
    with _opened(other) as (keys, read):
        labels_key = array_of_kind(other, "y", keys)
        labels = read(labels_key)
    images, labels, note = matched(other, (images_key, labels_key), images, labels)
    return NamedArrays({"": (images, labels)}, notes=(note,) if note else ())


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], np.ndarray]]]:
    """The names of a file's arrays, and a function that reads one of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield array_names(archive), lambda name: read_array(archive, name)
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read as .npz: {err}") from err


def _hint(path: Path, option: str, err: DataError) -> str:
    """Which file beside one of images may hold its labels, as those of KMNIST do."""
    if "; it needs" not in str(err):
        return ""
    other = re.sub(r"(imgs|images|img|image|data|x)(?=\W|_|$)", "labels", path.stem, flags=re.I)
    beside = path.with_name(f"{other}.npz")
    shown = beside.name if beside != path and beside.exists() else "FILE.npz"
    return f"; labels in a file of their own are named by {option}: {shown}"
