"""The convolutional network of the MIDAS handwriting task: blocks with batch norm, one dense layer.

Originally 1000 dense units with dropout 0.5; the experimental one has 500 with 0.7.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from headstart.errors import ModelError
from headstart.settings import key
from models.info import (
    MNIST_MEAN,
    MNIST_STD,
    ImageSize,
    ModelInfo,
    NetworkOptions,
    refuse_beside_head,
)

if TYPE_CHECKING:
    from torch import nn


class Options(NetworkOptions):
    """What may be chosen; each block halves height and width and doubles the channels."""

    dense: PositiveInt = key("Units of the dense layer.", 1000, example=500, unit="units")
    dropout: Annotated[float, Field(ge=0, lt=1)] = key("Share of the dense layer's outputs that "
        "is dropped in training.", 0.5, example=0.7, unit="fraction")  # fmt: skip
    image_size: ImageSize = key("[height, width] of the images that the network takes; one "
        "number: a square.", (28, 28), example=64, unit="pixels")  # fmt: skip
    channels: Literal[1, 3] = key("Gray images, or red, green and blue.", 1, example=3)
    blocks: PositiveInt = key("Blocks of convolutions.", 3, example=4, unit="blocks")
    convolutions: PositiveInt = key("Convolutions in a block.", 1, example=2, unit="layers")
    width: PositiveInt = key("Channels of the first block.", 32, example=16, unit="channels")
    shifts: Annotated[int, Field(ge=0, le=4)] = key("In evaluation the answer is the mean over the "
        "image moved by up to so many pixels along both axes: of 9 places with 1, of 25 with 2.",
        0, example=1, unit="pixels")  # fmt: skip
    zooms: Annotated[float, Field(ge=0, le=0.5)] = key("In evaluation the square in "
        "the middle of the image is also seen smaller and larger by so much; what stands beside it "
        "stays (the bars of `preprocess: sized`).", 0.0, example=0.07, unit="fraction")  # fmt: skip

    @model_validator(mode="after")
    def _has_one_head(self) -> Options:
        return refuse_beside_head(self, "dense", "dropout")


def info(options: Options) -> ModelInfo:
    """A layer group for each convolution (with its batch norm), the dense layer and the head.

    A new head takes the place of both.
    """
    n = options.channels
    depth = options.blocks * options.convolutions + (1 if options.head else 2)
    return ModelInfo(options.image_size, n, (MNIST_MEAN,) * n, (MNIST_STD,) * n, depth)


def build(
    options: Options, *, n_classes: int, image_size: tuple[int, int], channels: int
) -> nn.Sequential:
    """float32 (N, channels, H, W) → logits (N, n_classes).

    Raises:
        ModelError: images too small for so many blocks.
    """
    from torch import nn

    height, width = (side >> options.blocks for side in image_size)
    if min(height, width) < 1:
        raise ModelError(
            f"midas_cnn: images of {image_size[0]}×{image_size[1]} are too small for "
            f"{options.blocks} blocks, of which each halves them; give fewer blocks"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_in = channels
    for block in range(1, options.blocks + 1):
        n_out = options.width << (block - 1)
        for index in range(1, options.convolutions + 1):
            name = f"{block}_{index}"
            # The batch norm that follows has the bias.
            layers[f"conv{name}"] = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
            layers[f"norm{name}"] = nn.BatchNorm2d(n_out)
            layers[f"relu{name}"] = nn.ReLU()
            n_in = n_out
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    layers["dense"] = nn.Linear(n_in * height * width, options.dense)
    layers["relu_dense"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(options.dropout)
    layers["head"] = nn.Linear(options.dense, n_classes)
    if options.shifts or options.zooms:
        from models.networks.shifted import Shifted  # torch

        return Shifted(layers, options.shifts, options.zooms)
    return nn.Sequential(layers)
