"""What a network of timm or transformers is given, by the configuration that came with its weights.

In: a name and what a sweep's `model` entry says beside it. Out: `SourceOptions`, whose size and
normalisation are written out. So a trial's id holds them, and neither another version of the
library nor a change of a folder makes another trial of it. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from headstart.errors import MissingPackageError, ModelError
from headstart.settings import key
from models.info import ImageSize, ModelInfo, NetworkOptions, NormaliseBy

SOURCES = TIMM, HF = ("timm/", "hf/")  # what the names begin with


class SourceOptions(NetworkOptions):
    """Options of every network of timm and transformers.

    `image_size` and `normalise` are those of the network's own configuration where they are not
    written; once read, they are there.
    """

    image_size: ImageSize | None = key("[height, width] of the images that the network takes; one "
        "number: a square. Without it, that of its weights.", None, example=96,
        unit="pixels")  # fmt: skip
    channels: Literal[1, 3] = key("`3`: grey images come as three equal channels; `1`: they stay "
        "grey, and the first layer's weights are added up over the colours.", 3,
        example=1)  # fmt: skip


Rate = Annotated[float, Field(ge=0, lt=1)]


class TimmOptions(SourceOptions):
    """Options of timm's networks; the two rates are called as timm calls them."""

    drop_rate: Rate | None = key("Dropout before the head, as timm has it. Without it, the "
        "network's own, mostly 0.", None, example=0.2, unit="fraction")  # fmt: skip
    drop_path_rate: Rate | None = key("Stochastic depth: the rate of the last block. Without it, "
        "the network's own.", None, example=0.1, unit="fraction")  # fmt: skip


class HfOptions(SourceOptions):
    """Options of networks of transformers; `config` is what `config.json` says."""

    config: dict[str, Any] | None = key("The network's configuration. Without it, `config.json` of "
        "the folder or of the cache is read; `sweep.yaml` has it written out.", None,
        example={"model_type": "vit", "hidden_size": 192})  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What a configuration says of the images: size in pixels, mean and deviation in 0..1."""

    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def over(self, options: SourceOptions) -> dict[str, object]:
        """The options that are not written, as this says."""
        settled: dict[str, object] = {}
        if options.image_size is None:
            settled["image_size"] = self.image_size
        if options.normalise is None:
            settled["normalise"] = NormaliseBy(mean=self.mean, std=self.std)
        return settled


class SourceNetwork(Protocol):
    """A network of another library by name, with the interface of a network's module."""

    name: str

    def kept(self, options: SourceOptions, /) -> SourceOptions:
        """The options with all that decides the network written out."""


def info_of(options: SourceOptions) -> ModelInfo:
    """What a network is given whose options are written out."""
    normalise = options.normalise
    assert options.image_size is not None
    assert normalise is not None
    return ModelInfo(options.image_size, options.channels, normalise.mean, normalise.std, None)


def is_source(name: object) -> bool:
    """Whether a name is of timm or transformers."""
    return isinstance(name, str) and name.startswith((TIMM, HF))


def needs_package(package: str, name: str) -> None:
    """Raise where an optional package is missing.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    if find_spec(package) is None:
        raise MissingPackageError(f"{name}: needs a package that is not installed: uv pip install "
                                  f"-r pyproject.toml --extra {package}")  # fmt: skip


def numbers_of(values: object, what: str) -> tuple[float, ...]:
    """Numbers of a configuration, one for each channel.

    Raises:
        ModelError: they are no such numbers.
    """
    given = values if isinstance(values, list | tuple) else [values]
    numbers = tuple(float(v) for v in given if isinstance(v, int | float))
    if len(numbers) != len(given) or len(numbers) not in (1, 3) or max(numbers) > 1:
        raise ModelError(f"{what}: {values!r} are no numbers in 0..1 for each channel; give "
                         "model: {normalise: {mean: …, std: …}}")  # fmt: skip
    return numbers
