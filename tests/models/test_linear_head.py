"""Which networks end in one linear layer, and what a layer was given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.errors import ModelError
from models.build import build_model
from models.groups import layer_groups
from models.linear_head import calls_of, linear_head


def head_of(name: str, options: dict[str, object] | None = None, size: int = 28) -> str:
    network = build_model(name, n_classes=4, image_size=(size, size), channels=1, init_seed=1,
                          head_seed=2, options=options or {})  # fmt: skip
    images = torch.randn(2, 1, size, size)
    return linear_head(name, network, layer_groups(network, images), images)


def test_the_last_layer_of_a_network_is_found():
    assert head_of("lenet5") == "fc3"


@pytest.mark.parametrize(
    ("name", "options", "size", "message"),
    [
        (
            "lenet5",
            {"head": {"hidden": [8]}},
            28,
            r"lenet5 is fc3.hidden1 \(Linear\), fc3.output .*last_layer trains any head",
        ),
        ("squeezenet1_1", {}, 64, r"head of squeezenet1_1 is classifier.1 \(Conv2d\)"),
    ],
)
def test_another_head_is_named_with_what_to_do_instead(name, options, size, message):
    with pytest.raises(ModelError, match=message):
        head_of(name, options, size)


def test_a_layer_whose_outputs_are_changed_afterwards_is_no_head():
    class Cold(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.fc = nn.Flatten(), nn.Linear(4, 3)

        def forward(self, images):
            return self.fc(self.flat(images)) / 2

    network, images = Cold(), torch.randn(2, 1, 2, 2)
    with pytest.raises(ModelError, match="gives the logits, and fc of Cold does not"):
        linear_head("Cold", network, layer_groups(network, images), images)


def test_calls_are_noted_while_the_block_runs():
    layer, x = nn.Linear(3, 2), torch.randn(5, 3)
    with calls_of(layer) as calls:
        y = layer(x)
    layer(x)
    ((given, made),) = calls
    assert torch.equal(given, x)
    assert torch.equal(made, y)
