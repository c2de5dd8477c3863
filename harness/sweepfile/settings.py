"""The frozen objects that a sweep file becomes: what each key may be, and what it means.

`reader.py` reads a file into these; everything downstream receives them and neither parses nor
changes them. The networks' and data sets' own options are objects of their own modules, looked up
by name here and nowhere else.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

import datasets
import models
from datasets.augment_settings import Augment
from datasets.base import TestPart
from datasets.image_corruptions import NAMES, CorruptionName
from datasets.locations import expanded
from datasets.split import SplitSettings
from harness.seeds import AXES
from harness.sweepfile.own_parts import digest_of_part
from harness.sweepfile.search_settings import Search
from headstart.errors import InputError
from headstart.grid import GridPoint, Values
from headstart.metrics import OF_CLASSES, OF_TARGETS, WITHOUT_ACCURACY
from headstart.own_code import is_reference, object_of, shown
from headstart.settings import AT_LEAST, AT_MOST, LOOKS, AsTuple, Compare, Frozen, Measure, key
from models.forms import FineTune, read_fine_tune
from models.info import NetworkOptions

Axis = Literal["split", "order", "init", "head", "augment", "dropout"]
assert set(AXES) == set(Axis.__args__)  # type: ignore[attr-defined]
Tracker = Literal["tensorboard", "wandb", "mlflow"]
MAX_SEEDS = 100_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Fraction = Annotated[float, Field(ge=0, lt=1)]
NumberOfSeeds = Annotated[int, Field(ge=2, le=MAX_SEEDS)]
LayerDecay = Annotated[float, Field(gt=0, le=1)]
ClassWeights = Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None
LearningRateFactors = LayerDecay | dict[str, Annotated[float, Field(gt=0)]]


# -- how a network is trained ----------------------------------------------------------------


def _one_of(*ours: str) -> PlainValidator:
    """A name: one of ours, or a reference to code of the user's own."""

    def check(value: object) -> object:
        if value in ours or (isinstance(value, str) and is_reference(value)):
            return value
        expected = ", ".join(f"'{name}'" for name in (*ours, "FILE.py:NAME"))
        raise PydanticKnownError("literal_error", {"expected": expected})

    return PlainValidator(check)


def schema_of_names(*ours: str) -> dict[str, Any]:
    """One of our names, or a reference to code of the user's own, as a JSON Schema."""
    reference = {"type": "string", "pattern": r"\.py:[A-Za-z_][A-Za-z0-9_]*$"}
    return {"anyOf": [{"enum": list(ours)}, reference]}


OPTIMIZERS = ("adam", "adamw", "sgd", "lion", "lamb", "muon")
TIMMS_OPTIMIZERS = ("lion", "lamb", "muon")  # that its package has
LOSSES_OF = {
    "": ("cross_entropy", "complementary", "binary_cross_entropy"),
    "labels": ("binary_cross_entropy",),
    "ordered": ("cross_entropy", "ordinal", "binary_cross_entropy"),
    "number": ("mse", "l1", "huber"),
}
"""By kind of target (empty: classes) the losses that it can be trained with, its own first."""
LOSSES = tuple(dict.fromkeys(loss for losses in LOSSES_OF.values() for loss in losses))
Optimizer = Annotated[str, _one_of(*OPTIMIZERS), WithJsonSchema(schema_of_names(*OPTIMIZERS))]
Loss = Annotated[str, _one_of(*LOSSES), WithJsonSchema(schema_of_names(*LOSSES))]
Monitor = Literal["val_loss", "val_accuracy", "val_mean_average_precision", "val_micro_f1",
    "val_exact_match", "val_quadratic_kappa", "val_mae", "val_rmse", "val_r2"]  # fmt: skip
OWN_PARTS = ("optimizer", "loss")


