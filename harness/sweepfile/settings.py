"""The frozen objects that a sweep file becomes: what each key may be.

`reader.py` reads a file into these; everything downstream receives them and neither parses nor
changes them. Only pydantic is needed to import this module.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from datasets.augment_settings import Augment
from datasets.split import SplitSettings
from harness.seeds import AXES
from headstart.settings import AsTuple, Compare, Frozen, Measure

Axis = Literal["split", "order", "init", "head", "augment", "dropout"]
assert set(AXES) == set(Axis.__args__)  # type: ignore[attr-defined]

Fraction = Annotated[float, Field(ge=0, lt=1)]


LayerDecay = Annotated[float, Field(gt=0, le=1)]
LearningRateFactors = LayerDecay | dict[str, Annotated[float, Field(gt=0)]]
"""A decay by which each layer group nearer the input is slower, or factors by group name."""


def _as_pack(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("is neither a number from 1 nor auto")


class Schedule(Frozen):
    """How the learning rate moves, by epoch (`step`, `plateau`) or by step (`cosine`)."""

    name: Literal["none", "cosine", "step", "plateau"] = "none"
    warmup_steps: NonNegativeInt = 0
    final_fraction: Fraction = 0.0  # cosine: the last learning rate, as a fraction of the first
    every: PositiveInt = 10  # step: epochs between two cuts
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1  # step, plateau: what a cut multiplies by
    patience: NonNegativeInt = 5  # plateau: evaluations without improvement before a cut
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"  # plateau
    minimum: NonNegativeFloat = 0.0  # plateau: no cut goes below this learning rate


class EvaluateEvery(Frozen):
    """When validation data is looked at: every so many steps or epochs, or dense and then sparse.

    `{steps: 25, until: 500, then: 250}` evaluates every 25 steps up to step 500 and every 250
    steps after it. The start (step 0) and the end are always evaluated.
    """

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    until: PositiveInt | None = None
    then: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> EvaluateEvery:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give one of steps, epochs")
        if (self.until is None) != (self.then is None):
            raise ValueError("until (a step) and then (a number of steps) go together")
        return self

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether an evaluation follows training step `step` (1, 2, …)."""
        if self.until is not None and self.then is not None and step > self.until:
            return (step - self.until) % self.then == 0
        every = self.steps or max(1, round((self.epochs or 1) * steps_per_epoch))
        return step % every == 0


class EarlyStopping(Frozen):
    """Stop when `monitor` has not improved by `minimum_change` for `patience` evaluations."""

    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    patience: PositiveInt = 5
    minimum_change: NonNegativeFloat = 0.0


class Train(Frozen):
    """How a network is trained; every key here decides the result and so is in a trial's id."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    betas: Annotated[tuple[Fraction, Fraction], AsTuple] = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8
    momentum: Fraction = 0.0
    nesterov: bool = False
    learning_rate_factors: LearningRateFactors = 1.0
    schedule: Schedule = Schedule()
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10
    at_least_steps: NonNegativeInt = 0  # a small training part goes on past `epochs` to so many
    loss: Literal["cross_entropy", "complementary"] = "cross_entropy"
    label_smoothing: Fraction = 0.0
    clip_gradient_norm: PositiveFloat | None = None
    evaluate_every: EvaluateEvery = EvaluateEvery(epochs=1.0)
    early_stopping: EarlyStopping | None = None
    select: Literal["val_accuracy", "val_loss"] = "val_accuracy"  # what chooses the checkpoint
    augment: Augment = Augment()
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    threads: PositiveInt = 1
    cache_frozen: bool = True
    cache_precision: Literal["float32", "bf16"] = "float32"
    frozen_views: PositiveInt | None = None

    @model_validator(mode="after")
    def _options_fit_the_optimizer(self) -> Train:
        if self.optimizer != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, not to {self.optimizer}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum over 0")
        if self.loss != "cross_entropy" and self.label_smoothing:
            raise ValueError("label_smoothing belongs to the loss cross_entropy")
        return self

    def for_images(self, n: int) -> Train:
        """The same for `n` training images: whole epochs, as many as `at_least_steps` needs."""
        epochs = math.ceil(self.at_least_steps / math.ceil(n / self.batch_size))
        return self if epochs <= self.epochs else self.model_copy(update={"epochs": epochs})


class ModelChoice(Frozen):
    """A network's name and its own options, defaults left out."""

    name: str
    options: dict[str, Any]


