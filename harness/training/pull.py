"""The pull of weights to the values that they started from: L2-SP.

In: parameters that train and have a start value. Out: gradients with what the pull adds to them. It
stands alone because the start values are neither a part of the network nor of its state.

Li, Grandvalet and Davoine (ICML 2018, equation 4) add to the loss

    α/2 · ‖w − w⁰‖² over the weights that were loaded + β/2 · ‖w‖² over those of a new head.

Both are added after gradients are clipped, as PyTorch's optimizers add weight decay.
α is `train.pull_to_start`, β is `train.weight_decay`: what has a start value has no other decay
(`network.py` gives it none). The start values are copied when the network is prepared, from the
weights that it was given then, so a trial that goes on from a state has the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter


@dataclass(frozen=True, eq=False)
class PullToStart:
    """The pull of parameters to where they started.

    Attributes:
        strength: α; over 0.
        parameters: those that train at some time and were loaded.
        starts: their values at the start, on their device.
    """

    strength: float
    parameters: Sequence[Parameter]
    starts: Sequence[Tensor]

    @classmethod
    def here(cls, strength: float, parameters: Sequence[Parameter]) -> PullToStart | None:
        """To where the parameters are now; None where nothing is pulled."""
        if not strength or not parameters:
            return None
        return cls(strength, parameters, [p.detach().clone() for p in parameters])

    @torch.no_grad()
    def add_to_gradients(self) -> None:
        """Add α · (w − w⁰) to the gradients of those parameters that train in this step."""
        pairs = [
            (parameter.grad, parameter.detach(), start)
            for parameter, start in zip(self.parameters, self.starts, strict=True)
            if parameter.grad is not None
        ]
        if pairs:
            gradients, weights, starts = map(list, zip(*pairs, strict=True))
            moved = torch._foreach_sub(weights, starts)
            torch._foreach_add_(gradients, moved, alpha=self.strength)
