"""Layer groups of small networks made for the purpose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.groups import LayerGroup, layer_groups


class Block(nn.Module):
    """A residual block: one unit."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.inside(x)).relu()


class Encoder(nn.Module):
    """Little else than a row of blocks, with a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(4))
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x + self.position)


class Network(nn.Module):
    """Registered in another order than computed."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.dropout = nn.Dropout(0.5)
        self.encoder = Encoder()
        self.norm = nn.BatchNorm1d(4)
        self.token = nn.Parameter(torch.zeros(4))
        self.stem = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)) + self.token
        return self.head(self.dropout(self.encoder(x)))


def groups_of(model: nn.Module) -> tuple[LayerGroup, ...]:
    return layer_groups(model, torch.zeros(2, 3))


def test_groups_follow_the_computation_not_the_registration() -> None:
    names = [group.name for group in groups_of(Network())]
    assert names == ["stem", "encoder.blocks.0", "encoder.blocks.1", "head"]


def test_each_tensor_lands_where_the_rule_says() -> None:
    stem, block, _, head = groups_of(Network())
    assert stem.modules == ("stem", "norm")
    assert set(stem.parameters) == {
        *("stem.weight", "stem.bias", "norm.weight", "norm.bias", "token", "encoder.position")
    }
    assert stem.buffers == ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
    assert block.parameters[0] == "encoder.blocks.0.inside.weight"
    assert head.modules == ("dropout", "head")  # dropout thins the head's input


def test_no_tensor_is_in_two_groups_or_in_none() -> None:
    model = Network()
    groups = groups_of(model)
    placed = sorted(name for group in groups for name in group.parameters)
    assert placed == sorted(name for name, _ in model.named_parameters())
    placed = sorted(name for group in groups for name in group.buffers)
    assert placed == sorted(name for name, _ in model.named_buffers())


def test_a_tensor_that_two_layers_share_counts_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    first, last = groups_of(model)
    assert first.parameters == ("0.weight", "0.bias")
    assert last.parameters == ("2.bias",)


def test_walking_leaves_the_network_as_it_was() -> None:
    model = Network()
    model.encoder.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    groups_of(model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_layer_that_takes_no_part_is_refused() -> None:
    model = Network()
    model.auxiliary = nn.Linear(4, 4)
    with pytest.raises(ModelError, match=r"these do not: auxiliary\.weight"):
        groups_of(model)


def test_an_example_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(ModelError, match="does not take inputs of 5") as caught:
        layer_groups(Network(), torch.zeros(2, 5))
    assert "\n" not in str(caught.value)