class Schedule(Frozen):
    """How the learning rate moves: by epoch (`step`, `plateau`) or by step (the others)."""

    name: Literal["none", "cosine", "step", "plateau", "linear"] = key("`none` (or `constant`): it "
        "stays; `cosine`: it falls along a cosine; `linear`: along a line; `step`: it is cut every "
        "so many epochs; `plateau`: it is cut when the score stops improving.", "none",
        example="cosine")  # fmt: skip
    warmup_steps: NonNegativeInt = key("The learning rate rises from near 0 over this many steps "
        "first.", 0, example=60, unit="steps")  # fmt: skip
    warmup_epochs: NonNegativeFloat = key("The same in epochs; give one of both.", 0.0, example=5,
        unit="epochs")  # fmt: skip
    final_fraction: Fraction = key("`cosine`, `linear`: the last learning rate, as a fraction of "
        "the first.", 0.0, example=0.01, unit="fraction of learning_rate")  # fmt: skip
    every: PositiveInt = key("`step`: epochs between two cuts.", 10, example=10, unit="epochs")
    factor: Annotated[float, Field(gt=0, lt=1)] = key("`step`, `plateau`: what a cut multiplies "
        "the learning rate by.", 0.1, example=0.4)  # fmt: skip
    patience: NonNegativeInt = key("`plateau`: evaluations without improvement before a cut.", 5,
        example=5, unit="evaluations")  # fmt: skip
    monitor: Monitor = key("`plateau`: the score that should improve.", "val_loss",
        example="val_accuracy")  # fmt: skip
    minimum: NonNegativeFloat = key("`plateau`: no cut goes below this learning rate.", 0.0,
        example=1e-05, unit="learning rate")  # fmt: skip

    @field_validator("name", mode="before")
    @classmethod
    def _constant(cls, name: object) -> object:
        return "none" if name == "constant" else name

    @model_validator(mode="after")
    def _one_warmup(self) -> Schedule:
        if self.warmup_steps and self.warmup_epochs:
            raise ValueError("give one of warmup_steps, warmup_epochs")
        if self.warmup_epochs and self.name == "plateau":
            raise ValueError("plateau has no warm-up: leave warmup_epochs out")
        return self

    def n_warmup(self, steps_per_epoch: int) -> int:
        """Steps of the warm-up."""
        return self.warmup_steps or round(self.warmup_epochs * steps_per_epoch)


class EvaluateEvery(Frozen):
    """When validation images are looked at: every so many steps or epochs; dense, then sparse.

    `{steps: 25, until: 500, then: 250}` evaluates every 25 steps up to step 500 and every 250
    steps after it. The start (step 0) and the end are always evaluated.
    """

    steps: PositiveInt | None = key("An evaluation follows every so many steps. Give this or "
        "`epochs`.", None, example=50, unit="steps")  # fmt: skip
    epochs: PositiveFloat | None = key("An evaluation follows every so many epochs; 0.5: twice in "
        "an epoch.", None, example=1, unit="epochs")  # fmt: skip
    until: PositiveInt | None = key("The last step of the dense part; goes with `then`.", None,
        example=500, unit="steps")  # fmt: skip
    then: PositiveInt | None = key("After step `until`, an evaluation follows every so many steps.",
        None, example=250, unit="steps")  # fmt: skip

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
    """Training stops when a score has not improved for some evaluations."""

    monitor: Monitor = key("The score that should improve.", "val_loss",
        example="val_accuracy")  # fmt: skip
    patience: PositiveInt = key("Evaluations without improvement after which training stops.", 5,
        example=5, unit="evaluations")  # fmt: skip
    minimum_change: NonNegativeFloat = key("A smaller improvement counts as none.", 0.0,
        example=0.001, unit="loss, or fraction")  # fmt: skip


