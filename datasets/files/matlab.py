"""MATLAB files (.mat, versions 5 to 7) → their variables, after every size in them was checked.

In: the bytes of a file. Out: name → array, as scipy gives them. It stands alone because scipy
believes what a file says of itself: how much is packed in it, how deep cells lie in each other and
how many elements an array has. All that is looked at here first; scipy then reads plain data.
Version 7.3 is HDF5, and another reader's.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from headstart.errors import DataError
from headstart.packed import most_unpacked

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_SPARSE = 5  # class of an array
_DEEPEST = 12  # cells and structures in each other
_MOST_ELEMENTS = 3_000_000


def read_matlab(content: bytes, where: str) -> dict[str, np.ndarray]:
    """The variables of a file.

    Raises:
        DataError: it is no such file, damaged, of version 7.3, or says sizes that it does not have.
    """
    import scipy.io

    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise DataError(f"{where}: a .mat file of version 7.3; save it with version 7 (-v7)")
    if len(content) < _HEADER_BYTES or content[126:128] not in (b"IM", b"MI"):
        raise DataError(f"{where}: no whole .mat file of MATLAB 5 to 7; fetch or export it again")
    try:
        plain = _unpacked(content, where)
        variables = scipy.io.loadmat(io.BytesIO(plain), struct_as_record=True)
    except DataError:
        raise
    except Exception as err:  # scipy raises errors of many kinds for damaged files
        raise DataError(f"{where}: a damaged .mat file: {err}") from err
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }


def _unpacked(content: bytes, where: str) -> bytes:
    """The file with nothing packed in it, all of its sizes checked."""
    order = "<" if content[126:128] == b"IM" else ">"
    left = most_unpacked(len(content))
    n_elements = 0
    pieces = [content[:_HEADER_BYTES]]
    for kind, body in _elements(content[_HEADER_BYTES:], order, where, packed=True):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(body, left + 1)
            left -= len(body)
            if left < 0:
                raise DataError(f"{where}: unpacks to more than a file of its size may")
            pieces.append(body)
            inside = list(_elements(body, order, where))
        else:
            pieces.append(
                struct.pack(f"{order}II", kind, len(body)) + body + b"\0" * (-len(body) % 8)
            )
            inside = [(kind, body)]
        for each_kind, each in inside:
            if each_kind == _MATRIX:
                n_elements += _checked(each, order, where, 0)
                if n_elements > _MOST_ELEMENTS:
                    raise DataError(f"{where}: over {_MOST_ELEMENTS:,} cells and fields")
    return b"".join(pieces)


def _elements(
    data: bytes, order: str, where: str, *, packed: bool = False
) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the elements that lie one after the other."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        small = kind >> 16
        if small:  # four bytes of content or less, within the tag
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(small, 4)]
            at += 8
            continue
        if at + 8 + size > len(data):
            raise DataError(f"{where}: a damaged .mat file: it ends too early")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + (0 if packed and kind == _COMPRESSED else -size % 8)


def _checked(matrix: bytes, order: str, where: str, depth: int) -> int:
    """How many arrays are in this one, itself included.

    Raises:
        DataError: they lie too deep, or one has more elements than bytes.
    """
    if depth > _DEEPEST:
        raise DataError(f"{where}: cells lie over {_DEEPEST} deep in each other")
    n = 1
    for k, (kind, body) in enumerate(_elements(matrix, order, where)):
        if k == 0 and body and (body[0] if order == "<" else body[3]) == _SPARSE:
            raise DataError(f"{where}: a sparse matrix; images and labels are full ones")
        if k == 1:
            sizes = struct.unpack(f"{order}{len(body) // 4}i", body[: len(body) // 4 * 4])
            if min(sizes, default=0) < 0 or math.prod(sizes) > len(matrix):
                raise DataError(f"{where}: a damaged .mat file: more elements than bytes")
        if kind == _MATRIX:
            n += _checked(body, order, where, depth + 1)
    return n
