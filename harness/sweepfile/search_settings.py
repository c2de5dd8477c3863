"""What a `search` section becomes: distributions, and the configurations that they draw.

In: checked settings. Out: frozen `Search`; `draw(search, k)` is configuration k. It stands apart
from `search.py` because reading a sweep and showing its plan need no run. A draw is a hash of the
search's seed, the setting's name and k, so another setting or a further sample changes no draw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic import model_validator as validate_model

import models
from harness.seeds import derive_seed
from harness.sweepfile.settings import Condition, ModelChoice, Train
from headstart.settings import AsTuple, Frozen

SEED_BITS = 63  # of `derive_seed`
DIGITS = 6  # significant ones of a drawn number: as many as a person would write down


class Distribution(Frozen):
    """One of: a choice of values, a uniform or log-uniform range, a range of whole numbers."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1), AsTuple] | None = None
    uniform: Annotated[tuple[float, float], AsTuple] | None = None
    log_uniform: Annotated[tuple[PositiveFloat, PositiveFloat], AsTuple] | None = None
    integer: Annotated[tuple[int, int], AsTuple] | None = None

    @validate_model(mode="after")
    def _one_kind(self) -> Distribution:
        if len(self.model_fields_set) != 1 or None in self._given():
            raise ValueError(
                "is no distribution: give one of choice: [A, B, …], uniform: [LOW, HIGH], "
                "log_uniform: [LOW, HIGH], integer: [LOW, HIGH]"
            )
        if self.choice is None:
            low, high = self.ends()
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"[{low:g}, {high:g}] is not [LOW, HIGH] with LOW below HIGH")
        return self

    def _given(self) -> list[Any]:
        return [getattr(self, name) for name in self.model_fields_set]

    def ends(self) -> tuple[Any, ...]:
        """All choices, or both ends of the range."""
        return tuple(self._given()[0])

    def at(self, unit: float) -> Any:
        """The value at `unit` in [0, 1) of the distribution's quantiles."""
        if self.choice is not None:
            return self.choice[int(unit * len(self.choice))]
        low, high = self.ends()
        if self.integer is not None:
            return low + int(unit * (high - low + 1))
        value = low + unit * (high - low)
        if self.log_uniform is not None:
            value = math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
        return min(high, max(low, float(f"{value:.{DIGITS}g}")))


class Search(Frozen):
    """How one arm's settings are searched; changes the id of no trial that it does not search.

    Attributes:
        space: distributions by full key: `train.learning_rate`, `model.dropout` …
        samples: configurations drawn.
        scheduler: `synchronous`: each rung waits for all of its trials.
        metric: of the best checkpoint, on validation data.
        seed: of the draws.
        rungs: epochs of each rung; empty: one, with the arm's own epochs.
        keep: share of a rung's configurations that the next rung trains.
    """

    space: Annotated[dict[str, Distribution], Field(min_length=1)]
    samples: PositiveInt = 10
    scheduler: Literal["synchronous", "asha"] = "synchronous"
    metric: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    seed: NonNegativeInt = 0
    rungs: Annotated[tuple[PositiveInt, ...], AsTuple] = ()
    keep: Annotated[float, Field(gt=0, lt=1)] = 1 / 3

    @validate_model(mode="after")
    def _rungs_grow(self) -> Search:
        if list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs: {list(self.rungs)} do not grow")
        if self.rungs and "train.epochs" in self.space:
            raise ValueError("rungs set the epochs, so the space cannot draw train.epochs too")
        return self

    def n_kept(self, n: int) -> int:
        """How many of `n` configurations the next rung trains: a third of 10 is 4."""
        return max(1, math.ceil(n * self.keep - 1e-9))


def draw(search: Search, sample: int) -> dict[str, Any]:
    """Configuration number `sample` (from 0): a value for each key of the space."""
    return {
        key: distribution.at(derive_seed(search.seed, f"search {key}", sample) / 2**SEED_BITS)
        for key, distribution in search.space.items()
    }


def with_values(condition: Condition, values: Mapping[str, Any]) -> Condition:
    """`condition` with values laid over it, checked as a sweep file's are.

    Raises:
        ValidationError, ModelError: a value that the setting or the network does not take.
        ValueError: a key that leads into a setting which is no mapping.
    """
    train = condition.train.model_dump(mode="json", exclude_defaults=True)
    options = json.loads(json.dumps(condition.model.options))
    for key, value in values.items():
        section, *path = key.split(".")
        at = train if section == "train" else options
        for part in path[:-1]:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise ValueError(f"{key}: {part} is no mapping here")
        at[path[-1]] = value
    name = condition.model.name
    checked = models.options_model(name).model_validate(options)
    model = ModelChoice(name=name, options=checked.model_dump(mode="json", exclude_defaults=True))
    return condition.model_copy(update={"train": Train.model_validate(train), "model": model})