class Train(Frozen):
    """How a network is trained. Every key here decides the result, so it is in a trial's id; but
    `gradient_checkpointing`, which changes no bit."""

    optimizer: Optimizer = key("What turns gradients into steps: `adam`, `adamw`, `sgd`; `lion`, "
        "`lamb`, `muon` as timm has them (`pip install timm`); or a class of your own, as "
        "`my_opt.py:Lion`, in a file beside the sweep file.", "adam",
        example="adamw")  # fmt: skip
    learning_rate: PositiveFloat = key("The optimizer's learning rate, before any schedule.", 1e-3,
        example=3e-4)  # fmt: skip
    weight_decay: NonNegativeFloat = key("How strongly weights are pulled towards 0; for `adam` "
        "and `sgd` through the gradient, for the others beside it.", 0.0, example=0.02)  # fmt: skip
    weight_decay_of: Literal["all", "weights"] = key("Which parameters `weight_decay` pulls: "
        "`weights` leaves out biases, those of normalisation, and what the network names in "
        "`no_weight_decay` (class tokens, position embeddings).", "all",
        example="weights")  # fmt: skip
    pull_to_start: NonNegativeFloat = key("How strongly weights are pulled to the values that they "
        "start from, for any optimizer through the gradient (L2-SP: Li et al. 2018): this number "
        "over 2 times the square of their distance is added to the loss of a step. `weight_decay` "
        "is then of those without a start value alone, such as a new head. For arms that start "
        "from weights. 0: no pull.", 0.0, example=0.01)  # fmt: skip
    betas: Annotated[tuple[Fraction, Fraction], AsTuple] = key("`adam`, `adamw`, `lion`, "
        "`lamb`: decay of the running means of gradients and of their squares.", (0.9, 0.999),
        example=[0.9, 0.999])  # fmt: skip
    epsilon: PositiveFloat = key("`adam`, `adamw`, `lamb`: is added to the denominator.", 1e-8,
        example=1e-8)  # fmt: skip
    momentum: Fraction = key(
        "`sgd`, `muon`: momentum; `muon` without it, or with 0: 0.95.", 0.0, example=0.9
    )
    nesterov: bool = key("`sgd`, `muon`: Nesterov's form of momentum.", False, example=True)
    learning_rate_factors: LearningRateFactors = key("Slower learning near the input: a decay by "
        "which each layer group is slower than the next one, or factors by the name of the group "
        "(others: 1).", 1.0, example={"conv1": 0.1}, unit="factor of learning_rate")  # fmt: skip
    schedule: Schedule = key("How the learning rate moves. An arm's own replaces the whole of the "
        "sweep's.", Schedule(), example={"name": "cosine", "warmup_steps": 60})  # fmt: skip
    batch_size: PositiveInt = key("Images in a step.", 128, example=64, unit="images")
    accumulate: PositiveInt = key("A batch is computed in so many parts, one after another, whose "
        "gradients are added: for want of memory. `batch_size` stays the whole.", 1, example=4,
        unit="parts of a batch")  # fmt: skip
    gradient_checkpointing: bool = key("For want of memory: each block of the network keeps its "
        "inputs alone, and is computed again on the way back. It changes no bit, so it is not in a "
        "trial's id.", False, example=True)  # fmt: skip
    sampling: Literal["each_once", "balanced"] = key("`each_once`: an epoch shows every training "
        "image once, in random order; `balanced`: as many images, drawn with replacement, of each "
        "class equally often.", "each_once", example="balanced")  # fmt: skip
    epochs: PositiveInt = key("Passes over the training images.", 10, example=30, unit="epochs")
    at_least_steps: NonNegativeInt = key("Where a small training part would take fewer steps than "
        "this, whole epochs are added until it does.", 0, example=1500, unit="steps")  # fmt: skip
    loss: Loss = key("`cross_entropy`; `binary_cross_entropy`: of each class by itself, the mean "
        "over classes; `complementary` takes each label as what the image is not; "
        "of ordered classes also `ordinal`; of numbers `mse`, `l1` and `huber`, of numbers "
        "standardised by the training images. Without it, that of the target: of several labels "
        "`binary_cross_entropy`, of numbers `mse`; "
        "or a function of your own, as `my_loss.py:focal`, from logits and labels to the mean "
        "loss.", "cross_entropy", example="complementary")  # fmt: skip
    label_smoothing: Fraction = key("Share of the label that is spread over all classes "
        "(`cross_entropy`, `binary_cross_entropy`).", 0.0, example=0.1,
        unit="fraction")  # fmt: skip
    class_weights: ClassWeights = key("What an image counts in the training loss, by its class: "
        "`balanced`: the rarer a class, the more, so that all classes count alike; or numbers by "
        "class (others: 1). Validation counts all images alike.", None,
        example="balanced")  # fmt: skip
    mixup: NonNegativeFloat = key("Each image of a step is mixed with another one of it, and its "
        "label too (Zhang et al. 2018); the shares are drawn once a step from Beta(mixup, mixup). "
        "0: no mixing.", 0.0, example=0.3)  # fmt: skip
    cutmix: NonNegativeFloat = key("A box of each image is replaced by that of another one of the "
        "step, and the label's share with it (Yun et al. 2019); the area is drawn once a step from "
        "Beta(cutmix, cutmix). With `mixup` too, each step does one of both. 0: none.", 0.0,
        example=1.0)  # fmt: skip
    ema: Annotated[float, Field(gt=0, lt=1)] | None = key("Decay in a step of a moving average of "
        "the weights. The average is evaluated, chosen, tested and kept. At step t it is at most "
        "(1 + t) / (10 + t), so that a short training forgets where it began. Without it, the "
        "weights themselves.", None, example=0.999)  # fmt: skip
    clip_gradient_norm: PositiveFloat | None = key("A longer gradient is shortened to this norm; "
        "without it, none is.", None, example=1.0)  # fmt: skip
    evaluate_every: EvaluateEvery = key("When validation images are looked at. An arm's own "
        "replaces the whole of the sweep's.", EvaluateEvery(epochs=1.0),
        example={"steps": 50, "until": 500, "then": 250})  # fmt: skip
    early_stopping: EarlyStopping | None = key("Stops training early; without it, all epochs run.",
        None, example={"monitor": "val_loss", "patience": 5})  # fmt: skip
    select: Monitor | Literal["last"] = key("The score that chooses the "
        "checkpoint that is tested and that arms start from; `last`: nothing chooses, and it is "
        "that of the last step. Without it, of several labels `val_mean_average_precision`, of "
        "numbers `val_mae`.", "val_accuracy", example="val_loss")  # fmt: skip
    augment: Augment = key("How far each image may be moved, bent and covered, anew for each use "
        "of it.", Augment(), example={"rotate": 15, "translate": 0.07})  # fmt: skip
    crop_fraction: Annotated[float, Field(ge=0.1, le=1)] = key("Which share of an image's height "
        "and width the network sees. Images are kept so much larger than the network takes them; "
        "evaluation cuts the middle, and `augment` may cut anywhere. 1: the whole image.", 1.0,
        example=0.875, unit="fraction of the side")  # fmt: skip
    evaluate_mirrored: bool = key("Whether evaluation takes the mean of the outputs for each image "
        "and for its mirror image.", False, example=True)  # fmt: skip
    precision: Literal["float32", "tf32", "bf16", "fp16"] = key("Numbers of the computation; "
        "`tf32` needs a GPU; `fp16` scales the loss, and a step whose gradients are not finite "
        "moves no weight.", "float32", example="bf16")  # fmt: skip
    batch_norm_parts: PositiveInt = key("Parts of a batch, of each of which batch norm takes "
        "the statistics. 1: the whole batch, over all workers. Otherwise the number of workers "
        "(`resources.workers`): each has its own rows' alone.", 1, example=4,
        unit="parts")  # fmt: skip
    threads: PositiveInt = key("CPU threads of a trial. More change the order of sums, and so the "
        "bits.", 1, example=4, unit="threads")  # fmt: skip
    cache_frozen: bool = key("Whether what a frozen front makes of each image is computed once "
        "and kept.", True, example=False)  # fmt: skip
    cache_precision: Literal["float32", "bf16"] = key("Numbers in which that is kept.", "float32",
        example="bf16")  # fmt: skip
    frozen_views: PositiveInt | None = key("With a frozen front and `augment`: each image gets "
        "this many fixed views, so that they too can be computed once. Without it, each step "
        "augments anew.", None, example=8, unit="views of an image")  # fmt: skip

    optimizer_options: dict[str, Any] = key("What an optimizer of your own takes beside the "
        "learning rate and `weight_decay`.", {}, example={"beta": 0.9})  # fmt: skip
    optimizer_code: str = key("The digest of the code of an optimizer of your own; it is found.",
        "", example="0f3c…")  # fmt: skip
    loss_options: dict[str, Any] = key("What a loss of your own takes beside logits and labels.",
        {}, example={"gamma": 2.0})  # fmt: skip
    loss_code: str = key("The digest of the code of a loss of your own; it is found.", "",
        example="0f3c…")  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _with_digests(cls, given: object) -> object:
        """With the digests of an optimizer and a loss of the user's own."""
        if not isinstance(given, Mapping):
            return given
        for part in OWN_PARTS:
            reference, options = given.get(part), given.get(f"{part}_options")
            if isinstance(reference, str) and is_reference(reference):
                try:
                    digest = digest_of_part(part, reference, options, given.get(f"{part}_code"))
                except InputError as err:
                    text = {"text": str(err)}
                    raise PydanticCustomError("unknown_name", "{text}", text) from err
                given = {**given, f"{part}_code": digest}
            elif options or given.get(f"{part}_code"):
                raise ValueError(f"{part}_options and {part}_code belong to {part}: FILE.py:NAME")
        return given

    @model_validator(mode="after")
    def _options_fit_the_optimizer(self) -> Train:
        if self.optimizer_code:
            ours = {"momentum", "nesterov", "betas", "epsilon"} & self.model_fields_set
            for name in sorted(ours):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} belongs to our optimizers; give {self.own_parts[0]} "
                                     "its own in optimizer_options")  # fmt: skip
        if self.optimizer not in ("sgd", "muon") and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, not to {self.optimizer}")
        ignored = {"lion": ("epsilon",), "muon": ("betas", "epsilon")}.get(self.optimizer, ())
        for name in ignored:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is nothing that {self.optimizer} takes")
        if self.nesterov and not self.momentum and self.optimizer == "sgd":
            raise ValueError("nesterov needs a momentum over 0")
        if self.loss not in ("cross_entropy", "binary_cross_entropy"):
            if self.label_smoothing:
                raise ValueError("label_smoothing belongs to the losses cross_entropy and "
                                 "binary_cross_entropy")  # fmt: skip
            if self.class_weights is not None:
                raise ValueError("class_weights belong to the losses cross_entropy and "
                                 "binary_cross_entropy")  # fmt: skip
        for name in ("mixup", "cutmix") if self.loss == "complementary" else ():
            if getattr(self, name):
                raise ValueError(f"{name} mixes labels, and those of the loss complementary are "
                                 "none")  # fmt: skip
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate {self.accumulate} is over batch_size {self.batch_size}")
        return self

    @property
    def own_parts(self) -> list[str]:
        """The optimizer and the loss, as people write them, where they are of the user's own."""
        own = {self.optimizer: self.optimizer_code, self.loss: self.loss_code}
        return [shown(name) for name, code in own.items() if code]

    @property
    def changes_images(self) -> bool:
        """Whether steps draw from the axis `augment`."""
        return self.mixes or not self.augment.is_identity

    @property
    def mixes(self) -> bool:
        """Whether the images of a step are mixed with each other."""
        return bool(self.mixup or self.cutmix)

    @property
    def only_alone(self) -> str | None:
        """Why the steps of seeds cannot be made as one computation; None where they can."""
        if self.mixes:
            name = "mixup" if self.mixup else "cutmix"
            return f"train.{name} mixes images of a batch, which only a trial by itself does"
        if self.accumulate > 1:
            return "train.accumulate computes a batch in parts, which only a trial by itself does"
        if self.gradient_checkpointing:
            return ("train.gradient_checkpointing computes blocks again, which only a trial by "
                    "itself does")  # fmt: skip
        if self.precision == "fp16":
            return "train.precision fp16 scales each trial's loss by what became of its last steps"
        if self.ema is not None:
            return "train.ema keeps an average of the weights, which only a trial by itself does"
        if self.pull_to_start:
            return "train.pull_to_start keeps each trial's start, which only a trial by itself does"
        if self.optimizer in TIMMS_OPTIMIZERS:
            return f"train.optimizer {self.optimizer} takes each network's tensors by themselves"
        return None

    def hashed(self) -> dict[str, Any]:
        """What the id of a trial is computed from: defaults stay out, and where code lies."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        content.pop("gradient_checkpointing", None)
        for part in OWN_PARTS:
            if content.get(f"{part}_code"):
                content[part] = object_of(content[part])
        return content

    def reason_against_workers(self, n: int) -> str | None:
        """Why `n` workers to a trial are no way to run it; None where they are."""
        if n > 1 and self.accumulate > 1:
            return (
                f"train.accumulate computes a batch in parts one after another, and {n} workers "
                "compute theirs at once; give resources.workers: 1, or accumulate: 1"
            )
        if n > 1 and self.mixes:
            name = "mixup" if self.mixup else "cutmix"
            return (
                f"train.{name} mixes images of a whole batch, of which each of {n} workers has a "
                "part; give resources.workers: 1"
            )
        if n > 1 and self.gradient_checkpointing:
            return (
                "train.gradient_checkpointing computes blocks again while gradients are summed, "
                f"which {n} workers cannot do at once; give resources.workers: 1"
            )
        if self.batch_norm_parts in (1, n):
            return None
        return (
            f"train.batch_norm_parts: {self.batch_norm_parts} with resources.workers: {n}: each "
            "worker has one part; give both the same number, or batch_norm_parts: 1 for the "
            "statistics of the whole batch"
        )

    def for_target(self, kind: str) -> Train:
        """The same with the loss and the scores that a target has; `kind` is empty for classes.

        Raises:
            ValueError: a key that does not go with it.
        """
        changes: dict[str, Any] = {}
        of = f"a target of the kind {kind}" if kind else "classes"
        losses, metrics = LOSSES_OF[kind], OF_TARGETS.get(kind, OF_CLASSES)
        if kind in WITHOUT_ACCURACY:
            for name, default in (("class_weights", None), ("sampling", "each_once")):
                if getattr(self, name) != default:
                    raise ValueError(f"{name}: {of} has no classes: leave it out")
            if self.loss == "cross_entropy":
                changes["loss"] = losses[0]
        if self.loss_code:
            if kind in WITHOUT_ACCURACY:
                raise ValueError(f"loss: one of your own is given numbers of classes, and {of} has "
                                 f"none; its losses are {', '.join(losses)}")  # fmt: skip
        elif changes.get("loss", self.loss) not in losses:
            raise ValueError(f"loss: {self.loss} is not of {of}; {', '.join(losses)}")
        if kind == "number" and self.label_smoothing:
            raise ValueError(f"label_smoothing: {of} has no labels: leave it out")
        if self.select != "last":
            changes["select"] = _score_of(self.select, "select", metrics, of)
        for name in ("early_stopping", "schedule"):
            setting = getattr(self, name)
            if setting is not None:
                score = _score_of(setting.monitor, f"{name}.monitor", metrics, of)
                changes[name] = setting.model_copy(update={"monitor": score})
        changes = {name: new for name, new in changes.items() if new != getattr(self, name)}
        return self.model_copy(update=changes) if changes else self

    def for_images(self, n: int) -> Train:
        """The same for `n` training images: whole epochs, as many as `at_least_steps` needs."""
        epochs = math.ceil(self.at_least_steps / math.ceil(n / self.batch_size))
        return self if epochs <= self.epochs else self.model_copy(update={"epochs": epochs})


def _score_of(score: str, where: str, metrics: Sequence[str], of: str) -> str:
    """A validation score of these metrics; what leads them, where there is no accuracy.

    Raises:
        ValueError: they have no such score.
    """
    metric = score.removeprefix("val_")
    if metric in (*metrics, "loss"):
        return score
    if metric == "accuracy":
        return f"val_{metrics[0]}"
    there = ", ".join(f"val_{m}" for m in (*metrics, "loss") if f"val_{m}" in get_args(Monitor))
    raise ValueError(f"{where}: {score} is not of {of}; there are {there}")


# -- networks and data sets by name ----------------------------------------------------------


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


# -- conditions ------------------------------------------------------------------------------


class RunArm(Frozen):
    """The models of another sweep's run, seed by seed."""

    run: str = key("The run folder.", example="runs/part2")
    arm: str = key("The arm of that run.", example="pretrained")


