"""The seeds of a pack trained as one computation, where only a small tail of the network trains.

In: the trials of one unit. Out: whether their tails can train as one; and how they do (`HEADS`),
with `ran_as: heads` in their rows. It stands alone so that the rule and the computation that it
promises are read together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, fx

from harness.joint.stacked import StackedTail, can_stack
from harness.joint.steps import Joint, JointSteps
from harness.training.loop import Trainer
from harness.training.network import build_frozen
from harness.trials.frozen import reason_against
from harness.trials.spec import TrialSpec
from headstart.errors import ModelError
from models.split import split_at

AUTO_SIZE = 32  # seeds in a pack where `pack: auto` leaves it to us


def can_batch(unit: Sequence[TrialSpec]) -> bool:
    """Whether a unit's trials can train as one: seeds of one condition with a tail that stacks."""
    first = unit[0].condition
    train = first.train
    return (
        len(unit) > 1
        and all(spec.condition == first for spec in unit)
        and reason_against(first) is None
        and train.precision == "float32"
        and train.schedule.name != "plateau"  # gives each seed a rate of its own
        and _tail_stacks(unit[0])
    )


def _tail_stacks(spec: TrialSpec) -> bool:
    try:
        network, groups, n_frozen = build_frozen(spec)
        return n_frozen > 0 and can_stack(split_at(network, groups, n_frozen)[1])
    except ModelError:  # each trial reports it
        return False


class HeadJoint(Joint):
    """Steps of several trainers of tails that `can_stack` as one computation."""

    def __init__(self, trainers: Sequence[Trainer]):
        super().__init__(trainers)
        tails = cast("list[fx.GraphModule]", self.weights.networks)
        self.tail = StackedTail(tails, self.weights.by_name)
        table = self.lead.part.inputs
        size = len(trainers) * self.settings.batch_size
        self.inputs = table.new_empty(size * table[0].numel())  # of a batch of all, at every step

    def step(self) -> None:
        inputs, labels = self._batches()
        losses = self.weights.losses(self.tail(inputs), labels)
        self.weights.update(losses)
        self.weights.advance_schedule()
        for trainer, loss in zip(self.trainers, losses.detach(), strict=True):
            trainer.count_step(loss, labels.shape[1])

    def _batches(self) -> tuple[Tensor, Tensor]:
        """Inputs (K, batch, …) and labels int64 (K, batch) of every trainer's next step.

        A tail's inputs are features, which need no preparing.
        """
        table = self.lead.part.inputs
        size = len(self.trainers) * self.lead.next_size * table[0].numel()
        memory = self.inputs[:size].view(len(self.trainers), -1, *table.shape[1:])
        batches = [t.next_batch(out) for t, out in zip(self.trainers, memory, strict=True)]
        return memory.float(), torch.stack([labels for _, labels in batches])


HEADS = JointSteps("heads", HeadJoint)
