"""torchvision's networks: every one walks, freezes and cuts, with nothing listed by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import models
from headstart.errors import ModelError
from models.build import build_model, head_layer
from models.dropout import set_dropout_generator
from models.finetune import freeze, layer_groups
from models.split import split_at

WALKED = {  # name → first group
    "alexnet": "features.0",
    "convnext_tiny": "features.0",
    "densenet121": "features.conv0",
    "efficientnet_b0": "features.0",
    "googlenet": "conv1",
    "inception_v3": "Conv2d_1a_3x3",
    "mnasnet0_5": "layers.0",
    "mobilenet_v3_small": "features.0",
    "regnet_y_400mf": "stem",
    "resnet18": "conv1",
    "shufflenet_v2_x0_5": "conv1.0",
    "squeezenet1_0": "features.0",
    "squeezenet1_1": "features.0",
    "swin_t": "features.0.0",
    "vgg11_bn": "features.0",
    "vit_b_16": "conv_proj",
}
LARGE = ("vgg11_bn", "vit_b_16")  # seconds each, so with the slow tests
SIZE = {"inception_v3": 80, "alexnet": 64, "vit_b_16": 32}


def build(name: str, size: int = 32, **options: Any) -> nn.Module:
    return build_model(
        name,
        n_classes=7,
        image_size=(size, size),
        channels=options.get("channels", 3),
        init_seed=0,
        head_seed=1,
        options={"image_size": size, **options},
    )


def images(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        pytest.param(name, stem, marks=[pytest.mark.slow] * (name in LARGE))
        for name, stem in WALKED.items()
    ],
)
def test_every_network_walks_freezes_and_cuts(name: str, stem: str) -> None:
    """One test for one network, as building the larger ones takes seconds."""
    size = SIZE.get(name, 32)
    model = build(name, size)
    x = images(2, 3, size)
    groups = layer_groups(model, x)
    assert groups[0].name == stem
    assert model.get_submodule(groups[-1].name) is head_layer(model)
    assert len(groups) > 5
    placed = sorted(tensor for group in groups for tensor in group.parameters)
    assert placed == sorted(tensor for tensor, _ in model.named_parameters())
    assert all(group.parameters for group in groups)  # so last_N grows with N
    _check_that_training_draws_only_from_what_it_is_given(model, x)
    freeze(model, groups, [groups[-1].name])
    model.train()
    inside = {m for p in groups[-1].modules for m in model.get_submodule(p).modules()}
    assert {m for m in model.modules() if m.training and not any(m.children())} <= inside
    model.eval()
    with torch.no_grad():
        logits = model(x)
        for k in (1, len(groups) // 2, len(groups) - 1):
            prefix, tail = split_at(model, groups, k)
            torch.testing.assert_close(tail(prefix(x)), logits, rtol=1e-5, atol=1e-6)


def _check_that_training_draws_only_from_what_it_is_given(
    model: nn.Module, x: torch.Tensor
) -> None:
    model.train()
    before = torch.get_rng_state()
    with torch.no_grad():
        set_dropout_generator(model, torch.Generator().manual_seed(0))
        first = model(x)
        set_dropout_generator(model, torch.Generator().manual_seed(0))
        assert torch.equal(first, model(x))
    assert torch.equal(before, torch.get_rng_state())


def test_a_grey_network_repeats_the_image_as_imagenet_normalises_it() -> None:
    raw = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = []
    for channels in (1, 3):
        info = models.model_info("squeezenet1_1", {"channels": channels})
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (info.mean, info.std))
        model = build("squeezenet1_1", channels=channels).eval()
        logits.append(model((raw.expand(-1, channels, -1, -1) - mean) / std))
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)


def test_a_summed_first_layer_computes_on_equal_channels_what_the_whole_one_does() -> None:
    x = images(2, 1, 32)
    summed = build("squeezenet1_1", channels=1, channels_mode="sum").eval()
    whole = build("squeezenet1_1").eval()
    assert summed.get_submodule("features.0").weight.shape[1] == 1
    torch.testing.assert_close(summed(x), whole(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def test_state_dict_keys_are_torchvisions_own() -> None:
    from torchvision.models import resnet18

    assert list(build("resnet18", channels=1).state_dict()) == list(resnet18().state_dict())


def test_a_vision_transformer_says_which_sizes_it_takes() -> None:
    with pytest.raises(ModelError, match="multiple of 16, not 100×100"):
        build("vit_b_16", size=100)


def test_images_too_small_for_a_network_are_one_line() -> None:
    with pytest.raises(ModelError, match="does not take inputs of 3×16×16") as caught:
        layer_groups(build("alexnet", size=16), torch.zeros(1, 3, 16, 16))
    assert "\n" not in str(caught.value)
