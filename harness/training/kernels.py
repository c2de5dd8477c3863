"""Gradients of pooling for CUDA that have the same bits in every run, where PyTorch's have not.

In: nothing. Out: PyTorch's CUDA kernels of these gradients, replaced in this process. PyTorch's own
add with atomics, in an order that differs from run to run, and refuse to run where the same bits
are demanded. The kernels of this file add in a fixed order.

A kernel is replaced instead of a module. So it serves modules and functions alike, in our networks,
torchvision's and a user's; state dicts, pickles and CPUs know nothing of it. Forward passes stay
PyTorch's own. It stands alone because it knows tensors alone; `determinism.py` knows trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor
from torch.library import Library


@cache
def use_deterministic_kernels(device_type: str = "CUDA") -> Library:
    """Replace the kernels in this process; they stay as long as the returned object lives.

    Args:
        device_type: as PyTorch's dispatcher calls it; the tests take `CPU`.
    """
    library = Library("aten", "IMPL")
    library.impl("_adaptive_avg_pool2d_backward", _of_adaptive_average_2d, device_type)
    library.impl("_adaptive_avg_pool3d_backward", _of_adaptive_average_3d, device_type)
    library.impl("avg_pool3d_backward", _of_average_3d, device_type)
    library.impl("adaptive_max_pool2d_backward", _of_adaptive_maximum_2d, device_type)
    library.impl("max_pool3d_with_indices_backward", _of_maximum_3d, device_type)
    return library


def _of_adaptive_average_2d(gradient: Tensor, images: Tensor) -> Tensor:
    return _spread(gradient, images, _adaptive_sides(gradient, images, 2))


def _of_adaptive_average_3d(gradient: Tensor, images: Tensor) -> Tensor:
    return _spread(gradient, images, _adaptive_sides(gradient, images, 3))


def _of_average_3d(
    gradient: Tensor,
    images: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """`local_response_norm` uses it, with a kernel over channels."""
    shapes = (images.shape[-3:], gradient.shape[-3:])
    sizes = (_three(kernel_size), _three(stride or kernel_size), _three(padding))
    sides = [
        _regular_windows(*given, count_include_pad) for given in zip(*shapes, *sizes, strict=True)
    ]
    if divisor_override is not None:
        sides = [_Windows(s.n, s.starts, s.stops, (1,) * len(s.starts)) for s in sides]
        gradient = gradient / divisor_override
    return _spread(gradient, images, sides)


def _of_adaptive_maximum_2d(gradient: Tensor, images: Tensor, indices: Tensor) -> Tensor:
    return _put(gradient, images, indices, 2)


def _of_maximum_3d(
    gradient: Tensor,
    images: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    return _put(gradient, images, indices, 3)


# -- averages: along one side after the other ------------------------------------------------


@dataclass(frozen=True)
class _Windows:
    """The windows along one side of `n` places: from a start to before a stop, over a divisor."""

    n: int
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    divisors: tuple[int, ...]

    @property
    def width(self) -> int | None:
        """Of windows that lie side by side and cover all places; None where they do not."""
        width = self.n // len(self.starts)
        ends = tuple(range(0, self.n + 1, width)) if width else ()
        return width if (self.starts, self.stops) == (ends[:-1], ends[1:]) else None


def _adaptive_sides(gradient: Tensor, images: Tensor, n_sides: int) -> list[_Windows]:
    pairs = zip(images.shape[-n_sides:], gradient.shape[-n_sides:], strict=True)
    return [_adaptive_windows(n, n_out) for n, n_out in pairs]


@lru_cache(maxsize=256)
def _adaptive_windows(n: int, n_out: int) -> _Windows:
    starts = tuple(i * n // n_out for i in range(n_out))
    stops = tuple(-(-(i + 1) * n // n_out) for i in range(n_out))
    return _Windows(n, starts, stops, _lengths(starts, stops))


@lru_cache(maxsize=256)
def _regular_windows(
    n: int, n_out: int, size: int, stride: int, padding: int, counts_padding: bool
) -> _Windows:
    firsts = [i * stride - padding for i in range(n_out)]
    lasts = [min(first + size, n + padding) for first in firsts]
    starts, stops = tuple(max(f, 0) for f in firsts), tuple(min(last, n) for last in lasts)
    divisors = _lengths(firsts, lasts) if counts_padding else _lengths(starts, stops)
    return _Windows(n, starts, stops, divisors)


def _lengths(starts: Sequence[int], stops: Sequence[int]) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in zip(starts, stops, strict=True))


def _three(sizes: Sequence[int]) -> Sequence[int]:
    return tuple(sizes) * 3 if len(sizes) == 1 else sizes


def _spread(gradient: Tensor, images: Tensor, sides: Sequence[_Windows]) -> Tensor:
    """To each place the gradients of all windows that it is in, each over its divisor.

    A mean over rows and columns is a mean over rows of means over columns.
    """
    spread = _at_least_float32(gradient)
    for dim, windows in enumerate(sides, start=-len(sides)):
        spread = _spread_along(spread, dim, windows)
    return torch.empty_like(images).copy_(spread)  # in its layout and dtype


def _spread_along(gradient: Tensor, dim: int, windows: _Windows) -> Tensor:
    if len(set(windows.divisors)) > 1:
        divisors = _kept(windows.divisors, gradient.device)
        gradient = gradient / divisors.view(-1, *(1,) * (-dim - 1))
    elif windows.divisors[0] != 1:
        gradient = gradient / windows.divisors[0]
    width = windows.width
    if width is not None:
        return gradient if width == 1 else gradient.repeat_interleave(width, dim)
    total: Tensor | None = None
    for which, outside in _window_of_each_place(windows, gradient.device):
        part = gradient.index_select(dim, which)
        if outside is not None:
            part.masked_fill_(outside.view(-1, *(1,) * (-dim - 1)), 0)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


@lru_cache(maxsize=256)
def _window_of_each_place(
    windows: _Windows, device: torch.device
) -> list[tuple[Tensor, Tensor | None]]:
    """The first, second, … window of each place, int64 (n,), and which places have none, bool."""
    of_each = [
        [
            i
            for i, s in enumerate(zip(windows.starts, windows.stops, strict=True))
            if s[0] <= k < s[1]
        ]
        for k in range(windows.n)
    ]
    made: list[tuple[Tensor, Tensor | None]] = []
    for rank in range(max(1, *map(len, of_each))):
        which = [inside[rank] if rank < len(inside) else 0 for inside in of_each]
        outside = [rank >= len(inside) for inside in of_each]
        mask = torch.tensor(outside, device=device) if any(outside) else None
        made.append((torch.tensor(which, device=device), mask))
    return made


@lru_cache(maxsize=256)
def _kept(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32, device=device)


# -- maxima ----------------------------------------------------------------------------------


def _put(gradient: Tensor, images: Tensor, indices: Tensor, n_sides: int) -> Tensor:
    """Each gradient to the place of its maximum: `indices` count places of one image's channel."""
    n_places = math.prod(images.shape[-n_sides:])
    n_planes = math.prod(images.shape[:-n_sides])
    planes = torch.arange(n_planes, device=images.device).view(*images.shape[:-n_sides], 1)
    places = indices.flatten(-n_sides) + planes * n_places
    values = _at_least_float32(gradient)
    total = values.new_zeros(images.numel())
    # With `accumulate` CUDA sorts the places first, and adds in their order.
    total.index_put_((places.flatten(),), values.flatten(), accumulate=True)
    return torch.empty_like(images).copy_(total.view(images.shape))


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
