"""What the host decides of a training step: which images, in which views, changed how.

In: a trial's settings and streams, and the number of a step. Out: a `Batch` on the device. It
stands alone so that a step's decisions (here) and its computation (`loop.py`) are apart: the latter
can then be captured once as a CUDA graph (`graph.py`), which reads the former from fixed memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets import augment
from harness.seeds import derive_seed
from harness.sweepfile.settings import Train

# Steps whose augmentation is drawn at once for a GPU, where a small copy costs what a kernel costs.
# Not a whole epoch: a pack of 256 seeds would hold 300 MB of draws.
STEPS_AHEAD = 64


@dataclass(frozen=True)
class Batch:
    """The decisions of one step, on the device.

    Attributes:
        positions: int64 (batch,), places in the training part.
        views: int64 (batch,), the fixed augmented view in which each image is seen, if there are.
        draws: how each image is changed; None where none is.
        share: float32 (), of `mixup` and `cutmix`: how much of each label is the image's own; None
            without.
        blend, box: float32 () and int64 (4,), with `cutmix`: how much of each pixel is the image's
            own, and (top, left, bottom, right) of the box in which none is.
        on_host: the positions again, where images are read ahead (`streaming.py`).
    """

    positions: Tensor
    views: Tensor | None = None
    draws: augment.Draws | None = None
    share: Tensor | None = None
    on_host: np.ndarray | None = None
    blend: Tensor | None = None
    box: Tensor | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: slice) -> Batch:
        """These rows of the batch; they are changed as in the whole batch."""
        views = None if self.views is None else self.views[rows]
        draws = None if self.draws is None else self.draws[rows]
        on_host = None if self.on_host is None else self.on_host[rows]
        return Batch(self.positions[rows], views, draws, on_host=on_host)

    def clone(self) -> Batch:
        """The same decisions in memory of their own, for a graph; none where images are read."""
        assert self.on_host is None
        views = None if self.views is None else self.views.clone()
        draws = None if self.draws is None else self.draws.each(Tensor.clone)
        mix = {name: value.clone() for name, value in self._mix().items()}
        return Batch(self.positions.clone(), views, draws, **mix)

    def mixed(self, images: Tensor) -> Tensor:
        """float (N, …, H, W): each image with a part of the one after it."""
        assert self.share is not None
        if self.box is None or self.blend is None:
            return mixed(images, self.share)
        top, left, bottom, right = self.box.unbind()
        y = torch.arange(images.shape[-2], device=images.device)[:, None]
        x = torch.arange(images.shape[-1], device=images.device)
        is_cut = (y >= top) & (y < bottom) & (x >= left) & (x < right)
        return torch.where(is_cut, images.roll(-1, 0), mixed(images, self.blend))

    def _mix(self) -> dict[str, Any]:
        mix = {"share": self.share, "blend": self.blend, "box": self.box}
        return {name: value for name, value in mix.items() if value is not None}

    def copy_(self, other: Batch) -> None:
        """Take over the decisions of a batch of the same size, into this one's memory."""
        for ours, given in zip(self._tensors(), other._tensors(), strict=True):
            ours.copy_(given)

    def _tensors(self) -> list[Tensor]:
        views = [] if self.views is None else [self.views]
        draws = [] if self.draws is None else self.draws.tensors()
        return [self.positions, *views, *draws, *self._mix().values()]


def own_share(alpha: float, stream: int, step: int) -> Tensor:
    """float32 () on the CPU, from 0.5: how much of each image a step of `mixup` leaves its own.

    The partner of an image is the one after it in the batch. Both orders of a pair are as likely,
    so the larger share may be the image's own, whose label then counts for whether it is right.

    Args:
        alpha: of the distribution Beta(alpha, alpha).
        stream: seed of the axis `augment`.
    """
    share = np.random.default_rng(derive_seed(stream, "mixup", step)).beta(alpha, alpha)
    return torch.tensor(max(share, 1 - share), dtype=torch.float32)


def drawn_mix(settings: Train, stream: int, step: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """`share`, `blend` and `box` of a step with `cutmix`, as `Batch` has them, on the CPU.

    The box is that of Yun et al. (2019): its area is 1 - λ, its middle is anywhere, and what lies
    beyond the image is cut off. With `mixup` too, each step is one of both, equally likely.

    Args:
        stream: seed of the axis `augment`.
        size: (height, width) of the images.
    """
    draws = np.random.default_rng(derive_seed(stream, "cutmix", step))
    if settings.mixup and draws.random() < 0.5:
        share = own_share(settings.mixup, stream, step)
        return {"share": share, "blend": share, "box": torch.zeros(4, dtype=torch.int64)}
    side = np.sqrt(1 - draws.beta(settings.cutmix, settings.cutmix))
    edges = []
    for length in size:
        middle, half = int(draws.integers(length)), int(length * side) // 2
        edges.append((max(0, middle - half), min(length, middle + half)))
    (top, bottom), (left, right) = edges
    share = torch.tensor(1 - (bottom - top) * (right - left) / (size[0] * size[1]))
    box = torch.tensor([top, left, bottom, right])
    return {"share": share.float(), "blend": torch.ones(()), "box": box}


def mixed(images: Tensor, share: Tensor) -> Tensor:
    """float (N, …): each image with the rest of `share` of the one after it."""
    return images * share + images.roll(-1, 0) * (1 - share)


class Augmentation:
    """The changes of each step's images.

    They are drawn on the CPU, each step's from a seed of its own, so that they are the same on
    every device and after every pause. For a GPU those of `STEPS_AHEAD` steps are drawn together.

    Args:
        settings: of the trial.
        stream: seed of the axis `augment`.
        n_images: in the training part.
        device: where the draws are needed.
        size: (height, width) of the changed images; None: as they are.
    """

    def __init__(
        self,
        settings: Train,
        stream: int,
        n_images: int,
        device: torch.device,
        size: tuple[int, int] | None = None,
    ):
        self.size = size
        self.settings, self.stream, self.device = settings.augment, stream, device
        self.n_images, self.batch_size = n_images, settings.batch_size
        self.steps_per_epoch = -(-n_images // settings.batch_size)
        self.n_ahead = STEPS_AHEAD if device.type == "cuda" else 1
        self._first: int | None = None  # step whose draws are the first of `_ahead`
        self._ahead: augment.Draws | None = None

    def at(self, step: int, image_size: tuple[int, int]) -> augment.Draws:
        """The draws of a step's images of this size, on the device."""
        position = step % self.steps_per_epoch
        place = position % self.n_ahead  # blocks begin at the same steps after every pause
        if self._ahead is None or self._first != step - place:
            self._first = step - place
            self._ahead = self._block(position - place, image_size)
        begin = place * self.batch_size
        return self._ahead[begin : begin + self.batch_size]

    def _block(self, first: int, image_size: tuple[int, int]) -> augment.Draws:
        """The draws of `n_ahead` steps from place `first` of the epoch, or to the epoch's end."""
        places = range(first, min(first + self.n_ahead, self.steps_per_epoch))
        assert self._first is not None
        seeds = [derive_seed(self.stream, "step", self._first + k) for k in range(len(places))]
        sizes = [min(self.batch_size, self.n_images - p * self.batch_size) for p in places]
        drawn = augment.draw_batches(self.settings, seeds, sizes, image_size, self.size)
        return drawn.each(lambda tensor: upload(tensor, self.device))


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; the host does not wait until a GPU has copied it."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
