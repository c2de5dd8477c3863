"""Which replicates run, the rules that add further ones, and what differs from one to the next."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    WithJsonSchema,
    model_validator,
)

from harness.seeds import AXES
from headstart.settings import AT_LEAST, AT_MOST, LOOKS, AsTuple, Frozen, key

Axis = Literal["split", "order", "init", "head", "augment", "dropout"]
assert set(AXES) == set(Axis.__args__)  # type: ignore[attr-defined]
MAX_SEEDS = 100_000
NumberOfSeeds = Annotated[int, Field(ge=2, le=MAX_SEEDS)]


class Until(Frozen):
    """When there are enough seeds."""

    metric: str = key("The column whose comparisons must be narrow.", "test_accuracy",
        example="test_accuracy")  # fmt: skip
    half_width: PositiveFloat = key("Seeds are added until every interval is this narrow: ± "
        "half_width.", example=0.002, unit="of the metric")  # fmt: skip


class SeedsRule(Frozen):
    """Seeds are added until the intervals are narrow enough."""

    until: Until = key("The rule.", example={"half_width": 0.002})
    at_least: NumberOfSeeds = key("Seeds that run in any case.", AT_LEAST, example=8, unit="seeds")
    at_most: NumberOfSeeds = key("Seeds at which the sweep ends in any case.", AT_MOST, example=60,
        unit="seeds")  # fmt: skip

    @model_validator(mode="after")
    def _in_order(self) -> SeedsRule:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is over at_most {self.at_most}")
        return self


class VerdictRule(Frozen):
    """Seeds are added, at planned looks, until every comparison of the final result has a verdict.

    A comparison ends early where a verdict by the last look has become unlikely.
    """

    until: Literal["verdict"] = key("The rule.", example="verdict")
    looks: Annotated[tuple[NumberOfSeeds, ...], AsTuple, Field(min_length=1, max_length=20)] = key(
        "The numbers of seeds at which the sweep looks; the last is the most that run. All looks "
        "together err in one of twenty.", LOOKS, example=[8, 16, 32], unit="seeds")  # fmt: skip

    @model_validator(mode="after")
    def _rising(self) -> VerdictRule:
        if any(a >= b for a, b in itertools.pairwise(self.looks)):
            raise ValueError(f"looks {list(self.looks)}: the numbers must rise")
        return self


class Seeds(Frozen):
    """Which replicates run, and the rule that adds further ones."""

    values: tuple[NonNegativeInt, ...]
    until: Until | Literal["verdict"] | None = None
    looks: tuple[int, ...] | None = None
    at_least: int | None = None
    at_most: int | None = None

    @property
    def most(self) -> int | None:
        """The most seeds that a rule may add up to; None without a rule."""
        return self.looks[-1] if self.looks else self.at_most

    @staticmethod
    def rule_of(given: object) -> type[Frozen]:
        """The rule that a mapping was meant as: its keys are those that a person may write."""
        is_verdict = isinstance(given, Mapping) and given.get("until") == "verdict"
        return VerdictRule if is_verdict else SeedsRule


def as_seeds(given: object) -> Seeds:
    if isinstance(given, Seeds):
        return given
    if type(given) is int:
        if not 1 <= given <= MAX_SEEDS:
            raise ValueError(f"is not a whole number from 1 to {MAX_SEEDS}")
        return Seeds(values=tuple(range(given)))
    if isinstance(given, list):
        if not given or any(type(s) is not int or s < 0 for s in given):
            raise ValueError("is not a list of whole numbers from 0")
        return Seeds(values=tuple(dict.fromkeys(given)))
    if isinstance(given, Mapping):
        until = given.get("until")
        if isinstance(until, str) and until != "verdict":
            raise ValueError(f"until: '{until}' is neither verdict nor {{half_width: a number}}")
        others = ("at_least", "at_most") if until == "verdict" else ("looks",)
        if wrong := [name for name in others if name in given]:
            raise ValueError(
                f"{', '.join(wrong)} does not go with this rule: until: verdict takes looks, whose "
                "first and last are the fewest and the most seeds; half_width takes at_least, "
                "at_most"
            )
        if until == "verdict":
            planned = VerdictRule.model_validate(given)
            return Seeds(values=tuple(range(planned.looks[0])), **dict(planned))
        rule = SeedsRule.model_validate(given)
        return Seeds(values=tuple(range(rule.at_least)), **dict(rule))
    raise ValueError(
        "is not a count, a list, {until: verdict, looks} or {until: {half_width: …}, at_least, "
        "at_most}"
    )


DOUBLES = 5  # seeds of which `vary: decompose` runs doubles


def _axes(given: object) -> object:
    if given == "decompose":
        return AXES
    if isinstance(given, str):
        raise ValueError(f"is neither a list of {', '.join(AXES)} nor decompose")
    return tuple(given) if isinstance(given, list) else given


Axes = Annotated[
    tuple[Axis, ...],
    BeforeValidator(_axes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"enum": list(AXES), "type": "string"}},
                {"const": "decompose"},
            ]
        }
    ),
]
