"""HDF5 files → their arrays, with nothing outside of the file and no more memory than it warrants.

In: a file that anybody may have made. Out: shapes by name, and a function that reads one array. It
stands alone because h5py follows links to other files and unpacks whatever a chunk asks for: each
link and each packed chunk is looked at before h5py reads the array. MATLAB 7.3 writes HDF5 too.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.arrays.files import OpenArrays
from datasets.locations import check_plain
from headstart.errors import DataError, MissingPackageError
from headstart.packed import MAX_ARRAY_BYTES, most_unpacked

if TYPE_CHECKING:
    import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_OBJECTS = 10_000
_DEEPEST = 16
_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3  # filters whose results are bounded here
_BROKEN = (
    *(OSError, ValueError, KeyError, RuntimeError, TypeError, IndexError, AttributeError),
    *(MemoryError, OverflowError, zlib.error),
)


@contextmanager
def open_hdf5(path: Path, *, is_matlab: bool = False) -> Iterator[OpenArrays]:
    """The plain arrays of a file, by their paths in it.

    Args:
        path: the file.
        is_matlab: axes are in the order that MATLAB shows, which HDF5 keeps reversed.

    Raises:
        MissingPackageError: h5py is not installed.
        DataError: it cannot be read, or an array lies in other files or swells.
    """
    try:
        import h5py
    except ImportError as err:
        raise MissingPackageError(
            f"{path}: is an HDF5 file{' (MATLAB 7.3)' * is_matlab}, which needs a package that is "
            "not installed: uv pip install -r pyproject.toml --extra hdf5"
        ) from err
    check_plain(path)
    with ExitStack() as stack:
        with _in_words(path):
            file = stack.enter_context(h5py.File(path, "r", locking=False))
            arrays, notes = _arrays(file, path)
            order = slice(None, None, -1 if is_matlab else None)
            shapes = {name: array.shape[order] for name, array in arrays.items()}

        def read(name: str) -> np.ndarray:
            with _in_words(path):
                values = _read(arrays[name], path, is_matlab)
            return values.T if is_matlab else values

        yield OpenArrays(shapes, read, notes=tuple(notes))


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise DataError(f"{path}: cannot be read as an HDF5 file: {reason}") from err


def _arrays(file: h5py.File, path: Path) -> tuple[dict[str, h5py.Dataset], list[str]]:
    """All data sets with at least one axis that lie in the file itself, by name."""
    import h5py

    arrays: dict[str, h5py.Dataset] = {}
    links: list[str] = []
    groups: list[tuple[str, h5py.Group, int]] = [("", file, 0)]
    n_seen = 0
    while groups:
        before, group, depth = groups.pop()
        for name in group:
            n_seen += 1
            if n_seen > _MOST_OBJECTS or depth > _DEEPEST:
                raise DataError(f"{path}: holds over {_MOST_OBJECTS:,} objects, or too deep ones")
            whole = f"{before}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                links.append(whole)
                continue
            item = group[name]
            if isinstance(item, h5py.Group) and not name.startswith("#"):  # MATLAB's own
                groups.append((f"{whole}/", item, depth + 1))
            elif isinstance(item, h5py.Dataset) and item.shape:
                arrays[whole] = item
    notes = [f"links were not followed: {', '.join(links[:5])}"] if links else []
    return dict(sorted(arrays.items())), notes


def _read(array: h5py.Dataset, path: Path, is_matlab: bool) -> np.ndarray:
    where = f"{path}: '{array.name.lstrip('/')}'"
    if array.is_virtual or array.external:
        raise DataError(f"{where} lies in other files, which are not opened; write it into one")
    if array.dtype.kind == "O":  # a damaged heap of texts may keep HDF5 busy without end
        raise DataError(
            f"{where} holds texts or lists of any length, or references; write texts with one "
            "length: numpy.array(texts).astype('S')"
        )
    if array.dtype.kind not in "biufSU":
        raise DataError(f"{where} holds {array.dtype}; arrays of numbers and texts are read")
    n_bytes = math.prod(array.shape) * max(1, array.dtype.itemsize)
    most = min(MAX_ARRAY_BYTES, most_unpacked(min(_stored(array), path.stat().st_size)))
    if n_bytes > most:
        raise DataError(f"{where} unpacks to {n_bytes:,} bytes; the limit is {most:,}")
    _check_chunks(array, where)
    values = np.asarray(array[()])
    is_text = is_matlab and array.attrs.get("MATLAB_class") == b"char"
    return np.array(["".join(map(chr, column)) for column in values.T]) if is_text else values


def _stored(array: h5py.Dataset) -> int:
    return int(array.id.get_storage_size())


def _check_chunks(array: h5py.Dataset, where: str) -> None:
    """Refuse packing that is not known, and chunks that unpack to more than a chunk has."""
    settings = array.id.get_create_plist()
    filters = [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]
    if not set(filters) <= {_DEFLATE, _SHUFFLE, _FLETCHER}:
        names = ", ".join(str(settings.get_filter(k)[3].decode()) for k in range(len(filters)))
        raise DataError(f"{where} is packed with {names}; gzip is read, write it again with it")
    if _DEFLATE not in filters:
        return
    most = math.prod(array.chunks) * array.dtype.itemsize + 64
    for k in range(array.id.get_num_chunks()):
        mask, content = array.id.read_direct_chunk(array.id.get_chunk_info(k).chunk_offset)
        if mask & (1 << filters.index(_DEFLATE)):
            continue
        unpacker = zlib.decompressobj()
        if len(unpacker.decompress(content, most)) == most and not unpacker.eof:
            raise DataError(
                f"{where} has a chunk that unpacks to more than its {most - 64:,} bytes"
            )
