"""Arrays in .npy files: a folder with images and labels, or one file of each.

`{name: npy, path: DIR}` takes `train_images.npy` and `train_labels.npy`, `x_train.npy` and
`y_train.npy` and the like; `{name: npy, path: IMAGES.npy, labels_path: LABELS.npy}` two files of
any names; `{name: npy, path: DIR, file_is_class: true}` a file for each class, as Quick, Draw! has.
Python objects in them are refused, since they are pickles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datasets.arrays.files import ArrayFileOptions, Kind, OpenArrays, load_files, locate_files
from datasets.arrays.named import dataset_of_arrays
from datasets.base import Dataset, DatasetInfo, Request
from datasets.cache.cached import cached
from datasets.files.peek import has_images
from datasets.locations import check_plain, user_path
from headstart.errors import DataError
from headstart.packed import BROKEN, npy_header, read_npy
from headstart.settings import key

SUFFIXES = (".npy",)


def _knows(names: Sequence[str]) -> bool:
    """Beside images such files have what a network made of them."""
    n = sum(name.lower().endswith(SUFFIXES) for name in names)
    return n > 1 and not has_images(names)


INFO = DatasetInfo(suffixes=SUFFIXES, starts=(b"\x93NUMPY",), knows=_knows)


class Options(ArrayFileOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("A folder of .npy files, or the file of the images.",
        example="my/images.npy")  # fmt: skip
    labels_path: Path | None = key("The .npy file of the labels, where path is that of the images.",
        None, example="my/labels.npy")  # fmt: skip
    file_is_class: bool = key("Whether each file of the folder holds all images of one class, "
        "which is called as the file is.", False, example=True)  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .npy files."""
    return locate_files(options, request, _KIND)


def load(options: Options, request: Request) -> Dataset:
    """All images, part by part where the names of the files say parts."""
    if not options.file_is_class:
        return load_files(options, request, _KIND)
    files = locate(options, request)
    return cached(
        "npy", _KIND.version, options, request, files, lambda asked: _decode(files, options, asked)
    )


def _decode(files: Sequence[Path], options: Options, request: Request) -> Dataset:
    """A file for each class."""
    folder = user_path(options.path, request.data_dir)
    images = []
    for file in files:
        with _open(file) as opened:
            images.append(opened.read(""))
        if images[-1].ndim < 2 or images[-1].shape[1:] != images[0].shape[1:]:
            raise DataError(
                f"{file}: images of shape {images[-1].shape[1:]}, those of {files[0].name} have "
                f"{images[0].shape[1:]}"
            )
    names = np.array([file.stem.removeprefix("full_numpy_bitmap_") for file in files])
    labels = np.repeat(names, [len(each) for each in images])
    parts = {"": (np.concatenate(images), labels)}
    return dataset_of_arrays("npy", folder, parts, options, request)


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


_KIND = Kind(
    "npy",
    1,
    SUFFIXES,
    _open,
    ", or with file_is_class: true where each file holds the images of one class",
)
