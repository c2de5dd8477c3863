"""Steps of several trials at once, made by one computation.

In: trainers at the same step. Out: the same trainers some steps further. A joint step is every
trainer's own step: its own batch in its own order, its own dropout masks, its own loss. Only the
order in which sums are taken differs, so the results agree with solo runs to float32 rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from harness.training.loop import Trainer
from harness.training.steps import Asked, Steps


class Joint(ABC):
    """Some trainers while they make steps together: a `with` block.

    The trainers are of equal settings, at the same step, with equally many training images. Inside
    the block the weights are stacked copies; at its end every trainer has its own again.
    """

    def __enter__(self) -> Joint:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # else the trials begin again from their last states
            with torch.no_grad():
                self.give_back()

    @abstractmethod
    def step(self) -> None:
        """One step of every trainer."""

    @abstractmethod
    def give_back(self) -> None:
        """Let every trainer be as if it had made the steps alone."""


class JointSteps(Steps):
    """Steps of several trials by one kind of `Joint`."""

    def __init__(self, ran_as: str, joint: Callable[[Sequence[Trainer]], Joint]):
        self.ran_as = ran_as
        self.joint = joint

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        with self.joint(trainers) as joint:
            joint.step()
            while not (is_due() or wants_pause()):
                joint.step()
