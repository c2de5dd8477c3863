"""MATLAB's .mat files → their arrays, fields of structures by path; scipy reads them.

In: a file that anybody may have made. Out: shapes by name, and a function that reads one array. It
stands alone because images and labels lie in it in ways of its own: in structures, cells, and
unfolded by columns. Files of version 7.3 are HDF5 and go to `hdf5`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datasets.arrays.files import OpenArrays
from datasets.arrays.hdf5 import open_hdf5
from datasets.files.matlab import read_matlab
from datasets.locations import check_plain

_EMNIST = {"train/images", "train/labels", "test/images", "test/labels", "mapping"}


@contextmanager
def open_mat(path: Path) -> Iterator[OpenArrays]:
    """The arrays of a file; those in structures as `train/images`.

    Raises:
        DataError: it cannot be read, or asks for more memory than its size warrants.
        MissingPackageError: it is of version 7.3, and h5py is not installed.
    """
    check_plain(path)
    with open(path, "rb") as file:
        start = file.read(16)
    if start.startswith(b"MATLAB 7.3"):
        with open_hdf5(path, is_matlab=True) as arrays:
            yield arrays
        return
    held, notes = _read_all(path)
    is_emnist = held.keys() >= _EMNIST
    if is_emnist:
        notes.append(
            "EMNIST's structure: train, test and mapping were read, writers were not; its images "
            "are unfolded column by column"
        )
        held |= _emnist_names(held.pop("mapping"))
    shapes = {name: array.shape for name, array in held.items()}
    if set(held) == {"X", "y"} and shapes["X"][:3] == (32, 32, 3) and np.max(held["y"]) == 10:
        notes.append(
            "in SVHN's files the label 10 means the digit 0; it stands as class 10 here, unless "
            "class_names: {1: '1', …, 10: '0'} names all ten"
        )
    yield OpenArrays(shapes, held.__getitem__, by_columns=is_emnist, notes=tuple(notes))


def _read_all(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    with open(path, "rb") as file:
        variables = read_matlab(file, str(path))
    held: dict[str, np.ndarray] = {}
    others: list[str] = []
    for name, value in variables.items():
        _unfold(name, value, held, others)
    notes = [f"neither numbers nor texts, and not read: {', '.join(others[:5])}"] if others else []
    return _without_top(held), notes


def _unfold(name: str, value: Any, held: dict[str, np.ndarray], others: list[str]) -> None:
    """Put an array, or each field of a structure, into `held`; other names into `others`."""
    if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            _unfold(f"{name}/{field}", value.reshape(-1)[0][field], held, others)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "buifSU":
        held[name] = value
    elif isinstance(value, np.ndarray) and value.dtype == object and _are_texts(value):
        held[name] = np.array([str(text.reshape(-1)[0]) for text in value.reshape(-1)])
    else:
        others.append(f"{name} ({type(value).__name__})")


def _are_texts(cells: np.ndarray) -> bool:
    return cells.size > 0 and all(
        isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size == 1
        for cell in cells.reshape(-1)
    )


def _without_top(held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the name of the only structure that all arrays lie in."""
    tops = {name.partition("/")[0] for name in held}
    if len(tops) != 1 or not all("/" in name for name in held):
        return held
    return {name.partition("/")[2]: array for name, array in held.items()}


def _emnist_names(mapping: np.ndarray) -> dict[str, np.ndarray]:
    """Names of the classes, where EMNIST gives each label one character."""
    if mapping.ndim != 2 or mapping.shape[1] != 2 or mapping.dtype.kind not in "uif":
        return {}
    in_order = mapping[np.argsort(mapping[:, 0])]
    return {"class_names": np.array([chr(int(code) & 0xFFFF) for code in in_order[:, 1]])}
