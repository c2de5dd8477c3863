"""timm's networks by their names with pretrained tags: `timm/tf_efficientnet_lite0.in1k`.

In: a name and `TimmOptions`. Out: options with the size and normalisation of timm's configuration
written out, and the network with random weights. timm is an optional package, and is imported
inside the functions: it takes seconds, and torch with it. So what it says of a network is kept in
the cache folder, for a name and a version of timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.errors import ModelError, did_you_mean
from headstart.kept_answers import keep_answer, kept_answer
from models.info import ModelInfo
from models.sources.options import TIMM, Given, TimmOptions, info_of, needs_package

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TimmNetwork:
    """One of timm's networks by name, with the interface of a network's module."""

    name: str
    Options: ClassVar = TimmOptions

    @property
    def of_timm(self) -> str:
        """The name as timm has it."""
        return self.name.removeprefix(TIMM)

    def kept(self, options: TimmOptions) -> TimmOptions:
        """The options with size and normalisation of timm's configuration, where not written.

        Raises:
            ModelError: timm has no such network.
        """
        settled = _given(self.name).over(options)
        return options.model_copy(update=settled) if settled else options

    def info(self, options: TimmOptions) -> ModelInfo:
        return info_of(self.kept(options))

    def build(
        self, options: TimmOptions, *, n_classes: int, image_size: tuple[int, int], channels: int
    ) -> nn.Module:
        """The network with random weights.

        Raises:
            ModelError: images or an option that this network does not take.
        """
        arguments: dict[str, Any] = {"num_classes": n_classes, "in_chans": channels}
        if options.drop_rate is not None:
            arguments["drop_rate"] = options.drop_rate
        if options.drop_path_rate is not None:
            arguments["drop_path_rate"] = options.drop_path_rate
        size = f"{image_size[0]}×{image_size[1]}"
        try:
            return _created(self.of_timm, image_size, arguments)
        except TypeError as err:
            option = next((k for k in ("drop_path_rate", "drop_rate") if k in str(err)), None)
            what = f"does not take {option}" if option else f"cannot be built: {err}"
            raise ModelError(f"{self.name}: {what}") from err
        except Exception as err:  # timm's code says of a wrong size what it likes
            text = (str(err).strip() or type(err).__name__).splitlines()[0]
            raise ModelError(f"{self.name}: cannot be built for images of {size}: {text}; set "
                             "another image_size") from err  # fmt: skip


def _created(name: str, image_size: tuple[int, int], arguments: Mapping[str, Any]) -> nn.Module:
    """timm's network; some are built for one size of images, and others take any.

    What timm was given beside the name stays with the network, as `made_with`.
    """
    import timm

    of_size: dict[str, Any]
    for of_size in ({"img_size": image_size, "dynamic_img_size": False},
                    {"img_size": image_size}, {}):  # fmt: skip
        try:
            network: nn.Module = timm.create_model(name, pretrained=False, **of_size, **arguments)
        except TypeError as err:
            if "img_size" not in str(err):
                raise
            continue
        network.__dict__["made_with"] = {**of_size, **arguments}
        return network
    raise AssertionError("without a size, no error names it")


@dataclass(frozen=True)
class Configuration:
    """What timm says of a network's pretrained weights; names and values are timm's."""

    architecture: str
    tag: str
    input_size: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    url: str
    hf_hub_id: str | None
    hf_hub_filename: str | None
    first_conv: str | tuple[str, ...] | None
    classifier: str | tuple[str, ...] | None


def configuration(name: str) -> Configuration | None:
    """timm's configuration of a network's pretrained weights; None: it was published without.

    Raises:
        MissingPackageError: timm is not installed.
        ModelError: it has no such network, or no such weights of it.
    """
    needs_package("timm", name)
    key = repr((name, _version()))
    with suppress(TypeError, ValueError):
        kept = kept_answer("timm", key)
        if kept is not None:
            return _read(*kept)
    chosen = _asked(name)
    keep_answer("timm", key, chosen and asdict(chosen))
    return chosen


@cache
def _version() -> str:
    """timm's, read once: it is asked for at each look at a network."""
    return version("timm")


def _read(kept: Mapping[str, Any] | None) -> Configuration | None:
    """Lists are tuples in timm's."""
    if kept is None:
        return None
    said: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}
    return Configuration(**said)


def _asked(name: str) -> Configuration | None:
    import timm

    of_timm = name.removeprefix(TIMM)
    architecture, _, tag = of_timm.partition(".")
    if not timm.is_model(architecture):
        near = did_you_mean(architecture, timm.list_models())
        raise ModelError(f"'{name}' is no network of timm {timm.__version__}{near}; "
                         "timm.list_models() lists them")  # fmt: skip
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        offered = ", ".join(tags) or "no weights of it"
        raise ModelError(f"'{name}': timm {timm.__version__} has no weights {tag!r} of "
                         f"{architecture}{did_you_mean(tag, tags)}; it has {offered}")  # fmt: skip
    chosen = timm.get_pretrained_cfg(of_timm, allow_unregistered=True)
    if chosen is None:
        return None
    said = {each.name: getattr(chosen, each.name) for each in fields(Configuration)}
    return _read({key: list(v) if isinstance(v, (list, tuple)) else v for key, v in said.items()})


def _given(name: str) -> Given:
    chosen = configuration(name)
    if chosen is None:  # a network without published weights
        return Given((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    height, width = chosen.input_size[-2:]
    return Given((int(height), int(width)), tuple(chosen.mean), tuple(chosen.std))
