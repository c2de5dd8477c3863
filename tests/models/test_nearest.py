"""The network of the catalogue whose shapes a file has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.nearest import nearest_network


def state(name: str, n_classes: int = 3) -> dict[str, Tensor]:
    size, channels = ((28, 28), 1) if name == "lenet5" else ((64, 64), 3)
    return build_model(name, n_classes=n_classes, image_size=size, channels=channels, init_seed=0,
                       head_seed=0).state_dict()  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1", "resnet18"])
def test_a_network_is_known_by_its_shapes_whatever_its_classes(name: str) -> None:
    """Slow: it builds many networks."""
    owner = "the network" if name == "lenet5" else "torchvision's"
    given = state(name)
    assert nearest_network(given) == f"{owner} {name}"
    renamed = {f"layer{n}": tensor for n, tensor in enumerate(given.values())}
    assert nearest_network(renamed) == f"{owner} {name}, under other names"


def test_a_part_of_a_network_is_nearly_it() -> None:
    given = state("resnet18")
    for name in [name for name in given if name.startswith("layer1.1")]:
        del given[name]
    assert nearest_network(given) == ("torchvision's resnet18 but for some (90 of 102 are there)")


def test_what_is_like_none_is_none() -> None:
    assert nearest_network({"w": torch.zeros(3)}) == ""
    assert nearest_network({}) == ""
