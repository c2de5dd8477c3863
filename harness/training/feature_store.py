"""Feature tables that trials and workers share: files in the cache folder, opened as memory maps.

In: a key that names all that decides a table's content, and a function that computes it. Out: a
tensor. The folder has a size limit: the table whose last use is longest ago is removed first. A
trial that still reads a removed table can read on; the next trial computes it again.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from headstart.errors import InputError
from headstart.files import atomic_path

LIMIT_VARIABLE = "HEADSTART_FEATURES_GB"
DEFAULT_LIMIT_GB = 16.0
OPEN_BYTES = 4e9  # of tables that a worker keeps open (or on its GPU) for the trials to come


@dataclass(frozen=True)
class TableShape:
    """Shape (rows, …) of a table, and how its numbers are kept."""

    shape: tuple[int, ...]
    precision: Literal["float32", "bf16"] = "float32"

    @property
    def stored(self) -> np.dtype[np.generic]:
        """NumPy has no bf16: its bits are kept as int16."""
        return np.dtype(np.float32 if self.precision == "float32" else np.int16)

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.stored.itemsize

    def as_tensor(self, array: np.ndarray) -> Tensor:
        """The array's own memory as float32 or bfloat16."""
        tensor = torch.from_numpy(array)
        return tensor if self.precision == "float32" else tensor.view(torch.bfloat16)


@dataclass(eq=False)
class FeatureStore:
    """The tables of one cache folder, as one worker sees them."""

    folder: Path  # where the files lie; made when the first is written
    # What the files may take together, in 10⁹ bytes; None: HEADSTART_FEATURES_GB, else 16.
    limit_gb: float | None = None
    _open: OrderedDict[tuple[str, str], Tensor] = field(default_factory=OrderedDict)

    def get(
        self, key: str, shape: TableShape, fill: Callable[[Tensor], None], device: torch.device
    ) -> Tensor:
        """The table `key`, opened, or computed by `fill` (into a tensor of the shape) and kept.

        Raises:
            InputError: it takes more than the limit, or the limit is no number.
            StorageError: the disk is full.
        """
        place = (key, str(device))
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        path = self.folder / f"{key}.npy"
        array = _opened(path, shape)
        if array is None:
            self._write(path, shape, fill)
            array = _opened(path, shape)
            if array is None:
                raise InputError(f"{path}: was written and is not there; is the folder in order?")
        table = shape.as_tensor(array).to(device)
        self._open[place] = table
        while len(self._open) > 1 and sum(t.nbytes for t in self._open.values()) > OPEN_BYTES:
            self._open.popitem(last=False)
        return table

    def _write(self, path: Path, shape: TableShape, fill: Callable[[Tensor], None]) -> None:
        limit = self._limit()
        if shape.n_bytes > limit:
            raise InputError(
                f"the features of the frozen part take {shape.n_bytes / 1e9:.2f} GB, and "
                f"{LIMIT_VARIABLE} allows {limit / 1e9:g}; raise it, or set train.cache_precision: "
                "bf16, smaller images, or train.cache_frozen: false"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(limit - shape.n_bytes)
        with atomic_path(path) as temporary:
            array = np.lib.format.open_memmap(temporary, "w+", shape.stored, shape.shape)
            fill(shape.as_tensor(array))
            array.flush()

    def _make_room(self, limit: int) -> None:
        """Remove the files used longest ago until the rest takes `limit` bytes at most."""
        files = []
        for path in self.folder.glob("*.npy"):
            with suppress(FileNotFoundError):  # another worker makes room too
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _limit(self) -> int:
        """Bytes that the files may take together."""
        if self.limit_gb is not None:
            return int(self.limit_gb * 1e9)
        given = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT_GB))
        try:
            limit = float(given)
        except ValueError:
            limit = math.nan
        if not 0 < limit < math.inf:
            raise InputError(
                f"{LIMIT_VARIABLE}={given!r}: a number of gigabytes over 0 is expected"
            )
        return int(limit * 1e9)


def _opened(path: Path, shape: TableShape) -> np.ndarray | None:
    """The file as a copy-on-write memory map; None where it is absent or not such a table."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    if array.shape != shape.shape or array.dtype != shape.stored:
        return None
    with suppress(OSError):  # marks the use; another user's folder may refuse it
        os.utime(path)
    return array
