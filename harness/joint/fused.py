"""The seeds of a pack trained as one program: the whole network of each, fused side by side.

In: the trials of one unit. Out: why they cannot be fused, if they cannot; and how they are
(`FUSED`), with `ran_as: fused` in their rows. A trial does not know it: in a pack each trial lives
by itself but for the steps (`pack.py`). Every draw (order, augmentation, masks) is the solo run's.

Whether a unit is fused follows from the plan and the device alone (`reason_against`). Of a unit
that cannot be fused, the trials that its worker keeps have the reason in their notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from harness.joint import fused_network
from harness.joint.batches import prepared, shared_rows
from harness.joint.fused_network import FusedNetwork
from harness.joint.heads import can_batch
from harness.joint.steps import Joint, JointSteps, Network
from harness.joint.weights import stacked_buffers, stacked_parameters
from harness.sweepfile import frozen
from harness.sweepfile.settings import Settled
from harness.training.arrays import copy_all
from harness.training.loop import Trainer
from harness.training.network import build_frozen
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import ModelError
from models.split import split_at

Fuse = Literal["auto", "always", "never"]


def reason_against(unit: Sequence[TrialSpec], device: str, fuse: Fuse) -> str | None:
    """Why a unit's trials train one after another; None where they train as one program.

    `device` is `cpu` or `cuda`; `fuse: auto` fuses on a GPU, `always` on a CPU too.
    """
    condition = unit[0].condition
    if fuse == "never":
        return "resources.fuse is never"
    nowhere = _against_settings(unit[0])
    if device == "cpu" and fuse == "auto":
        return nowhere or "on a CPU it does not pay; resources.fuse: always fuses nevertheless"
    if len(unit) < 2:
        return "it is the only trial of its pack"
    if any(spec.condition != condition for spec in unit):
        return "the trials of the pack are of several conditions"
    if nowhere:
        return nowhere
    try:
        return _against_network(unit[0])
    except ModelError as err:  # each trial reports it
        return str(err)


def _against_settings(spec: TrialSpec) -> str:
    """Why trials of these settings are fused nowhere; empty where nothing of them says so."""
    condition = spec.condition
    if spec.data.target:
        return f"a target of the kind {spec.data.target} is scored by a trial by itself"
    if condition.runs_users_code:
        names = condition.users_names
        return f"code of your own makes its steps ({names}), which only a trial by itself can"
    if condition.runs_others_code:
        return f"the code of {condition.model.shown} is another library's, and is not fused"
    if condition.train.schedule.name == "plateau":
        return "train.schedule plateau gives each seed a rate of its own, and one optimizer has one"
    return condition.train.only_alone or condition.tuning.against_fusing


def _against_network(spec: TrialSpec) -> str | None:
    """Why the part that trains cannot be fused: all of it, or what a frozen front leaves."""
    network, groups, n_frozen = build_frozen(spec)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return "nothing of the network trains"
    if frozen.reason_against(spec.condition) is None and n_frozen:
        return fused_network.reason_against(split_at(network, groups, n_frozen)[1])
    return fused_network.reason_against(network)


def notes(plan: Plan, resources: Settled) -> Iterator[str]:
    """A line for each arm or stage whose packs were meant to be fused and cannot be."""
    device = resources.device
    if resources.pack == 1 or resources.workers > 1 or (device, resources.fuse) == ("cpu", "auto"):
        return
    for (_, name), seeds in plan.by_arm.items():
        if len(seeds) > 1 and not can_batch(seeds[:2]):
            reason = reason_against(seeds[:2], device, resources.fuse)
            if reason is not None:
                yield f"{name}: its seeds train one after another: {reason}"


class FusedJoint(Joint):
    """Steps of several trainers of whole networks as one program."""

    def __init__(self, trainers: Sequence[Trainer]):
        super().__init__(trainers)
        networks = self.weights.networks
        self.buffers = stacked_buffers(networks)
        self.network = FusedNetwork(networks, self.weights.by_name, self.buffers)
        self.logits = _in_precision(self.network, self.settings.precision)
        self.rows = self._shared_rows()
        if self.rows is not None:
            self.epoch: int | None = None  # that `orders` are of
            self.labels = torch.stack([trainer.part.labels for trainer in trainers])

    def step(self) -> None:
        inputs, labels = self._batches()
        self.update(inputs, labels)
        self.weights.advance_schedule()
        self.count_images(labels.shape[1])

    def update(self, inputs: Tensor, labels: Tensor) -> None:
        """A step's work on the device, from inputs (K, batch, …) and labels (K, batch) to moved
        weights and sums."""
        logits = self.logits(inputs)
        losses = self.weights.losses(logits, labels)
        self.weights.update(losses)
        self.add(losses, logits, labels)

    def give_back(self) -> None:
        super().give_back()
        own = [dict(network.named_buffers()) for network in self.weights.networks]
        for name, stacked in self.buffers.items():
            copy_all([buffers[name] for buffers in own], stacked.unbind())

    def _shared_rows(self) -> Tensor | None:
        """Each trainer's rows int64 (K, images) of one table, from which one gather takes all
        batches; None where each trainer must take its own batch."""
        is_plain = self.lead.normalise is None or self.settings.augment.is_identity
        if self.lead.part.n_views > 1 or not is_plain:
            return None
        return shared_rows([trainer.part for trainer in self.trainers])

    def _batches(self) -> tuple[Tensor, Tensor]:
        """Every trainer's next batch."""
        if self.rows is None:
            batches = [trainer.next_batch() for trainer in self.trainers]
            labels = torch.stack([labels for _, labels in batches])
            return torch.stack([inputs for inputs, _ in batches]), labels
        return self.batches_at(self.next_positions())

    def next_positions(self) -> Tensor:
        """Places in each training part, int64 (K, batch), of the next step; seeds its masks.

        The host does as little as it can for each seed, because a large pack waits for it.
        """
        epoch, position = divmod(self.lead.step_count, self.lead.steps_per_epoch)
        if epoch != self.epoch:
            self.orders = torch.stack([trainer.enter_epoch() for trainer in self.trainers])
            self.epoch = epoch
        if self.network.draws_masks:
            for trainer in self.trainers:
                trainer.seed_masks()
        size = self.settings.batch_size
        return self.orders[:, position * size : (position + 1) * size]

    def batches_at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and labels at positions (K, batch), gathered at once; only where `rows` are."""
        assert self.rows is not None
        inputs = self.lead.part.at(self.rows.gather(1, positions))
        return prepared(inputs, self.lead.normalise), self.labels.gather(1, positions)


def as_one(trainers: Sequence[Trainer]) -> Network:
    """The trainers' networks as one, with their weights and buffers as they are now."""
    networks = [trainer.unprepared for trainer in trainers]
    network = FusedNetwork(networks, stacked_parameters(networks), stacked_buffers(networks))
    return _in_precision(network, trainers[0].settings.precision)


def _in_precision(network: FusedNetwork, precision: str) -> Network:
    def logits(inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return network(inputs).float()

    return logits


FUSED = JointSteps("fused", FusedJoint, as_one)
