"""The whole of a sweep file: one question, its named conditions, and how often each runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, model_validator

from harness.seeds import AXES
from harness.sweepfile.settings.also_test import AlsoTests
from harness.sweepfile.settings.condition import Condition
from harness.sweepfile.settings.outputs import Deliver, Save
from harness.sweepfile.settings.resources import Resources
from harness.sweepfile.settings.search import Search
from harness.sweepfile.settings.seeds import DOUBLES, Axes, Axis, Seeds, as_seeds
from harness.sweepfile.settings.text import Text
from headstart.grid import GridPoint
from headstart.settings import AsTuple, Compare, Frozen, Measure, key
from headstart.yaml12 import Node

Tracker = Literal["tensorboard", "wandb", "mlflow"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("is not a name: letters, digits, '.', '_', '-', at most 64")
    return text


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
    seeds: Annotated[Seeds, BeforeValidator(as_seeds)] = key("Which replicates run: a number, a "
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
    tuned_at: dict[str, dict[str, str]] = Field(default_factory=dict, exclude=True, repr=False)
    also_at: tuple[str, ...] = Field(default=(), exclude=True, repr=False)  # of each `also_test`
    written: dict[str, Node] = Field(default_factory=dict, exclude=True, repr=False)  # see `at`

    def shown(self, arm: str) -> str:
        """What people read in place of an arm's full name: its label, where it has one."""
        return self.labels.get(arm, arm)

    def at(self, arm: str, key: str) -> str:
        """Where the file has a key such as `train.loss` of an arm or stage, as messages begin.

        `written` has what is known of that: each arm with all that it inherits, and under the
        empty name the file. A key that is written nowhere has the line of what it belongs to.
        """
        keys = key.split(".")
        for name in (arm, ""):
            if name in self.written and (node := self.written[name].get(*keys)) is not None:
                return f"{node.where}: {node.path}"
        for name in (arm, ""):
            if name in self.written and (part := self.written[name].get(keys[0])) is not None:
                return f"{part.where}: {arm}: {key}"
        return f"{self.name}: {arm}: {key}"

    def writes(self, arm: str, key: str) -> frozenset[str]:
        """The keys below `key` that the file writes for an arm or stage, inherited ones too."""
        node = self.written[arm].get(key) if arm in self.written else None
        return frozenset() if node is None else frozenset(_keys_below(node))

    def __eq__(self, other: object) -> bool:
        """Lines of the file are no part of what is asked."""
        return isinstance(other, Sweep) and self._asked() == other._asked()

    def _asked(self) -> dict[str, object]:
        lines = ("starts_at", "data_at", "tuned_at", "also_at", "written")
        return {name: value for name, value in self.__dict__.items() if name not in lines}


def _keys_below(node: Node, before: str = "") -> Iterator[str]:
    """`loss`, `early_stopping`, `early_stopping.monitor`, …"""
    for name, child in node.items():
        yield f"{before}{name}"
        yield from _keys_below(child, f"{before}{name}.")
