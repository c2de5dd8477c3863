"""A trial's data: parts of a data set, which are indexed a batch at a time where they lie.

In: tensors on the device, and rows of them. Out: `Part`s: uint8 images (or, after a frozen prefix,
features) with labels, and how images become what a network takes. A small network spends more time
in a loader than in its own arithmetic, so there is none. Which memory images lie in is said by
`shared_images.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.augment.crops import middle_of
from harness.training.streaming import ReadAhead


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


def as_tensor(rows: np.ndarray) -> Tensor:
    """The same memory as a tensor, to which nobody may write; a copy of a view with gaps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(rows))


@dataclass(frozen=True)
class Parts:
    train: Part
    validation: Part
    test: Part


class Normalise:
    """uint8 images → float32 with each channel's mean taken off and divided by its deviation.

    Args:
        mean, std: of each channel, in 0..1.
        size: (height, width) that the network takes: the middle of images that are kept larger.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        size: tuple[int, int] | None = None,
    ):
        self.size = size
        means = torch.tensor(mean, dtype=torch.float64, device=device)
        stds = torch.tensor(std, dtype=torch.float64, device=device)
        self.scale = (1 / (255 * stds)).float().view(1, -1, 1, 1)
        self.shift = (-means / stds).float().view(1, -1, 1, 1)
        self.mean = means.float().view(1, -1, 1, 1)
        self.std = stds.float().view(1, -1, 1, 1)

    def images(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) in 0..255 → float32 of the same shape, or of `size`."""
        if self.size is not None:
            images = middle_of(images, self.size)
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
