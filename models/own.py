"""A network of the user's own, `my_nets.py:Net`: its options, checked against its signature.

In: an absolute reference and what a sweep's `model` entry says beside it. Out: `OwnOptions`, and
how the class or function is called. No torch here but what the user's own file imports.

A reference without a folder is one that a run folder names. Its options are taken as they were
written, and nothing is imported for it: code is never taken from a run folder.
"""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import BeforeValidator, ConfigDict, Field, create_model, model_validator

from headstart.errors import ModelError
from headstart.own_code import read_code, shown
from headstart.settings import key
from models.info import ImageSize, ModelInfo, NetworkOptions, NewHead

if TYPE_CHECKING:
    from torch import nn

CLASSES = ("n_classes", "num_classes", "nclasses", "n_class", "num_class", "nb_classes",
           "class_num", "num_labels", "n_labels", "classes")  # fmt: skip
SIZES = ("image_size", "img_size", "input_size")
CHANNELS = ("channels", "in_channels", "n_channels", "num_channels", "in_chans", "in_channel",
            "input_channels", "image_channels")  # fmt: skip
MEAN, STD = (0.5,), (0.5,)  # of each channel: pixels become -1 … 1
_TAKEN = ("model_config", "model_fields_set", "model_extra", "model_fields", "given")
_PLAIN = (int, float, bool, str, types.NoneType, Any)


class OwnOptions(NetworkOptions):
    """What a network of the user's own is built with, and the digest of its code.

    Beside these keys stand the options of the network itself, those at their defaults left out.
    """

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="The digest of the code.", pattern=r"^[0-9a-f]{32}$")
    image_size: ImageSize | None = key("[height, width] of the images that the network takes; "
        "without it, the data's own.", None, example=64, unit="pixels")  # fmt: skip
    channels: Literal[1, 3] | None = key("`1`: grey images, `3`: colour; without it, the data's "
        "own.", None, example=3)  # fmt: skip

    head: Any = None  # a `NewHead` as it is written, or an option of the network's own

    @property
    def given(self) -> dict[str, Any]:
        """The network's own options, but for one that is called `head`."""
        return dict(self.model_extra or {})


class CheckedOptions(NetworkOptions):
    """Base of the options of one signature: a field for each of its parameters."""

    model_config = ConfigDict(strict=True, protected_namespaces=())

    signature: ClassVar[Signature]
    digest: ClassVar[str]

    code: str | None = None
    image_size: ImageSize | None = Field(None, strict=False)  # YAML has lists, and no tuples
    channels: Literal[1, 3] | None = None

    @model_validator(mode="before")
    @classmethod
    def _what_the_data_give(cls, given: object) -> object:
        """Say of what the data decide how it is written."""
        if not isinstance(given, Mapping):
            return given
        for name in given.keys() & set(CLASSES) & {cls.signature.classes}:
            raise ValueError(f"{name} is left out: the data's classes decide it")
        for own, written in ((cls.signature.size, "image_size"), (cls.signature.channels,
                                                                  "channels")):  # fmt: skip
            if own is not None and own != written and own in given:
                raise ValueError(f"{own} is written as {written}: the images are then made so")
        if given.get("code") not in (None, cls.digest):
            raise ValueError(
                f"the code has changed: {str(given['code'])[:8]} is written, and it has "
                f"{cls.digest[:8]} now; leave the key `code` out to train with it as it is"
            )
        return given

    def kept(self) -> OwnOptions:
        """The same for records and workers: without defaults, with the digest."""
        own = {k: v for k, v in dict(self).items() if k in self.signature.parameters}
        own |= self.model_extra or {}
        given = {k: v for k, v in own.items() if k in self.model_fields_set or k not in
                 type(self).model_fields}  # fmt: skip
        given = {k: v for k, v in given.items() if not self.signature.is_default(k, v)}
        for name in ("image_size", "channels", "normalise"):
            given[name] = getattr(self, name)
        if isinstance(self.head, NewHead):
            given["head"] = self.head.model_dump(mode="json", exclude_defaults=True)
        return OwnOptions.model_validate({"code": self.digest, **given})


@dataclass(frozen=True)
class Signature:
    """How a class or function is called.

    Attributes:
        classes, size, channels: the parameters that the data decide; None where it has none.
        parameters: all others by name, which a sweep may set.
        types: the type of each, where it is written and plain.
        takes_any: whether it takes further keys (`**kwargs`).
        size_is_pair: whether `size` is given as (height, width), else as the side of a square.
    """

    classes: str | None
    size: str | None
    channels: str | None
    parameters: Mapping[str, inspect.Parameter]
    types: Mapping[str, Any]
    takes_any: bool
    size_is_pair: bool

    def is_default(self, name: str, value: object) -> bool:
        """Whether a value is what holds where the option is not written."""
        if name not in self.parameters:
            return False
        default = self.parameters[name].default
        as_pair = list(value) if isinstance(value, tuple) else value
        plain = list(default) if isinstance(default, tuple) else default
        return type(as_pair) is type(plain) and bool(as_pair == plain)

    def arguments(
        self, options: OwnOptions, n_classes: int, image_size: tuple[int, int], channels: int
    ) -> dict[str, Any]:
        """The keywords of the call."""
        height, width = image_size
        is_pair = self.size_is_pair or height != width
        by_data = {
            self.classes: n_classes,
            self.size: image_size if is_pair else height,
            self.channels: channels,
        }
        given = options.head is not None
        own_head = {"head": options.head} if given and "head" in self.parameters else {}
        by_name = {k: v for k, v in by_data.items() if k is not None}
        return {**by_name, **options.given, **own_head}

    def new_head(self, options: OwnOptions) -> NewHead | None:
        """The head that takes the place of the network's own, unless `head` is its own option."""
        if options.head is None or "head" in self.parameters:
            return None
        return NewHead.model_validate(options.head)


