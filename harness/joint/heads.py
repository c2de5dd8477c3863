"""The seeds of a pack trained as one computation, where only a small tail of the network trains.

In: the trials of one unit. Out: whether their tails can train as one; and how they do (`HEADS`),
with `ran_as: heads` in their rows. It stands alone so that the rule and the computation that it
promises are read together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import fx

from harness.joint.batches import FeatureBatches
from harness.joint.stacked import StackedTail, can_stack
from harness.joint.steps import Joint, JointSteps, Network
from harness.joint.weights import stacked_parameters
from harness.sweepfile.frozen import reason_against
from harness.training.loop import Trainer
from harness.training.network import build_frozen
from harness.trials.spec import TrialSpec
from headstart.errors import ModelError
from models.own_split import reason_against_split
from models.split import split_at

AUTO_SIZE = 32  # seeds in a pack where `pack: auto` leaves it to us


def can_batch(unit: Sequence[TrialSpec]) -> bool:
    """Whether a unit's trials can train as one: seeds of one condition with a tail that stacks."""
    first = unit[0].condition
    train = first.train
    return (
        len(unit) > 1
        and all(spec.condition == first for spec in unit)
        and not unit[0].data.target  # whose metrics are of all outputs at once
        and not first.runs_users_code  # whose steps only the code itself can make
        and train.only_alone is None
        and reason_against(first) is None
        and not first.tuning.against_fusing
        and train.precision == "float32"
        and train.schedule.name != "plateau"  # gives each seed a rate of its own
        and _tail_stacks(unit[0])
    )


def _tail_stacks(spec: TrialSpec) -> bool:
    try:
        network, groups, n_frozen = build_frozen(spec)
        if n_frozen == 0:
            return False
        images = torch.randn(2, spec.data.channels, *spec.data.image_size,
                             generator=torch.Generator().manual_seed(0))  # fmt: skip
        return reason_against_split(network, groups, n_frozen, images) is None and can_stack(
            split_at(network, groups, n_frozen)[1]
        )
    except ModelError:  # each trial reports it
        return False


class HeadJoint(Joint):
    """Steps of several trainers of tails that `can_stack` as one computation."""

    def __init__(self, trainers: Sequence[Trainer]):
        super().__init__(trainers)
        self.tail = StackedTail(_tails(trainers), self.weights.by_name)
        self.batches = FeatureBatches(trainers, self.tail.draws_masks)

    def step(self) -> None:
        inputs, labels = self.batches.next()
        logits = self.tail(inputs)
        losses = self.weights.losses(logits, labels)
        self.weights.update(losses)
        self.add(losses, logits, labels)
        self.weights.advance_schedule()
        self.count_images(labels.shape[1])


def as_one(trainers: Sequence[Trainer]) -> Network:
    """The trainers' tails as one, with their weights as they are now."""
    tails = _tails(trainers)
    return StackedTail(tails, stacked_parameters(tails))


def _tails(trainers: Sequence[Trainer]) -> list[fx.GraphModule]:
    return cast("list[fx.GraphModule]", [trainer.unprepared for trainer in trainers])


HEADS = JointSteps("heads", HeadJoint, as_one)
