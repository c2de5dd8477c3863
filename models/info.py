"""What can be known about a network without building it, and the options that networks share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from headstart.errors import ModelError
from headstart.settings import AsTuple, Frozen, key

if TYPE_CHECKING:
    from torch import nn

MNIST_MEAN = 0.1307  # of the 60,000 training images in 0..1, as PyTorch's own example states them
MNIST_STD = 0.3081
MOST_UNITS = 65_536  # of a hidden layer of a head
MOST_LAYERS = 16  # hidden ones


@dataclass(frozen=True)
class ModelInfo:
    """What a network is given and how deep it is.

    Attributes:
        image_size: (height, width) in pixels; None: the data's own, for a network of the user's.
        channels: 1 or 3; None: the data's own.
        mean: of each channel, in 0..1, to be taken off the images.
        std: of each channel, in 0..1, to divide by.
        depth: number of layer groups; None where only building the network can tell.
    """

    image_size: tuple[int, int] | None
    channels: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    depth: int | None

    def for_channels(self, channels: int) -> ModelInfo:
        """The same for images of so many channels, where the network leaves that to the data.

        Raises:
            ModelError: mean or deviation of another count of channels.
        """
        mean = _for_channels(self.mean, channels, "mean")
        return replace(self, mean=mean, std=_for_channels(self.std, channels, "std"))


def _of_each_channel(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("is not a number, or a list with one for each channel")
    return (value,) if isinstance(value, int | float) else value


def _in_unit_scale(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(value > 1 for value in values):
        raise ValueError("is over 1: images are in 0..1 here, so divide numbers of 0..255 by 255")
    return values


_Number = Annotated[float, Field(strict=True, ge=0)]
_Channels = Annotated[
    tuple[_Number, ...],
    BeforeValidator(_of_each_channel, json_schema_input_type=float | list[float]),
    Field(min_length=1, max_length=3),
    AfterValidator(_in_unit_scale),
]


def _no_zero(values: tuple[float, ...]) -> tuple[float, ...]:
    if min(values) <= 0:
        raise ValueError("a deviation is over 0")
    return values


class NormaliseBy(BaseModel):
    """What is taken off the images' values, which are in 0..1, and what they are divided by."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: _Channels = key("Of each channel, or one number for all.", example=[0.49, 0.48, 0.45])
    std: Annotated[_Channels, AfterValidator(_no_zero)] = key("Of each channel, or one number for "
        "all.", example=[0.25, 0.24, 0.26])  # fmt: skip


IMAGENET_MEAN = (0.485, 0.456, 0.406)  # red, green, blue in 0..1, as torchvision's weights expect
IMAGENET_STD = (0.229, 0.224, 0.225)


def _by_word(value: object) -> object:
    if value == "imagenet":
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if isinstance(value, str):
        raise ValueError("is not one of imagenet, weights, {mean: …, std: …}")
    return value


NORMALISE = Annotated[
    NormaliseBy | None,
    BeforeValidator(
        _by_word, json_schema_input_type=NormaliseBy | Literal["imagenet", "weights"] | None
    ),
]


_Units = tuple[Annotated[int, Field(ge=1, le=MOST_UNITS)], ...]
Hidden = Annotated[_Units, AsTuple, Field(min_length=1, max_length=MOST_LAYERS)]
"""Units of hidden layers, input first."""


class NewHead(Frozen):
    """Fully connected layers in the place of a network's last ones; see `models/heads.py`."""

    hidden: Annotated[_Units, AsTuple, Field(max_length=MOST_LAYERS)] = key("Units of each hidden "
        "layer, input first. ReLU follows each, and the layer of the logits follows them. `[]`: "
        "the layer of the logits alone.", example=[256], unit="units")  # fmt: skip
    dropout: Annotated[float, Field(ge=0, lt=1)] = key("Share of each hidden layer's outputs that "
        "is dropped in training.", 0.0, example=0.5, unit="fraction")  # fmt: skip

    @field_validator("dropout")
    @classmethod
    def _is_of_hidden_layers(cls, dropout: float, given: ValidationInfo) -> float:
        if dropout > 0 and given.data.get("hidden") == ():
            raise ValueError("is of hidden layers, and `hidden` names none: leave dropout out")
        return dropout


class NetworkOptions(BaseModel):
    """Base of every network's `Options`: unknown keys refused, unchangeable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    normalise: NORMALISE = key("Mean and standard deviation that images are normalised by, in "
        "0..1: `{mean: …, std: …}`, `imagenet`, or `weights`: those of a configuration beside the "
        "file that it starts from. Without it, the data's `normalise`, else the network's own.",
        None, example={"mean": 0.5, "std": 0.5})  # fmt: skip
    head: NewHead | None = key("Fully connected layers in the place of the network's last linear "
        "layers, as one layer group, the last. Without it, the network's own.", None,
        example={"hidden": [256], "dropout": 0.5})  # fmt: skip


def new_head(options: NetworkOptions) -> NewHead | None:
    """The head that takes the place of the network's own; None: the network keeps its own.

    A network of the user's in `models/networks/` may have an option `head` of its own.
    """
    return options.head if isinstance(options.head, NewHead) else None


Options = TypeVar("Options", bound=NetworkOptions)


def refuse_beside_head(options: Options, *names: str) -> Options:
    """The options as they are; `names` are of layers that a new head takes the place of.

    Raises:
        ValueError: a new head, and one of these at another value than its default.
    """
    fields = type(options).model_fields
    for name in names if new_head(options) else ():
        if getattr(options, name) != fields[name].default:
            raise ValueError(f"{name} is of layers that `head` takes the place of: leave {name} "
                             "out, and write it under head")  # fmt: skip
    return options


def normalised(info: ModelInfo, options: NetworkOptions) -> ModelInfo:
    """What the network is given, by the options' own mean and deviation where they have them.

    For grey images three numbers are averaged, as torchvision's are.

    Raises:
        ModelError: numbers for another count of channels.
    """
    if options.normalise is None:
        return info
    mean = _for_channels(options.normalise.mean, info.channels, "mean")
    std = _for_channels(options.normalise.std, info.channels, "std")
    return replace(info, mean=mean, std=std)


def _for_channels(values: tuple[float, ...], channels: int | None, name: str) -> tuple[float, ...]:
    if channels is None or len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    if channels == 1:
        return (sum(values) / len(values),)
    raise ModelError(f"normalise.{name}: has {len(values)} numbers, for {channels} channels")


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
    if isinstance(value, str | bool | float):
        raise ValueError("is not a whole number, or [height, width]")
    return (value, value) if isinstance(value, int) else value


MOST_PIXELS = 4096  # of a side of the images


def _in_range(value: tuple[int, int]) -> tuple[int, int]:
    if min(value) < 1:
        raise ValueError("a height and a width of at least 1 pixel are needed")
    if max(value) > MOST_PIXELS:
        raise ValueError(f"a height and a width of at most {MOST_PIXELS} pixels are allowed")
    return value


ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_height_and_width, json_schema_input_type=int | tuple[int, int]),
    AfterValidator(_in_range),
]
"""(height, width) in pixels; a single number is the side of a square."""
