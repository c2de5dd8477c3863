"""Steps of several trials at once, made by one computation.

In: trainers at the same step. Out: the same trainers some steps further. A joint step is every
trainer's own step: its own batch in its own order, its own dropout masks, its own loss. Only the
order in which sums are taken differs, so the results agree with solo runs to float32 rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from harness.joint.weights import StackedWeights
from harness.training.loop import Trainer
from harness.training.steps import Asked, Steps
from harness.training.trial import Trial


class Joint(ABC):
    """Some trainers while they make steps together: a `with` block.

    The trainers are of equal settings, at the same step, with equally many training images. Inside
    the block the weights are stacked copies; at its end every trainer has its own again.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers
        self.lead = trainers[0]
        self.settings = self.lead.settings
        self.weights = StackedWeights(trainers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # else the trials begin again from their last states
            with torch.no_grad():
                self.give_back()

    @abstractmethod
    def step(self) -> None:
        """One step of every trainer."""

    def give_back(self) -> None:
        """Let every trainer be as if it had made the steps alone."""
        self.weights.give_back()


@dataclass(eq=False)
class JointSteps(Steps):
    """Steps of several trials by one kind of `Joint`."""

    ran_as: str
    joint: Callable[[Sequence[Trainer]], Joint]
    # Called once with the trials of a pack, before their first evaluation.
    when_open: Callable[[Sequence[Trial]], None] = lambda trials: None

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        with self.joint(trainers) as joint:
            joint.step()
            while not (is_due() or wants_pause()):
                joint.step()
