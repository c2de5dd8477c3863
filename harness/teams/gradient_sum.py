"""The gradients of a step, summed over the ranks of a trial while the backward pass still runs.

In: the parameters of an optimizer, and a few numbers of each rank. Out: in each parameter's `grad`
the sum over all ranks, and the sums of those numbers. It stands alone because it is the one place
where backward pass, messages and memory meet; a step only begins and finishes it.

All gradients lie in one piece of memory, cut into buckets. The bucket nearest the head has its
gradients first, and is sent as soon as it has them all; the others follow in this order. So which
numbers travel together, and in which order, is decided by the parameters that train and by nothing
else: neither by time nor by what was sent before. Optimizers see views of this memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.training.ranks import Ranks

BUCKET_BYTES = 25_000_000  # as DistributedDataParallel has it


@dataclass(eq=False)
class GradientSum:
    """The sums of the gradients of `parameters`, and of `n_extra` further numbers."""

    parameters: Sequence[nn.Parameter]  # in the optimizer's order, input first
    ranks: Ranks
    n_extra: int
    bucket_bytes: float | None = None  # None: `_usual_bytes`

    def __post_init__(self) -> None:
        if self.bucket_bytes is None:
            self.bucket_bytes = _usual_bytes(self.parameters[0].device, self.ranks.n)
        self._trains: list[bool] = []  # of each parameter, when the buckets were cut
        self._buckets: list[_Bucket] = []  # in the order in which they are sent
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._n_sent = 0

    def begin(self, extra: Tensor) -> None:
        """Before the backward pass; `extra` (n_extra,) travels with the last bucket."""
        if self._trains != (trains := [p.requires_grad for p in self.parameters]):
            self._cut()
            self._trains = trains
        self._extra.copy_(extra)
        self._n_sent = 0
        for bucket in self._buckets:
            bucket.n_missing = len(bucket.parameters)

    def finish(self) -> Tensor:
        """After the backward pass: each gradient is that of all ranks; the sums of `extra`."""
        self._send(len(self._buckets))
        for bucket in self._buckets:
            bucket.give()
        return self._extra

    def _cut(self) -> None:
        """Memory and buckets for the parameters that train now."""
        for handle in self._handles:
            handle.remove()
        trained = [p for p in self.parameters if p.requires_grad]
        groups = list(self._groups(trained))
        n_numbers = sum(p.numel() for p in trained) + self.n_extra
        sizes = [sum(p.numel() for p in group) for group in groups]
        sizes[-1] += self.n_extra
        like = trained[0]
        memory = torch.zeros(n_numbers, dtype=like.dtype, device=like.device)
        self._extra = memory[n_numbers - self.n_extra :]
        keeps_place = like.device.type == "cpu" and self.ranks.n > 2
        self._buckets = [
            _Bucket(group, piece, keeps_place)
            for group, piece in zip(groups, memory.split(sizes), strict=True)
        ]
        self._handles = [
            parameter.register_post_accumulate_grad_hook(self._hook(bucket))
            for bucket in self._buckets
            for parameter in bucket.parameters
        ]

    def _groups(self, trained: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
        """Neighbours that make up a bucket: from the head, in each the optimizer's order."""
        assert self.bucket_bytes is not None
        group: list[nn.Parameter] = []
        n_bytes = 0
        for parameter in reversed(trained):
            if group and n_bytes + parameter.nbytes > self.bucket_bytes:
                yield group[::-1]
                group, n_bytes = [], 0
            group.append(parameter)
            n_bytes += parameter.nbytes
        yield group[::-1]

    def _hook(self, bucket: _Bucket) -> Callable[[Tensor], None]:
        def has_gradient(parameter: Tensor) -> None:
            bucket.n_missing -= 1
            n_ready = self._n_sent
            while n_ready < len(self._buckets) and not self._buckets[n_ready].n_missing:
                n_ready += 1
            self._send(n_ready)

        return has_gradient

    def _send(self, until: int) -> None:
        for bucket in self._buckets[self._n_sent : until]:
            bucket.send(self.ranks)
        self._n_sent = until


def _usual_bytes(device: torch.device, n_ranks: int) -> float:
    """Bytes of a bucket.

    Among three or more ranks, gloo's order of summing depends on a number's place in the message.
    So there all gradients stay one message, as they were before there were buckets, and trials keep
    their bits; a + b is b + a, so two ranks are free.
    """
    return float("inf") if device.type == "cpu" and n_ranks > 2 else BUCKET_BYTES


@dataclass(eq=False)
class _Bucket:
    """Parameters that are neighbours, and the memory in which their gradients are summed."""

    parameters: Sequence[nn.Parameter]
    memory: Tensor  # its last numbers may be others than gradients
    keeps_place: bool  # each number lies where its index says, not where the parameter has it
    n_missing: int = 0
    wait: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        n = sum(parameter.numel() for parameter in self.parameters)
        flat = self.memory[:n].split([parameter.numel() for parameter in self.parameters])
        self.pieces = [self._piece(p, f) for p, f in zip(self.parameters, flat, strict=True)]

    def _piece(self, parameter: nn.Parameter, flat: Tensor) -> Tensor:
        """`flat` in the parameter's shape; in its layout too, or fused optimizers misread it."""
        if self.keeps_place:
            return flat.view(parameter.shape)
        return flat.as_strided(parameter.shape, parameter.stride())

    def send(self, ranks: Ranks) -> None:
        """Copy the gradients into the memory, let go of their own, and begin the sum."""
        gradients = [p.grad for p in self.parameters]
        self.absent = [k for k, gradient in enumerate(gradients) if gradient is None]
        for k in self.absent:  # a layer that took no part on this rank
            self.pieces[k].zero_()
        kept = [k for k, gradient in enumerate(gradients) if gradient is not None]
        if kept:
            pieces = [self.pieces[k] for k in kept]
            torch._foreach_copy_(pieces, [g for g in gradients if g is not None])
        for k in kept:
            self._show(k)
        self.wait = ranks.begin_sum(self.memory)

    def give(self) -> None:
        """Wait for the sum, and let each parameter have its own."""
        self.wait()
        for k in self.absent:  # and on no other, if nothing came
            if self.pieces[k].any():
                self.parameters[k].grad = torch.empty_like(self.parameters[k])
                self._show(k)
        for parameter, piece in zip(self.parameters, self.pieces, strict=True):
            if parameter.grad is not None and parameter.grad.data_ptr() != piece.data_ptr():
                parameter.grad.copy_(piece)

    def _show(self, k: int) -> None:
        """Let the gradient be the piece itself, where the piece has the parameter's layout."""
        if self.pieces[k].stride() == self.parameters[k].stride():
            self.parameters[k].grad = self.pieces[k]
