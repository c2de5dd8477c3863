"""MATLAB files (.mat, versions 4 to 7) → their variables, after every size in them was checked.

In: an open file that anybody may have made. Out: name → array, as scipy gives them. It stands alone
because scipy believes what a file says of itself: how much is packed in it, how deep cells lie in
each other and how many of them there are. All that is looked at here first; scipy then reads.
Version 7.3 is HDF5, and another reader's.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from typing import IO

import numpy as np

from headstart.errors import DataError
from headstart.packed import MAX_ARRAY_BYTES, most_unpacked

_MATRIX, _PACKED = 14, 15
_WITH_PIECES = (1, 2, 3)  # cells, structures, objects: each piece of them is a matrix
_SPARSE = 5
_DEEPEST = 12
_MOST_PIECES = 1_000_000
_NUMBER_BYTES = (8, 4, 4, 2, 2, 1)  # of version 4, by its digit of the type


def read_matlab(file: IO[bytes], where: str) -> dict[str, np.ndarray]:
    """The variables of a file.

    Raises:
        DataError: it is no such file, damaged, of version 7.3, or says sizes that it does not have.
    """
    import scipy.io

    file.seek(0)
    start = file.read(128)
    if start.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise DataError(f"{where}: a .mat file of version 7.3; save it with version 7 (-v7)")
    is_version_4 = 0 in start[:4]
    if not is_version_4 and start[126:] not in (b"IM", b"MI"):
        raise DataError(f"{where}: no whole .mat file of MATLAB 4 to 7; fetch or export it again")
    try:
        (_check_4 if is_version_4 else _check_5)(file)
        file.seek(0)
        variables = scipy.io.loadmat(file, struct_as_record=True)
    except Exception as err:  # scipy raises errors of many kinds for damaged files
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise DataError(f"{where}: a damaged .mat file: {reason}") from err
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }


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
    file.seek(126)
    order = "<" if file.read(2) == b"IM" else ">"
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
            raise ValueError("it unpacks to more than a file of its size may")
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
                raise ValueError(f"its cells lie over {_DEEPEST} deep in each other")
            _check_cells(content, at + 8, last, order)
            inside.append((at + 8, last, depth + 1))
    raise ValueError(f"it has over {_MOST_PIECES:,} pieces")


def _check_cells(content: bytes, at: int, end: int, order: str) -> None:
    """Refuse a matrix that announces more numbers, cells or structures than fit into it."""
    if at + 24 > end:
        raise ValueError("a matrix of it has no size")
    of_class = content[at + 8 + (3 if order == ">" else 0)]
    n_bytes = struct.unpack_from(f"{order}I", content, at + 20)[0]
    if content[at + 16 : at + 20] != struct.pack(f"{order}I", 5) or at + 24 + n_bytes > end:
        raise ValueError("a matrix of it has no size")
    sizes = struct.unpack_from(f"{order}{n_bytes // 4}i", content, at + 24)
    most = (end - at) // (8 if of_class in _WITH_PIECES else 1)
    if of_class != _SPARSE and (min(sizes, default=0) < 0 or math.prod(sizes) > most):
        raise ValueError("more elements than bytes in a matrix of it")
