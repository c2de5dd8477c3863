"""Relative gradients: by hand, against autograd of all images at once, and what is chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.training.arrays import Normalise, Part
from harness.training.surgery import largest, relative_gradients
from models.groups import layer_groups


def test_by_hand():
    """loss = a·b·x with x = 1, a = 2, b = 3: gradients 3 and 2, relative 3/2 for the first."""
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(1, 1, bias=False)
    )
    nn.init.constant_(network[0].weight, 2.0)
    nn.init.constant_(network[2].weight, 3.0)
    part = Part(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64),
                np.arange(1))  # fmt: skip
    normalise = Normalise([0.0], [1.0], torch.device("cpu"))
    groups = layer_groups(network, torch.zeros(1, 1, 1, 1))
    found = relative_gradients(network, groups, part, normalise, lambda x, _: x.mean(), 4)
    assert found == {"0": pytest.approx(1.5)}


def test_the_gradient_is_that_of_the_mean_loss_of_all_images_whatever_the_batches():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Conv2d(3, 2, 3), nn.Flatten(),
        nn.Linear(32, 4),
    )  # fmt: skip
    groups = layer_groups(network, torch.zeros(1, 1, 8, 8))
    images = torch.randint(256, (11, 1, 8, 8), dtype=torch.uint8)
    labels = torch.arange(11) % 4
    normalise = Normalise([0.5], [0.5], torch.device("cpu"))
    part = Part(images, labels, np.arange(11))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = relative_gradients(network.train(), groups, part, normalise, F.cross_entropy, 4)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.eval()
    F.cross_entropy(network(normalise.images(images)), labels).backward()
    for group in groups[:-1]:
        own = [network.get_parameter(name) for name in group.parameters]
        size = torch.cat([p.detach().flatten() for p in own]).norm()
        slope = torch.cat([p.grad.flatten() for p in own]).norm()
        assert found[group.name] == pytest.approx(float(slope / size), rel=1e-4)


def test_the_largest_are_chosen_input_first_and_of_equal_ones_the_first():
    assert largest({"a": 1.0, "b": 3.0, "c": 2.0}, 2) == ("b", "c")
    assert largest({"a": 1.0, "b": 1.0, "c": 1.0}, 1) == ("a",)
