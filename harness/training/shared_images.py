"""Where the images of trials lie: in one table, of which all parts of a process are rows.

In: a data set, its split, a device. Out: `Parts`. On a CPU the table is the memory of the set
itself, which is a map of the decoded file where there is one; on a GPU it is one copy of that, or,
where the GPU is too small for it, no table at all: the set's images are read ahead batch by batch
(`streaming.py`). It stands alone because all that decides about this memory is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor

from datasets.base import Dataset
from datasets.cache.checked import is_in_files, is_mapped, plain, table_of
from datasets.split import Split
from harness.training.arrays import Part, Parts, as_tensor
from harness.training.machine import IMAGES_SHARE, fits, memory_here
from harness.training.memory import room
from harness.training.streaming import ReadAhead

FEW = 1 / 10  # of a set; so many of its images may lie on a GPU a second time


@dataclass(eq=False)
class SharedImages:
    """The images of one data set on the device of this process, for all trials that use it.

    It keeps the set that was asked for last, so that the next trial need not copy it again. Workers
    that share a GPU are processes, and each has a copy of its own there. On a CPU nothing is
    copied: all processes of a machine read the pages of the decoded file.
    """

    fingerprint: str = ""  # of the set that is kept; empty: none
    images: Tensor | None = None  # all of its images, uint8 (N, C, H, W); C is 1 of repeated ones
    _some: WeakSet[Tensor] = field(default_factory=WeakSet)  # copies of a few, which trials use

    def parts(self, dataset: Dataset, split: Split, device: torch.device) -> Parts:
        """The parts as rows of one table.

        A GPU is given the whole set, but where trials draw few of its images: then these alone, as
        long as such copies are no more than `FEW` of the set together. Where not even the images of
        the trial fit into `IMAGES_SHARE` of the memory, with those that lie there, they are read
        ahead; so are those of a set that is decoded while it is read, and on a CPU those of a file
        that the machine's memory cannot keep.
        """
        drawn = (split.train, split.validation, split.test)
        self._keep(dataset)
        held = np.unique(np.concatenate(drawn))
        if self._is_streamed(dataset, len(held), device):
            return Parts(*(_streamed(dataset, indices, device) for indices in drawn))
        table = self._table(dataset, held, device)
        is_whole = len(table) == len(dataset.labels)

        def rows_of(indices: np.ndarray) -> Part:
            rows = indices if is_whole else np.searchsorted(held, indices)
            return _part(dataset, indices, table, as_tensor(rows).to(device))

        return Parts(*map(rows_of, drawn))

    def _is_streamed(self, dataset: Dataset, n_used: int, device: torch.device) -> bool:
        if is_in_files(dataset.images):
            return True
        if self.is_gpu(device):
            return not (self._fits(dataset) or self._fits(dataset, n_used))
        n_bytes = n_used * table_of(dataset.images)[:1].nbytes
        return is_mapped(dataset.images) and not fits(n_bytes, memory_here())

    def _fits(self, dataset: Dataset, n: int | None = None) -> bool:
        """Whether all images of the set, or `n` of them, may lie on the GPU."""
        if self.images is not None:
            return True
        table = table_of(dataset.images)
        kept = sum(some.nbytes for some in self._some)
        needed = table.nbytes if n is None else n * table[:1].nbytes
        return fits(kept + needed, int(IMAGES_SHARE * (self.room() + kept)))

    def room(self) -> int:
        """Bytes that this process may still take of the GPU."""
        return room()

    def _keep(self, dataset: Dataset) -> None:
        """Be of this set; what is kept of another goes before: both may not fit."""
        if self.fingerprint != dataset.fingerprint:
            self.drop()
            self.fingerprint = dataset.fingerprint

    def _table(self, dataset: Dataset, held: np.ndarray, device: torch.device) -> Tensor:
        if not self.is_gpu(device):
            plain(dataset.images, held)  # the trial's own images are compared, no others
            if self.images is None:
                self.images = as_tensor(table_of(dataset.images))
        elif self.images is None and self._are_few(dataset, held):
            plain(dataset.images, held)
            some = torch.from_numpy(np.take(table_of(dataset.images), held, axis=0)).to(device)
            self._some.add(some)
            return some
        elif self.images is None:
            plain(dataset.images)
            self.images = as_tensor(table_of(dataset.images)).to(device)
        return self.images

    def is_gpu(self, device: torch.device) -> bool:
        """Whether the device has memory of its own, to which images must be copied."""
        return device.type == "cuda"

    def _are_few(self, dataset: Dataset, held: np.ndarray) -> bool:
        if not self._fits(dataset):
            return True
        n = sum(map(len, self._some)) + len(held)
        return n < len(dataset.labels) * FEW

    def n_bytes_of(self, dataset: Dataset) -> int:
        """Bytes that a trial of the set will take beside those that are kept, at most."""
        is_there = self.images is not None and self.fingerprint == dataset.fingerprint
        if is_there or is_in_files(dataset.images):
            return 0
        return int(table_of(dataset.images).nbytes)

    @property
    def n_bytes(self) -> int:
        return 0 if self.images is None else self.images.nbytes

    def drop(self) -> None:
        """Let the memory be free once no trial uses it."""
        self.fingerprint, self.images, self._some = "", None, WeakSet()


def _streamed(dataset: Dataset, indices: np.ndarray, device: torch.device) -> Part:
    source = ReadAhead(dataset.images, device)
    nothing = torch.empty((0, *source.row), dtype=torch.uint8, device=device)
    return replace(_part(dataset, indices, nothing, None), source=source)


def _part(dataset: Dataset, indices: np.ndarray, table: Tensor, rows: Tensor | None) -> Part:
    labels = torch.from_numpy(np.ascontiguousarray(dataset.labels[indices])).to(table.device)
    channels = dataset.images.shape[1]
    shown = None if table.shape[1] == channels else channels
    return Part(table, labels, indices, rows, channels=shown)
