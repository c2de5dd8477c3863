"""Convolution, 2×2 maximum pooling and ReLU as one step of training on a CPU.

In: a row of layers. Out: the same row, which trains faster where a convolution, its pooling and its
ReLU follow one another and the convolution has few channels. LeNet-5's 6 and 16 channels leave the
vector units of a CPU half empty in every layout in which a library computes convolutions; here the
images of a batch lie innermost, and one matrix product computes a convolution:

    tiles of the image (a few pixels × channels, by tile and image)
    × the weights spread over such a tile (output pixels × channels, by input pixels × channels)

A tile is what one window of pooling is computed from, so that pooling compares four blocks of the
product's rows. The window's four outputs share most of their inputs: for 5×5 weights a tile has 6×6
pixels, and the product 1.44 times the multiplications of the convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEWEST_IMAGES = 32  # of fewer images the rows are too short for it to pay
MOST_CHANNELS = 32  # beyond, a library's convolution fills the vector units by itself


class PooledSequential(nn.Sequential):
    """`nn.Sequential` that joins `Conv2d`, `MaxPool2d(2)` and `ReLU` in training on a CPU.

    Layers, names, parameters and state are those of `nn.Sequential`; numbers differ in rounding.
    In evaluation, on a GPU, in mixed precision and under tracing the layers run one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) → what the last layer gives."""
        layers = list(self)
        if not (self.training and torch.is_grad_enabled() and _is_plain(x)):
            for layer in layers:
                x = layer(x)
            return x
        while layers:
            conv = layers[0]
            if isinstance(conv, nn.Conv2d) and conv.bias is not None and _is_joined(layers, x):
                x = pooled_convolution(x, conv.weight, conv.bias, int(conv.padding[0]))
                layers = layers[3:]
            else:
                x = layers[0](x)
                layers = layers[1:]
        return x


def _is_plain(x: Any) -> bool:
    """Whether `x` is numbers on the CPU, and not a symbol of a tracer or a transformation's."""
    return (
        not torch.compiler.is_compiling()  # first: it follows none of the rest
        and type(x) in (Tensor, nn.Parameter)
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
    )


def _is_joined(layers: Sequence[nn.Module], x: Tensor) -> bool:
    """Whether the first three layers are computed as one on `x` (N, C, H, W)."""
    if len(layers) < 3:
        return False
    first, second, third = layers[:3]
    return (
        type(first) is nn.Conv2d
        and type(second) is nn.MaxPool2d
        and type(third) is nn.ReLU
        and x.dim() == 4
        and len(x) >= FEWEST_IMAGES
        and _is_plain(first.weight)
        and max(first.in_channels, first.out_channels) <= MOST_CHANNELS
        and first.kernel_size[0] == first.kernel_size[1]
        and first.kernel_size[0] % 2 == 1
        and first.stride == (1, 1)
        and first.dilation == (1, 1)
        and first.groups == 1
        and first.padding_mode == "zeros"
        and not isinstance(first.padding, str)
        and first.padding[0] == first.padding[1]
        and min(x.shape[2:]) + 2 * first.padding[0] > first.kernel_size[0]
        and second.kernel_size in (2, (2, 2))
        and second.stride in (2, (2, 2))
        and second.padding in (0, (0, 0))
        and second.dilation in (1, (1, 1))
        and not second.ceil_mode
        and not second.return_indices
        and not any(m._forward_hooks or m._forward_pre_hooks for m in (first, second, third))
    )


