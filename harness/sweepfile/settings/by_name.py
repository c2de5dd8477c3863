"""Networks and data sets by name, with options beside the name.

The options are objects of their own modules, looked up by name here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, ClassVar

from pydantic import BaseModel, SerializeAsAny, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

import datasets
import models
from datasets.split import SplitSettings
from headstart.errors import InputError
from headstart.own_code import is_reference, object_of, shown
from headstart.settings import Frozen
from models.info import NetworkOptions


class ByName(Frozen):
    """A name with options beside it: `{name: lenet5, dropout: 0.5}`.

    What the options may be is up to the network or data set of that name.
    """

    options_model: ClassVar[Callable[[str], type[BaseModel]]]
    own_keys: ClassVar[tuple[str, ...]] = ("name",)  # that are no options
    split_keys: ClassVar[tuple[str, ...]] = ()  # that say, beside the name, how a set is split

    name: str
    options: SerializeAsAny[BaseModel]

    @model_validator(mode="before")
    @classmethod
    def _sorted_out(cls, given: object) -> object:
        """Keys as a file writes them, side by side, to this class's own fields."""
        if not isinstance(given, Mapping) or isinstance(given.get("options"), BaseModel):
            return given
        own = {k: v for k, v in given.items() if k in cls.own_keys}
        of_split = {k: v for k, v in given.items() if cls._is_of_split(k, v, given.get("name"))}
        if cls.split_keys:
            own["split"] = of_split
        options = {k: v for k, v in given.items() if k not in (*cls.own_keys, *of_split)}
        return {**own, "options": options}

    @classmethod
    def _is_of_split(cls, key: str, value: object, name: object) -> bool:
        """Whether a key says how a set is split; a word is its own option, where it has one."""
        if key not in cls.split_keys:
            return False
        if isinstance(value, str) and isinstance(name, str):
            with suppress(InputError):
                return key not in cls.options_model(name).model_fields
        return True

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            cls.options_model(name)
        except InputError as err:
            raise PydanticCustomError("unknown_name", "{text}", {"text": str(err)}) from err
        return name

    @field_validator("options", mode="plain")
    @classmethod
    def _checked(cls, given: object, info: ValidationInfo) -> BaseModel:
        if isinstance(given, BaseModel) or "name" not in info.data:
            return given if isinstance(given, BaseModel) else Frozen()
        return cls.options_model(info.data["name"]).model_validate(given)

    @property
    def shown(self) -> str:
        """The name as people write it: of code of the user's own without its folder."""
        return shown(self.name)

    @property
    def code(self) -> str:
        """The digest of code of the user's own; empty for what is of the catalogue."""
        return str(getattr(self.options, "code", ""))

    def written_options(self) -> dict[str, Any]:
        """The options that are not at their defaults, as a file would write them."""
        return self.options.model_dump(mode="json", exclude_defaults=True)


class ModelChoice(ByName):
    """A network and its options."""

    options_model = models.options_model

    options: SerializeAsAny[NetworkOptions]

    @field_validator("options", mode="after")
    @classmethod
    def _kept(cls, options: NetworkOptions, info: ValidationInfo) -> NetworkOptions:
        try:
            return models.kept_options(str(info.data.get("name")), options)
        except InputError as err:
            raise PydanticCustomError("network", "{text}", {"text": str(err)}) from err

    @model_validator(mode="after")
    def _has_as_many_channels(self) -> ModelChoice:
        if self.options.normalise is not None:
            try:
                _ = self.info
            except InputError as err:
                raise PydanticCustomError("channels", "{text}", {"text": str(err)}) from err
        return self

    @property
    def info(self) -> models.ModelInfo:
        return models.model_info(self.name, self.options)

    @property
    def option_names(self) -> tuple[str, ...]:
        """What may stand beside the name."""
        own = models.options_model(self.name).model_fields
        return tuple(name for name in (*own, *self.option_extras) if name != "code")

    @property
    def option_extras(self) -> tuple[str, ...]:
        """Options that only a network of the user's own has, as far as they are written."""
        return tuple(self.options.model_extra or ())

    @property
    def is_record(self) -> bool:
        """Whether a run folder names it: what its options are, only its code could say."""
        return bool(self.code) and not Path(self.name).is_absolute()

    def hashed(self) -> dict[str, object]:
        """What the id of a trial is computed from: options at their defaults stay out.

        Of code of the user's own the digest counts, and not what its file is called.
        """
        name = object_of(self.name) if self.code else self.name
        return {"name": name, "options": self.written_options()}


class DataChoice(ByName):
    """One data set: its name, its options, how it is split, and whether it may be missing."""

    options_model = datasets.options_model
    own_keys = ("name", "optional")
    split_keys = tuple(SplitSettings.model_fields)

    options: SerializeAsAny[datasets.DatasetOptions]
    split: SplitSettings = SplitSettings()
    optional: bool = False  # whether files that it names may be missing, where another set is named

    @property
    def own_code(self) -> tuple[str, ...]:
        """Code of the user's own that reads the set, with its digest."""
        return (f"{self.shown} {self.code}",) if is_reference(self.name) else ()

    @property
    def label(self) -> str:
        """For people: the name, and of a user's own files what they are called."""
        path = getattr(self.options, "path", None)
        return f"{self.shown} {PurePath(path).name}".strip() if path else self.shown
