"""What a `search` section becomes: distributions, and the configurations that they draw.

In: checked settings. Out: frozen `Search`; `draw(search, k)` is configuration k. It stands apart
from `search.py` because reading a sweep and showing its plan need no run. A random draw is a hash
of the search's seed, the setting's name and k, so another setting or a further sample changes no
draw; a Sobol point depends on how many settings there are. What `tpe` proposes follows from results
(`plan/proposals.py`).
"""

from __future__ import annotations

import itertools
import json
import math
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from harness.seeds import derive_seed
from headstart.grid import Values
from headstart.settings import AsTuple, Frozen, key

SEED_BITS = 63  # of `derive_seed`
ROUNDS = 4
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
        return self.rounded(value)

    def as_recorded(self, value: object) -> Any:
        """A value that was drawn, as a file of JSON has it.

        Raises:
            ValueError: it cannot have been drawn.
        """
        if self.choice is not None:
            for item in self.choice:
                if json.dumps(item) == json.dumps(value):
                    return item
        else:
            low, high = self.ends()
            kind = int if self.integer is not None else float
            if type(value) is kind and low <= value <= high:
                return value
        raise ValueError(f"{value!r} is not of {self.model_dump(exclude_unset=True)}")

    def rounded(self, value: float) -> float:
        """A number of the range to `DIGITS` significant digits, which stays in the range."""
        low, high = self.ends()
        return float(min(high, max(low, float(f"{value:.{DIGITS}g}"))))


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
    sampler: Literal["random", "sobol", "tpe"] = key("How configurations are drawn. `random`: each "
        "by itself. `sobol`: as scrambled Sobol points, which cover the ranges more evenly. `tpe`: "
        "in rounds, of which each knows the results before it (a tree-structured Parzen "
        "estimator; needs optuna).", "random", example="sobol")  # fmt: skip
    rounds: Annotated[int, Field(ge=2)] = key("Of `sampler: tpe`: in how many rounds the samples "
        "are drawn. The first is random; those of one round train side by side.", ROUNDS,
        example=6, unit="rounds")  # fmt: skip
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

    @model_validator(mode="after")
    def _rounds_of_tpe(self) -> Search:
        if self.sampler != "tpe":
            if self.rounds != ROUNDS:  # a resolved sweep writes the default
                raise ValueError(f"rounds are of sampler: tpe, not of {self.sampler}")
            return self
        if self.rungs:
            raise ValueError("rungs do not go with sampler: tpe, which learns from configurations "
                             "that trained alike; leave rungs out")  # fmt: skip
        if self.samples < self.rounds:
            raise ValueError(f"samples: {self.samples} are fewer than the {self.rounds} rounds of "
                             "sampler: tpe")  # fmt: skip
        return self

    @property
    def round_sizes(self) -> tuple[int, ...]:
        """Of `tpe`: configurations of each round, as equal as can be; the later are larger."""
        ends = [self.samples * k // self.rounds for k in range(self.rounds + 1)]
        return tuple(b - a for a, b in itertools.pairwise(ends))

    def n_kept(self, n: int) -> int:
        """How many of `n` configurations the next rung trains: a third of 10 is 4."""
        return max(1, math.ceil(n * self.keep - 1e-9))


def draw(search: Search, sample: int) -> Values:
    """Configuration number `sample` (from 0): a value for each key of the space.

    Of `sampler: tpe` it is a random one, as those of its first round are.
    """
    keys = tuple(sorted(search.space))
    if search.sampler == "sobol":
        point = _sobol_points(search.seed, len(keys), search.samples)[sample]
        units = dict(zip(keys, point, strict=True))
    else:
        seeds = {key: derive_seed(search.seed, f"search {key}", sample) for key in keys}
        units = {key: seed / 2**SEED_BITS for key, seed in seeds.items()}
    return {key: distribution.at(units[key]) for key, distribution in search.space.items()}


@lru_cache(maxsize=64)
def _sobol_points(seed: int, n_dimensions: int, n: int) -> tuple[tuple[float, ...], ...]:
    """The first `n` points of a scrambled Sobol sequence in [0, 1); more change none before them.

    Source: Owen (1998), Scrambling Sobol' and Niederreiter-Xing points; scipy.stats.qmc.Sobol.
    """
    from scipy.stats.qmc import Sobol

    sequence = Sobol(n_dimensions, scramble=True, rng=derive_seed(seed, "search sobol", 0))
    points = sequence.random_base2(max(0, math.ceil(math.log2(n))))
    return tuple(tuple(float(unit) for unit in point) for point in points[:n])


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
