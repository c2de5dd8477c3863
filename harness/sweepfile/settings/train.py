"""How a network is trained: what `train` may hold, and what it means."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from datasets.augment_settings import Augment
from harness.sweepfile.own_parts import digest_of_part
from headstart.errors import InputError
from headstart.metrics import OF_CLASSES, OF_TARGETS, WITHOUT_ACCURACY
from headstart.own_code import is_reference, object_of, shown
from headstart.settings import AsTuple, Frozen, key

Fraction = Annotated[float, Field(ge=0, lt=1)]
LayerDecay = Annotated[float, Field(gt=0, le=1)]
ClassWeights = Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None
LearningRateFactors = LayerDecay | dict[str, Annotated[float, Field(gt=0)]]


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
    compile: bool = key("Whether PyTorch's compiler makes the forward and backward pass of steps; "
        "evaluations are made without it. It needs `g++`, and takes a while before the first step.",
        False, example=True)  # fmt: skip
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
        example={"ants": 2})  # fmt: skip
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
            if self.label_smoothing and self.loss in LOSSES_OF["number"]:
                raise ValueError(f"label_smoothing is of labels, and the loss {self.loss} is of "
                                 "numbers, which have none: leave label_smoothing out")  # fmt: skip
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
        if self.compile and self.gradient_checkpointing:
            raise ValueError("compile decides by itself what is computed again on the way back: "
                             "leave out gradient_checkpointing, or compile")  # fmt: skip
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
        if self.compile:
            return "train.compile compiles the step of one network, which a trial by itself makes"
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
        if n > 1 and self.compile:
            return (
                f"train.compile compiles the step of one process, and {n} workers sum their "
                "gradients inside of it; give resources.workers: 1, or leave compile out"
            )
        if self.batch_norm_parts in (1, n):
            return None
        return (
            f"train.batch_norm_parts: {self.batch_norm_parts} with resources.workers: {n}: each "
            "worker has one part; give both the same number, or batch_norm_parts: 1 for the "
            "statistics of the whole batch"
        )

    def for_target(self, kind: str, written: Container[str] = ()) -> Train:
        """The same with the loss and the scores that a target has; `kind` is empty for classes.

        What says cross-entropy or accuracy becomes the target's own, where it has none, unless it
        is among the keys that are `written` (such as `loss` and `early_stopping.monitor`).

        Raises:
            NotOfTarget: a key that does not go with it.
        """
        changes: dict[str, Any] = {}
        of = f"a target of the kind {kind}" if kind else "classes"
        losses, metrics = LOSSES_OF[kind], OF_TARGETS.get(kind, OF_CLASSES)
        if kind in WITHOUT_ACCURACY:
            for name, default in (("class_weights", None), ("sampling", "each_once")):
                if getattr(self, name) != default:
                    raise NotOfTarget(name, f"{of} has no classes: leave it out")
            if self.loss == "cross_entropy" and "loss" not in written:
                changes["loss"] = losses[0]
        if self.loss_code:
            if kind in WITHOUT_ACCURACY:
                raise NotOfTarget("loss", "one of your own is given numbers of classes, and "
                                  f"{of} has none; its losses are {', '.join(losses)}")  # fmt: skip
        elif (loss := changes.get("loss", self.loss)) not in losses:
            raise NotOfTarget("loss", f"{loss} is not of {of}; its losses are {', '.join(losses)}")
        if kind == "number" and self.label_smoothing:
            raise NotOfTarget("label_smoothing", f"{of} has no labels: leave it out")
        if self.select != "last":
            changes["select"] = _score_of(self.select, "select", metrics, of, written)
        for name in ("early_stopping", "schedule"):
            setting = getattr(self, name)
            if setting is not None:
                score = _score_of(setting.monitor, f"{name}.monitor", metrics, of, written)
                changes[name] = setting.model_copy(update={"monitor": score})
        changes = {name: new for name, new in changes.items() if new != getattr(self, name)}
        return self.model_copy(update=changes) if changes else self

    def for_images(self, n: int) -> Train:
        """The same for `n` training images: whole epochs, as many as `at_least_steps` needs."""
        epochs = math.ceil(self.at_least_steps / math.ceil(n / self.batch_size))
        return self if epochs <= self.epochs else self.model_copy(update={"epochs": epochs})


class NotOfTarget(ValueError):
    """A key of `train` that does not go with a target; `key` names it below `train`."""

    def __init__(self, key: str, text: str):
        super().__init__(f"{key}: {text}")
        self.key, self.text = key, text


def _score_of(
    score: str, where: str, metrics: Sequence[str], of: str, written: Container[str]
) -> str:
    """A validation score of these metrics; what leads them, where there is no accuracy.

    Raises:
        NotOfTarget: they have no such score, or `where` is written and says accuracy.
    """
    metric = score.removeprefix("val_")
    if metric in (*metrics, "loss"):
        return score
    if metric == "accuracy" and where not in written:
        return f"val_{metrics[0]}"
    there = ", ".join(f"val_{m}" for m in (*metrics, "loss") if f"val_{m}" in get_args(Monitor))
    raise NotOfTarget(where, f"{score} is not of {of}; there are {there}")
