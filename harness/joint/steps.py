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
from torch import Tensor

from harness.joint.weights import StackedWeights
from harness.training.arrays import copy_all
from harness.training.loop import Trainer
from harness.training.steps import Asked, Steps


class Joint(ABC):
    """Some trainers while they make steps together: a `with` block.

    The trainers are of equal settings, at the same step, with equally many training images. Inside
    the block the weights are stacked copies; at its end every trainer has its own again. Where an
    error ends it, each trainer is as it was when the block began.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers
        self.lead = trainers[0]
        self.settings = self.lead.settings
        self.counts = [(trainer.step_count, trainer.loss_count) for trainer in trainers]
        self.weights = StackedWeights(trainers)
        self.loss_sums = torch.stack([trainer.loss_sum for trainer in trainers])
        self.n_right = torch.stack([trainer.n_right for trainer in trainers])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self.go_back()
            return
        try:
            with torch.no_grad():
                self.give_back()
        except RuntimeError:  # too little memory, which it asks for before it changes a trainer
            self.go_back()
            raise

    @abstractmethod
    def step(self) -> None:
        """One step of every trainer."""

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a step to the sums on the device.

        Args:
            losses: each trainer's mean loss (K,) over its batch.
            logits, labels: (K, batch, classes) and (K, batch).
        """
        self.loss_sums += losses.detach() * labels.shape[1]
        self.n_right[:, : labels.shape[1]] += logits.detach().argmax(dim=2) == labels

    def count_images(self, n_images: int) -> None:
        """Count a step that the sums have already."""
        for trainer in self.trainers:
            trainer.loss_count += n_images
            trainer.step_count += 1

    def give_back(self) -> None:
        """Let every trainer be as if it had made the steps alone."""
        self.weights.give_back()
        copy_all([trainer.loss_sum for trainer in self.trainers], self.loss_sums.unbind())
        copy_all([trainer.n_right for trainer in self.trainers], self.n_right.unbind())

    def go_back(self) -> None:
        """Let every trainer be where it was when it came: its own weights have not moved."""
        for trainer, (step, loss_count) in zip(self.trainers, self.counts, strict=True):
            trainer.go_back(step, loss_count)
        self.weights.go_back()


Network = Callable[[Tensor], Tensor]
"""K networks as one: inputs (K, batch, …) → logits float32 (K, batch, classes)."""


@dataclass(eq=False)
class JointSteps(Steps):
    """Steps of several trials by one kind of `Joint`."""

    ran_as: str
    joint: Callable[[Sequence[Trainer]], Joint]
    # Trainers' networks as one, by stacked weights that it makes; for evaluations.
    as_one: Callable[[Sequence[Trainer]], Network] | None = None
    # The devices on which a pack is evaluated as one. On a CPU each trial evaluates by itself:
    # there it costs no more, and has the solo evaluation's bits.
    evaluates_on: tuple[str, ...] = ("cuda",)

    def warm_up_together(self, trainers: Sequence[Trainer], n_steps: int = 3) -> None:
        """Make steps, of this epoch at most, and take them back: each bit of all is as before.

        They move stacked copies of weights, buffers and states, which are then dropped.
        """
        lead, masks = trainers[0], [trainer.masks.get_state() for trainer in trainers]
        left = lead.steps_per_epoch - lead.step_count % lead.steps_per_epoch
        joint = self.joint(trainers)
        try:
            for _ in range(min(n_steps, left)):
                joint.step()
        finally:
            joint.go_back()
            for trainer, state in zip(trainers, masks, strict=True):
                trainer.masks.set_state(state)

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        with self.joint(trainers) as joint:
            joint.step()
            while not (is_due() or wants_pause()):
                joint.step()
