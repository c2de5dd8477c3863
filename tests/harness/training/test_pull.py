"""L2-SP: the gradient by hand, a plain torch program beside it, and what is left out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.seeds import AXES, derive_seed, derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Part
from harness.training.loop import Trainer
from harness.training.network import _parameter_groups
from harness.training.process import make_accelerator, set_up_process
from harness.training.pull import PullToStart
from models.groups import layer_groups

STREAMS = derive_streams(0, 0, AXES)


def test_the_gradient_is_the_distance_from_the_start_times_the_strength():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    frozen = nn.Parameter(torch.tensor([5.0]))
    pull = PullToStart.here(0.5, [weight, frozen])
    weight.grad = torch.tensor([0.25, 0.0])
    pull.add_to_gradients()
    assert weight.grad.tolist() == [0.25, 0.0], "at the start nothing pulls"
    with torch.no_grad():
        weight += torch.tensor([2.0, -4.0])
        frozen += 1.0
    pull.add_to_gradients()
    assert weight.grad.tolist() == [1.25, -2.0]
    assert frozen.grad is None, "what has no gradient in this step does not move"


@pytest.mark.parametrize("settings", [
    {"optimizer": "sgd", "momentum": 0.9, "clip_gradient_norm": 0.5},
    {"optimizer": "adam"},
])  # fmt: skip
def test_steps_are_those_of_a_plain_program_whose_loss_has_both_penalties(settings):
    alpha, beta, rate = 0.3, 0.2, 0.05
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    theirs = copy.deepcopy(ours)
    train = Train(learning_rate=rate, pull_to_start=alpha, weight_decay=beta, batch_size=8,
                  epochs=5, **settings)  # fmt: skip
    images, labels = torch.randn(32, 6), torch.randint(3, (32,))
    set_up_process(train)
    pull = PullToStart.here(alpha, list(ours[0].parameters()))
    groups = _parameter_groups(ours, layer_groups(ours, images[:2]), train, pull)
    trainer = Trainer(ours, Part(images, labels, np.arange(32)), train, STREAMS,
                      make_accelerator("float32", "cpu"), None, groups, pull=pull)  # fmt: skip
    for _ in range(20):
        trainer.step()

    start = [p.detach().clone() for p in theirs[0].parameters()]
    kind = torch.optim.SGD if settings["optimizer"] == "sgd" else torch.optim.Adam
    own = {"momentum": 0.9} if settings["optimizer"] == "sgd" else {}
    optimizer = kind(theirs.parameters(), lr=rate, **own)
    for epoch in range(5):
        generator = torch.Generator().manual_seed(derive_seed(STREAMS["order"], "epoch", epoch))
        for rows in torch.randperm(32, generator=generator).split(8):
            optimizer.zero_grad()
            F.cross_entropy(theirs(images[rows]), labels[rows]).backward()
            if "clip_gradient_norm" in settings:
                nn.utils.clip_grad_norm_(theirs.parameters(), settings["clip_gradient_norm"])
            far = sum(
                ((p - p0) ** 2).sum() for p, p0 in zip(theirs[0].parameters(), start, strict=True)
            )
            large = sum((p**2).sum() for p in theirs[2].parameters())
            (alpha / 2 * far + beta / 2 * large).backward()
            optimizer.step()
    for own_now, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own_now, other, rtol=1e-4, atol=1e-5)


def test_nothing_pulls_where_nothing_was_loaded_or_the_strength_is_0():
    layer = nn.Linear(2, 2)
    assert PullToStart.here(0.1, []) is None
    assert PullToStart.here(0.0, list(layer.parameters())) is None
