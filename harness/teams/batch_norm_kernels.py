"""Batch norm over the rows of all ranks, by torch's kernels for GPUs: the host never waits.

In: this rank's rows, and the ranks. Out: the rows normalised, the running statistics moved. It
stands alone because its arithmetic is tested without a GPU: whoever calls gives the kernels, and
those of a test are formulas.

`torch.nn.SyncBatchNorm` launches the same kernels, but lets the host wait in every layer: it reads
which ranks have rows. Here the host knows this, since it shares out the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.training.ranks import Ranks


@dataclass(frozen=True, eq=False)
class Whole:
    """The whole batch, of which a rank has some rows, and what its statistics move."""

    ranks: Ranks
    n_rows: int  # images of the batch, over all ranks
    eps: float
    running_mean: Tensor | None  # (channels,) float32, moved in place
    running_var: Tensor | None
    share: float  # of this batch in the running statistics
    kernels: Any  # torch, or what computes the same under the same names


class NormaliseByKernels(torch.autograd.Function):
    """(x − mean) / √(variance + eps) · weight + bias, over the rows of all ranks.

    Statistics are float32 (float64 for float64), and travel in one message each way.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, whole: Whole
    ) -> Tensor:
        if whole.n_rows == 1 and x.numel() == x.shape[1]:  # torch's own words
            raise ValueError("Expected more than 1 value per channel when training")
        x = x.contiguous(memory_format=_layout(x))
        table = _with_rows(whole.ranks.gather(_own_statistics(x, whole)), whole)
        n_channels = x.shape[1]
        means, inverses, counts = table.split([n_channels, n_channels, 1], dim=1)
        mean, inverse = whole.kernels.batch_norm_gather_stats_with_counts(
            means,  # tells the kernel the type alone: that of `counts`, which for `x` may be bf16
            means, inverses, whole.running_mean, whole.running_var, whole.share, whole.eps,
            counts.reshape(-1),
        )  # fmt: skip
        ctx.save_for_backward(x, weight, mean, inverse, counts.reshape(-1).int())
        ctx.whole = whole
        if not x.numel():
            return torch.empty_like(x)
        output: Tensor = whole.kernels.batch_norm_elemt(x, weight, bias, mean, inverse, whole.eps)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, counts = ctx.saved_tensors
        _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        if not x.numel():  # the other ranks wait for its message
            ctx.whole.ranks.sum_(mean.new_zeros(2 * len(mean)))
            zeros = torch.zeros_like(mean)
            return x, zeros if needs_weight else None, zeros if needs_bias else None, None
        kernels = ctx.whole.kernels
        gradient = gradient.contiguous(memory_format=_layout(x))
        by_bias, by_weight, own_weight, own_bias = kernels.batch_norm_backward_reduce(
            gradient, x, mean, inverse, weight, True, needs_weight, needs_bias
        )
        by_bias, by_weight = ctx.whole.ranks.sum_(torch.cat([by_bias, by_weight])).chunk(2)
        for_x = kernels.batch_norm_backward_elemt(
            gradient, x, mean, inverse, weight, by_bias, by_weight, counts
        )
        # Those of this rank's rows: gradients of parameters are summed over the ranks later.
        return for_x, own_weight if needs_weight else None, own_bias if needs_bias else None, None


def _own_statistics(x: Tensor, whole: Whole) -> Tensor:
    """What a rank tells the others: mean, 1 / √(variance + eps), and how many values a channel."""
    n_channels = x.shape[1]
    if not x.numel():
        kind = torch.promote_types(x.dtype, torch.float32)
        return torch.zeros(2 * n_channels + 1, dtype=kind, device=x.device)
    mean, inverse = whole.kernels.batch_norm_stats(x, whole.eps)
    return torch.cat([mean, inverse, mean.new_full((1,), x.numel() // n_channels)])


def _with_rows(table: Tensor, whole: Whole) -> Tensor:
    """The table without the ranks that have no row, whose 0 values the kernel divides by."""
    kept = whole.ranks.with_rows(whole.n_rows)
    return table if len(kept) == len(table) else torch.stack([table[k] for k in kept])


def _layout(x: Tensor) -> torch.memory_format:
    """That in which torch's kernels are fast: the tensor's own, where it is channels-last."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    layout = layouts.get(x.dim(), torch.contiguous_format)
    return layout if x.is_contiguous(memory_format=layout) else torch.contiguous_format