class StartFile(Frozen):
    """A file of weights of which one part is meant."""

    file: str = key("The file: what `torch.save` writes, or safetensors, under any name.",
        example="weights/checkpoint.pth")  # fmt: skip
    entry: str = key("Which of the file's state dicts, where it holds several.", "", example="ema")
    prefix: str = key("What stands before the names that are meant, where the file has the network "
        "several times.", "", example="encoder_q.")  # fmt: skip


class Start(Frozen):
    """Where a trial's first weights come from; `name` is a stage, a file or a run folder."""

    kind: Literal["random", "stage", "imagenet", "file", "run"] = "random"
    name: str = ""
    arm: str = ""  # of a run
    entry: str = ""  # of a file
    prefix: str = ""  # of a file

    @property
    def path(self) -> Path:
        """Of a file or a run; `~` is the user's folder."""
        return expanded(self.name)

    def hashed(self) -> dict[str, object]:
        """What the id of a trial is computed from, beside the file's content."""
        chosen = {"entry": self.entry, "prefix": self.prefix}
        return {"start_part": chosen} if any(chosen.values()) else {}

    def written(self) -> str | dict[str, str] | None:
        """As a sweep file writes it."""
        if self.kind == "run":
            return {"run": self.name, "arm": self.arm}
        if self.entry or self.prefix:
            return {"file": self.name, "entry": self.entry, "prefix": self.prefix}
        return {"random": None, "imagenet": "imagenet"}.get(self.kind, self.name)


