"""MATLAB's .mat files → their arrays, fields of structures by path; scipy reads them.

In: a file that anybody may have made. Out: shapes by name, and a function that reads one array. It
stands alone because scipy takes what memory a file asks for: all pieces of a file are looked at
first, packed ones unpacked piece by piece. Files of version 7.3 are HDF5 and go to `hdf5_arrays`.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from datasets.files.array_files import OpenArrays
from datasets.files.hdf5_arrays import open_hdf5
from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.packed import MAX_ARRAY_BYTES, most_unpacked

_MATRIX, _PACKED = 14, 15
_WITH_PIECES = (1, 2, 3)  # cells, structures, objects: each piece of them is a matrix
_DEEPEST = 16
_MOST_PIECES = 200_000
_NUMBER_BYTES = (8, 4, 4, 2, 2, 1)  # of version 4, by its digit of the type
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
        start = file.read(128)
    if start.startswith(b"MATLAB 7.3"):
        with open_hdf5(path, is_matlab=True) as arrays:
            yield arrays
        return
    held, notes = _read_all(path, start)
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


def _read_all(path: Path, start: bytes) -> tuple[dict[str, np.ndarray], list[str]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with open(path, "rb") as file:
            (_check_4 if 0 in start[:4] else _check_5)(file)
            file.seek(0)
            variables = loadmat(file, struct_as_record=True, squeeze_me=False)
    except (
        *(MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError),
        *(MemoryError, OverflowError, RecursionError, struct.error, zlib.error),
    ) as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise DataError(f"{path}: cannot be read as a .mat file: {reason}") from err
    held: dict[str, np.ndarray] = {}
    others: list[str] = []
    for name, value in variables.items():
        if not name.startswith("__"):
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


def _check_4(file: IO[bytes]) -> None:
    """Refuse a file of version 4 whose matrices are longer than the file."""
    size = file.seek(0, os.SEEK_END)
    at = 0
    while at + 20 <= size:
        file.seek(at)
        head = file.read(20)
        order = "<" if 0 <= struct.unpack("<i", head[:4])[0] < 5_000 else ">"
        kind, rows, columns, is_complex, name = struct.unpack(f"{order}5i", head)
        if min(rows, columns, name) < 0 or not 0 <= kind % 100 // 10 < len(_NUMBER_BYTES):
            raise ValueError("a matrix of it is damaged")
        n_bytes = rows * columns * _NUMBER_BYTES[kind % 100 // 10] * (2 if is_complex == 1 else 1)
        at += 20 + name + n_bytes
        if at > size:
            raise ValueError("a matrix of it is longer than the file")


def _check_5(file: IO[bytes]) -> None:
    """Refuse a file of version 5 whose pieces swell, lie too deep or announce what is not there."""
    size = file.seek(0, os.SEEK_END)
    n_left = min(MAX_ARRAY_BYTES, most_unpacked(size))
    file.seek(124)
    order = {b"IM": "<", b"MI": ">"}.get(file.read(4)[2:])
    if order is None:
        raise ValueError("it does not begin as one")
    at = 128
    while at + 8 <= size:
        file.seek(at)
        kind, n_bytes = struct.unpack(f"{order}2I", file.read(8))
        if at + 8 + n_bytes > size:
            raise ValueError("a variable of it is longer than the file; it is cut off")
        content = file.read(n_bytes)
        if kind == _PACKED:
            content = zlib.decompressobj().decompress(content, n_left + 1)
        elif kind == _MATRIX:
            content = struct.pack(f"{order}2I", kind, n_bytes) + content
        n_left -= len(content)
        if n_left < 0:
            raise ValueError("it unpacks to more than its size warrants")
        if kind in (_PACKED, _MATRIX):
            _check_pieces(content, order)
        at += 8 + n_bytes


def _check_pieces(content: bytes, order: str) -> None:
    """Walk through matrices in matrices: their depth, and the cells that they announce."""
    inside = [(0, len(content), 0)]
    for _ in range(_MOST_PIECES):
        if not inside:
            return
        at, end, depth = inside.pop()
        if at + 8 > end:
            continue
        kind, n_bytes = struct.unpack_from(f"{order}2I", content, at)
        if kind >> 16:  # a short piece: its length and its bytes stand in its head
            inside.append((at + 8, end, depth))
            continue
        last = at + 8 + n_bytes
        if last > len(content):
            raise ValueError("a piece of it is longer than what it lies in")
        inside.append((last + (-n_bytes % 8), end, depth))
        if kind == _MATRIX and n_bytes:
            if depth >= _DEEPEST:
                raise ValueError(f"its structures lie over {_DEEPEST} deep")
            _check_cells(content, at + 8, last, order)
            inside.append((at + 8, last, depth + 1))
    raise ValueError(f"it has over {_MOST_PIECES:,} pieces")


def _check_cells(content: bytes, at: int, end: int, order: str) -> None:
    """Refuse a matrix of cells or structures that announces more of them than fit into it."""
    if at + 24 > end:
        raise ValueError("a matrix of it has no size")
    is_of_pieces = content[at + 8 + (3 if order == ">" else 0)] in _WITH_PIECES
    n_bytes = struct.unpack_from(f"{order}I", content, at + 20)[0]
    if content[at + 16 : at + 20] != struct.pack(f"{order}I", 5) or at + 24 + n_bytes > end:
        raise ValueError("a matrix of it has no size")
    sizes = struct.unpack_from(f"{order}{n_bytes // 4}i", content, at + 24)
    if min(sizes, default=0) < 0 or (is_of_pieces and math.prod(sizes) > (end - at) // 8):
        raise ValueError("a matrix of it announces more than it holds")
