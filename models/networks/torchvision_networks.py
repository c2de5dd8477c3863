"""torchvision's classification networks under our conditions: any class count, size and channels.

In: a name of torchvision's and `TorchvisionOptions`. Out: its network with its own state-dict keys,
one output (no auxiliary heads). torchvision is imported inside the functions: it takes seconds.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.networks.torchvision_options import (
    TorchvisionOptions,
    colour_statistics,
    grey_statistics,
)


class GreyConv2d(nn.Conv2d):
    """A first layer over colour that is given grey images.

    An image (N, 1, H, W), normalised with the grey mean and standard deviation, is taken as three
    equal channels, each normalised with that channel's own.
    """

    scale: Tensor
    shift: Tensor

    def normalise_as(self, name: str, options: TorchvisionOptions) -> GreyConv2d:
        """Set the normalisation of network `name`; returns itself."""
        both = colour_statistics(name, options)
        means, stds = (torch.tensor(v).view(1, 3, 1, 1) for v in both)
        grey_mean, grey_std = grey_statistics(name, options)
        self.register_buffer("scale", grey_std / stds, persistent=False)
        self.register_buffer("shift", (grey_mean - means) / stds, persistent=False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, 1, H, W) → (N, out_channels, …)."""
        return super().forward(x * self.scale + self.shift)


def build_torchvision(
    name: str,
    options: TorchvisionOptions,
    *,
    n_classes: int,
    image_size: tuple[int, int],
    channels: int,
) -> nn.Module:
    """torchvision's network `name` with random weights.

    Raises:
        ModelError: an image size that this network cannot be built for.
    """
    from torchvision.models import get_model

    arguments = family_arguments(name, image_size)
    try:
        model: nn.Module = get_model(name, weights=None, num_classes=n_classes, **arguments)
    except (ValueError, AssertionError) as err:
        size = f"{image_size[0]}×{image_size[1]}"
        raise ModelError(f"{name}: cannot be built for images of {size}: {err}") from err
    if channels == 1:
        _take_grey(name, model, options)
    return model


def family_arguments(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """What the constructors of some families must be told."""
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    if name == "maxvit_t":
        return {"input_size": image_size}
    if not name.startswith("vit_"):
        return {}
    patch = int(re.findall(r"\d+", name)[-1])
    if image_size[0] != image_size[1] or image_size[0] % patch:
        raise ModelError(
            f"{name}: takes square images whose side is a multiple of {patch}, "
            f"not {image_size[0]}×{image_size[1]}; set image_size"
        )
    return {"image_size": image_size[0]}


def _take_grey(name: str, model: nn.Module, options: TorchvisionOptions) -> None:
    """Replace the first layer, in place, by one for grey images that gives the same maps."""
    over_colour = (
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == 3
    )
    path, first = next(over_colour, (None, None))
    if path is None or first is None:
        raise ModelError(f"{name}: has no first layer over three channels; set channels: 3")
    shape: dict[str, Any] = {
        "kernel_size": first.kernel_size,
        "stride": first.stride,
        "padding": first.padding,
        "bias": first.bias is not None,
    }
    if options.channels_mode == "repeat":
        grey: nn.Conv2d = GreyConv2d(3, first.out_channels, **shape).normalise_as(name, options)
        grey.weight = first.weight
    else:
        grey = nn.Conv2d(1, first.out_channels, **shape)
        grey.weight = nn.Parameter(first.weight.detach().sum(1, keepdim=True))
    grey.bias = first.bias
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, grey)
