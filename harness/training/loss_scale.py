"""The scale of a loss in fp16, in which small gradients would be 0 and large ones infinite.

In: losses, and an optimizer whose parameters have gradients of scaled losses. Out: the optimizer's
step, or none where a gradient is not finite. It stands alone because a scale is a state that no
other precision has.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class LossScale:
    """PyTorch's `GradScaler` for one optimizer, with the number of steps that it left out.

    The scale begins at 65,536. A step with a gradient that is not finite is left out and halves it;
    2,000 steps in a row without one double it. Processes that share a trial decide alike, since
    each looks at the sums of all gradients.

    Attributes:
        n_skipped: int64 (), steps that were left out.
    """

    def __init__(self, device: torch.device):
        # PyTorch's schedules would take a first step that is left out for one that was forgotten.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler")
        self.scaler = torch.amp.GradScaler(device.type)
        self.one = torch.ones((), device=device)
        self.n_skipped = torch.zeros((), dtype=torch.int64, device=device)

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss () times the scale."""
        scaled: Tensor = self.scaler.scale(loss)
        return scaled

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the gradients be those of the loss itself, and look whether they are finite."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """After `unscale`: the optimizer's step, if all gradients were finite."""
        before = self.scaled(self.one)
        self.scaler.step(optimizer)
        self.scaler.update()
        self.n_skipped += self.scaled(self.one) < before

    def state(self) -> dict[str, Any]:
        """For a saved state: plain numbers and a tensor of its own."""
        return {"scaler": self.scaler.state_dict(), "n_skipped": self.n_skipped.clone()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.scaler.load_state_dict(dict(state["scaler"]))
        self.n_skipped.copy_(state["n_skipped"])