def pooled_convolution(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """`relu(max_pool2d(conv2d(x, weight, bias, padding=padding), 2))`.

    Args:
        x: float32 (N, C, H, W) in any memory layout; fastest in that of the result.
        weight: float32 (O, C, k, k), k odd.
        bias: float32 (O,).
        padding: zeros around the images, in pixels.

    Returns:
        float32 (N, O, H', W') that lies in memory as (O, H', W', N). Its gradient can be taken
        once. Where several of a window's outputs are the largest, the first has the gradient, as
        in `max_pool2d`.
    """
    result: Tensor = _PooledConvolution.apply(x, weight, bias, padding)
    return result


class _PooledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        x = _images_innermost(x, padding)
        channels, height, width, n = x.shape
        outputs, _, size, _ = weight.shape
        rows, columns = (height - size + 1) // 2, (width - size + 1) // 2
        tiles = _Tiles(channels, size + 1, rows, columns, n)

        unfolded = _memory.take(tiles.n_inputs, tiles.n_places)
        unfolded.view(tiles.shape).copy_(tiles.of(x))
        where, _ = _places(outputs, channels, size)
        flat = torch.cat([weight.flatten(), weight.new_zeros(1)])
        spread = flat[where].view(4 * outputs, tiles.n_inputs)
        products = _memory.take(len(spread), tiles.n_places)
        torch.mm(spread, unfolded, out=products)

        windows = products.view(4, outputs, -1)
        largest = torch.maximum(windows[0], windows[1])
        torch.maximum(largest, windows[2], out=largest)
        torch.maximum(largest, windows[3], out=largest)
        result = torch.add(largest, bias.unsqueeze(1)).clamp_min_(0)
        result = result.view(outputs, rows, columns, n).permute(3, 0, 1, 2)
        ctx.save_for_backward(weight, result)
        ctx.kept = unfolded, spread, products, largest
        ctx.tiles, ctx.padded, ctx.padding = tiles, x.shape, padding
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, result = ctx.saved_tensors
        if ctx.kept is None:
            raise RuntimeError("the gradient of a pooled convolution can be taken once")
        (unfolded, spread, products, largest), ctx.kept = ctx.kept, None
        tiles, outputs = ctx.tiles, len(weight)
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad

        gradient, result = gradient.permute(1, 2, 3, 0), result.permute(1, 2, 3, 0)
        rest = _memory.take(outputs, tiles.n_places)
        torch.ops.aten.threshold_backward(
            gradient, result, 0.0, grad_input=rest.view(result.shape)
        )  # ReLU's
        of_bias = rest.sum(1) if for_bias else None
        windows = products.view(4, outputs, -1)
        for window in windows[:3]:
            window.eq_(largest).mul_(rest)
            rest.sub_(window)  # a window's gradient is spent where it went
        windows[3].copy_(rest)

        of_weight = of_x = None
        if for_weight:
            _, back = _places(outputs, tiles.channels, weight.shape[2])
            of_weight = (products @ unfolded.t()).flatten()[back].sum(0).view(weight.shape)
        if for_x:
            unfolded = torch.mm(spread.t(), products, out=unfolded)
            padded = unfolded.new_zeros(ctx.padded)
            tiles.add_to(padded, unfolded)
            of_x = _inside(padded, ctx.padding).permute(3, 0, 1, 2)
        _memory.give(unfolded, products, rest)
        return of_x, of_weight, of_bias, None


class _Memory:
    """Matrices that the next step writes over: fresh memory costs more time than what fills it."""

    def __init__(self, most_bytes: int):
        self.most_bytes = most_bytes
        self.free: dict[tuple[int, ...], list[Tensor]] = {}
        self.n_bytes = 0

    def take(self, *shape: int) -> Tensor:
        """float32 of this shape with whatever is in it."""
        kept = self.free.get(shape)
        if not kept:
            return torch.empty(shape)
        matrix = kept.pop()
        self.n_bytes -= matrix.nbytes
        return matrix

    def give(self, *matrices: Tensor) -> None:
        """Keep what nobody uses any more; all of it goes once it is more than there may be."""
        for matrix in matrices:
            if matrix.nbytes > self.most_bytes:
                continue
            if self.n_bytes + matrix.nbytes > self.most_bytes:
                self.free.clear()
                self.n_bytes = 0
            self.free.setdefault(tuple(matrix.shape), []).append(matrix)
            self.n_bytes += matrix.nbytes


_memory = _Memory(most_bytes=64 * 2**20)


class _Tiles:
    """Tiles of `size` by `size` pixels in `rows` and `columns`, each two pixels from the last."""

    def __init__(self, channels: int, size: int, rows: int, columns: int, n: int):
        self.channels, self.size = channels, size
        self.shape = (channels, size, size, rows, columns, n)
        self.n_inputs = channels * size * size
        self.n_places = rows * columns * n

    def of(self, x: Tensor) -> Tensor:
        """(C, size, size, rows, columns, N): views of x (C, H, W, N)."""
        of_channel, of_row, of_pixel, _ = x.stride()
        strides = (of_channel, of_row, of_pixel, 2 * of_row, 2 * of_pixel, 1)
        return x.as_strided(self.shape, strides)

    def add_to(self, x: Tensor, unfolded: Tensor) -> None:
        """To each pixel of x (C, H, W, N) the numbers of all tiles that it is in."""
        pixels, numbers = self.of(x), unfolded.view(self.shape)
        for top in range(0, self.size, 2):
            for left in range(0, self.size, 2):  # of 2 by 2 pixels each is in one tile only
                part = (slice(None), slice(top, top + 2), slice(left, left + 2))
                pixels[part].add_(numbers[part])


def _images_innermost(x: Tensor, padding: int) -> Tensor:
    """float32 (C, H + 2·padding, W + 2·padding, N) of x (N, C, H, W)."""
    n, channels, height, width = x.shape
    turned = x.permute(1, 2, 3, 0)
    if not turned.is_contiguous():  # in two dimensions torch turns a matrix over block by block
        turned = x.reshape(n, -1).t().contiguous().view(channels, height, width, n)
    if not padding:
        return turned
    padded = x.new_zeros(channels, height + 2 * padding, width + 2 * padding, n)
    _inside(padded, padding).copy_(turned)
    return padded


def _inside(padded: Tensor, padding: int) -> Tensor:
    height, width = padded.shape[1:3]
    return padded[:, padding : height - padding, padding : width - padding]


@lru_cache(maxsize=64)
def _places(outputs: int, channels: int, size: int) -> tuple[Tensor, Tensor]:
    """Where weights stand in the spread matrix.

    Returns:
        int64, flat: for each number of the spread matrix the index of its weight, one past the last
        for zeros; and (4, weights): for each weight its places in the spread matrix.
    """
    n = outputs * channels * size * size
    weights = torch.arange(n).view(outputs, channels, size, size)
    where = torch.full((2, 2, outputs, channels, size + 1, size + 1), n)
    flat = torch.arange(where.numel()).view(where.shape)
    back = []
    for down in range(2):
        for right in range(2):
            place = (down, right, ..., slice(down, down + size), slice(right, right + size))
            where[place] = weights
            back.append(flat[place].flatten())
    return where.flatten(), torch.stack(back)
