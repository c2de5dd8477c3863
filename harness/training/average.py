"""A moving average of a network's weights, which is evaluated, chosen and kept in their place.

In: a network after each step. Out: the average, and a block in which the network has it. It stands
alone because nothing of a step depends on it: a trial without it makes the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from harness.training.arrays import copy_all


class Average:
    """Of parameters and buffers; whole numbers among them are the network's last ones.

    At step t (1, 2, …) the average moves by 1 - d towards the weights, d being the smaller of
    `decay` and (1 + t) / (10 + t), as TensorFlow's `ExponentialMovingAverage` has it.

    Args:
        network: whose weights; before the first step the average is what it begins with.
        decay: None: there is no average, and the network has its own weights throughout.
    """

    def __init__(self, network: nn.Module, decay: float | None):
        self.network, self.decay = network, decay
        self.tensors: dict[str, Tensor] = {}  # by name; none before the first step

    def begin(self) -> None:
        """Before a step: the average of no step is what the network has now."""
        if self.decay is not None and not self.tensors:
            self.tensors = {name: value.clone() for name, value in self._own().items()}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """After step `step` (0, 1, …)."""
        if self.decay is None:
            return
        decay = min(self.decay, (2 + step) / (11 + step))
        own = self._own()
        moving = [name for name, value in own.items() if value.is_floating_point()]
        others = [name for name in own if name not in moving]
        torch._foreach_lerp_(
            [self.tensors[name] for name in moving], [own[name] for name in moving], 1 - decay
        )
        copy_all([self.tensors[name] for name in others], [own[name] for name in others])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside of the block the network has the average."""
        if not self.tensors:
            yield
            return
        own = self._own()
        kept = [value.clone() for value in own.values()]
        copy_all(list(own.values()), [self.tensors[name] for name in own])
        try:
            yield
        finally:
            copy_all(list(own.values()), kept)

    def state(self) -> dict[str, Tensor]:
        """For a saved state; empty where there is no average yet."""
        return self.tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state`."""
        self.tensors = {name: value.clone() for name, value in tensors.items()}

    def _own(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.network.state_dict().items()}