@dataclass(frozen=True)
class OwnNetwork:
    """A network of the user's own by its reference, as the catalogue has it; see `own_build.py`."""

    name: str

    @property
    def Options(self) -> type[NetworkOptions]:
        """What may stand beside the name; the user's file is run for it, but for a record's."""
        if not is_given(self.name):
            return OwnOptions
        return options_of(self.name)

    def info(self, options: OwnOptions) -> ModelInfo:
        return ModelInfo(options.image_size, options.channels, MEAN, STD, depth=None)


def is_given(reference: str) -> bool:
    """Whether the user gave the code: its path is absolute then. A record has its name alone."""
    return Path(reference).is_absolute()


def read_maker(reference: str, options: OwnOptions) -> Callable[..., nn.Module]:
    """The class or function, of code that has the digest of the options.

    Raises:
        InputError: the code is not here, has changed, or is named by a run folder alone.
    """
    return cast("Callable[..., nn.Module]", read_code(reference, options.code).load())


_options: dict[tuple[str, str], type[CheckedOptions]] = {}  # by reference and digest


def options_of(reference: str) -> type[CheckedOptions]:
    """The options of a network of the user's own.

    Raises:
        InputError: the file cannot be read or run, or has no such class or function.
    """
    code = read_code(reference)
    known = _options.get((reference, code.digest))
    if known is None:
        signature = read_signature(reference, code.load())
        known = _options[reference, code.digest] = _options_model(signature, code.digest)
    return known


def read_signature(reference: str, maker: object) -> Signature:
    """How the class or function is called.

    Raises:
        ModelError: it is no class and no function, or cannot be called by keywords.
    """
    what = shown(reference)
    if not callable(maker):
        raise ModelError(f"{what}: is {type(maker).__name__}, and no class or function")
    if not inspect.isclass(maker) and hasattr(maker, "state_dict"):
        raise ModelError(f"{what}: is a network that is built already; name the class, or a "
                         "function that builds it, so that each trial has its own")  # fmt: skip
    try:
        parameters = dict(inspect.signature(maker).parameters)
    except (TypeError, ValueError) as err:
        raise ModelError(f"{what}: its signature cannot be read: {err}") from err
    hints = _hints(maker)
    for name, parameter in parameters.items():
        is_needed = parameter.default is parameter.empty
        if parameter.kind is parameter.POSITIONAL_ONLY and is_needed:
            raise ModelError(f"{what}: {name} can be given by position only; leave out the `/`")
    by_name = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    by_data = [next((n for n in names if n in by_name), None) for names in (CLASSES, SIZES,
                                                                            CHANNELS)]  # fmt: skip
    classes, size, channels = by_data
    for name in ("name", "code", "normalise", *_TAKEN):
        if name in by_name:
            raise ModelError(f"{what}: a parameter may not be called `{name}`, which means "
                             "something else in a sweep file; rename it")  # fmt: skip
    return Signature(
        classes,
        size,
        channels,
        {k: v for k, v in by_name.items() if k not in by_data and not k.startswith("_")},
        {k: v for k, v in hints.items() if _is_plain(v)},
        any(p.kind is p.VAR_KEYWORD for p in parameters.values()),
        size is not None and _is_pair(hints.get(size), by_name[size].default),
    )


def _hints(maker: object) -> dict[str, Any]:
    written = maker.__init__ if inspect.isclass(maker) else maker
    try:
        return typing.get_type_hints(written)
    except Exception:  # the user's annotations may name anything
        return {}


def _is_plain(annotation: Any) -> bool:
    """Whether a type is one that YAML can write."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return True
    if origin in (typing.Union, types.UnionType, tuple, list, dict):
        return all(part is ... or _is_plain(part) for part in parts)
    return any(annotation is plain for plain in (*_PLAIN, tuple, list, dict))


def _is_pair(annotation: Any, default: object) -> bool:
    if isinstance(default, tuple | list):
        return True
    return annotation is tuple or typing.get_origin(annotation) in (tuple, list)


def _options_model(signature: Signature, digest: str) -> type[CheckedOptions]:
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        kind = signature.types.get(name, bool if isinstance(parameter.default, bool) else Any)
        if kind is tuple or typing.get_origin(kind) is tuple:
            kind = Annotated[kind, BeforeValidator(_as_tuple)]
        fields[name] = (kind, ... if parameter.default is parameter.empty else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a parameter that is called as a method of pydantic's
        base = _OpenOptions if signature.takes_any else CheckedOptions
        made: type[CheckedOptions] = create_model("Options", __base__=base, **fields)
    made.signature, made.digest = signature, digest
    return made


class _OpenOptions(CheckedOptions):
    """Of a signature that takes further keys."""

    model_config = ConfigDict(extra="allow")


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
