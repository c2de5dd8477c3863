"""Joint steps that are taken back leave no trace: weights, buffers, states, generators, counts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from harness.joint.fused import FUSED
from harness.joint.heads import HEADS
from harness.seeds import AXES, derive_streams
from harness.sweepfile.settings import Schedule, Train
from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from models.dropout import seed_dropout


def whole_network():
    front = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU())
    network = nn.Sequential(front, nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 10))
    seed_dropout(network)
    return network


def tail():
    network = nn.Sequential(nn.Linear(784, 10))
    return fx.symbolic_trace(network)


def trainers_of(make, normalise):
    """Two seeds on noise: five batches an epoch, the last one smaller."""
    schedule = Schedule(name="cosine", warmup_steps=2)
    train = Train(optimizer="sgd", momentum=0.9, batch_size=16, epochs=3, schedule=schedule)
    set_up_process(train)
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (70, 1, 28, 28), dtype=torch.uint8, generator=noise)
    inputs = images if normalise else images.flatten(1).float() / 255
    labels = torch.randint(10, (70,), generator=noise)
    part = Part(inputs, labels, np.arange(70), torch.arange(70))
    made = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = make()
        groups = [{"params": list(network.parameters())}]
        made.append(
            Trainer(
                network, part, train, derive_streams(0, seed, AXES),
                make_accelerator("float32", "cpu"), normalise, groups,
            )
        )  # fmt: skip
    return made


def all_of(trainers):
    """Every tensor and number of trainers that their next steps depend on."""
    states = [
        (t.state(), t.masks.get_state(), t.learning_rate, t.bare_optimizer.state_dict())
        for t in trainers
    ]
    return copy.deepcopy(tree_leaves((states, torch.random.get_rng_state())))


def assert_same_bits(before, after):
    assert len(before) == len(after) > 0
    for ours, other in zip(before, after, strict=True):
        same = torch.equal(ours, other) if isinstance(ours, torch.Tensor) else ours == other
        assert same, (ours, other)


@pytest.mark.parametrize(
    ("steps", "make", "normalise"),
    [(FUSED, whole_network, Normalise((0.5,), (0.5,), torch.device("cpu"))), (HEADS, tail, None)],
    ids=["fused", "heads"],
)
def test_steps_that_warm_up_leave_each_bit_as_it_was(steps, make, normalise):
    """At the start, and before the last step of an epoch, where the optimizers have states."""
    cold, warmed = trainers_of(make, normalise), trainers_of(make, normalise)
    for n_steps in (4, 3):
        before = all_of(warmed)
        steps.warm_up_together(warmed)
        assert_same_bits(before, all_of(warmed))
        for trainers in (cold, warmed):
            until = trainers[0].step_count + n_steps
            steps.make(trainers, lambda t=trainers, n=until: t[0].step_count == n, lambda: False)
        assert_same_bits(all_of(cold), all_of(warmed))
    start = trainers_of(make, normalise)
    first, last = (list(t[0].network.parameters())[-1] for t in (start, warmed))
    assert not torch.equal(first, last), "the steps that were not taken back moved them"


def test_warm_up_that_fails_leaves_each_bit_as_it_was(monkeypatch):
    trainers = trainers_of(tail, None)
    before = all_of(trainers)
    joint_class, n = HEADS.joint, []

    def full(joint):
        n.append(1)
        if len(n) == 2:
            raise RuntimeError("no memory")
        step(joint)

    step = joint_class.step
    monkeypatch.setattr(joint_class, "step", full)
    with pytest.raises(RuntimeError, match="no memory"):
        HEADS.warm_up_together(trainers)
    assert_same_bits(before, all_of(trainers))
