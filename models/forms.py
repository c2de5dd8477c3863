"""The forms that a sweep's `fine_tune` may have: what of a network trains, and when.

In: the setting as a sweep file writes it. Out: one frozen object, a `FineTune`. Each form is a
class, and all that differs from form to form is asked of it: how it is written, which layer groups
train in which epoch, and what packs and the frozen front must know. A further form is one more
class, in `FORMS`. No torch here: files are checked and plans are made without it.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeGuard

from headstart.cli import few
from headstart.errors import TuningError, did_you_mean

Schema = dict[str, Any]
Part = Literal["all", "bias", "norm", "added"]


def mapping_schema(word: str, value: Schema) -> Schema:
    """The schema of a mapping whose only key is `word`."""
    properties = {word: value}
    return {
        "type": "object",
        "properties": properties,
        "required": [word],
        "additionalProperties": False,
    }


FINE_TUNE = "fine_tune"
SHOWN = 8  # names of layer groups that a message has
_COUNT: Schema = {"type": "integer", "minimum": 1}


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Unfreezing:
    """Which layer groups train in which epoch.

    Attributes:
        names: groups that ever train, input first.
        begins: the epoch (0, 1, …) from which each of them trains.
    """

    names: tuple[str, ...]
    begins: tuple[int, ...]

    @classmethod
    def at_once(cls, names: Sequence[str]) -> Unfreezing:
        """All of the groups train from the start."""
        return cls(tuple(names), (0,) * len(names))

    def trainable_at(self, epoch: int) -> tuple[str, ...]:
        """Names of the groups that train in `epoch` (0, 1, …), input first."""
        return tuple(
            name for name, begin in zip(self.names, self.begins, strict=True) if begin <= epoch
        )


@dataclass(frozen=True)
class HeadFirst:
    """The epochs at the beginning in which the head alone trains.

    Attributes:
        epochs: how many; 1 or more.
        key: where the sweep file says so.
        is_probe: whether they are a training of their own, after which optimizer and schedule
            begin anew.
        learning_rate: of them; None: that of all.
    """

    epochs: int
    key: str
    is_probe: bool = False
    learning_rate: float | None = None

    def against(self, epochs: int) -> str:
        """Why a training of so many epochs is too short; empty where it is long enough."""
        if self.epochs < epochs:
            return ""
        allowed = f"1 to {epochs - 1} are allowed" if epochs > 1 else "give more train.epochs"
        return f"{self.key}: {self.epochs} leaves no epoch of train.epochs: {epochs}; {allowed}"


@dataclass(frozen=True)
class FineTune(ABC):
    """What of a network trains, and when.

    Attributes:
        written: the form as people write it, for lists of what is allowed.
        words: texts of this form, from which a misspelt one may come.
        schema: JSON Schemas of it.
        part: which parameters of the groups that train do so; the head's always all.
        draws: whether parameters are added, which are drawn.
        against_front: why what is frozen cannot be computed once for each image; empty: it can.
        against_fusing: why several seeds cannot train as one program; empty: nothing here says so.
        is_fitted: whether the head is fitted in one go, and no step is made.
    """

    written: ClassVar[tuple[str, ...]]
    words: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[tuple[Schema, ...]]
    part: ClassVar[Part] = "all"
    draws: ClassVar[bool] = False
    against_front: ClassVar[str] = ""
    against_fusing: ClassVar[str] = ""
    is_fitted: ClassVar[bool] = False

    @property
    def head_first(self) -> HeadFirst | None:
        """The epochs in which the head alone trains; None: there are none."""
        return None

    @property
    def n_chosen(self) -> int:
        """How many groups beside the head are chosen when a trial begins; 0: none are."""
        return 0

    @classmethod
    @abstractmethod
    def read(cls, setting: object) -> FineTune | None:
        """The setting as this form; None where it is of another one.

        Raises:
            ValueError: it is of this form, and wrong: what is to be said after the setting.
        """

    @abstractmethod
    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        """Which groups train in which epoch.

        Args:
            names: of the network's layer groups, input first.
            epochs: length of the training.

        Raises:
            TuningError: the network has no such groups.
        """

    @property
    def names_parts(self) -> bool:
        """Whether only the network shows if it has what the form trains."""
        return True

    def freezes(self, depth: int | None) -> bool:
        """Whether a part of the network stays as it is, for some epochs at least.

        `depth` is how many layer groups it has; None: not known.
        """
        return True


@dataclass(frozen=True)
class Last(FineTune):
    """The last so many groups: `all`, `none`, `last_layer`, `last_N`."""

    word: str

    written = ("all", "last_layer", "last_N", "none")
    words = ("all", "last_layer", "last_2", "none")
    schema = (
        {"enum": ["all", "last_layer", "none"]},
        {"type": "string", "pattern": "^last_[1-9][0-9]{0,5}$"},
    )

    @classmethod
    def read(cls, setting: object) -> Last | None:
        pattern = r"all|last_layer|none|last_[1-9][0-9]{0,5}"
        matches = isinstance(setting, str) and re.fullmatch(pattern, setting)
        return cls(str(setting)) if matches else None

    @property
    def n(self) -> int | None:
        """How many groups; None: all."""
        words = {"all": None, "none": 0, "last_layer": 1}
        return words[self.word] if self.word in words else int(self.word.removeprefix("last_"))

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        n = len(names) if self.n is None else self.n
        if n > len(names):
            raise TuningError(
                FINE_TUNE,
                f"{self.word} is deeper than the network, which has {len(names)} layer groups: "
                f"{few(names, SHOWN)}",
            )
        return Unfreezing.at_once(names[len(names) - n :])

    @property
    def names_parts(self) -> bool:
        return self.n is not None and self.n > 1

    def freezes(self, depth: int | None) -> bool:
        if not self.n:  # with `none`, a front is worth computing once for its tail's steps
            return False
        return self.word == "last_layer" or depth is None or self.n < depth


@dataclass(frozen=True)
class Gradual(FineTune):
    """The head first, then one more group at a time: every so many epochs, or evenly spread."""

    every: int | None

    written = ("gradual", "{gradual: {every: EPOCHS}}")
    words = ("gradual",)
    schema = ({"const": "gradual"}, mapping_schema("gradual", mapping_schema("every", _COUNT)))
    against_front = "fine_tune: gradual moves the border of what is frozen"
    against_fusing = "fine_tune: gradual changes what trains from epoch to epoch"

    @classmethod
    def read(cls, setting: object) -> Gradual | None:
        if setting == "gradual":
            return cls(None)
        every = _count_in(setting, "gradual", "every", "EPOCHS")
        return None if every is None else cls(every)

    @property
    def names_parts(self) -> bool:
        return False

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        every = self.every or max(1, epochs // len(names))
        return Unfreezing(names, tuple(every * k for k in reversed(range(len(names)))))


@dataclass(frozen=True)
class From(FineTune):
    """A group and all after it."""

    group: str

    written = ("{from: GROUP}",)
    schema = (mapping_schema("from", {"type": "string"}),)

    @classmethod
    def read(cls, setting: object) -> From | None:
        group = value_of(setting, "from")
        return cls(group) if isinstance(group, str) else None

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        return Unfreezing.at_once(names[position(self.group, names) :])


@dataclass(frozen=True)
class Unfreeze(FineTune):
    """Groups by name."""

    groups: tuple[str, ...]

    written = ("{unfreeze: [GROUP, …]}",)
    schema = (
        mapping_schema("unfreeze", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    )

    @classmethod
    def read(cls, setting: object) -> Unfreeze | None:
        groups = value_of(setting, "unfreeze")
        return cls(tuple(groups)) if isinstance(groups, list | tuple) and groups else None

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        chosen = {position(name, names) for name in self.groups}
        return Unfreezing.at_once([names[i] for i in sorted(chosen)])


@dataclass(frozen=True)
class Only(FineTune):
    """One kind of parameter in all groups, and the head."""

    kind: Literal["bias", "norm"]

    written = ("{only: bias}", "{only: norm}")
    schema = (mapping_schema("only", {"enum": ["bias", "norm"]}),)

    @classmethod
    def read(cls, setting: object) -> Only | None:
        kind = value_of(setting, "only")
        if kind is None:
            return None
        if kind not in ("bias", "norm"):
            near = did_you_mean(str(kind), ("bias", "norm"))
            raise ValueError(f"is not only: bias (BitFit) or only: norm{near}")
        return cls(kind)

    @property
    def part(self) -> Part:  # type: ignore[override]
        return self.kind

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        return Unfreezing.at_once(names)

    def freezes(self, depth: int | None) -> bool:
        return False  # such parameters stand from the first layer on


@dataclass(frozen=True)
class Lora(FineTune):
    """Low-rank matrices beside weights that stay, and the head.

    Attributes:
        rank: of the matrices.
        alpha: their product counts alpha / rank.
        targets: layers by name; None: those of attention, else convolutions (`models/lora.py`).
    """

    rank: int
    alpha: float
    targets: tuple[str, ...] | None

    written = ("{lora: {rank: 8, alpha: 8, targets: auto | [LAYER, …]}}",)
    schema = (
        mapping_schema(
            "lora",
            {
                "type": "object",
                "properties": {
                    "rank": {"type": "integer", "minimum": 1, "maximum": 4096},
                    "alpha": {"type": "number", "exclusiveMinimum": 0},
                    "targets": {
                        "anyOf": [
                            {"const": "auto"},
                            {"type": "array", "items": {"type": "string"}, "minItems": 1},
                        ]
                    },
                },
                "required": ["rank"],
                "additionalProperties": False,
            },
        ),
    )
    part = "added"
    draws = True
    against_fusing = (
        "fine_tune: lora adds to weights in each step, which the fused program does not know"
    )

    @classmethod
    def read(cls, setting: object) -> Lora | None:
        value = value_of(setting, "lora")
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ValueError("is not lora: {rank: 8}; alpha and targets may stand beside rank")
        keys = ("rank", "alpha", "targets")
        for key in value:
            if key not in keys:
                raise ValueError(f"has {key!r}, and lora takes {', '.join(keys)}"
                                 f"{did_you_mean(str(key), keys)}")  # fmt: skip
        rank, targets = value.get("rank"), value.get("targets", "auto")
        if not _is_count(rank) or rank > 4096:
            given = f"rank {rank!r}" if "rank" in value else "no rank"
            raise ValueError(f"has {given}, and a whole number from 1 to 4096 is allowed")
        alpha = value.get("alpha", rank)
        if not _is_number(alpha) or not 0 < alpha < math.inf:
            raise ValueError(f"has alpha {alpha!r}, and a number over 0 is allowed")
        if targets == "auto":
            return cls(rank, float(alpha), None)
        if not isinstance(targets, list | tuple) or not targets:
            raise ValueError(f"has targets {targets!r}, and auto or a list of layers is allowed")
        if any(not isinstance(name, str) or not name for name in targets):
            raise ValueError(f"has targets {targets!r}, of which each must be the name of a layer")
        return cls(rank, float(alpha), tuple(targets))

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        return Unfreezing.at_once(names)

    def freezes(self, depth: int | None) -> bool:
        return self.targets is not None  # those of `auto` stand from the first layers on


@dataclass(frozen=True)
class Surgical(FineTune):
    """The groups with the largest relative gradients at the start, and the head.

    Attributes:
        n_groups: how many groups beside the head.
    """

    n_groups: int

    written = ("surgical", "{surgical: {groups: N}}")
    words = ("surgical",)
    schema = ({"const": "surgical"}, mapping_schema("surgical", mapping_schema("groups", _COUNT)))
    against_front = "fine_tune: surgical chooses what trains when the trial begins"
    against_fusing = "fine_tune: surgical chooses for each seed by itself what trains"

    @classmethod
    def read(cls, setting: object) -> Surgical | None:
        n = 1 if setting == "surgical" else _count_in(setting, "surgical", "groups", "N")
        return None if n is None else cls(n)

    @property
    def n_chosen(self) -> int:
        return self.n_groups

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        """All groups, of which the trial chooses."""
        if self.n_groups >= len(names):
            raise TuningError(
                FINE_TUNE,
                f"surgical chooses {self.n_groups} groups before the head, and the network has "
                f"{len(names) - 1}: {few(names[:-1], SHOWN) or 'none'}",
            )
        return Unfreezing.at_once(names)


@dataclass(frozen=True)
class FreezeFor(FineTune):
    """The head alone in the first epochs, then all groups: one training throughout."""

    epochs: int

    written = ("{freeze_for: {epochs: EPOCHS}}",)
    schema = (mapping_schema("freeze_for", mapping_schema("epochs", _COUNT)),)
    against_front = "fine_tune: freeze_for trains all layers after its epochs"
    against_fusing = "fine_tune: freeze_for changes what trains from epoch to epoch"

    @classmethod
    def read(cls, setting: object) -> FreezeFor | None:
        epochs = _count_in(setting, "freeze_for", "epochs", "EPOCHS")
        return None if epochs is None else cls(epochs)

    @property
    def names_parts(self) -> bool:
        return False

    @property
    def head_first(self) -> HeadFirst:
        return HeadFirst(self.epochs, "freeze_for: epochs")

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        return Unfreezing(names, (*(self.epochs for _ in names[1:]), 0))


@dataclass(frozen=True)
class ProbeThen(FineTune):
    """A linear probe by steps, then other groups from the head that it gave: LP-FT.

    Kumar et al. (ICLR 2022) train the head on frozen features first, then all from that head, as
    two trainings, each with a learning rate of its own.

    Attributes:
        then: what trains after the probe, beside the head.
        n_epochs: of the probe; those of `train.epochs` that are left are of the rest.
        rate: the learning rate of the probe; None: that of all.
    """

    then: Last | From | Unfreeze
    n_epochs: int
    rate: float | None = None

    written = ("{probe_then: all, probe_epochs: EPOCHS}",)
    schema = (
        {
            "type": "object",
            "properties": {
                "probe_then": {
                    "anyOf": [{"const": "all"}, Last.schema[1], *From.schema, *Unfreeze.schema]
                },
                "probe_epochs": _COUNT,
                "probe_learning_rate": {"type": "number", "exclusiveMinimum": 0},
            },
            "required": ["probe_then", "probe_epochs"],
            "additionalProperties": False,
        },
    )
    against_fusing = "fine_tune: probe_then changes what trains from epoch to epoch"

    @classmethod
    def read(cls, setting: object) -> ProbeThen | None:
        if not isinstance(setting, Mapping) or "probe_then" not in setting:
            return None
        others = set(setting) - {"probe_then", "probe_epochs", "probe_learning_rate"}
        if others:
            raise ValueError(f"has {min(map(str, others))!r}, and beside probe_then there may be "
                             "probe_epochs and probe_learning_rate")  # fmt: skip
        n_epochs, rate = setting.get("probe_epochs"), setting.get("probe_learning_rate")
        if not _is_count(n_epochs):
            raise ValueError("needs probe_epochs beside probe_then: a whole number from 1")
        if rate is not None and not (_is_number(rate) and 0 < rate < math.inf):
            raise ValueError("needs a number over 0 as its probe_learning_rate")
        for form in (Last, From, Unfreeze):
            then = form.read(setting["probe_then"])
            if then is not None and then not in (Last("none"), Last("last_layer")):
                assert isinstance(then, Last | From | Unfreeze)
                return cls(then, n_epochs, rate)
        raise ValueError("has a probe_then that is not one of all, last_N, {from: GROUP}, "
                         "{unfreeze: [GROUP, …]}")  # fmt: skip

    @property
    def head_first(self) -> HeadFirst:
        return HeadFirst(self.n_epochs, "probe_epochs", True, self.rate)

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        then = set(self.then.unfreezing(names, epochs).names)
        trained = [name for name in names[:-1] if name in then]
        return Unfreezing((*trained, names[-1]), (*(self.n_epochs for _ in trained), 0))

    @property
    def names_parts(self) -> bool:
        return self.then.names_parts

    def freezes(self, depth: int | None) -> bool:
        return self.then.freezes(depth)


@dataclass(frozen=True)
class Probe(FineTune):
    """The head is fitted to the features of the frozen network, in one go, by L-BFGS."""

    written = ("{probe: lbfgs}",)
    schema = (mapping_schema("probe", {"const": "lbfgs"}),)
    against_fusing = "fine_tune: {probe: lbfgs} fits each head by itself, in one go"
    is_fitted = True

    @classmethod
    def read(cls, setting: object) -> Probe | None:
        value = value_of(setting, "probe")
        if value is None:
            return None
        if value != "lbfgs":
            raise ValueError("is not {probe: lbfgs}; a probe by steps is last_layer")
        return cls()

    def unfreezing(self, names: tuple[str, ...], epochs: int) -> Unfreezing:
        return Unfreezing.at_once(names[-1:])


FORMS: tuple[type[FineTune], ...] = (
    Last, Gradual, From, Unfreeze, Only, Lora, Surgical, FreezeFor, ProbeThen, Probe,
)  # fmt: skip
WRITTEN = ", ".join(text for form in FORMS for text in form.written)
SCHEMA: Schema = {"anyOf": [schema for form in FORMS for schema in form.schema]}


def read_fine_tune(setting: object) -> FineTune:
    """A `fine_tune` setting as a sweep file writes it, read.

    Raises:
        ValueError: none of the forms; the text is what is to be said after the setting.
    """
    for form in FORMS:
        tuning = form.read(setting)
        if tuning is not None:
            return tuning
    words = [word for form in FORMS for word in form.words]
    raise ValueError(f"is not one of {WRITTEN}{did_you_mean(str(setting), words)}")


def value_of(setting: object, word: str) -> Any:
    """What stands under the only key of a mapping, where it is `word`; else None."""
    if isinstance(setting, Mapping) and len(setting) == 1:
        return setting.get(word)
    return None


def _count_in(setting: object, word: str, key: str, unit: str) -> int | None:
    """The count of `{word: {key: COUNT}}`; None where the setting is of another form.

    Raises:
        ValueError: it is of this form, and has no count.
    """
    value = value_of(setting, word)
    if value is None:
        return None
    count = value_of(value, key)
    if not _is_count(count):
        raise ValueError(f"is not {word}: {{{key}: {unit}}}, with a whole number from 1")
    return count


def position(name: object, names: tuple[str, ...], key: str = FINE_TUNE) -> int:
    """Of a layer group among all; `key` is the setting that names it.

    Raises:
        TuningError: it is no group's name.
    """
    if name not in names:
        raise TuningError(
            key,
            f"{name!r} is no layer group{did_you_mean(str(name), names)}; from input to head there "
            f"are {few(names, SHOWN)}",
        )
    return names.index(name)
