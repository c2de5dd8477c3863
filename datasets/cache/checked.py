"""Images that are compared with their checksums before they are read for the first time.

In: the rows of a memory-mapped file, the CRC-32 of each, and what mends rows that differ. Out: an
array that looks like any other. Indexing it checks the rows that are asked for, once in a process;
all else that NumPy does with it checks all rows. It stands alone because damage must be noticed
wherever images are read, and a set may be too large to be read as a whole before.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Self, TypeGuard
from zlib import crc32

import numpy as np

from datasets.cache.packed import PackedImages
from headstart.errors import StorageError
from headstart.processes import n_cores

_MANY_BYTES = 32 << 20  # above this, rows are compared on all cores


@dataclass(eq=False)
class RowCheck:
    """The rows of one file, and which of them this process has compared.

    Attributes:
        rows: uint8 (N, C, H, W), the file as it is.
        crcs: (N,), the CRC-32 of each row as it was written.
        repair: mends the file's rows that differ, given their indices, or raises.
    """

    rows: np.ndarray
    crcs: np.ndarray
    repair: Callable[[RowCheck, np.ndarray], None]
    _is_right: np.ndarray = field(init=False)
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self._is_right = np.zeros(len(self.rows), bool)
        self._is_all_right = False

    def check(self, index: np.ndarray | None = None) -> None:
        """Compare the rows of `index` (integers), or all; mend what differs.

        Raises:
            StorageError: a row differs still after that.
            what `repair` raises.
        """
        if self._is_all_right:
            return
        if index is not None and len(index) and index.min() < 0:
            index = index % len(self.rows)
        known = self._is_right if index is None else self._is_right[index]
        if known.all():
            self._is_all_right = index is None
            return
        new = np.flatnonzero(~known) if index is None else np.unique(index[~known])
        with self._lock:
            if len(self.differing(new)):
                everywhere = np.arange(len(self.rows))  # one repair for all that is damaged
                self.repair(self, self.differing(everywhere))
                if len(self.differing(new)):
                    raise StorageError(
                        "decoded images were damaged, and their file was replaced while it was "
                        "read; run the same command again"
                    )
            self._is_right[new] = True

    def differing(self, index: np.ndarray) -> np.ndarray:
        """Those of the rows that are not as they were written."""

        def of(part: np.ndarray) -> list[int]:
            return [row for row in part.tolist() if crc32(self.rows[row]) != self.crcs[row]]

        if len(index) * self.rows[:1].nbytes < _MANY_BYTES:
            return np.array(of(index), np.int64)
        parts = np.array_split(index, 4 * n_cores())
        with ThreadPoolExecutor(n_cores()) as pool:
            return np.array([row for some in pool.map(of, parts) for row in some], np.int64)


class CheckedImages(np.ndarray):
    """uint8 (N, C, H, W), read-only; see above. What indexing gives is a plain array."""

    _check: RowCheck | None

    @classmethod
    def of(cls, images: np.ndarray, check: RowCheck) -> Self:
        """`images`, each of which is the row of its number in `check`'s file."""
        checked = images.view(cls)
        checked._check = check
        return checked

    def __array_finalize__(self, source: Any) -> None:
        self._check = None
        if isinstance(source, CheckedImages):  # a transposed, copied or reshaped one
            source.check()

    def check(self, index: np.ndarray | None = None) -> None:
        """Compare the images at `index` (integers), or all, with their checksums."""
        if self._check is not None:
            self._check.check(index)

    @property
    def table(self) -> np.ndarray:
        """The rows of the file, uint8 (N, C, H, W), or (N, 1, H, W) where channels are repeated.

        It is the map itself, which no process may write to; `check` the rows before they are read.
        """
        assert self._check is not None, "what indexing gives has no file"
        return self._check.rows

    def __getitem__(self, key: Any) -> Any:
        if self._check is not None:
            self.check(_rows(key[0] if isinstance(key, tuple) and key else key, len(self)))
        return self.view(np.ndarray)[key]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return getattr(ufunc, method)(*(plain(each) for each in inputs), **keywords)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        self.check()
        return super().__array_function__(func, types, args, kwargs)


def _rows(key: Any, n: int) -> np.ndarray | None:
    """The rows that an index asks for, integers; None: all of them."""
    if isinstance(key, slice):
        return np.arange(*key.indices(n))
    if isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_)):
        return np.array([key])
    if isinstance(key, (list, np.ndarray)):
        rows = np.asarray(key)
        if rows.dtype == bool and rows.ndim == 1:
            return np.flatnonzero(rows)
        if rows.dtype.kind in "iu":
            return rows.ravel()
    return None


def plain(images: Any, index: np.ndarray | None = None) -> Any:
    """`images` as an ordinary array, those at `index` (or all) compared; others as they are.

    For what does not go through NumPy: PyTorch and `np.asarray` read the memory and ask nobody.
    """
    if isinstance(images, PackedImages):
        return np.asarray(images)
    if not isinstance(images, CheckedImages):
        return images
    images.check(index)
    return images.view(np.ndarray)


def table_of(images: np.ndarray) -> np.ndarray:
    """A set's images as they lie in memory, uint8 (N, C, H, W), or (N, 1, H, W) of repeated gray.

    Nothing is copied or compared: call `plain` for the rows before they are read. Never write here.
    """
    return images.table if is_mapped(images) else np.asarray(plain(images))


def is_mapped(images: np.ndarray) -> TypeGuard[CheckedImages]:
    """Whether a set's images are a map of its file in the cache, and not memory of this process."""
    return isinstance(images, CheckedImages) and images._check is not None


def is_in_files(images: np.ndarray) -> bool:
    """Whether a set's images are decoded from their files when they are read; see `packed`."""
    return isinstance(images, PackedImages)


def row_shape(images: np.ndarray) -> tuple[int, ...]:
    """Of one image as `read_rows` gives it: (C, H, W), or (1, H, W) of repeated gray."""
    return images.shape[1:] if is_in_files(images) else table_of(images).shape[1:]


def read_rows(images: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Read the images at `rows` (integers within the set) into `out`, uint8 (n, *row_shape).

    Each is compared with its checksum, where it has one; several threads may call this.

    Raises:
        StorageError, DataError: images are damaged, or their files have changed.
    """
    if isinstance(images, PackedImages):
        images.read(rows, out)
        return
    plain(images, rows)
    # No row is out of bounds; with the mode `raise` NumPy would copy everything twice.
    np.take(table_of(images), rows, axis=0, out=out, mode="clip")
