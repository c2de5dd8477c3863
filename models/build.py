"""Build a network by name, its backbone and its head each drawn from a seed of its own.

In: a name, options and two seeds. Out: a network on the CPU in training mode, its dropout waiting
for a generator. The global torch generator is left as it was.
"""

from __future__ import annotations

import torch
from torch import nn

from headstart.errors import ModelError
from models.catalog import OptionsOrMapping, find_network, is_users, read_options
from models.dropout import seed_dropout
from models.heads import replace_head
from models.info import new_head
from models.own import OwnOptions
from models.own_build import Shape, build_own, tried
from models.source_build import build_source
from models.sources.options import SourceOptions


def build_model(
    name: str,
    *,
    n_classes: int,
    image_size: tuple[int, int],
    channels: int,
    init_seed: int,
    head_seed: int,
    options: OptionsOrMapping | None = None,
) -> nn.Module:
    """The network `name` with random weights: float32 (N, channels, H, W) → logits (N, n_classes).

    Args:
        n_classes: outputs of the head.
        image_size: (height, width) of the images, in pixels.
        channels: 1 or 3.
        init_seed: decides all weights but the head's.
        head_seed: decides the head's weights, whatever the backbone's are.
        options: the network's own, validated or as a sweep's `model` entry has them.

    Raises:
        ModelError: no such network, an option it does not take, images it cannot work with.
    """
    network, chosen = find_network(name), read_options(name, options or {})
    if isinstance(chosen, OwnOptions):
        shape = Shape(n_classes, image_size, channels)
        return build_own(name, chosen, shape, init_seed, head_seed)
    if isinstance(chosen, SourceOptions):
        shape = Shape(n_classes, image_size, channels)
        return build_source(name, chosen, shape, init_seed, head_seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(init_seed)
        model = network.build(chosen, n_classes=n_classes, image_size=image_size, channels=channels)
        if head := new_head(chosen):
            images = torch.zeros(2, channels, *image_size)
            replace_head(name, model, head, n_classes, images).draw(head_seed)
        else:
            draw_head(head_layer(model), head_seed)
    seed_dropout(model)
    if is_users(name):
        return tried(name, model, repr(chosen), Shape(n_classes, image_size, channels))
    # Convolutions then compute in this layout whatever the images' is; on a CPU training is 1.2 to
    # 1.3 times faster for it.
    return model.to(memory_format=torch.channels_last)


def head_layer(model: nn.Module) -> nn.Linear | nn.Conv2d:
    """The layer that gives the logits: the last linear or convolution layer of the module tree.

    Raises:
        ModelError: the network has neither.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ModelError("the network has no linear or convolution layer that could be its head")
    return layers[-1]


def draw_head(head: nn.Linear | nn.Conv2d, seed: int) -> None:
    """Draw weight and bias anew from `seed` as torch does by default: uniform within ±1/√fan-in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head.reset_parameters()