FINE_TUNE = "fine_tune"  # the one key of a condition itself that can be searched


class Condition(Frozen):
    """All that decides how one arm or one pretrain stage trains, but for its seed."""

    model: ModelChoice
    data: tuple[DataChoice, ...]  # in order of preference
    train: Train
    start: Start = Start()
    fine_tune: str | dict[str, Any] = "all"
    head: Literal["auto", "new", "keep"] = "auto"
    shared: bool = False

    @property
    def tuning(self) -> FineTune:
        """`fine_tune`, read: what of the network trains, and when."""
        return read_fine_tune(self.fine_tune)

    @property
    def own_code(self) -> tuple[str, ...]:
        """What of it is of the user's own, as people write it, each with its digest."""
        parts = {"model": (self.model.shown, self.model.code)}
        for part in OWN_PARTS:
            parts[part] = (shown(getattr(self.train, part)), getattr(self.train, f"{part}_code"))
        return tuple(f"{name} {digest}" for name, digest in parts.values() if digest)

    @property
    def runs_users_code(self) -> bool:
        """Whether code of the user's own makes its steps; it may draw from global generators."""
        return bool(self.own_code) or models.is_users(self.model.name)

    @property
    def runs_others_code(self) -> bool:
        """Whether code that is not ours makes its steps: the user's, timm's, transformers'."""
        return self.runs_users_code or models.is_source(self.model.name)

    @property
    def users_names(self) -> str:
        """What of it is of the user's own, for a message."""
        names = [text.rpartition(" ")[0] for text in self.own_code]
        return ", ".join(names) or self.model.shown

    def with_values(self, values: Values) -> Condition:
        """The same with values laid over it by full key, checked as a sweep file's are.

        Raises:
            ValidationError: a value that the setting or the network does not take.
            ValueError: a key that leads into a setting which is no mapping.
        """
        train = self.train.model_dump(mode="json", exclude_defaults=True)
        options = self.model.written_options()
        for full, value in values.items():
            section, *path = full.split(".")
            if section == FINE_TUNE:
                continue
            at = train if section == "train" else options
            for part in path[:-1]:
                at = at.setdefault(part, {})
                if not isinstance(at, dict):
                    raise ValueError(f"{full}: {part} is no mapping here")
            at[path[-1]] = value
        model = ModelChoice.model_validate({"name": self.model.name, **options})
        changed = {"train": Train.model_validate(train), "model": model}
        return self.model_copy(update=changed | {k: values[k] for k in (FINE_TUNE,) if k in values})


