"""The options that every torchvision network takes, and what it is given under them; no torch."""

from __future__ import annotations

from typing import Literal

from models.info import ImageSize, ModelInfo, NetworkOptions

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # red, green, blue in 0..1, as torchvision's weights expect
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY_MEAN = sum(IMAGENET_MEAN) / 3
GREY_STD = sum(IMAGENET_STD) / 3


class TorchvisionOptions(NetworkOptions):
    """Image size, and what becomes of images of one channel.

    With `channels: 3` grey images come as three equal channels, as the data set repeats them. With
    `channels: 1` the images stay grey (a third of the memory) and the network's first layer takes
    them: `repeat` makes three channels of each image, each normalised as ImageNet's; `sum` adds
    the first layer's weights over the three channels, a third of its work.
    """

    image_size: ImageSize = (224, 224)
    channels: Literal[1, 3] = 3
    channels_mode: Literal["repeat", "sum"] = "repeat"


def torchvision_info(options: TorchvisionOptions) -> ModelInfo:
    """ImageNet's normalisation; the depth is known only with torch."""
    if options.channels == 1:
        return ModelInfo(options.image_size, 1, (GREY_MEAN,), (GREY_STD,), depth=None)
    return ModelInfo(options.image_size, 3, IMAGENET_MEAN, IMAGENET_STD, depth=None)