class DataChoice(Frozen):
    """One data set: its name, its own options, and how it is split; defaults left out."""

    name: str
    options: dict[str, Any]
    split: SplitSettings


class RunArm(Frozen):
    """`initialize: {run: DIR, arm: NAME}`: the models of another sweep's run, seed by seed."""

    run: str
    arm: str


class Start(Frozen):
    """Where a trial's first weights come from; `name` is a stage, a file or a run folder."""

    kind: Literal["random", "stage", "imagenet", "file", "run"] = "random"
    name: str = ""
    arm: str = ""  # of a run

    def written(self) -> str | dict[str, str] | None:
        """As a sweep file writes it."""
        if self.kind == "run":
            return {"run": self.name, "arm": self.arm}
        return {"random": None, "imagenet": "imagenet"}.get(self.kind, self.name)


class Condition(Frozen):
    """All that decides how one arm or one pretrain stage trains, but for its seed."""

    model: ModelChoice
    data: tuple[DataChoice, ...]  # in order of preference
    train: Train
    start: Start = Start()
    fine_tune: str | dict[str, Any] = "all"
    head: Literal["auto", "new", "keep"] = "auto"  # auto: keep it where the classes are the same
    shared: bool = False  # pretrain stages: once for all seeds


class Resources(Frozen):
    """What one worker gets, and how much it takes on; changes no trial's result."""

    cpus: PositiveInt = 1
    gpus: NonNegativeFloat = 0.0
    workers: PositiveInt = 1  # to a trial
    pack: Annotated[int | Literal["auto"], PlainValidator(_as_pack)] = (
        1  # trials that a worker takes at once
    )
    fuse: Literal["auto", "always", "never"] = "auto"  # packs as one program; auto: on GPUs
    max_failures: NonNegativeInt = 2

    @property
    def cpus_per_trial(self) -> int:
        return self.cpus * self.workers

    @property
    def gpus_per_trial(self) -> float:
        return self.gpus * self.workers


class Until(Frozen):
    metric: str = "test_accuracy"
    half_width: PositiveFloat


class Seeds(Frozen):
    """Which replicates run: a count, a list, or `until` the intervals are narrow enough."""

    values: tuple[NonNegativeInt, ...]
    until: Until | None = None
    at_least: Annotated[int, Field(ge=2)] | None = None
    at_most: Annotated[int, Field(ge=2)] | None = None


class Save(Frozen):
    """Which weights stay in a trial's folder.

    Those that validation chose always do: stages start from them, `harness.evaluate` reads them.
    """

    every: PositiveInt | None = None  # epochs
    best: bool = True
    last: bool = False

    @field_validator("best")
    @classmethod
    def _always(cls, best: bool) -> bool:
        if not best:
            raise ValueError(
                "cannot be: stages start from the weights that validation chose, and "
                "harness.evaluate reads them; leave it true"
            )
        return best


FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}"


class Deliver(Frozen):
    """What else the report's folder holds, for people who were asked for files of a certain form.

    Attributes:
        workbook: of the four evaluations of Assignment 4, or of those that `evaluations` names.
        pdf: the text of the report on at most two pages, without the figures.
        folders: the images of the first seed's split, a folder a part and class.
    """

    workbook: Annotated[str, Field(pattern=FILE_NAME + r"\.xlsx$")] | None = None
    pdf: Annotated[str, Field(pattern=FILE_NAME + r"\.pdf$")] | None = None
    folders: bool = False


class Sweep(Frozen):
    """One question: named conditions, and how often each runs."""

    name: str
    question: str
    stages: dict[str, Condition]
    arms: dict[str, Condition]
    grid_points: dict[str, dict[str, Any]]  # arm or stage name → its point of the grid
    seeds: Seeds
    seed: NonNegativeInt
    vary: frozenset[Axis]
    compare: tuple[Compare, ...]
    measure: Measure
    resources: Resources
    save: Save
    track: tuple[Literal["tensorboard", "wandb", "mlflow"], ...]
    searches: dict[str, Any] = Field(default_factory=dict)  # by arm
    deliver: Deliver = Deliver()
    why: str = ""  # why this network: a sentence for the report
