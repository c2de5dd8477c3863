"""The shape of a sweep file: every key that may stand in it, as pydantic models.

The reader validates with these classes; the JSON schema (`schema.py`) and the reference
(docs/reference/sweep-file.md) are made from them, so all three always agree. `model`, `data` and
`train` of the whole sweep are validated where an arm or a stage inherits them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PlainValidator,
    model_validator,
)

from harness.seeds import AXES
from harness.sweepfile.search_settings import Distribution, Search
from harness.sweepfile.settings import (
    Axis,
    DataChoice,
    Deliver,
    ModelChoice,
    Resources,
    RunArm,
    Save,
    Seeds,
    Tracker,
    Train,
    Until,
)
from headstart.cli import did_you_mean
from headstart.settings import AsTuple, Compare, Frozen, Measure, key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FINE_TUNE_WORDS = "all, last_layer, last_N, none, gradual, {from: GROUP}, {unfreeze: [GROUPS]}"


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("is not a name: letters, digits, '.', '_', '-', at most 64")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())


Text = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]


def _fine_tune(setting: object) -> object:
    """The setting, where it has one of the forms; whether the network is so deep is seen later."""
    if isinstance(setting, str) and re.fullmatch(
        r"all|last_layer|none|gradual|last_[1-9][0-9]*", setting
    ):
        return setting
    if isinstance(setting, Mapping) and len(setting) == 1:
        ((word, value),) = setting.items()
        if (word == "from" and isinstance(value, str)) or (
            word == "unfreeze" and isinstance(value, list) and value
        ):
            return setting
        if word == "gradual" and isinstance(value, Mapping):
            return setting
    words = ["all", "last_layer", "last_2", "none", "gradual"]
    raise ValueError(f"is not one of {FINE_TUNE_WORDS}{did_you_mean(str(setting), words)}")


FineTune = Annotated[Any, PlainValidator(_fine_tune)]


class Section(Frozen):
    """What an arm or a pretrain stage may say; it inherits the sweep's model, data and train."""

    model: ModelChoice = key("Its network, laid key by key over the sweep's.",
        example={"dropout": 0.5})  # fmt: skip
    data: Annotated[tuple[DataChoice, ...], AsTuple] = key("Its data, laid key by key over the "
        "sweep's; with a name of its own it replaces the whole.",
        example={"name": "handwritten62", "classes": "digits"})  # fmt: skip
    train: Train = key("How it is trained, laid key by key over the sweep's.", Train(),
        example={"epochs": 80})  # fmt: skip
    initialize: str | RunArm | None = key("Where its first weights come from: a stage of "
        "`pretrain`, `imagenet`, a `.safetensors` or `.pth` file, or `{run: DIR, arm: NAME}`. "
        "Without it they are random.", None, example="digits")  # fmt: skip
    fine_tune: FineTune = key("Which layer groups train: `all`, `last_layer`, `last_N`, `none`, "
        "`gradual` or `{gradual: {every: EPOCHS}}` (one more group at a time, from the last), "
        "`{from: GROUP}` (it and all after it), `{unfreeze: [GROUPS]}`.", "all",
        example="last_layer")  # fmt: skip
    head: Literal["auto", "new", "keep"] = key("Whether the last layer of the start is kept; "
        "`auto`: where the classes are the same.", "auto", example="new")  # fmt: skip


