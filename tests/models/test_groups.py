"""Layer groups of small networks made for the purpose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.dropout import SeededDropout
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


class Scaled(nn.Module):
    """A block of 18 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(4, 4, bias=False)
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x) * self.scale.sum()


class Stage(nn.Sequential):
    """A list of a class of its own: a frame only if it is a row of equal blocks."""


class Framed(nn.Module):
    """A row of two blocks (36 parameters) and a tensor beside it."""

    def __init__(self, n_beside: int) -> None:
        super().__init__()
        self.row = nn.Sequential(Scaled(), Scaled())
        self.beside = nn.Parameter(torch.zeros(n_beside))
        self.register_buffer("mask", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.row(x) + self.beside.sum() + self.mask


def names_of(*layers: nn.Module) -> list[str]:
    return [group.name for group in groups_of(nn.Sequential(nn.Linear(3, 4), *layers))]


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (Stage(Block(), Block()), ["0", "1.0", "1.1"]),
        (Stage(Block(), Block(), nn.Linear(4, 4)), ["0", "1.0", "1.1", "1.2"]),
        (Stage(Block(), nn.Linear(4, 4)), ["0", "1"]),  # one block is no row
        (Stage(Block(), Scaled()), ["0", "1"]),  # nor are two of different classes
        (Stage(nn.Linear(4, 4), nn.Linear(4, 4)), ["0", "1"]),  # nor layers of torch
        (Stage(nn.Sequential(Block()), nn.Sequential(Block())), ["0", "1"]),  # nor lists
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), ["0", "1.0", "1.1"]),  # a plain list
        (Block(), ["0", "1"]),
    ],
)
def test_what_is_opened_and_what_is_a_unit(stage: nn.Module, names: list[str]) -> None:
    assert names_of(stage) == names


@pytest.mark.parametrize(("n_beside", "names"), [(4, ["0", "1.row.0", "1.row.1"]), (5, ["0", "1"])])
def test_a_frame_is_nine_tenths_a_row_of_blocks(n_beside: int, names: list[str]) -> None:
    assert names_of(Framed(n_beside)) == names


def test_a_frames_own_tensors_join_the_group_before_its_first_unit() -> None:
    before, first, second = groups_of(nn.Sequential(nn.Linear(3, 4), Framed(4)))
    assert before.parameters == ("0.weight", "0.bias", "1.beside")
    assert before.buffers == ("1.mask",)
    assert first.parameters == ("1.row.0.scale", "1.row.0.inside.weight")
    assert (first.buffers, second.buffers) == ((), ())


def test_a_frames_own_tensors_join_its_first_unit_where_none_is_before_it() -> None:
    network = nn.Sequential(Framed(4), nn.Linear(4, 2))
    first, second, head = layer_groups(network, torch.zeros(2, 4))
    assert first.parameters[-1] == "0.beside"
    assert first.buffers == ("0.mask",)
    assert (second.name, head.name) == ("0.row.1", "1")


def test_frames_whose_names_begin_alike_are_told_apart() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(3, 4)
            self.part1 = Framed(4)
            self.part = Framed(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.part(self.part1(self.stem(x)))

    groups = {group.name: group.parameters for group in groups_of(Two())}
    assert "part1.beside" in groups["stem"]
    assert groups["part1.row.1"][-1] == "part.beside"


def test_layers_without_tensors_join_the_group_before_them_and_dropout_the_one_after() -> None:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), SeededDropout(0.5),
        nn.Linear(4, 4), nn.Tanh(), nn.Dropout(0.5),
    )  # fmt: skip
    assert [group.modules for group in groups_of(network)] == [
        ("0", "1", "2"), ("3", "4", "5", "6", "7"),
    ]  # fmt: skip


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm])
def test_normalisation_joins_the_group_before_it_or_begins_the_first(norm: type) -> None:
    network = nn.Sequential(norm(3), nn.Linear(3, 4), norm(4), nn.GroupNorm(2, 4), nn.Linear(4, 4))
    assert [group.modules for group in groups_of(network)] == [("0",), ("1", "2", "3"), ("4",)]


def test_a_layer_with_a_buffer_alone_begins_a_group() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))

        def forward(self, x: Tensor) -> Tensor:
            return x - self.mean

    _, centred, _ = groups_of(nn.Sequential(nn.Linear(3, 4), Centred(), nn.Linear(4, 4)))
    assert (centred.modules, centred.parameters, centred.buffers) == (("1",), (), ("1.mean",))


def test_a_layer_that_is_called_twice_stands_where_it_is_called_first() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 4)
            self.stem = nn.Linear(3, 4)
            self.again = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.again(self.last(self.again(self.stem(x)))))

    assert [group.name for group in groups_of(Twice())] == ["stem", "again", "last"]


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(ModelError, match="these do not: the network has no parameters"):
        groups_of(nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))


def test_no_more_than_three_layers_without_a_part_are_named() -> None:
    model = Network()
    model.auxiliary, model.other = nn.Linear(4, 4), nn.Linear(4, 4)
    with pytest.raises(ModelError, match=r"auxiliary\.weight, auxiliary\.bias, other\.weight$"):
        groups_of(model)


def test_an_image_that_does_not_fit_is_said_by_its_sides_and_leaves_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 9), nn.Dropout(0.5))
    model[1].eval()
    with pytest.raises(ModelError, match=r"inputs of 1×4×5: .*; set another image_size$"):
        layer_groups(model, torch.zeros(2, 1, 4, 5))
    assert [module.training for module in model] == [True, False]
    assert not any(module._forward_pre_hooks for module in model)
