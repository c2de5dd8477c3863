"""Anybody's arrays: an .npz file with images and labels, as exports from HDF5 or MedMNIST have.

`{name: npz, path: FILE}` takes a pair of arrays called `images`/`labels`, `x`/`y` or
`data`/`target`, or one such pair for each of train, validation and test (`x_train`, `train/data`,
`test_images`, …). Layout, range and kind of labels are recognised, and what was recognised is
said in the notes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from datasets.base import Dataset, DatasetInfo, Request
from datasets.files.array_set import ArrayOptions, check_lengths, dataset_of_arrays, pairs_by_name
from datasets.files.cache import cached
from datasets.locations import user_path
from headstart.errors import DataError
from headstart.packed import BROKEN, array_names, read_array
from headstart.settings import key

VERSION = 1
INFO = DatasetInfo(suffixes=(".npz",))


class Options(ArrayOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("The .npz file.", example="my/images.npz")


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .npz file."""
    return (user_path(options.path, request.data_dir),)


def load(options: Options, request: Request) -> Dataset:
    """All images of the file, part by part where it has parts."""
    (path,) = locate(options, request)
    return cached("npz", VERSION, options, request, [path], lambda: _decode(path, options, request))


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    try:
        with zipfile.ZipFile(path) as archive:
            pairs = pairs_by_name(array_names(archive), path)
            arrays = {
                part: (read_array(archive, x), read_array(archive, y))
                for part, (x, y) in pairs.items()
            }
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read as .npz: {err}") from err
    for part, (images, labels) in arrays.items():
        check_lengths(path, pairs[part], images, labels)
    return dataset_of_arrays("npz", path, arrays, options, request)