class SearchSection(Search):
    """A search as the file writes it: settings beside its own keys are searched too."""

    __pydantic_extra__: dict[str, Distribution]
    model_config = ConfigDict(extra="allow")

    space: dict[str, Distribution] = key("What is searched: a distribution for each setting. "
        "`learning_rate: …` beside the other keys of `search` says the same as `space: "
        "{train.learning_rate: …}`.", {},
        example={"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}})  # fmt: skip


class Arm(Section):
    """One condition of the sweep: what is compared. It may be empty: `scratch: {}`."""

    search: SearchSection | Literal["none", False] | None = key("Its own search, laid over the "
        "sweep's; `none`: it is not searched.", None, example="none")  # fmt: skip


class Stage(Section):
    """A training whose checkpoints arms start from."""

    shared: bool = key("Whether it runs once for all seeds; else it runs once for each seed, "
        "paired with it. The report says that its variation is then not in the intervals.", False,
        example=True)  # fmt: skip


class SeedsRule(Frozen):
    """Seeds are added until the intervals are narrow enough."""

    until: Until = key("The rule.", example={"half_width": 0.002})
    at_least: Annotated[int, Field(ge=2)] = key("Seeds that run in any case.", 8, example=8,
        unit="seeds")  # fmt: skip
    at_most: Annotated[int, Field(ge=2)] = key("Seeds at which the sweep ends in any case.", 60,
        example=60, unit="seeds")  # fmt: skip

    @model_validator(mode="after")
    def _in_order(self) -> SeedsRule:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is over at_most {self.at_most}")
        return self


def _seeds(given: object) -> Seeds:
    if isinstance(given, Seeds):
        return given
    if type(given) is int:
        if given < 1:
            raise ValueError("is not a whole number from 1")
        return Seeds(values=tuple(range(given)))
    if isinstance(given, list):
        if not given or any(type(s) is not int or s < 0 for s in given):
            raise ValueError("is not a list of whole numbers from 0")
        return Seeds(values=tuple(dict.fromkeys(given)))
    if isinstance(given, Mapping):
        rule = SeedsRule.model_validate(given)
        return Seeds(values=tuple(range(rule.at_least)), **dict(rule))
    raise ValueError("is not a count, a list or {until, at_least, at_most}")


class Frame(Frozen):
    """What a sweep file says but for its conditions, their grid and their searches."""

    name: Annotated[Text, AfterValidator(_name)] = key("The sweep's name: letters, digits, `.`, "
        "`_`, `-`. The run folder is `runs/NAME`.", example="part2")  # fmt: skip
    question: Text = key("What the sweep asks, for people; it stands at the head of the report.",
        example="Does pretraining on 342 handwritten digits help LeNet-5 on MNIST?")  # fmt: skip
    why: Text = key("Why this network: a sentence for the report.", "",
        example="LeNet-5 was made for digits of this size.")  # fmt: skip
    seeds: Annotated[Seeds, BeforeValidator(_seeds)] = key("Which replicates run: a number, a "
        "list, or a rule that adds seeds until the intervals are narrow enough. Arms at the same "
        "seed share every draw that they can share.", Seeds(values=tuple(range(5))), example=30,
        unit="seeds")  # fmt: skip
    seed: NonNegativeInt = key("The root of all random draws of the sweep.", 0, example=1)
    vary: Annotated[tuple[Axis, ...], AsTuple] = key("What differs from seed to seed; what is not "
        "named is the same for all seeds.", AXES,
        example=["order", "init", "head", "augment", "dropout"])  # fmt: skip
    compare: Annotated[tuple[Compare, ...], AsTuple] = key("Which arms are compared, seed by "
        "seed. Without it, every arm is set against the first.", (),
        example=[{"treatment": "pretrained", "control": "scratch"}])  # fmt: skip
    measure: Measure = key("What the analysis asks of the records.", Measure(),
        example={"targets": [0.9, 0.95]})  # fmt: skip
    resources: Resources = key("What one worker gets, and how much it takes on.", Resources(),
        example={"gpus": 0.25})  # fmt: skip
    save: Save = key("Which weights are kept.", Save(), example={"last": True})
    track: Annotated[tuple[Tracker, ...], AsTuple] = key("Services that get the learning curves.",
        ("tensorboard",), example=["tensorboard", "wandb"])  # fmt: skip
    deliver: Deliver = key("What else the report's folder holds.", Deliver(),
        example={"folders": True})  # fmt: skip


class SweepFile(Frame):
    """A sweep file: one question, and the conditions that answer it."""

    model: ModelChoice | None = key("The network of every arm and stage: its name, and its own "
        "options beside it.", None, example={"name": "lenet5"})  # fmt: skip
    data: Annotated[tuple[DataChoice, ...], AsTuple] | None = key("The data set of every arm and "
        "stage: its name, its options, and how it is split; or `first_of`, a list of data sets of "
        "which the first that is there is used.", None,
        example={"name": "mnist", "train": 50000, "validation": 10000})  # fmt: skip
    train: Train = key("How networks are trained.", Train(), example={"epochs": 30})
    pretrain: dict[str, Stage] = key("Stages by name: trainings whose checkpoints arms start from.",
        {},
        example={"digits": {"data": {"name": "optdigits"}, "train": {"epochs": 80}}})  # fmt: skip
    arms: Annotated[dict[str, Arm], Field(min_length=1)] = key("The conditions by name, at least "
        "one.", example={"scratch": {}, "pretrained": {"initialize": "digits"}})  # fmt: skip
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = key("Values for keys of `model`, "
        "`data`, `train`, `arms` or `pretrain`, by their path: every arm that a key concerns runs "
        "at each combination.", {}, example={"data.train": [100, 1000, 10000]})  # fmt: skip
    search: SearchSection | None = key("A search for settings, for every arm that trains, before "
        "the arms run.", None,
        example={"learning_rate": {"log_uniform": [1e-4, 1e-2]}, "samples": 12})  # fmt: skip
    profiles: dict[str, Any] = key("Changes by name, laid over the file by `--profile NAME`; "
        "`--set key.path=value` lays one value over it.", {},
        example={"quick": {"seeds": 2, "train": {"epochs": 2}}})  # fmt: skip
