"""The shape of a sweep file: every key that may stand in it, as pydantic models.

The reader validates with these classes; the JSON schema (`schema.py`) and the reference
(docs/reference/sweep-file.md) are made from them, so all three always agree. `model`, `data` and
`train` of the whole sweep are validated where an arm or a stage inherits them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from harness.sweepfile.settings import DataChoice, Frame, ModelChoice, RunArm, StartFile, Train
from harness.sweepfile.settings.search import Distribution, Search
from headstart.settings import AsTuple, Frozen, key
from models.forms import read_fine_tune


def checked_fine_tune(setting: object) -> object:
    """The setting, where it has one of the forms; whether the network is so deep is seen later."""
    read_fine_tune(setting)
    return setting


FineTune = Annotated[Any, PlainValidator(checked_fine_tune)]


Label = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64})]


class Section(Frozen):
    """What an arm or a pretrain stage may say; it inherits the sweep's model, data and train."""

    model: ModelChoice = key("Its network, laid key by key over the sweep's.",
        example={"dropout": 0.5})  # fmt: skip
    data: Annotated[tuple[DataChoice, ...], AsTuple] = key("Its data, laid key by key over the "
        "sweep's; with a name of its own it replaces the whole.",
        example={"name": "handwritten62", "classes": "digits"})  # fmt: skip
    train: Train = key("How it is trained, laid key by key over the sweep's.", Train(),
        example={"epochs": 80})  # fmt: skip
    initialize: str | RunArm | StartFile | None = key("Where its first weights come from: a stage "
        "of `pretrain`, `imagenet`, the path of a file of weights, `{file: PATH, entry: NAME}` "
        "where the file holds several, or `{run: DIR, arm: NAME}`. Without it they are random.",
        None, example="digits")  # fmt: skip
    fine_tune: FineTune = key("Which layer groups train: `all`, `last_layer`, `last_N`, `none`, "
        "`gradual` or `{gradual: {every: EPOCHS}}` (one more group at a time, from the last), "
        "`{from: GROUP}` (it and all after it), `{unfreeze: [GROUPS]}`; or the head and, of all "
        "groups, `{only: bias}`, `{only: norm}` or low-rank matrices, `{lora: {rank: 8}}`, with "
        "`alpha` and `targets` (`auto`, or names of layers) beside `rank`; or `surgical`, "
        "`{surgical: {groups: N}}`: the head and the groups with the largest gradients; "
        "`{freeze_for: {epochs: K}}` (the head alone in the first K epochs), `{probe_then: all, "
        "probe_epochs: K}` (the same as two trainings), `{probe: lbfgs}` (the head is fitted at "
        "once). See docs/fine-tuning.md.", "all",
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

    label: Label | None = key("What reports and the console call the arm, in place of its name: "
        "one line of at most 64 characters. `compare`, `--set` and trial ids keep the name.", None,
        example="Pretrained on digits")  # fmt: skip
    search: SearchSection | Literal["none", False] | None = key("Its own search, laid over the "
        "sweep's; `none`: it is not searched.", None, example="none")  # fmt: skip


class Stage(Section):
    """A training whose checkpoints arms start from."""

    shared: bool = key("Whether it runs once for all seeds; else it runs once for each seed, "
        "paired with it. The report says that its variation is then not in the intervals.", False,
        example=True)  # fmt: skip


class SweepFile(Frame):
    """A sweep file: one question, and the conditions that answer it."""

    model: ModelChoice | None = key("The network of every arm and stage: its name, and its own "
        "options beside it.", None, example={"name": "lenet5"})  # fmt: skip
    data: Annotated[tuple[DataChoice, ...], AsTuple] | None = key("The data set of every arm and "
        "stage: its name, its options, and how it is split; or `first_of`, a list of data sets of "
        "which the first that is there is used.", None,
        example={"name": "mnist", "train": 50000, "validation": 10000})  # fmt: skip
    train: Train = key("How networks are trained.", Train(), example={"epochs": 30})
    pretrain: dict[str, Stage] = key("Stages by name: trainings whose checkpoints arms "
        "start from. `none` in place of a stage, as a profile may say, leaves it out.", {},
        example={"digits": {"data": {"name": "optdigits"}, "train": {"epochs": 80}}})  # fmt: skip
    arms: Annotated[dict[str, Arm], Field(min_length=1)] = key("The conditions by name, "
        "at least one. `none` in place of an arm, as a profile may say, leaves it out.",
        example={"scratch": {}, "pretrained": {"initialize": "digits"}})  # fmt: skip
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = key("Values for keys of `model`, "
        "`data`, `train`, `arms` or `pretrain`, by their path: every arm that a key concerns runs "
        "at each combination.", {}, example={"data.train": [100, 1000, 10000]})  # fmt: skip
    search: SearchSection | None = key("A search for settings, for every arm that trains, before "
        "the arms run.", None,
        example={"learning_rate": {"log_uniform": [1e-4, 1e-2]}, "samples": 12})  # fmt: skip
    profiles: dict[str, Any] = key("Changes by name, laid over the file by `--profile NAME`; "
        "`--set key.path=value` lays one value over it.", {},
        example={"quick": {"seeds": 2, "train": {"epochs": 2}}})  # fmt: skip