# -- what changes no trial's result ----------------------------------------------------------


def _as_pack(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("is neither a number from 1 nor auto")


Pack = Annotated[
    int | Literal["auto"],
    PlainValidator(_as_pack),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]


def _as_gpus(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("is neither a number from 0 to 1 nor auto")
    if value > 1:
        raise ValueError(
            "is more than a worker can use: it computes on one GPU, so 0 to 1 is allowed; for "
            f"several GPUs to a trial give gpus: 1, workers: {math.ceil(value)}"
        )
    return float(value)


Gpus = Annotated[
    float | Literal["auto"],
    PlainValidator(_as_gpus),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "auto"}]}),
]


class Resources(Frozen):
    """What one worker gets, and how much it takes on. It changes no trial's result."""

    cpus: PositiveInt = key("CPU cores of a worker.", 1, example=1, unit="cores")
    gpus: Gpus = key("The GPU of a worker: 1, or a share; 0.25: four workers share one. 0 computes "
        "on the CPU. `auto`: 1 where PyTorch sees a GPU, else 0; it is decided where the trials "
        "run.", "auto", example=0.25, unit="GPUs")  # fmt: skip
    workers: PositiveInt = key("Processes that share one trial: each computes a part of every "
        "batch.", 1, example=2, unit="processes to a trial")  # fmt: skip
    pack: Pack = key("The most trials that a worker takes at once. Where they are alike, they are "
        "trained as one computation. `auto`: on a GPU as many as measurements advise, on CPUs 1.",
        "auto", example=8, unit="trials")  # fmt: skip
    fuse: Literal["auto", "always", "never"] = key("Whether the networks of a pack are trained as "
        "one program; `auto`: on GPUs.", "auto", example="never")  # fmt: skip
    graph: Literal["always", "never"] = key("Whether a GPU replays the steps of a trial that "
        "trains by itself from one CUDA graph. Not yet seen on a card.", "never",
        example="always")  # fmt: skip
    max_failures: NonNegativeInt = key("How often a trial that failed is tried again.", 2,
        example=0, unit="attempts")  # fmt: skip

    @property
    def cpus_per_trial(self) -> int:
        return self.cpus * self.workers

    def settled(self, n_gpus: int) -> Settled:
        """What `auto` comes to where PyTorch sees `n_gpus` GPUs.

        Packs pay on a GPU: on CPUs they would keep other slots idle, and several workers run one
        trial after another.
        """
        gpus = float(n_gpus > 0) if self.gpus == "auto" else self.gpus
        packs = gpus > 0 and self.workers == 1
        pack = 1 if self.pack == "auto" and not packs else self.pack
        return Settled.model_validate({**dict(self), "gpus": gpus, "pack": pack})


