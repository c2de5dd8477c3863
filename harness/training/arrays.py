"""A trial's data as tensors that lie on the device for its whole life.

In: a data set and its split. Out: `Part`s: uint8 images (or, after a frozen prefix, features) and
labels, indexed a batch at a time where they lie. A small network spends more time in a loader than
in its own arithmetic, so there is none. On a GPU the trials of a process share one copy of a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.base import Dataset
from datasets.cache.checked import plain
from datasets.split import Split


@dataclass(frozen=True)
class Part:
    """Training, validation or test part of a data set, on the device.

    Attributes:
        inputs: uint8 (N, C, H, W) images, or a table of features that parts and trials share.
        labels: int64 (N,).
        indices: int64 (N,), the images' places in the data set.
        rows: int64 (N,), the images' rows in a shared table; None where `inputs` is the part's own.
        n_views: how many augmented views of each image the table has, one view after another.
        right: int64 (N,), right labels, which are watched beside `labels`; None: not watched.
    """

    inputs: Tensor
    labels: Tensor
    indices: np.ndarray
    rows: Tensor | None = None
    n_views: int = 1
    right: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(
        self, positions: Tensor, views: Tensor | None = None, out: Tensor | None = None
    ) -> Tensor:
        """A copy of the inputs at `positions` (int64 in 0 … N - 1), each in its view.

        Args:
            out: where the copy goes, of its shape and dtype; fresh memory costs more than the copy.
        """
        rows = positions if self.rows is None else self.rows[positions]
        if views is not None:
            rows = rows + views * (len(self.inputs) // self.n_views)
        if out is None:
            return self.inputs[rows]
        return torch.index_select(self.inputs, 0, rows, out=out)

    def between(self, start: int, stop: int) -> Tensor:
        """The inputs at positions `start` … `stop` - 1, in their first view."""
        if self.rows is None:
            return self.inputs[start:stop]
        return self.inputs[self.rows[start:stop]]


@dataclass(frozen=True)
class Parts:
    train: Part
    validation: Part
    test: Part


def place_parts(dataset: Dataset, split: Split, device: torch.device) -> Parts:
    """Copy the images of each part to the device, in the order in which the split drew them."""

    def place(indices: np.ndarray) -> Part:
        images = torch.from_numpy(np.ascontiguousarray(dataset.images[indices]))
        labels = torch.from_numpy(np.ascontiguousarray(dataset.labels[indices]))
        return Part(images.to(device), labels.to(device), indices)

    return Parts(place(split.train), place(split.validation), place(split.test))


@dataclass(eq=False)
class PlacedImages:
    """The images of one data set on a GPU, for all trials of this process that use it.

    It keeps the set that was asked for last, so that the next trial need not copy it again. Workers
    that share a GPU are processes, and each has a copy of its own.
    """

    fingerprint: str = ""  # of the set that is kept; empty: none
    images: Tensor | None = None  # all of its images, uint8 (N, C, H, W)

    def parts(self, dataset: Dataset, split: Split, device: torch.device) -> Parts:
        """The parts as rows of the whole set, unless they are less than half of it."""
        drawn = (split.train, split.validation, split.test)
        if 2 * sum(map(len, drawn)) < len(dataset.labels):
            self.drop()
            return place_parts(dataset, split, device)
        images = self._placed(dataset, device)

        def rows_of(indices: np.ndarray) -> Part:
            labels = torch.from_numpy(np.ascontiguousarray(dataset.labels[indices]))
            rows = torch.from_numpy(indices.astype(np.int64))
            return Part(images, labels.to(device), indices, rows.to(device))

        return Parts(*map(rows_of, drawn))

    def _placed(self, dataset: Dataset, device: torch.device) -> Tensor:
        if self.images is None or self.fingerprint != dataset.fingerprint:
            self.drop()  # before the other set is copied: both may not fit
            # A copy first: the set's own memory is read-only, which PyTorch warns of.
            self.images = torch.tensor(plain(dataset.images), device=device)
            self.fingerprint = dataset.fingerprint
        return self.images

    @property
    def n_bytes(self) -> int:
        return 0 if self.images is None else self.images.nbytes

    def drop(self) -> None:
        """Let the memory be free once no trial uses it."""
        self.fingerprint, self.images = "", None


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
