"""The options that every torchvision network takes, and what it is given under them; no torch."""

from __future__ import annotations

from typing import Literal

from headstart.settings import key
from models.info import IMAGENET_MEAN, IMAGENET_STD, ImageSize, ModelInfo, NetworkOptions


class TorchvisionOptions(NetworkOptions):
    """Image size, and what becomes of images of one channel.

    With `channels: 3` grey images come as three equal channels, as the data set repeats them. With
    `channels: 1` the images stay grey (a third of the memory) and the network's first layer takes
    them.
    """

    image_size: ImageSize = key("[height, width] of the images that the network takes; one "
        "number: a square.", (224, 224), example=64, unit="pixels")  # fmt: skip
    channels: Literal[1, 3] = key("`3`: grey images come as three equal channels; `1`: they stay "
        "grey, which takes a third of the memory.", 3, example=1)  # fmt: skip
    channels_mode: Literal["repeat", "sum"] = key("With one channel. `repeat` makes three "
        "channels of each image, each normalised as ImageNet's; `sum` adds the first layer's "
        "weights over the three channels, a third of its work.", "repeat",
        example="sum")  # fmt: skip


def torchvision_info(name: str, options: TorchvisionOptions) -> ModelInfo:
    """The normalisation that torchvision's weights expect; the depth is known only with torch."""
    if options.channels == 1:
        mean, std = grey_statistics(name, options)
        return ModelInfo(options.image_size, 1, (mean,), (std,), depth=None)
    return ModelInfo(options.image_size, 3, *colour_statistics(name, options), depth=None)


def colour_statistics(
    name: str, options: TorchvisionOptions
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of red, green, blue that network `name` expects."""
    if options.normalise is not None:
        mean, std = (v * 3 if len(v) == 1 else v for v in dict(options.normalise).values())
        return mean, std
    if name in ("googlenet", "inception_v3"):  # what their `transform_input` comes to
        return (0.5,) * 3, (0.5,) * 3
    return IMAGENET_MEAN, IMAGENET_STD


def grey_statistics(name: str, options: TorchvisionOptions) -> tuple[float, float]:
    """Mean and standard deviation for grey images: the averages over the three colours."""
    mean, std = colour_statistics(name, options)
    return sum(mean) / 3, sum(std) / 3