class Settled(Resources):
    """Resources as they hold where the trials run: `gpus` is a number."""

    gpus: float

    @property
    def gpus_per_trial(self) -> float:
        return self.gpus * self.workers

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        return "cuda" if self.gpus > 0 else "cpu"


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


def _seeds(given: object) -> Seeds:
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


def _always(best: bool) -> bool:
    if not best:
        raise ValueError(
            "cannot be: stages start from the weights that validation chose, and "
            "harness.evaluate reads them; leave it true"
        )
    return best


class Save(Frozen):
    """Which weights stay in a trial's folder. Nothing of it is in a trial's id."""

    every: PositiveInt | None = key("A checkpoint is kept every so many epochs; without it, none "
        "is.", None, example=5, unit="epochs")  # fmt: skip
    last: bool = key("Whether the weights of the last epoch are kept.", False, example=True)
    weights: Literal["best", "delta", "none"] = key("How the weights that `train.select` "
        "chooses are kept. `best`: whole. `delta`: without the tensors that are, bit for bit, "
        "those that the trial started from; it can be read as long as the start is there. "
        "`none`: not kept, unless other trials of the plan start from them.", "best",
        example="delta")  # fmt: skip
    best: Annotated[bool, BeforeValidator(_always)] = Field(default=True, exclude=True)  # given up

    @model_validator(mode="after")
    def _none_is_none(self) -> Save:
        if self.weights == "none" and (self.every is not None or self.last):
            raise PydanticCustomError("save", "weights: none keeps no weights, and every and last "
                                      "keep some; take them out, or none")  # fmt: skip
        return self

    def of_refit(self) -> Save:
        """What is kept of a refit: its network, for which it was trained, and no other weights."""
        return Save(weights="delta" if self.weights == "delta" else "best")


FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}"


class Deliver(Frozen):
    """What else the report's folder holds, where files of a certain form were asked for."""

    workbook: Annotated[str, Field(pattern=FILE_NAME + r"\.xlsx$")] | None = key("A workbook of "
        "this name with the four evaluations of Assignment 4.", None,
        example="Assignment 4 Results.xlsx")  # fmt: skip
    pdf: Annotated[str, Field(pattern=FILE_NAME + r"\.pdf$")] | None = key("The report's text "
        "under this name, on at most two pages and without figures.", None,
        example="Assignment 4 Report.pdf")  # fmt: skip
    folders: bool = key("Whether the images of the first seed's split are written, a folder a "
        "part and class.", False, example=True)  # fmt: skip
    hand_in: Annotated[str, Field(pattern=FILE_NAME + r"$")] | None = key("All that Assignment 4 "
        "asks for, as a folder of this name and a zip of it: code that runs by itself, the three "
        "sets as JPEG files, report, workbook, requirements (docs/hand-in.md). The arms' data need "
        "`as_jpeg: true`.", None, example="Assignment 4")  # fmt: skip
    seed: NonNegativeInt | None = key("The seed whose images and networks are handed in; without "
        "it, the first.", None, example=0)  # fmt: skip


