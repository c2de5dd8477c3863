"""Feature tables that trials and workers share: files in the cache folder, opened as memory maps.

In: a key that names all that decides a table's content, and a function that computes it, chunk by
chunk. Out: a tensor. A table is written as any file is and opened as a map once it is whole: where
the disk is full, writing through a map kills the process. The folder has a size limit: the table
whose last use is longest ago is removed first. A trial that still reads a removed table can read
on; the next trial computes it again. Behind its numbers a file has their checksums, which are
compared when a process opens it: a damaged table is computed anew, and that is said.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from harness.training.feature_file import Chunks, TableShape, opened_table, write_table
from headstart.cli import as_line
from headstart.errors import InputError, StorageError
from headstart.files import atomic_path, make_folder, remove_dead_temporaries

LIMIT_VARIABLE = "HEADSTART_FEATURES_GB"
DEFAULT_LIMIT_GB = 16.0
OPEN_BYTES = 4e9  # of tables that a worker keeps open (or on its GPU) for the trials to come


@dataclass(eq=False)
class FeatureStore:
    """The tables of one cache folder, as one worker sees them."""

    folder: Path  # where the files lie; made when the first is written
    # What the files may take together, in 10⁹ bytes; None: HEADSTART_FEATURES_GB, else 16.
    limit_gb: float | None = None
    _open: OrderedDict[tuple[str, str], Tensor] = field(default_factory=OrderedDict)

    def get(self, key: str, shape: TableShape, chunks: Chunks, device: torch.device) -> Tensor:
        """The table `key`, opened, or computed by `chunks` (rows, in their order) and kept.

        Raises:
            InputError: it takes more than the limit, or the limit is no number.
            StorageError: the disk is full; nothing is left of the table.
        """
        place = (key, str(device))
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        path = self.folder / f"{key}.npy"
        array = opened_table(path, shape)
        if array is None:
            self._write(path, shape, chunks)
            array = opened_table(path, shape)
            if array is None:
                raise InputError(f"{path}: was written and is not there; is the folder in order?")
        table = shape.as_tensor(array).to(device)
        self._open[place] = table
        while len(self._open) > 1 and sum(t.nbytes for t in self._open.values()) > OPEN_BYTES:
            self._open.popitem(last=False)
        return table

    def drop(self) -> None:
        """Keep no table open, on a GPU above all; the files stay."""
        self._open.clear()

    def _write(self, path: Path, shape: TableShape, chunks: Chunks) -> None:
        limit = self._limit()
        if shape.n_bytes > limit:
            raise InputError(
                f"the features of the frozen part take {shape.n_bytes / 1e9:.2f} GB, and "
                f"{LIMIT_VARIABLE} allows {limit / 1e9:g}; raise it, or set train.cache_precision: "
                "bf16, smaller images, or train.cache_frozen: false"
            )
        try:
            make_folder(self.folder)
            remove_dead_temporaries(self.folder)
            self._make_room(limit - shape.n_bytes)
            with atomic_path(path) as temporary, open(temporary, "wb") as file:
                write_table(file, path.stem, shape, chunks)
        except (StorageError, OSError) as err:
            reason = as_line(err) if isinstance(err, OSError) else err
            raise StorageError(
                f"{reason}; computed features are kept in the cache folder {self.folder.parent}: "
                "HEADSTART_CACHE names another one, train.cache_frozen: false needs none"
            ) from err

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
