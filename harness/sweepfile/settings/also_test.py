"""Further test sets, on which finished networks are scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    field_validator,
)

import datasets
from datasets.base import TestPart
from datasets.image_corruptions import NAMES, CorruptionName
from harness.sweepfile.settings.by_name import ByName
from harness.sweepfile.settings.text import Text
from headstart.own_code import is_reference
from headstart.settings import AsTuple, Frozen, key

MOST_ALSO_TESTS = 100


class AlsoTest(ByName):
    """A data set that finished networks are scored on once, beside their own test images."""

    options_model = datasets.options_model
    own_keys = ("name", "part", "label")

    options: SerializeAsAny[datasets.DatasetOptions]
    part: TestPart | None = None  # None: the test part, and all where the set has no parts
    label: Text | None = None
    optional: ClassVar[bool] = False  # nothing stands in for a test set

    @field_validator("name", mode="before")
    @classmethod
    def _is_of_catalogue(cls, name: object) -> object:
        if isinstance(name, str) and is_reference(name):
            raise ValueError("is code of your own, which harness.evaluate --on scores, and not a "
                             "sweep")  # fmt: skip
        return name

    @property
    def called(self) -> str:
        """For people, and in the table of scores."""
        path = getattr(self.options, "path", None)
        return self.label or f"{self.shown} {PurePath(path).name if path else ''}".strip()

    def written(self) -> dict[str, object]:
        """As a sweep file writes it: what the file leaves out follows the networks' own data."""
        options = self.options.model_dump(mode="json", exclude_unset=True)
        beside = {"part": self.part, "label": self.label}
        return {"name": self.name, **{k: v for k, v in beside.items() if v}, **options}


class Corrupted(Frozen):
    """The arms' own test images, made worse."""

    corrupted: dict[CorruptionName, Annotated[int, Field(ge=1, le=5)]] = key("Which corruption of "
        "Hendrycks and Dietterich (2019), and its strength from 1 to 5; one for each item of the "
        f"list. There are {', '.join(f'`{name}`' for name in NAMES)}.",
        example={"blur": 3})  # fmt: skip

    @field_validator("corrupted")
    @classmethod
    def _is_one(cls, given: dict[CorruptionName, int]) -> dict[CorruptionName, int]:
        if len(given) != 1:
            raise ValueError("names one corruption with its strength; another item of the list "
                             "names another one")  # fmt: skip
        return given

    @property
    def corruption(self) -> CorruptionName:
        return next(iter(self.corrupted))

    @property
    def strength(self) -> int:
        return self.corrupted[self.corruption]

    @property
    def called(self) -> str:
        """`blur 3`, for people and in the table of scores."""
        return f"{self.corruption.replace('_', ' ')} {self.strength}"

    def written(self) -> dict[str, object]:
        """As a sweep file writes it."""
        return {"corrupted": dict(self.corrupted)}


KINDS: dict[str, type[BaseModel]] = {"a set": AlsoTest, "made worse": Corrupted}


def _kind_of(given: object) -> str:
    is_corrupted = isinstance(given, Mapping) and "corrupted" in given
    return "made worse" if is_corrupted or isinstance(given, Corrupted) else "a set"


def _named(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


def _called_apart(given: tuple[AlsoTest | Corrupted, ...]) -> tuple[AlsoTest | Corrupted, ...]:
    names = [each.called for each in given]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"has {twice[0]!r} twice; give each a `label` of its own")
    return given


AlsoTests = Annotated[
    tuple[
        Annotated[
            Annotated[AlsoTest, Tag("a set")] | Annotated[Corrupted, Tag("made worse")],
            Discriminator(_kind_of),
            BeforeValidator(_named),
        ],
        ...,
    ],
    AsTuple,
    Field(max_length=MOST_ALSO_TESTS),
    AfterValidator(_called_apart),
]
