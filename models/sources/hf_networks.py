"""Image classifiers of transformers: `hf/FOLDER`, or `hf/OWNER/NAME` of the hub's cache.

In: a name and `HfOptions`. Out: options with the network's configuration, size and normalisation
written out, and the network with random weights. Code that comes with weights is never run:
the classes are those of transformers alone. transformers is an optional package, and is imported
inside the functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.cli import few
from headstart.errors import ModelError, did_you_mean
from models.info import MOST_PIXELS, ModelInfo
from models.sources.hub import file_of
from models.sources.options import HF, Given, HfOptions, info_of, needs_package, numbers_of

if TYPE_CHECKING:
    from torch import nn

_MOST_BYTES = 1 << 22
MOST_LAYERS = 1000  # building takes time for each, before anything is known of the memory
# What says nothing of how the network computes.
_LEFT_OUT = ("_name_or_path", "_commit_hash", "transformers_version", "id2label", "label2id",
             "auto_map", "torch_dtype", "dtype", "num_labels", "problem_type")  # fmt: skip


@dataclass(frozen=True)
class HfNetwork:
    """An image classifier of transformers by name, with the interface of a network's module."""

    name: str
    Options: ClassVar = HfOptions

    def kept(self, options: HfOptions) -> HfOptions:
        """The options with configuration, size and normalisation, where they are not written.

        Raises:
            ModelError: there is no such folder or name, or it is no image classifier.
        """
        settled: dict[str, object] = {}
        if options.config is None:
            settled["config"] = _configuration(self.name)
        if options.image_size is None or options.normalise is None:
            config = options.config or settled["config"]
            assert isinstance(config, dict)
            settled |= self._given(options, config).over(options)
        return options.model_copy(update=settled) if settled else options

    def info(self, options: HfOptions) -> ModelInfo:
        return info_of(self.kept(options))

    def build(
        self, options: HfOptions, *, n_classes: int, image_size: tuple[int, int], channels: int
    ) -> nn.Module:
        """The network with random weights.

        Raises:
            ModelError: its configuration does not fit transformers' class, or the images.
        """
        needs_package("transformers", self.name)
        given = dict(self.kept(options).config or {})
        given |= {"num_labels": n_classes}
        if "num_channels" in given or channels != 3:
            given["num_channels"] = channels
        if "image_size" in given:
            is_square = image_size[0] == image_size[1]
            given["image_size"] = image_size[0] if is_square else list(image_size)
        try:
            made: nn.Module = _class_of(self.name, given)(_as_configuration(given))
        except ModelError:
            raise
        except Exception as err:  # transformers' classes say of wrong numbers what they like
            lines = (str(err).strip() or type(err).__name__).splitlines()
            text = " ".join(line.strip() for line in lines[:2])  # of some the reason stands second
            raise ModelError(f"{self.name}: cannot be built: {text[:300]}") from err
        return made.float()

    def _given(self, options: HfOptions, config: Mapping[str, Any]) -> Given:
        content = _read_json(self.name, "preprocessor_config.json")
        size = config.get("image_size") or _size_of(content) or 224
        if options.normalise is not None:
            return Given(_pair(self.name, size), (0.0,), (1.0,))
        if content is None:
            raise ModelError(f"{self.name}: has no preprocessor_config.json, which says how its "
                             "images are normalised; give model: {normalise: …}")  # fmt: skip
        return Given(_pair(self.name, size), *_numbers(self.name, content))


def _as_configuration(given: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    rest = {key: value for key, value in given.items() if key != "model_type"}
    return AutoConfig.for_model(given["model_type"], **rest)


def _class_of(name: str, given: Mapping[str, Any]) -> Any:
    """transformers' class; where a kind has several, the one that `architectures` names."""
    import transformers
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as KINDS,
    )

    kind = str(given.get("model_type", ""))
    if kind not in KINDS or kind == "timm_wrapper":
        instead = "; write timm/NAME" if kind == "timm_wrapper" else did_you_mean(kind, KINDS)
        raise ModelError(f"{name}: {kind or 'its configuration'} is no image classifier of "
                         f"transformers {transformers.__version__}{instead}")  # fmt: skip
    kinds: Any = KINDS[kind]
    offered = kinds if isinstance(kinds, tuple) else (kinds,)
    written = given.get("architectures")
    named = [str(each) for each in written] if isinstance(written, list) else []
    return getattr(transformers, next((c for c in offered if c in named), offered[0]))


def _configuration(name: str) -> dict[str, Any]:
    """What `config.json` says of how the network computes.

    Raises:
        ModelError: there is none, or it is of no image classifier.
    """
    needs_package("transformers", name)
    content = _read_json(name, "config.json")
    if content is None:
        raise ModelError(f"{name}: has no config.json: hf/ is followed by a folder that "
                         "save_pretrained wrote, or a name of the hub")  # fmt: skip
    if "quantization_config" in content:
        raise ModelError(f"{name}: its weights are quantised, and cannot be trained here")
    for key, value in content.items():
        if "layers" in key and isinstance(value, int) and value > MOST_LAYERS:
            raise ModelError(f"{name}: config.json: {key}: {value} is over {MOST_LAYERS}, the most "
                             "that is built")  # fmt: skip
    _class_of(name, content)
    return {key: value for key, value in content.items() if key not in _LEFT_OUT}


def _read_json(name: str, file: str) -> dict[str, Any] | None:
    path = file_of(name.removeprefix(HF), file, name)
    if path is None:
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large for a configuration")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("a mapping is expected")
    except (OSError, ValueError, RecursionError) as err:
        raise ModelError(f"{path}: is no configuration: {err}") from err
    return content


# -- what a preprocessor's configuration says ------------------------------------------------


def _size_of(content: Mapping[str, Any] | None) -> object:
    """The size of the images that the network is given: of the crop, where there is one."""
    for key in ("crop_size", "size"):
        size = (content or {}).get(key)
        if isinstance(size, Mapping):
            sides = [size[k] for k in ("height", "width") if k in size]
            size = sides if len(sides) == 2 else size.get("shortest_edge")
        if size:
            return size
    return None


def _pair(name: str, size: object) -> tuple[int, int]:
    sides = size if isinstance(size, list | tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(s, int) and 0 < s <= MOST_PIXELS for s in sides):
        raise ModelError(f"{name}: its configuration has no size of images: {size!r}; give "
                         "model: {image_size: …}")  # fmt: skip
    return int(sides[0]), int(sides[1])


def _numbers(name: str, content: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation in 0..1 of the processor's steps: times a factor, less the mean."""
    if content.get("do_flip_channel_order"):
        raise ModelError(f"{name}: takes blue before red (do_flip_channel_order), and images here "
                         "have red first; timm has most such networks")  # fmt: skip
    factor = content.get("rescale_factor", 1 / 255)
    if not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise ModelError(f"{name}: preprocessor_config.json: rescale_factor: {factor!r} is no "
                         "number over 0, of 1 at most")  # fmt: skip
    scale = 255 * factor
    if content.get("do_rescale") is False:
        scale = 255.0
    offset = 1.0 if content.get("rescale_offset") else 0.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if content.get("do_normalize", True):
        lacking = [key for key in ("image_mean", "image_std") if key not in content]
        if lacking:
            raise ModelError(f"{name}: preprocessor_config.json has no {few(lacking)}; give "
                             "model: {normalise: …}")  # fmt: skip
        mean = numbers_of(content["image_mean"], name)
        std = numbers_of(content["image_std"], name)
    return tuple((m + offset) / scale for m in mean), tuple(s / scale for s in std)
