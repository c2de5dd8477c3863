"""A data set of the user's own code, `my_data.py:Birds`: its options, and how it is read.

In: an absolute reference and what a sweep's `data` entry says beside it. Out: a checked `Dataset`,
as from any other set: the object has the interface of a set's module. What the code returns is
`own_items.py`'s to understand.

A reference without a folder is one that a run folder names. Its options are taken as they were
written, and nothing is imported for it: code is never taken from a run folder.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from datasets.arrays.classes import labels_to_classes
from datasets.arrays.own_items import own_images
from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.locations import user_path
from datasets.preprocess import shape_for
from datasets.split import SplitSettings
from headstart.errors import DataError, HeadstartError, did_you_mean
from headstart.own_code import given_code, read_code, said_of, shown

VERSION = 1
_PLAIN = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}


class OwnOptions(DatasetOptions):
    """What code of the user's own is called with, and its digest."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="The digest of the code.", pattern=r"^[0-9a-f]{32}$")

    @property
    def given(self) -> dict[str, Any]:
        """The options of the code itself."""
        return dict(self.model_extra or {})


class _CheckedOptions(OwnOptions):
    """Of one reference: checks what is written against the signature and gives `OwnOptions`."""

    reference: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, Mapping):
            return handler(given)
        code = read_code(cls.reference)
        if given.get("code") not in (None, code.digest):
            raise ValueError(
                f"the code has changed: {str(given['code'])[:8]} is written, and it has "
                f"{code.digest[:8]} now; leave the key `code` out to read with it as it is"
            )
        own = {k: v for k, v in given.items() if k not in OwnOptions.model_fields}
        try:
            _check_options(cls.reference, code.load(), own)
        except HeadstartError as err:
            raise ValueError(str(err)) from err
        return cast("Self", OwnOptions.model_validate({**given, "code": code.digest}))


@dataclass(frozen=True)
class OwnSet:
    """A data set of the user's own by its reference, with the interface of a set's module."""

    name: str
    INFO: ClassVar[DatasetInfo] = DatasetInfo()

    @property
    def Options(self) -> type[DatasetOptions]:
        """What may stand beside the name; the user's file is run for it, but for a record's."""
        if not is_given(self.name):
            return OwnOptions
        signature_of(self.name, read_code(self.name).load())
        made: type[DatasetOptions] = type("Options", (_CheckedOptions,), {})
        made.reference = self.name  # type: ignore[attr-defined]
        return made

    def locate(self, options: OwnOptions, request: Request) -> tuple[Path, ...]:
        """The option `path`, where the code has one."""
        path = options.given.get("path")
        return () if path is None else (user_path(Path(path), request.data_dir),)

    def load(self, options: OwnOptions, request: Request) -> Dataset:
        """What the code returns; from the cache where it reads `path` and nothing changed there."""
        if not is_given(self.name):
            given_code(self.name, options.code, ())
        paths = self.locate(options, request)
        if not paths:
            return self._read(options, request, None)
        kind = f"own-{self.name.rpartition(':')[2]}"
        kept = cached(
            kind,
            VERSION,
            options,
            request,
            paths,
            lambda asked: self._read(options, asked, paths[0]),
        )
        return replace(kept, name=shown(self.name))

    def _read(self, options: OwnOptions, request: Request, path: Path | None) -> Dataset:
        maker = read_code(self.name, options.code).load()
        where = shown(self.name)
        given = options.given
        if path is not None:
            is_text = _hints(maker).get("path") is str
            given["path"] = str(path.absolute()) if is_text else path.absolute()
        try:
            own = own_images(maker(**given), where, request.image_size)
        except HeadstartError:
            raise
        except (Exception, SystemExit) as err:
            raise DataError(f"{where}: {said_of(err)}") from err
        labels, names, note = labels_to_classes(own.labels, where, own.class_names)
        return build_dataset(
            where,
            shape_for(own.images, request),
            labels,
            names,
            source=where if path is None else str(path),
            parts=own.parts,
            notes=[each for each in (*own.notes, note) if each],
            groups=own.groups or None,
            target=options.target,
        )


def is_given(reference: str) -> bool:
    """Whether the user gave the code: its path is absolute then. A record has its name alone."""
    return Path(reference).is_absolute()


def signature_of(reference: str, maker: object) -> inspect.Signature:
    """How the class or function is called.

    Raises:
        DataError: it is none, or cannot be called by the keys of a sweep file.
    """
    what = shown(reference)
    if not callable(maker):
        raise DataError(
            f"{what}: is {type(maker).__name__}; name a function that returns the data set, or its "
            "class"
        )
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError) as err:
        raise DataError(f"{what}: its signature cannot be read: {err}") from err
    taken = {*DatasetOptions.model_fields, *SplitSettings.model_fields, "name", "optional", "code"}
    for name, parameter in signature.parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD,
        )  # fmt: skip
        if is_needed and parameter.kind is parameter.POSITIONAL_ONLY:
            raise DataError(f"{what}: {name} can be given by position only; leave out the `/`")
        if is_needed and name in taken:
            raise DataError(f"{what}: `{name}` is a key of every data entry; rename the parameter")
    return signature


def _check_options(reference: str, maker: Callable[..., object], given: Mapping[str, Any]) -> None:
    """Raise DataError where what is written is not what the code takes."""
    parameters = signature_of(reference, maker).parameters.values()
    by_name = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in given:
            if name not in by_name:
                takes = f"it takes {', '.join(by_name)}" if by_name else "it takes no options"
                raise DataError(f"no option '{name}'{did_you_mean(name, by_name)}; {takes}")
    for name, parameter in by_name.items():
        if parameter.default is parameter.empty and name not in given:
            raise DataError(f"option '{name}' is needed")
    hints = _hints(maker)
    for name, value in given.items():
        if name == "path" and not isinstance(value, str):
            raise DataError(f"option 'path': {value!r} is no path")
        kinds = _PLAIN.get(hints.get(name, object))
        if kinds and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        ):
            raise DataError(f"option '{name}': {value!r} is no {hints[name].__name__}")


def _hints(maker: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker)
    except Exception:  # the user's annotations may name anything
        return {}
