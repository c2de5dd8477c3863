"""The memory that a trial's steps take: measured on a GPU, reckoned on a CPU.

In: a network, and a step as it is computed. Out: bytes. On a GPU PyTorch's allocator knows the most
that it held. On a CPU nothing does: there bytes are added up of the network, of gradients of what
trains, of the optimizer's state, and of the most that autograd kept for the way back. It stands
alone because no step depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class StepMemory:
    """The largest of the steps of a CPU that were watched.

    Args:
        network: the whole, what is frozen included.

    Attributes:
        n_bytes: 0 before the first of them.
    """

    def __init__(self, network: nn.Module):
        self.network = network
        self.n_bytes = 0

    @contextmanager
    def watched(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """A step is computed while the block runs; its numbers are what they are without."""
        own = [*self.network.parameters(), *self.network.buffers()]
        saved = _Saved({tensor.untyped_storage().data_ptr() for tensor in own})
        with torch.autograd.graph.saved_tensors_hooks(saved.keep, _Held.given_back):
            yield
        gradients = sum(p.nbytes for p in self.network.parameters() if p.requires_grad)
        state = sum(
            value.nbytes
            for of_one in optimizer.state.values()
            for value in of_one.values()
            if isinstance(value, Tensor)
        )
        whole = sum(tensor.nbytes for tensor in own)
        self.n_bytes = max(self.n_bytes, whole + gradients + state + saved.most)


class _Saved:
    """Bytes that autograd keeps, each storage once; those of `own` count elsewhere."""

    def __init__(self, own: set[int]):
        self.own = own
        self.n_held: dict[int, int] = {}  # by storage
        self.now = self.most = 0

    def keep(self, tensor: Tensor) -> _Held:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key in self.own:
            return _Held(tensor.detach(), None)
        if key not in self.n_held:
            self.n_held[key] = 0
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
        self.n_held[key] += 1
        return _Held(tensor.detach(), self)  # with its graph it would hold itself

    def let_go(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        self.n_held[key] -= 1
        if not self.n_held[key]:
            del self.n_held[key]
            self.now -= storage.nbytes()


class _Held:
    """A tensor that autograd keeps; it goes when autograd lets it go."""

    def __init__(self, tensor: Tensor, saved: _Saved | None):
        self.tensor, self.saved = tensor, saved

    def given_back(self) -> Tensor:
        return self.tensor

    def __del__(self) -> None:
        if self.saved is not None:
            self.saved.let_go(self.tensor)


def begin_peak(device: torch.device) -> None:
    """Let a GPU's allocator forget the most that it held."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_of(device: torch.device) -> int | None:
    """The most bytes that a GPU's allocator held since then; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
