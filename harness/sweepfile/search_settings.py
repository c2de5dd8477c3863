"""What a `search` section becomes: distributions, and the configurations that they draw.

In: checked settings. Out: frozen `Search`; `draw(search, k)` is configuration k. It stands apart
from `search.py` because reading a sweep and showing its plan need no run. A draw is a hash of the
search's seed, the setting's name and k, so another setting or a further sample changes no draw.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from harness.seeds import derive_seed
from headstart.grid import Values
from headstart.settings import AsTuple, Frozen, key

SEED_BITS = 63  # of `derive_seed`
DIGITS = 6  # significant ones of a drawn number: as many as a person would write down


class Distribution(Frozen):
    """One of: a choice of values, a uniform or log-uniform range, a range of whole numbers."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1), AsTuple] | None = key("Values that "
        "are equally likely.", None, example=[16, 32])  # fmt: skip
    uniform: Annotated[tuple[float, float], AsTuple] | None = key("[LOW, HIGH]: any number "
        "between is equally likely.", None, example=[0.0, 0.5])  # fmt: skip
    log_uniform: Annotated[tuple[PositiveFloat, PositiveFloat], AsTuple] | None = key("[LOW, "
        "HIGH]: every factor is equally likely, as suits a learning rate.", None,
        example=[1e-4, 1e-2])  # fmt: skip
    integer: Annotated[tuple[int, int], AsTuple] | None = key("[LOW, HIGH]: whole numbers, both "
        "ends included.", None, example=[1, 4])  # fmt: skip

    @model_validator(mode="after")
    def _one_kind(self) -> Distribution:
        given = [getattr(self, name) for name in self.model_fields_set]
        if len(given) != 1 or given[0] is None:
            raise ValueError(
                "is no distribution: give one of choice: [A, B, …], uniform: [LOW, HIGH], "
                "log_uniform: [LOW, HIGH], integer: [LOW, HIGH]"
            )
        if self.choice is None:
            low, high = self.ends()
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"[{low:g}, {high:g}] is not [LOW, HIGH] with LOW below HIGH")
        return self

    def ends(self) -> tuple[Any, ...]:
        """All choices, or both ends of the range."""
        (kind,) = self.model_fields_set
        return tuple(getattr(self, kind))

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


Metric = Literal["val_accuracy", "val_loss"]


class Search(Frozen):
    """How one arm's settings are searched. It changes the id of no trial that it does not search.

    Keys of `space` are full: `train.learning_rate`, `model.dropout`, and of a stage that the arm
    starts from `pretrain.digits.train.epochs`.
    """

    space: Annotated[dict[str, Distribution], Field(min_length=1)] = key("What is searched: a "
        "distribution for each setting.",
        example={"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}})  # fmt: skip
    samples: PositiveInt = key("Configurations that are drawn.", 10, example=12,
        unit="configurations")  # fmt: skip
    scheduler: Literal["synchronous", "asha"] = key("`synchronous`: each rung waits for all of "
        "its trials. `asha` is not available.", "synchronous", example="synchronous")  # fmt: skip
    metric: Metric = key("The validation score that chooses.", "val_accuracy", example="val_loss")
    seed: NonNegativeInt = key("Of the draws.", 0, example=1)
    rungs: Annotated[tuple[PositiveInt, ...], AsTuple] = key("Epochs of each rung: all "
        "configurations train for the first, the best of them for the next. Without it there is "
        "one rung, with the arm's own epochs.", (), example=[8, 30], unit="epochs")  # fmt: skip
    keep: Annotated[float, Field(gt=0, lt=1)] = key("Share of a rung's configurations that the "
        "next rung trains.", 1 / 3, example=0.25, unit="fraction")  # fmt: skip

    @model_validator(mode="after")
    def _rungs_grow(self) -> Search:
        if list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs: {list(self.rungs)} do not grow")
        if self.rungs and "train.epochs" in self.space:
            raise ValueError("rungs set the epochs, so the space cannot draw train.epochs too")
        return self

    def n_kept(self, n: int) -> int:
        """How many of `n` configurations the next rung trains: a third of 10 is 4."""
        return max(1, math.ceil(n * self.keep - 1e-9))


def draw(search: Search, sample: int) -> Values:
    """Configuration number `sample` (from 0): a value for each key of the space."""
    return {
        key: distribution.at(derive_seed(search.seed, f"search {key}", sample) / 2**SEED_BITS)
        for key, distribution in search.space.items()
    }


def by_owner(values: Values) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What was drawn for the arm itself, and for each stage, by the keys that these know.

    `{"train.epochs": 3, "pretrain.digits.train.epochs": 20}` → `{"train.epochs": 3}` and
    `{"digits": {"train.epochs": 20}}`.
    """
    own: dict[str, Any] = {}
    stages: dict[str, dict[str, Any]] = {}
    for full, value in values.items():
        section, _, rest = full.partition(".")
        if section == "pretrain":
            stage, _, below = rest.partition(".")
            stages.setdefault(stage, {})[below] = value
        else:
            own[full] = value
    return own, stages
