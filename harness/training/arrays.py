"""A trial's data: parts of a data set as rows of one table, which all trials of a process share.

In: a data set and its split. Out: `Part`s: uint8 images (or, after a frozen prefix, features) and
labels, indexed a batch at a time where they lie. A small network spends more time in a loader than
in its own arithmetic, so there is none. On a CPU the table is the memory of the set itself, which
is a map of the decoded file where there is one; on a GPU it is one copy of that, or, where the GPU
is too small for it, no table at all: the set's images are read ahead batch by batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor

from datasets.base import Dataset
from datasets.cache.checked import plain, table_of
from datasets.split import Split
from harness.training.memory import room
from harness.training.streaming import ReadAhead

SHARE = 1 / 2  # of a GPU's memory that this process may take, for images that lie there
FEW = 1 / 10  # of a set; so many of its images may lie on a GPU a second time


@dataclass(frozen=True)
class Part:
    """Training, validation or test part of a data set, on the device.

    Attributes:
        inputs: the table that parts and trials share: uint8 (images, C, H, W), or features. It has
            no rows where `source` is.
        labels: int64 (N,).
        indices: int64 (N,), the images' places in the data set.
        rows: int64 (N,), the images' rows in a shared table; None where `inputs` is the part's own.
        n_views: how many augmented views of each image the table has, one view after another.
        right: int64 (N,), right labels, which are watched beside `labels`; None: not watched.
        channels: as which the one channel of each image is shown; None: as it lies in the table.
        source: reads images ahead by their places in the set, where they do not fit on the device.
    """

    inputs: Tensor
    labels: Tensor
    indices: np.ndarray
    rows: Tensor | None = None
    n_views: int = 1
    right: Tensor | None = None
    channels: int | None = None
    source: ReadAhead | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> torch.Size:
        """Of one input, as the network sees it."""
        shape = self.inputs.shape[1:]
        return shape if self.channels is None else torch.Size((self.channels, *shape[1:]))

    def at(self, rows: Tensor) -> Tensor:
        """A copy of the table's rows (int64, any shape); channels may share their memory."""
        return self._shown(self.inputs[rows])

    def _shown(self, inputs: Tensor) -> Tensor:
        if self.channels is None:
            return inputs
        return inputs.expand(*inputs.shape[:-3], *self.shape)

    def follow(self, batches: Iterable[np.ndarray]) -> None:
        """The positions (int64) of the batches to come, of which the first ones are read now."""
        if self.source is not None:
            self.source.follow(self.indices[positions] for positions in batches)

    def take(
        self,
        positions: Tensor,
        views: Tensor | None = None,
        out: Tensor | None = None,
        on_host: np.ndarray | None = None,
    ) -> Tensor:
        """A copy of the inputs at `positions` (int64 in 0 … N - 1), each in its view.

        Args:
            out: where the copy goes, of its shape and dtype; fresh memory costs more than the copy.
            on_host: the positions again; needed where images are read ahead, and nowhere else.
        """
        if self.source is not None:
            assert on_host is not None, "the host must not wait to learn which images to read"
            inputs = self._shown(self.source.at(self.indices[on_host]))
            return inputs if out is None else out.copy_(inputs)
        rows = positions if self.rows is None else self.rows[positions]
        if views is not None:
            rows = rows + views * (len(self.inputs) // self.n_views)
        if out is None:
            return self.at(rows)
        if self.channels is not None:
            return out.copy_(self.at(rows))
        return torch.index_select(self.inputs, 0, rows, out=out)

    def between(self, start: int, stop: int) -> Tensor:
        """The inputs at positions `start` … `stop` - 1, in their first view."""
        if self.source is not None:
            return self._shown(self.source.at(self.indices[start:stop]))
        return self.inputs[start:stop] if self.rows is None else self.at(self.rows[start:stop])


@dataclass(frozen=True)
class Parts:
    train: Part
    validation: Part
    test: Part


@dataclass(eq=False)
class SharedImages:
    """The images of one data set on the device of this process, for all trials that use it.

    It keeps the set that was asked for last, so that the next trial need not copy it again. Workers
    that share a GPU are processes, and each has a copy of its own there. On a CPU nothing is
    copied: all processes of a machine read the pages of the decoded file.
    """

    fingerprint: str = ""  # of the set that is kept; empty: none
    images: Tensor | None = None  # all of its images, uint8 (N, C, H, W); C is 1 of repeated ones
    _some: WeakSet[Tensor] = field(
        default_factory=WeakSet
    )  # copies of some of them that trials use

    def parts(self, dataset: Dataset, split: Split, device: torch.device) -> Parts:
        """The parts as rows of one table.

        A GPU is given the whole set, but where trials draw few of its images: then these alone, as
        long as such copies are no more than `FEW` of the set together. Where not even the images of
        the trial fit into `SHARE` of the memory, with those that lie there, they are read ahead.
        """
        drawn = (split.train, split.validation, split.test)
        self._keep(dataset)
        held = np.unique(np.concatenate(drawn))
        if self.is_gpu(device) and not (self._fits(dataset) or self._fits(dataset, len(held))):
            return Parts(*(self._streamed(dataset, indices, device) for indices in drawn))
        table = self._table(dataset, held, device)
        if len(table) == len(dataset.labels):
            held = np.arange(len(table))
        channels = dataset.images.shape[1]

        def rows_of(indices: np.ndarray) -> Part:
            labels = torch.from_numpy(np.ascontiguousarray(dataset.labels[indices]))
            rows = torch.from_numpy(np.searchsorted(held, indices).astype(np.int64))
            shown = None if table.shape[1] == channels else channels
            return Part(table, labels.to(device), indices, rows.to(device), channels=shown)

        return Parts(*map(rows_of, drawn))

    def _streamed(self, dataset: Dataset, indices: np.ndarray, device: torch.device) -> Part:
        labels = torch.from_numpy(np.ascontiguousarray(dataset.labels[indices]))
        source = ReadAhead(dataset.images, device)
        nothing = torch.empty((0, *source.table.shape[1:]), dtype=torch.uint8, device=device)
        channels = dataset.images.shape[1]
        shown = None if nothing.shape[1] == channels else channels
        return Part(nothing, labels.to(device), indices, channels=shown, source=source)

    def _fits(self, dataset: Dataset, n: int | None = None) -> bool:
        """Whether all images of the set, or `n` of them, may lie on the GPU."""
        if self.images is not None:
            return True
        table = table_of(dataset.images)
        kept = sum(some.nbytes for some in self._some)
        needed = table.nbytes if n is None else n * table[:1].nbytes
        return kept + needed <= SHARE * (self.room() + kept)

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
        if self.images is not None and self.fingerprint == dataset.fingerprint:
            return 0
        return int(table_of(dataset.images).nbytes)

    @property
    def n_bytes(self) -> int:
        return 0 if self.images is None else self.images.nbytes

    def drop(self) -> None:
        """Let the memory be free once no trial uses it."""
        self.fingerprint, self.images, self._some = "", None, WeakSet()


def as_tensor(images: np.ndarray) -> Tensor:
    """The same memory as a tensor. Nobody may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images)


class Normalise:
    """uint8 images → float32 with each channel's mean taken off and divided by its deviation.

    `mean` and `std` are of each channel, in 0..1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device):
        means = torch.tensor(mean, dtype=torch.float64, device=device)
        stds = torch.tensor(std, dtype=torch.float64, device=device)
        self.scale = (1 / (255 * stds)).float().view(1, -1, 1, 1)
        self.shift = (-means / stds).float().view(1, -1, 1, 1)
        self.mean = means.float().view(1, -1, 1, 1)
        self.std = stds.float().view(1, -1, 1, 1)

    def images(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) in 0..255 → float32 of the same shape."""
        return images.float().mul_(self.scale).add_(self.shift)

    def unit_images(self, images: Tensor) -> Tensor:
        """float32 (N, C, H, W) in 0..1 (after augmentation) → normalised."""
        return images.sub(self.mean).div_(self.std)


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source into its target: on a GPU by few launches, whatever their number."""
    kinds = {(target.dtype, target.device) for target in targets}
    for kind in kinds:
        pairs = [
            (target, source)
            for target, source in zip(targets, sources, strict=True)
            if (target.dtype, target.device) == kind
        ]
        torch._foreach_copy_([target for target, _ in pairs], [source for _, source in pairs])