# -- the whole -------------------------------------------------------------------------------


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("is not a name: letters, digits, '.', '_', '-', at most 64")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


Text = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]


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


# -- further test sets -----------------------------------------------------------------------

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


class Frame(Frozen):
    """What a sweep file says but for its conditions, their grid and their searches."""

    name: Annotated[Text, AfterValidator(_name)] = key("The sweep's name: letters, digits, `.`, "
        "`_`, `-`. The run folder is `runs/NAME`.", example="part2")  # fmt: skip
    question: Text = key("What the sweep asks, for people; it stands at the head of the report.",
        example="Does pretraining on 342 handwritten digits help LeNet-5 on MNIST?")  # fmt: skip
    why: Text = key("Why this network: a sentence for the report.", "",
        example="LeNet-5 was made for digits of this size.")  # fmt: skip
    choices: dict[Text, Text] = key("Why these settings, for the report's methods: by what was "
        "chosen a sentence, with its source and what it was compared with.", {},
        example={"optimizer": "AdamW (Loshchilov and Hutter 2019); not compared."})  # fmt: skip
    seeds: Annotated[Seeds, BeforeValidator(_seeds)] = key("Which replicates run: a number, a "
        "list, or a rule that adds seeds until the intervals are narrow enough. Arms at the same "
        "seed share every draw that they can share.", Seeds(values=tuple(range(5))), example=30,
        unit="seeds")  # fmt: skip
    seed: NonNegativeInt = key("The root of all random draws of the sweep.", 0, example=1)
    vary: Axes = key(
        "What differs from seed to seed; what is not named is the same for all seeds. "
        "`decompose`: all differ, and further trials show how much of the spread comes from each "
        "(as `decompose: 5`).", AXES,
        example=["order", "init", "head", "augment", "dropout"])  # fmt: skip
    decompose: NonNegativeInt = key("How many seeds get doubles: for each source of randomness in "
        "`vary` that the arm draws from, the same trial again with this one source drawn anew. The "
        "report then says how much of the spread over seeds comes from each. At most all seeds.",
        0, example=5, unit="seeds")  # fmt: skip
    refit: bool = key("Whether each seed of each arm is trained once more, on the training, "
        "validation and test images of its split together: the network to hand over. It repeats "
        "the learning rates of the seed's own trial up to the epoch whose weights that trial kept, "
        "and has no test score of its own.", False, example=True)  # fmt: skip
    compare: Annotated[tuple[Compare, ...], AsTuple] = key("Which arms are compared, seed by "
        "seed. Without it, every arm is set against the first.", (),
        example=[{"treatment": "pretrained", "control": "scratch"}])  # fmt: skip
    measure: Measure = key("What the analysis asks of the records.", Measure(),
        example={"targets": [0.9, 0.95]})  # fmt: skip
    also_test: AlsoTests = key("Further test sets, on which the chosen weights of each arm are "
        "scored once, at the end: data sets, and the arms' own test images made worse. No trial "
        "and no search sees them, and adding one to a finished run trains nothing.", (),
        example=[{"name": "optdigits", "part": "all"}, {"corrupted": {"blur": 3}}])  # fmt: skip
    resources: Resources = key("What one worker gets, and how much it takes on.", Resources(),
        example={"gpus": 0.25})  # fmt: skip
    save: Save = key("Which weights are kept.", Save(), example={"last": True})
    track: Annotated[tuple[Tracker, ...], AsTuple] = key("Services that get the learning curves.",
        ("tensorboard",), example=["tensorboard", "wandb"])  # fmt: skip
    deliver: Deliver = key("What else the report's folder holds.", Deliver(),
        example={"folders": True})  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _decomposed(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("vary") == "decompose":
            return {"decompose": DOUBLES, **given}
        return given


class Sweep(Frame):
    """One question: named conditions, and how often each runs."""

    vary: frozenset[Axis]  # type: ignore[assignment]  # order and repeats mean nothing
    stages: dict[str, Condition]
    arms: dict[str, Condition]
    grid_points: dict[str, GridPoint]  # of each arm and stage, by full name
    searches: dict[str, Search] = Field(default_factory=dict)  # by arm
    labels: dict[str, str] = Field(default_factory=dict)  # of the arms that have one, by full name
    starts_at: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)  # in the file
    data_at: dict[str, str] = Field(default_factory=dict, exclude=True, repr=False)  # the same
    also_at: tuple[str, ...] = Field(default=(), exclude=True, repr=False)  # of each `also_test`

    def shown(self, arm: str) -> str:
        """What people read in place of an arm's full name: its label, where it has one."""
        return self.labels.get(arm, arm)

    def __eq__(self, other: object) -> bool:
        """Lines of the file are no part of what is asked."""
        return isinstance(other, Sweep) and self._asked() == other._asked()

    def _asked(self) -> dict[str, object]:
        lines = ("starts_at", "data_at", "also_at")
        return {name: value for name, value in self.__dict__.items() if name not in lines}
