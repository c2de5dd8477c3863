"""What a network is asked for: one class, several labels, a class with a place, or a number.

In: the distinct texts of a set's label column, and what a sweep says of them. Out: a `Target`: for
each of these texts the numbers that a network is to give. It stands alone, below `Dataset`, because
a label stays what it is everywhere else: an index into the distinct texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

from datasets.natural_order import natural_key
from headstart.errors import DataError
from headstart.settings import AsTuple, key

Kind = Literal["labels", "ordered", "number"]
BETWEEN = ("|", ";", ",")  # what stands between the labels of one image, the first that occurs
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
NONE = "(none)"  # of an image without any of the labels, from columns of 0 and 1
_SHOWN = 3  # texts in a message


class TargetSettings(BaseModel):
    """What the labels of a set are, where they are not one class an image."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = key("`labels`: none, one or several an image; `ordered`: one class, and the "
        "classes have an order; `number`: a number (regression).", example="number")  # fmt: skip
    separator: str | None = key("`labels`: what stands between two labels of one cell; without "
        "it, the first of `|`, `;` and `,` that occurs.", None, example="|",
        min_length=1)  # fmt: skip
    columns: Annotated[tuple[str, ...] | None, AsTuple] = key("`labels`: the table's columns of 0 "
        "and 1, one a label; without it, a column of labels, or else all columns of 0 and 1.",
        None, example=["cat", "dog"], min_length=2)  # fmt: skip
    order: Annotated[tuple[str, ...] | None, AsTuple] = key("`ordered`: the classes, the lowest "
        "first; needed where they are no numbers.", None, example=["mild", "moderate", "severe"],
        min_length=2)  # fmt: skip
    unit: str = key("`number`: of the numbers, for tables and reports.", "", example="years")

    @field_validator("order", mode="before")
    @classmethod
    def _of_numbers(cls, order: object) -> object:
        """Grades that YAML reads as numbers."""
        if not isinstance(order, (list, tuple)):
            return order
        return tuple(str(e) if type(e) in (int, float) else e for e in order)

    @model_validator(mode="after")
    def _of_its_kind(self) -> TargetSettings:
        own = {"separator": "labels", "columns": "labels", "order": "ordered", "unit": "number"}
        for name, kind in own.items():
            if getattr(self, name) not in (None, "") and self.kind != kind:
                raise ValueError(f"{name} belongs to the kind {kind}, not to {self.kind}")
        if self.separator and self.columns:
            raise ValueError("separator and columns: give one of them")
        if self.order and len(set(self.order)) < len(self.order):
            raise ValueError("order names a class twice")
        return self


def _as_settings(given: object) -> object:
    """`number` as {kind: number}; `classes` as nothing at all."""
    if given == "classes" or (isinstance(given, Mapping) and given == {"kind": "classes"}):
        return None
    return {"kind": given} if isinstance(given, str) else given


TargetSetting = Annotated[TargetSettings | None, BeforeValidator(_as_settings)]


