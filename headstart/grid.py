"""A point of a sweep's grid: as a mapping, as the column `grid` of the tables, in an arm's name.

In: values by full key. Out: text, and back. It stands in this package
because the harness writes these texts and the analysis reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Values = Mapping[str, Any]
"""By full key: `{"train.batch_size": 16}`."""


@dataclass(frozen=True)
class GridPoint:
    """An arm (or stage) as the sweep file names it, and its values by full key."""

    arm: str
    values: Values

    @cached_property
    def name(self) -> str:
        """`pretrained [dense=500, dropout=0.7]`: the arm's name in tables and reports."""
        return self.arm + _suffix(self.values)


def as_column(values: Values) -> str:
    """JSON with sorted keys; empty where the grid says nothing."""
    return json.dumps(values, sort_keys=True) if values else ""


def from_column(text: str) -> dict[str, Any]:
    """What `as_column` wrote; nothing where the text is none of its own."""
    try:
        values = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return values if isinstance(values, dict) else {}


def own_name(name: str, values: Values) -> str:
    """The arm's name in the sweep file, of `GridPoint.name`; keys may have been sorted since."""
    suffix = _suffix(values)
    ends_with_it = len(name) > len(suffix) and sorted(name[-len(suffix) :]) == sorted(suffix)
    return name[: -len(suffix)] if suffix and ends_with_it else name


def _suffix(values: Values) -> str:
    """` [dense=500, dropout=0.7]`; the shortest endings of keys that tell the keys apart."""
    if not values:
        return ""
    shown = []
    for key, value in values.items():
        last = key.rsplit(".", 1)[-1]
        clash = sum(other.rsplit(".", 1)[-1] == last for other in values) > 1
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        shown.append(f"{key if clash else last}={text}")
    return f" [{', '.join(shown)}]"
