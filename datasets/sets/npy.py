"""Arrays in .npy files: a folder with images and labels, or one file of each.

`{name: npy, path: DIR}` takes `train_images.npy` and `train_labels.npy`, `x_train.npy` and
`y_train.npy` and the like; `{name: npy, path: IMAGES.npy, labels_path: LABELS.npy}` two files of
any names. Python objects in them are refused, since they are pickles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datasets.base import Dataset, DatasetInfo, Request
from datasets.files.array_files import ArrayFileOptions, Kind, OpenArrays, load_files, locate_files
from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.packed import BROKEN, npy_header, read_npy
from headstart.settings import key

SUFFIXES = (".npy",)


def _knows(names: Sequence[str]) -> bool:
    return sum(name.lower().endswith(SUFFIXES) for name in names) > 1


INFO = DatasetInfo(suffixes=SUFFIXES, starts=(b"\x93NUMPY",), knows=_knows)


class Options(ArrayFileOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("A folder of .npy files, or the file of the images.",
        example="my/images.npy")  # fmt: skip
    labels_path: Path | None = key("The .npy file of the labels, where path is that of the images.",
        None, example="my/labels.npy")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .npy files."""
    return locate_files(options, request, _KIND)


def load(options: Options, request: Request) -> Dataset:
    """All images, part by part where the names of the files say parts."""
    return load_files(options, request, _KIND)


@contextmanager
def _open(path: Path) -> Iterator[OpenArrays]:
    """The one array of a file, which has no name."""

    def read(_: str) -> np.ndarray:
        try:
            with open(path, "rb") as file:
                return read_npy(file, path.name)
        except BROKEN as err:
            raise DataError(f"{path}: cannot be read as .npy: {err}") from err

    check_plain(path)
    try:
        with open(path, "rb") as file:
            shape, _ = npy_header(file, path.name)
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read as .npy: {err}") from err
    yield OpenArrays({"": shape}, read)


_KIND = Kind("npy", 1, SUFFIXES, _open)
