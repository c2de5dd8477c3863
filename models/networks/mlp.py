"""A plain network of fully connected layers on the pixels: no convolution, no pooling.

About 407,000 weights for ten classes at 28×28, which are 784 inputs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from headstart.settings import key
from models.info import MNIST_MEAN, MNIST_STD, Hidden, ImageSize, ModelInfo, NetworkOptions

if TYPE_CHECKING:
    from torch import nn


class Options(NetworkOptions):
    """What may be chosen; the inputs are all pixels of all channels."""

    hidden: Hidden = key("Units of each hidden layer, input first; ReLU follows each.", (512,),
        example=[512, 256], unit="units")  # fmt: skip
    dropout: Annotated[float, Field(ge=0, lt=1)] = key("Share of each hidden layer's outputs that "
        "is dropped in training.", 0.0, example=0.2, unit="fraction")  # fmt: skip
    image_size: ImageSize = key("[height, width] of the images that the network takes; one "
        "number: a square.", (28, 28), example=64, unit="pixels")  # fmt: skip
    channels: Literal[1, 3] = key("Gray images, or red, green and blue.", 1, example=3)


def info(options: Options) -> ModelInfo:
    """A layer group for each hidden layer, and the head."""
    n = options.channels
    depth = len(options.hidden) + 1
    return ModelInfo(options.image_size, n, (MNIST_MEAN,) * n, (MNIST_STD,) * n, depth)


def build(
    options: Options, *, n_classes: int, image_size: tuple[int, int], channels: int
) -> nn.Sequential:
    """float32 (N, channels, H, W) → logits (N, n_classes)."""
    from torch import nn

    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    n_in = channels * image_size[0] * image_size[1]
    for k, n_out in enumerate(options.hidden, start=1):
        layers[f"fc{k}"] = nn.Linear(n_in, n_out)
        layers[f"relu{k}"] = nn.ReLU()
        if options.dropout > 0:
            layers[f"dropout{k}"] = nn.Dropout(options.dropout)
        n_in = n_out
    layers["head"] = nn.Linear(n_in, n_classes)
    return nn.Sequential(layers)
