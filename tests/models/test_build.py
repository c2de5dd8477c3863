"""Building our networks from seeds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import ModelError
from models.build import build_model, head_layer
from models.dropout import set_dropout_generator


def build(name: str = "lenet5", **changes: Any) -> nn.Module:
    arguments: dict[str, Any] = {
        "n_classes": 10,
        "image_size": (28, 28),
        "channels": 1,
        "init_seed": 1,
        "head_seed": 2,
    }
    return build_model(name, **{**arguments, **changes})


def lenet5_as_published(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The textbook's order (ReLU, then pooling), written out."""
    x = F.max_pool2d(F.relu(F.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=2)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, state["conv2.weight"], state["conv2.bias"])), 2)
    x = x.flatten(1)
    for layer in ("fc1", "fc2"):
        x = F.relu(F.linear(x, state[f"{layer}.weight"], state[f"{layer}.bias"]))
    return F.linear(x, state["fc3.weight"], state["fc3.bias"])


def test_lenet5_has_61706_parameters_and_computes_what_the_textbook_says() -> None:
    model = build()
    assert sum(p.numel() for p in model.parameters()) == 61_706
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x), lenet5_as_published(model.state_dict(), x))


def test_dropout_changes_no_weight_and_no_evaluation_of_lenet5() -> None:
    plain, thinned = build(), build(options={"dropout": 0.5})
    state = thinned.state_dict()
    assert list(state) == list(plain.state_dict())
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain.eval()
    thinned.eval()
    torch.testing.assert_close(thinned(x), plain(x), rtol=0, atol=0)
    set_dropout_generator(thinned, torch.Generator().manual_seed(1))
    thinned.train()
    assert not torch.equal(thinned(x), plain(x))


def test_equal_seeds_give_equal_bits_and_other_seeds_others() -> None:
    first, second, other = build(), build(), build(init_seed=3)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])
    assert not torch.equal(first.state_dict()["conv1.weight"], other.state_dict()["conv1.weight"])


@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
def test_the_head_depends_on_its_seed_alone(name: str) -> None:
    heads = [head_layer(build(name, init_seed=seed)) for seed in (1, 3)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    biases = [head.state_dict()["bias"] for head in heads]
    assert torch.equal(*biases)
    backbones = [build(name, head_seed=seed).state_dict() for seed in (2, 4)]
    first = next(iter(backbones[0]))
    assert torch.equal(backbones[0][first], backbones[1][first])
    assert not torch.equal(heads[0].weight, head_layer(build(name, head_seed=4)).weight)


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    build("midas_cnn")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [(28, 28), (36, 48)])
def test_midas_cnn_takes_digits_and_whole_canvases(size: tuple[int, int]) -> None:
    options = {"dense": 500, "dropout": 0.7, "image_size": size}
    model = build("midas_cnn", n_classes=62, image_size=size, options=options)
    set_dropout_generator(model, torch.Generator().manual_seed(0))
    assert model(torch.zeros(3, 1, *size)).shape == (3, 62)
    assert model.get_submodule("dense").out_features == 500
    assert model.get_submodule("dropout").p == 0.7


def test_midas_cnn_learns_a_small_task() -> None:
    """Four classes by which quarter of the image is lit: all right after 40 steps."""
    model = build("midas_cnn", n_classes=4, options={"width": 8, "dense": 32})
    set_dropout_generator(model, torch.Generator().manual_seed(0))
    labels = torch.arange(64) % 4
    images = torch.zeros(64, 1, 28, 28)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[0, row * 14 : row * 14 + 14, column * 14 : column * 14 + 14] = 1.0
    images += torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    model.eval()
    assert torch.equal(model(images).argmax(1), labels)


@pytest.mark.parametrize(("name", "size"), [("lenet5", (11, 28)), ("midas_cnn", (28, 7))])
def test_images_that_are_too_small_are_refused(name: str, size: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match="too small"):
        build(name, image_size=size)
