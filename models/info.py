"""What can be known about a network without building it, and the options that networks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

if TYPE_CHECKING:
    from torch import nn

MNIST_MEAN = 0.1307  # of the 60,000 training images in 0..1, as PyTorch's own example states them
MNIST_STD = 0.3081


@dataclass(frozen=True)
class ModelInfo:
    """What a network is given and how deep it is.

    Attributes:
        image_size: (height, width) in pixels.
        channels: 1 or 3.
        mean: of each channel, in 0..1, to be taken off the images.
        std: of each channel, in 0..1, to divide by.
        depth: number of layer groups; None where only building the network can tell.
    """

    image_size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    depth: int | None


class NetworkOptions(BaseModel):
    """Base of every network's `Options`: unknown keys refused, unchangeable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Network(Protocol):
    """What a network's module defines, and what stands for one of torchvision's."""

    Options: type[NetworkOptions]

    def info(self, options: NetworkOptions, /) -> ModelInfo:
        """What it is given under these options."""

    def build(
        self,
        options: NetworkOptions,
        /,
        *,
        n_classes: int,
        image_size: tuple[int, int],
        channels: int,
    ) -> nn.Module:
        """The network with random weights: float32 (N, channels, H, W) → (N, n_classes)."""


def _height_and_width(value: object) -> object:
    return (value, value) if isinstance(value, int) else value


def _all_positive(value: tuple[int, int]) -> tuple[int, int]:
    if min(value) < 1:
        raise ValueError("a height and a width of at least 1 pixel are needed")
    return value


ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_height_and_width, json_schema_input_type=int | tuple[int, int]),
    AfterValidator(_all_positive),
]
"""(height, width) in pixels; a single number is the side of a square."""