def target_key() -> Any:
    """The option `target`, in the same words for every set."""
    return key("What a network is to say of an image, where that is not one class: `labels`, "
        "`ordered` or `number`, or a mapping that says more (docs/targets.md).", None,
        example={"kind": "number", "unit": "years"})  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What each distinct text of a label column stands for.

    Attributes:
        kind: as of `TargetSettings`.
        names: of the outputs of a network: the labels, the classes in their order, or one name for
            the number.
        values: the distinct texts, in the order of a set's labels.
        table: float32 (values, outputs): 0 and 1 by label; the place 0, 1, … of a class, or the
            number, in one column.
        unit: of a number; may be empty.
    """

    kind: Kind
    names: tuple[str, ...]
    values: tuple[str, ...]
    table: np.ndarray = field(repr=False)
    unit: str = ""


def are_classes(settings: TargetSettings | None) -> bool:
    """Whether each text of a label column is a class, so that a network must have seen it."""
    return settings is None or settings.kind == "ordered"


def check_distinct(settings: TargetSettings, texts: Sequence[str], where: str) -> None:
    """See that there is something to tell apart, before the texts are counted as classes.

    Raises:
        DataError: all images have one text.
    """
    distinct = set(texts)
    if len(distinct) != 1:
        return
    (text,) = distinct
    what = {"number": f"the same number, {text}", "ordered": f"the same class, '{text}'"}.get(
        settings.kind, "none of the labels" if text == NONE else f"the same labels, '{text}'"
    )
    raise DataError(f"{where}: target: {settings.kind}: all images have {what}")


def target_of(
    settings: TargetSettings, values: Sequence[str], where: str, only_tests: bool = False
) -> Target:
    """What these texts stand for; `only_tests`: there may be one number alone.

    Raises:
        DataError: a text that is no number, an order that lacks one, no image with two labels.
    """
    if settings.kind == "number":
        numbers = np.array([as_number(value, where) for value in values])
        if not only_tests:
            _check_distinct(numbers, where)
        name = settings.unit or "value"
        return Target("number", (name,), tuple(values), _column(numbers), settings.unit)
    if settings.kind == "ordered":
        return _ordered(settings, values, where)
    return _labels(settings, values, where)


def labels_in(text: str, separator: str) -> list[str]:
    """`cat|dog` → cat, dog; none where nothing is said."""
    if text == NONE:
        return []
    return [piece for piece in (each.strip() for each in text.split(separator)) if piece]


def as_number(text: str, where: str) -> float:
    """The number that a cell holds.

    Raises:
        DataError: it holds none, or one that is not finite or too large for float32.
    """
    if not NUMBER.fullmatch(text):
        hint = "; a decimal point is written '.'" if re.fullmatch(r"-?\d+,\d+", text) else ""
        raise DataError(f"{where}: target: number: '{text[:40]}' is no number{hint}")
    number = float(text)
    if not abs(number) < float(np.finfo(np.float32).max):
        raise DataError(f"{where}: target: number: '{text[:40]}' is too large")
    return number


def _column(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.float32)[:, None]


def _check_distinct(numbers: np.ndarray, where: str) -> None:
    """And float32, in which targets are held, keeps a thousandth of their deviation."""
    if len(np.unique(numbers)) < 2:
        raise DataError(f"{where}: target: number: all images have the same number")
    moved = np.abs(numbers.astype(np.float32) - numbers)
    worst = int(moved.argmax())
    if moved[worst] > numbers.std() / 1000:
        raise DataError(
            f"{where}: target: number: {numbers[worst]:.15g} would be read as "
            f"{numbers.astype(np.float32)[worst]:.15g}: the numbers are too close for their size; "
            "take the same number away from all"
        )


def _ordered(settings: TargetSettings, values: Sequence[str], where: str) -> Target:
    order = settings.order
    if order is None:
        try:
            numbers = [as_number(value, where) for value in values]
        except DataError as err:
            some = ", ".join(values[:_SHOWN])
            raise DataError(
                f"{where}: target: ordered: the classes are no numbers ({some}, …), so say their "
                f"order: order: [{some}, …]"
            ) from err
        order = tuple(values[k] for k in np.argsort(numbers, kind="stable"))
    unknown = [value for value in values if value not in order]
    absent = [name for name in order if name not in values]
    if unknown or absent:
        which = f"lacks '{unknown[0]}'" if unknown else f"has '{absent[0]}', which no image has"
        raise DataError(
            f"{where}: target: order {which}; the classes are {', '.join(sorted(values)[:12])}"
        )
    place = {name: k for k, name in enumerate(order)}
    return Target("ordered", order, order, _column(np.array([place[name] for name in order])))


def _labels(settings: TargetSettings, values: Sequence[str], where: str) -> Target:
    separator = settings.separator or next(
        (sign for sign in BETWEEN if any(sign in value for value in values)), None
    )
    if separator is None:
        raise DataError(
            f"{where}: target: labels: no image has several labels (the first texts are "
            f"{', '.join(values[:_SHOWN])}); separator says what stands between them"
        )
    sets = [labels_in(value, separator) for value in values]
    twice = next((s for s in sets if len(set(s)) < len(s)), None)
    if twice is not None:
        raise DataError(f"{where}: '{separator.join(twice)}' names a label twice")
    names = tuple(sorted({label for labels in sets for label in labels}, key=natural_key))
    if len(names) < 2:
        raise DataError(f"{where}: target: labels: only one label ({', '.join(names)})")
    place = {name: k for k, name in enumerate(names)}
    table = np.zeros((len(values), len(names)), np.float32)
    for row, labels in enumerate(sets):
        table[row, [place[label] for label in labels]] = 1
    return Target("labels", names, tuple(values), table)
