"""MATLAB files (.mat, versions 4 to 7) → their variables.

In: an open file that anybody may have made. Out: name → array: numbers, texts, cells, structures.
It stands alone because scipy's reader believes what a file says of itself: a few changed bytes end
the whole process, or take all memory. The format is small (MathWorks, "MAT-File Format"), and every
size is compared with the bytes that are there. Version 4, which knows matrices alone, scipy reads;
version 7.3 is HDF5, and another reader's.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from headstart.errors import DataError
from headstart.packed import MAX_ARRAY_BYTES, most_unpacked

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED = {  # how numbers are written: type of element → NumPy's
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_NUMBER_BYTES = (8, 4, 4, 2, 2, 1)  # of version 4, by its digit of the type
_CODINGS = {1: "latin-1", 2: "latin-1", 16: "utf-8"}
_WIDE_CODINGS = {4: "utf-16", 17: "utf-16", 18: "utf-32"}  # in the order of the file's bytes
_CELL, _STRUCTURE, _TEXT = 1, 2, 4  # classes of arrays
_NUMBERS = range(6, 16)  # double, single, and whole numbers of 8 to 64 bits
_LEAST_BYTES = 8  # of an array in a cell or a field
_DEEPEST = 12  # cells and structures in each other
_MOST_CELLS = 3_000_000


def read_matlab(file: IO[bytes], where: str) -> dict[str, np.ndarray]:
    """The variables of a file: as scipy gives them, without those of kinds that hold no data.

    Numbers are (rows, columns, …), of the type that they are written in; a text is str (1,), a
    matrix of characters str (rows,); cells are arrays of objects, and structures have a field of
    objects for each of theirs.

    Raises:
        DataError: it is no such file, damaged, of version 7.3, or says sizes that it does not have.
    """
    file.seek(0)
    start = file.read(_HEADER_BYTES)
    if start.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise DataError(f"{where}: a .mat file of version 7.3; save it with version 7 (-v7)")
    is_version_4 = 0 in start[:4]
    if not is_version_4 and start[126:] not in (b"IM", b"MI"):
        raise DataError(f"{where}: no whole .mat file of MATLAB 4 to 7; fetch or export it again")
    try:
        return _version_4(file) if is_version_4 else _version_5(start + file.read())
    except (
        *(struct.error, zlib.error, ValueError, LookupError, StopIteration, OSError, TypeError),
        *(MemoryError, OverflowError),
    ) as err:
        reason = " ".join(str(err).split())[:200] or "it is cut off"
        raise DataError(f"{where}: a damaged .mat file: {reason}") from err


def _version_4(file: IO[bytes]) -> dict[str, np.ndarray]:
    import scipy.io

    _check_4(file)
    file.seek(0)
    try:
        variables = scipy.io.loadmat(file)
    except Exception as err:  # of many kinds, for damaged files
        raise ValueError(str(err)) from err
    return {name: value for name, value in variables.items() if isinstance(value, np.ndarray)}


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


def _version_5(content: bytes) -> dict[str, np.ndarray]:
    order = "<" if content[126:128] == b"IM" else ">"
    reader = _Reader(order, min(MAX_ARRAY_BYTES, most_unpacked(len(content))))
    variables = {}
    for kind, body in reader.elements(memoryview(content)[_HEADER_BYTES:]):
        if kind == _COMPRESSED:
            kind, body = next(reader.elements(reader.unpacked(body)), (0, body))
        if kind == _MATRIX:
            name, value = reader.matrix(body, 0)
            if value is not None and not name.startswith("__"):
                variables[name] = value
    return variables


@dataclass
class _Reader:
    """What is the same for all of a file; `n_left` bytes may still be unpacked."""

    order: str
    n_left: int
    n_cells: int = 0

    def unpacked(self, body: memoryview) -> memoryview:
        content = zlib.decompressobj().decompress(body, self.n_left + 1)
        self.n_left -= len(content)
        if self.n_left < 0:
            raise ValueError("it unpacks to more than a file of its size may")
        return memoryview(content)

    def elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """(type, content) of the elements that lie one after the other."""
        at = 0
        while at + 8 <= len(data):
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            start = at + 8
            if kind >> 16:  # four bytes of content or less, within the tag
                kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > (4 if start == at + 4 else len(data) - start):
                raise ValueError("a piece of it is longer than what it lies in; it is cut off")
            yield kind, data[start : start + size]
            is_small, is_packed = start == at + 4, kind == _COMPRESSED
            at = at + 8 if is_small else start + size + (0 if is_packed else -size % 8)

    def matrix(self, body: memoryview, depth: int) -> tuple[str, np.ndarray | None]:
        """The name and the value of an array; None of a kind that holds no data."""
        self.n_cells += 1
        if depth > _DEEPEST or self.n_cells > _MOST_CELLS:
            raise ValueError(f"its cells lie over {_DEEPEST} deep, or are over {_MOST_CELLS:,}")
        parts = self.elements(body)
        if (flags := next(parts, None)) is None:
            if depth == 0:
                raise ValueError("a matrix of it has no size")
            return "", np.empty((0, 0))  # an empty cell
        (number,) = struct.unpack_from(f"{self.order}I", flags[1])
        _, sizes = next(parts)
        shape = struct.unpack(f"{self.order}{len(sizes) // 4}i", sizes[: len(sizes) // 4 * 4])
        if len(shape) < 2 or min(shape) < 0 or math.prod(shape) > len(body):
            raise ValueError("more elements than bytes in a matrix of it")
        name = bytes(next(parts)[1]).decode("utf-8", "replace")
        kind = number & 0xFF
        if kind == _STRUCTURE:
            return name, self._structures(shape, parts, depth, len(body))
        return name, self._value(kind, shape, parts, depth)

    def _value(
        self, kind: int, shape: tuple[int, ...], parts: Iterator[tuple[int, memoryview]], depth: int
    ) -> np.ndarray | None:
        if kind in _NUMBERS:
            stored, data = next(parts)
            numbers = np.frombuffer(data, np.dtype(self.order + _STORED[stored]))
            return numbers.astype(_STORED[stored]).reshape(shape, order="F")  # a copy
        if kind == _TEXT:
            return self._texts(shape, *next(parts, (2, memoryview(b""))))
        if kind == _CELL:
            return self._cells(shape, parts, depth)
        return None

    def _texts(self, shape: tuple[int, ...], kind: int, data: memoryview) -> np.ndarray:
        wide = f"{_WIDE_CODINGS.get(kind)}-{'le' if self.order == '<' else 'be'}"
        text = bytes(data).decode(_CODINGS.get(kind, wide), "replace")
        if len(shape) > 2 or len(text) < math.prod(shape):
            raise ValueError("a text is shorter than it says")
        n_rows = max(1, shape[0])
        return np.array([text[row::n_rows].rstrip() for row in range(n_rows)], str)

    def _cells(
        self, shape: tuple[int, ...], parts: Iterator[tuple[int, memoryview]], depth: int
    ) -> np.ndarray:
        n = math.prod(shape)
        values = np.empty(n, object)
        for k in range(n):
            values[k] = self.matrix(next(parts)[1], depth + 1)[1]
        return values.reshape(shape, order="F")

    def _structures(
        self,
        shape: tuple[int, ...],
        parts: Iterator[tuple[int, memoryview]],
        depth: int,
        n_bytes: int,
    ) -> np.ndarray:
        (length,) = struct.unpack_from(f"{self.order}i", next(parts)[1])
        text = bytes(next(parts)[1])
        cut = [text[k : k + length] for k in range(0, len(text), length)] if length > 0 else []
        names = [each.split(b"\0")[0].decode("utf-8", "replace") for each in cut]
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("fields have no names, or share them")
        if math.prod(shape) * len(names) * _LEAST_BYTES > n_bytes:
            raise ValueError("more elements than bytes in a structure of it")
        values = np.empty(math.prod(shape), [(name, object) for name in names])
        for k in range(len(values)):
            for name in names:
                values[name][k] = self.matrix(next(parts)[1], depth + 1)[1]
        return values.reshape(shape, order="F")
