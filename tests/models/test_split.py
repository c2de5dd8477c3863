"""Cutting networks in two."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import ModelError
from models.build import build_model
from models.dropout import set_dropout_generator
from models.finetune import LayerGroup, freeze, layer_groups
from models.split import split_at


def network(name: str) -> tuple[nn.Module, tuple[LayerGroup, ...], Tensor]:
    images = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = build_model(
        name, n_classes=10, image_size=(28, 28), channels=1, init_seed=0, head_seed=1
    )
    return model, layer_groups(model, images), images


@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
def test_tail_after_prefix_is_the_network(name: str) -> None:
    model, groups, images = network(name)
    model.eval()
    for k in range(1, len(groups)):
        prefix, tail = split_at(model, groups, k)
        torch.testing.assert_close(tail(prefix(images)), model(images))
        assert torch.equal(prefix(images), prefix(images))


def test_activation_pooling_and_flattening_are_computed_once() -> None:
    model, groups, images = network("lenet5")
    assert split_at(model, groups, 1)[0](images).shape == (6, 6, 14, 14)
    features = split_at(model, groups, 2)[0](images)
    assert features.shape == (6, 400)
    assert features.min() == 0  # rectified


def test_the_tail_has_the_networks_own_parameters_by_their_names() -> None:
    model, groups, _ = network("midas_cnn")
    _, tail = split_at(model, groups, 3)
    assert {n for n, _ in tail.named_parameters()} == {
        *("dense.weight", "dense.bias", "head.weight", "head.bias")
    }
    mine = dict(model.named_parameters())
    assert all(parameter is mine[name] for name, parameter in tail.named_parameters())


def test_training_the_tail_is_training_the_network() -> None:
    """One step on cached features and one on images: the same weights, dropout's masks included."""
    results = []
    for cached in (False, True):
        model, groups, images = network("midas_cnn")
        freeze(model, groups, ["dense", "head"])
        model.train()
        set_dropout_generator(model, torch.Generator().manual_seed(5))
        prefix, tail = split_at(model, groups, 3)
        logits = tail(prefix(images).detach()) if cached else model(images)
        F.cross_entropy(logits, torch.arange(6)).backward()
        results.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(results[0]) == 4
    for plain, from_cache in zip(*results, strict=True):
        torch.testing.assert_close(plain, from_cache)


def test_frozen_modules_stay_frozen_in_the_parts() -> None:
    model, groups, images = network("midas_cnn")
    freeze(model, groups, ["head"])
    prefix, _ = split_at(model, groups, 4)
    prefix.train()
    before = model.get_submodule("norm1_1").running_mean.clone()
    prefix(images)
    assert torch.equal(model.get_submodule("norm1_1").running_mean, before)


class Branches(nn.Module):
    """Two tensors live between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + x


class Undecided(Branches):
    """Looks at the content of what it computes on."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Branches(), "2 tensors cross there"), (Undecided(), "torch.fx cannot trace it: symbolic")],
)
def test_what_cannot_be_cut_is_refused_with_the_reason(model: nn.Module, reason: str) -> None:
    groups = layer_groups(model, torch.zeros(1, 2))
    with pytest.raises(ModelError, match=reason) as caught:
        split_at(model, groups, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [0, 5])
def test_a_cut_has_groups_on_both_sides(k: int) -> None:
    model, groups, _ = network("lenet5")
    with pytest.raises(ModelError, match="before group 1 … 4"):
        split_at(model, groups, k)
