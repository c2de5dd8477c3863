"""Batch norm whose statistics are those of the whole batch, of which each rank has some rows.

In: a network and the ranks that share a trial. Out: the same network; its batch norm layers take
mean and variance over the rows of all ranks, forward and backward. It stands alone because torch
has none for CPUs, and one for GPUs in which the host waits in every layer; what a GPU computes is
in `batch_norm_kernels.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from harness.teams.batch_norm_kernels import NormaliseByKernels, Whole
from harness.training.ranks import Ranks
from headstart.errors import InputError

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """Every batch norm layer, in the order of the module tree."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def synchronise(network: nn.Module, ranks: Ranks, kernels: Any = None) -> None:
    """Let the batch norm layers of a network take their statistics over all ranks; in place.

    Args:
        kernels: what computes as torch's kernels for GPUs do; None: torch's on a GPU, none on a
            CPU, where sums are float64.

    Raises:
        InputError: a layer of a class of its own, whose computation is not known here.
    """
    if kernels is None and next(network.parameters()).device.type == "cuda":
        kernels = torch
    for name, module in network.named_modules():
        if type(module) in KINDS:
            module.__class__ = SharedBatchNorm
            module.ranks, module.kernels = ranks, kernels
        elif isinstance(module, _BatchNorm):
            raise InputError(
                f"{name} is batch norm of the class {type(module).__name__}, whose statistics "
                f"{ranks.n} workers cannot share; set resources.workers: 1, or "
                f"train.batch_norm_parts: {ranks.n}"
            )


class SharedBatchNorm(_BatchNorm):
    """A layer of torch's, made into one whose statistics are shared while it trains."""

    ranks: Ranks
    kernels: Any  # None on a CPU
    n_rows: int  # images of the batch over all ranks, which whoever trains says before each step

    def forward(self, input: Tensor) -> Tensor:  # torch's name for it
        if not self.training:  # a batch of an evaluation is one rank's
            alone: Tensor = super().forward(input)
            return alone
        self._check_input_dim(input)
        return self._by_sums(input) if self.kernels is None else self._by_kernels(input)

    def _by_sums(self, input: Tensor) -> Tensor:
        normalise: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]] = _Normalise.apply
        output, mean, variance, count = normalise(
            input, self.weight, self.bias, self.eps, self.ranks
        )
        if self.track_running_stats:
            self._move_running(mean, variance, count)
        return output

    def _by_kernels(self, input: Tensor) -> Tensor:
        tracks = self.track_running_stats
        whole = Whole(
            self.ranks, self.n_rows, self.eps,
            running_mean=self.running_mean if tracks else None,
            running_var=self.running_var if tracks else None,
            share=self._count_batch() if tracks else 0.0,
            kernels=self.kernels,
        )  # fmt: skip
        normalise: Callable[..., Tensor] = NormaliseByKernels.apply
        return normalise(input, self.weight, self.bias, whole)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (rows, channels, …), got {tuple(input.shape)}")

    def _count_batch(self) -> float:
        """Count one more batch; its share in the running statistics."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is None:  # the mean over all batches; on a GPU the host waits, as torch's
            return 1.0 / float(self.num_batches_tracked)
        return self.momentum

    @torch.no_grad()
    def _move_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """As torch does: the variance with one degree of freedom less."""
        assert self.running_mean is not None
        assert self.running_var is not None
        share = self._count_batch()
        self.running_mean.mul_(1 - share).add_(mean, alpha=share)
        self.running_var.mul_(1 - share).add_(variance * (count / (count - 1)), alpha=share)


class _Normalise(torch.autograd.Function):
    """(x − mean) / √(variance + eps) · weight + bias, over the rows of all ranks.

    Sums are float64, as torch's are on a CPU, and travel in one message each way.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n_channels = x.shape[1]
        wide, axes = x.double(), _all_but_channels(x)
        own = x.new_tensor([x.numel() / n_channels], dtype=torch.float64)
        sums = ranks.sum_(torch.cat([wide.sum(axes), wide.square().sum(axes), own]))
        count = sums[-1]
        if count <= 1:  # torch's own words
            raise ValueError("Expected more than 1 value per channel when training")
        mean = sums[:n_channels] / count
        variance = (sums[n_channels:-1] / count - mean.square()).clamp_(min=0.0)
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.ranks = ranks
        narrow = mean.float(), variance.float()  # also where the images are bf16
        output = batch_norm(x, *narrow, weight, bias, False, 0.0, eps) if len(x) else x.clone()
        ctx.mark_non_differentiable(*narrow, count)
        return output, *narrow, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: object) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        axes, shape = _all_but_channels(x), (1, -1, *[1] * (x.dim() - 2))
        wide = gradient.double()
        normal = (x.double() - mean.view(shape)) * scale.view(shape)
        own_bias, own_weight = wide.sum(axes), (wide * normal).sum(axes)
        sums = ctx.ranks.sum_(torch.cat([own_bias, own_weight])) / count
        by_bias, by_weight = sums.chunk(2)
        factor = scale if weight is None else scale * weight
        inner = wide - by_bias.view(shape) - normal * by_weight.view(shape)
        for_x = (inner * factor.view(shape)).to(x.dtype)
        if weight is None:
            return for_x, None, None, None, None
        # Those of this rank's rows: gradients of parameters are summed over the ranks later.
        for_bias = own_bias.to(weight.dtype) if ctx.needs_input_grad[2] else None
        return for_x, own_weight.to(weight.dtype), for_bias, None, None


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]
