"""Stages and arms of a sweep, at every point of its grid, as frozen conditions.

In: the sweep's nodes. Out: `Conditions`. What pydantic cannot say is here: that stages and arms
inherit `model`, `data` and `train` key by key, that a grid point lays its values over the file
before that, and that `initialize` names a stage.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.sweepfile.file import Arm, Section, Stage
from harness.sweepfile.frozen import reason_against
from harness.sweepfile.mistakes import Mistakes, show
from harness.sweepfile.nodes import merge, with_value, without
from harness.sweepfile.normalise import settled
from harness.sweepfile.recipes import KEY as RECIPE
from harness.sweepfile.recipes import below, written_out
from harness.sweepfile.references import CodePlaces, resolve
from harness.sweepfile.settings import (
    FINE_TUNE,
    Condition,
    DataChoice,
    ModelChoice,
    RunArm,
    Start,
    StartFile,
)
from harness.sweepfile.together import mistakes_of
from headstart.caches import expanded
from headstart.errors import InputError, did_you_mean
from headstart.grid import GridPoint
from headstart.output import on_one_line
from headstart.yaml12 import Node

Kind = Literal["pretrain", "arms"]
INHERITED = {"model": "{name: NETWORK}", "data": "{name: DATA_SET}"}  # and what is to be written
WEIGHTS = (".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt", ".tar", ".pkl", ".pickle")
MAX_GRID = 10_000
MAX_CHAIN = 50  # stages one after the other


@dataclass
class Conditions:
    """All conditions of a sweep, by full name (the grid point included).

    `points` has every arm and stage, those whose condition has mistakes included; `starts_at`,
    `data_at` and `tuned_at` say where the file has their `initialize`, their data, and by key what
    names layers; `written` has their nodes with all that they inherit. `readable` has the data of
    those conditions of which something else is wrong.
    """

    stages: dict[str, Condition] = field(default_factory=dict)
    arms: dict[str, Condition] = field(default_factory=dict)
    points: dict[str, GridPoint] = field(default_factory=dict)
    starts_at: dict[str, str] = field(default_factory=dict)
    data_at: dict[str, str] = field(default_factory=dict)
    tuned_at: dict[str, dict[str, str]] = field(default_factory=dict)
    written: dict[str, Node] = field(default_factory=dict)
    readable: dict[str, tuple[DataChoice, ...]] = field(default_factory=dict)


class ConditionReader:
    """Reads the conditions of one sweep; what is wrong goes to `mistakes`."""

    def __init__(self, root: Node, mistakes: Mistakes, places: CodePlaces):
        self.root = root
        self.mistakes = mistakes
        self.places = places

    def read(self) -> Conditions:
        """Stages and arms at every grid point that concerns them."""
        conditions = Conditions()
        arms = self.root.get("arms")
        if arms is None or not isinstance(arms.value, dict) or not arms.value:
            self.mistakes.add(arms or self.root, "at least one arm is expected", "arms")
        sections: tuple[tuple[Kind, type[Section], dict[str, Condition]], ...] = (
            ("pretrain", Stage, conditions.stages),
            ("arms", Arm, conditions.arms),
        )
        for point in self._grid_points():
            root = self._at(point)
            for kind, section, into in sections:
                for name, node in self._section(root, kind):
                    reader = _OneCondition(self.mistakes, root, kind, name, point, self.places)
                    full = reader.grid_point(kind, name)
                    conditions.points[full.name] = full
                    start = node.get("initialize")
                    if start is not None:
                        conditions.starts_at[full.name] = f"{start.where}: {start.path}"
                    conditions.tuned_at[full.name] = dict(_places_of_layers(root, node))
                    condition = reader.read(node, section)
                    if condition is not None:
                        into.setdefault(full.name, condition)
                    if self.places.folder is not None:  # no record, which writes every default
                        conditions.written.setdefault(full.name, reader.whole(node))
                    data = reader.data(node)
                    if data is not None:
                        conditions.data_at[full.name] = _place_of(data)
                    if data is not None and condition is None:
                        conditions.readable[full.name] = tuple(reader.choices(data))
        return conditions

    def _section(self, root: Node, kind: Kind) -> list[tuple[str, Node]]:
        section = root.get(kind)
        if section is None or section.value is None:
            return []
        if not isinstance(section.value, dict):
            self.mistakes.add(section, f"{show(section)} is not a mapping of names")
        return list(section.items())

    def _at(self, point: Mapping[str, Node]) -> Node:
        """The sweep with a grid point's values laid over it."""
        root = self.root
        for key, value in point.items():
            keys = key.split(".")
            if keys[0] in ("arms", "pretrain") and root.get(*keys[:2]) is None:
                self.mistakes.add(value, f"{'.'.join(keys[:2])} does not exist")
            else:
                root = with_value(root, keys, Node(value.value, value.where, key))
        return root

    def _grid_points(self) -> list[dict[str, Node]]:
        node = self.root.get("grid")
        if node is None:
            return [{}]
        if not isinstance(node.value, dict):
            self.mistakes.add(node, "a mapping from key.path to a list of values is expected")
            return [{}]
        axes: list[list[tuple[str, Node]]] = []
        for key, child in node.items():
            if key.split(".")[0] not in ("model", "data", "train", "arms", "pretrain"):
                self.mistakes.add(child, f"{key!r} is outside model, data, train, arms, pretrain")
            elif not isinstance(child.value, list) or not child.value:
                self.mistakes.add(child, f"{show(child)} is not a list of values")
            else:
                axes.append([(key, value) for value in child.value])
        n_points = math.prod(map(len, axes))
        if n_points > MAX_GRID:
            self.mistakes.add(node, f"has {n_points} points; at most {MAX_GRID}")
            return [{}]
        return [dict(point) for point in itertools.product(*axes)]


@dataclass(frozen=True)
class _OneCondition:
    """One stage or arm at one point of the grid; `root` is the sweep at that point."""

    mistakes: Mistakes
    root: Node
    kind: Kind
    name: str
    point: Mapping[str, Node]
    places: CodePlaces

    def read(self, node: Node, section: type[Section]) -> Condition | None:
        if node.value is None:
            node = Node({}, node.where, node.path)
        if (
            not self.name.strip()
            or len(self.name) > 64
            or _is_obeyed(self.grid_point(self.kind, self.name).name)
        ):
            self.mistakes.add(node, "a name has 1 to 64 printing characters")
        if not isinstance(node.value, dict):
            self.mistakes.validate(section, node)
            return None
        start = self._start(node.get("initialize"))
        inherited = settled(self._with_inherited(node), start, self.mistakes)
        whole = resolve(inherited, self.places, self.mistakes)
        if whole is None:
            return None
        given = without(whole, ("search", "initialize"))  # of which other code says what is wrong
        checked = self.mistakes.validate(section, given, INHERITED)
        self._check_depth(whole)
        if checked is None:
            return None
        own = {key: value for key, value in checked if key in Condition.model_fields}
        condition = Condition(start=start, **own)
        for key, text in mistakes_of(condition):
            kind = "stage" if self.kind == "pretrain" else "arm"
            self.mistakes.add(whole.get(*key.split(".")) or node, f"{text} ({kind} {self.name})")
        self._check_views(node, condition)
        return condition

    def _check_views(self, node: Node, condition: Condition) -> None:
        """Refuse fixed views that it asks for itself where nothing frozen is computed once.

        What it inherits may be of others, and where `fine_tune` is searched some draws freeze.
        """
        views = node.get("train", "frozen_views")
        reason = reason_against(condition)
        if views is None or views.value is None or reason is None:
            return
        sections = [each.get("search") for each in (node, self.root)]
        keys = [key for each in sections if each for key in (each, each.get("space")) if key]
        if not any(key.get(FINE_TUNE) for key in keys):
            self.mistakes.add(views, f"has no effect: {reason}; leave it out of this arm")

    def whole(self, node: Node) -> Node:
        """All that the file says of it, with what it inherits of `train`; for lines of messages."""
        of_all, own = self.root.get("train"), node.get("train")
        train = merge(below(of_all, own), written_out(own))
        own_keys = node.value if isinstance(node.value, dict) else {}
        return Node({**own_keys, **({"train": train} if train else {})}, node.where, node.path)

    def data(self, node: Node) -> Node | None:
        """Its data as the file has them: those of the whole sweep, and its own laid over them."""
        merged = merge(self.root.get("data"), node.get("data"))
        return None if merged is None else _as_list(merged)

    def choices(self, data: Node) -> Iterator[DataChoice]:
        """Data sets of which nothing is wrong."""
        for item in data.value if isinstance(data.value, list) else ():
            with suppress(InputError, ValueError, TypeError, KeyError):
                yield DataChoice.model_validate(item.plain())

    # -- inheritance -----------------------------------------------------------------------

    def _with_inherited(self, node: Node) -> Node:
        merged = {key: merge(self.root.get(key), node.get(key)) for key in INHERITED}
        of_all, own = self.root.get("train"), node.get("train")
        of_all = below(of_all, own, self.mistakes)
        merged["train"] = merge(of_all, written_out(own, self.mistakes))
        for key, example in INHERITED.items():
            if merged[key] is None:
                self.mistakes.add(self.root, f"is missing: {example}", key)
        inherited = {key: value for key, value in merged.items() if value is not None}
        if "data" in inherited:
            inherited["data"] = data = _as_list(inherited["data"])
            self._check_optional(data)
            if self.places.folder is None:
                inherited["data"] = _of_a_record(data)
        return Node({**node.value, **inherited}, node.where, node.path)

    def grid_point(self, kind: Kind, name: str) -> GridPoint:
        """With the grid keys that decide a stage or arm: its own, shared ones, its stages'.

        A shared key does not, where all of them write something of their own in its place.
        """
        family = {(kind, name), *(("pretrain", stage) for stage in self._stages_of(kind, name))}
        values = {
            key: value.plain()
            for key, value in self.point.items()
            if tuple(key.split(".")[:2]) in family
            or any(_inherits(self.root, *member, key.split(".")) for member in family)
        }
        return GridPoint(name, values)

    def _stages_of(self, kind: Kind, name: str) -> list[str]:
        """The stages that it starts from, directly or not; itself too, where that is a circle."""
        stages: list[str] = []
        parent = self.root.get(kind, name, "initialize")
        while parent is not None and isinstance(parent.value, str):
            if parent.value in stages or self.root.get("pretrain", parent.value) is None:
                break
            stages.append(parent.value)
            parent = self.root.get("pretrain", parent.value, "initialize")
        return stages

    def _check_optional(self, data: Node) -> None:
        """Only where another data set can be used may one be missing."""
        choices = data.value if isinstance(data.value, list) else []
        at = choices[0].get("optional") if len(choices) == 1 else None
        if at is not None and at.value is True:
            self.mistakes.add(at, "no other data set is named to use instead: leave `optional` "
                              "out, or list one after it under `first_of`")  # fmt: skip

    # -- references between keys -----------------------------------------------------------

    def _start(self, node: Node | None) -> Start:
        if node is None or node.value is None or node.value == "random":
            return Start()
        if isinstance(node.value, dict):
            return self._part_of_file(node) if "file" in node.value else self._run_arm(node)
        stages = self.root.get("pretrain")
        names = [key for key, _ in stages.items()] if stages else []
        if node.value in names:
            before = self._stages_of(self.kind, self.name)
            if self.kind == "pretrain" and self.name in before:
                self.mistakes.add(node, f"stage {self.name!r} starts from itself")
            if len(before) > MAX_CHAIN:
                self.mistakes.add(node, f"comes after {len(before)} stages; at most {MAX_CHAIN}")
            return Start(kind="stage", name=self.grid_point("pretrain", node.value).name)
        if node.value == "imagenet":
            return Start(kind="imagenet")
        is_record = self.places.folder is None  # of a run folder, whose files may lie elsewhere
        if isinstance(node.value, str) and (is_record or _is_path(node.value)):
            self._check_file(node)
            return Start(kind="file", name=node.value)
        near = did_you_mean(str(node.value), [*names, "imagenet"])
        self.mistakes.add(
            node,
            f"{show(node)} is not a pretrain stage ({', '.join(names) or 'none'}), imagenet, "
            f"a file of weights, or {{run: DIR, arm: NAME}}{near}",
        )
        return _mistaken(node)

    def _run_arm(self, node: Node) -> Start:
        arm = self.mistakes.validate(RunArm, node)
        return _mistaken(node) if arm is None else Start(kind="run", name=arm.run, arm=arm.arm)

    def _part_of_file(self, node: Node) -> Start:
        part = self.mistakes.validate(StartFile, node)
        if part is None:
            return _mistaken(node)
        self._check_file(node.get("file") or node)
        return Start(kind="file", name=part.file, entry=part.entry, prefix=part.prefix)

    def _check_file(self, node: Node) -> None:
        """Whether the file is there; what else may be meant, where it is not."""
        path = expanded(str(node.value))
        if os.path.isfile(path) or self.places.folder is None:
            return
        if os.path.isfile(path / "trials.parquet"):
            text = f"is a run folder: write {{run: {node.value}, arm: NAME}}"
        elif os.path.isfile(path / "data.pkl"):
            text = f"is a file of torch that was unpacked; pack it: zip -0 -r w.pth {path.name}"
        elif os.path.isdir(path):
            names = ", ".join(sorted(_weights_in(path))[:4])
            text = f"is a folder; give the file of weights{f' in it: {names}' if names else ''}"
        else:
            text = "no such file"
            beside = Path(node.where.file).parent / path
            if node.where.line and os.path.isfile(beside):
                text += f"; {beside} is there: paths are taken from the working folder"
        self.mistakes.add(node, f"{node.value!r}: {text}")

    def _check_depth(self, whole: Node) -> None:
        """Whether the network has as many layer groups as `last_N` names."""
        node, model = whole.get("fine_tune"), whole.get("model")
        words = re.fullmatch(r"last_([1-9][0-9]{0,5})", str(node.value if node else ""))
        depth = _depth(model) if words else None
        if node and words and depth is not None and int(words[1]) > depth:
            self.mistakes.add(
                node, f"{node.value!r} is deeper than the network's {depth} layer groups"
            )


def _is_obeyed(name: str) -> bool:
    """Whether a terminal or a log would obey a part of a name, or it goes on another line."""
    return on_one_line(name) != name


def _place_of(data: Node) -> str:
    """The line and key of a data set: of its path, where it is one set that has a path."""
    sets = data.value if isinstance(data.value, list) else []
    at = (sets[0].get("path") or sets[0]) if len(sets) == 1 else data
    return f"{at.where}: {at.path}"


def _places_of_layers(root: Node, node: Node) -> Iterator[tuple[str, str]]:
    """By key the line of each setting that may name parts of the arm's network."""
    paths: dict[str, list[tuple[str, ...]]] = {
        "fine_tune": [("fine_tune",)],
        "train.learning_rate_factors": [("train", "learning_rate_factors")],
        "train.gradient_checkpointing": [("train", "gradient_checkpointing")],
        "search.fine_tune": [("search", "fine_tune"), ("search", "space", "fine_tune")],
    }
    for key, ways in paths.items():
        of_all = root if key != "fine_tune" else node
        nodes = [at for owner in (node, of_all) for way in ways if (at := owner.get(*way))]
        if nodes:
            yield key, f"{nodes[0].where}: {nodes[0].path}"


def _mistaken(node: Node) -> Start:
    """In place of a start that cannot be read: no arm that starts anew is like its arm."""
    return Start(kind="file", name=show(node))


def _is_path(text: str) -> bool:
    """Whether a start is meant as a file: by its ending, by a folder before it, or it is there."""
    path = expanded(text)
    return path.suffix in WEIGHTS or len(path.parts) > 1 or os.path.exists(path)


def _weights_in(folder: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from (path.name for path in folder.iterdir() if path.suffix in WEIGHTS)


def _as_list(data: Node) -> Node:
    """A `data` entry as the list of its choices, each a mapping that has all of its own keys."""
    several = data.get("first_of")
    if several is None:
        return Node([_named(data)], data.where, data.path)
    if not isinstance(several.value, list) or not several.value:
        return several
    shared = without(data, ("first_of",))
    choices = [merge(shared, _named(item)) for item in several.value]
    return Node(choices, several.where, several.path)


def _of_a_record(data: Node) -> Node:
    """As versions wrote it that did not know `optional`: what was missing was passed over."""
    if not isinstance(data.value, list) or len(data.value) < 2:
        return data
    optional = Node({"optional": Node(True, data.where, data.path)}, data.where, data.path)
    choices = [merge(optional, choice) or choice for choice in data.value]
    return Node(choices, data.where, data.path)


def _named(item: Node) -> Node:
    return Node({"name": item}, item.where, item.path) if isinstance(item.value, str) else item


def _depth(node: Node | None) -> int | None:
    """Layer groups of the network, known even where one of its options is wrong."""
    name = node.get("name") if node is not None else None
    for given in (node.plain() if node else {}, {"name": name.value if name else None}):
        try:
            return ModelChoice.model_validate(given).info.depth
        except (InputError, ValueError):
            continue
    return None


def _inherits(root: Node, kind: str, name: str, keys: Sequence[str]) -> bool:
    """Whether the sweep's own value at `keys` (`data`, `train`) reaches this stage or arm."""
    if keys[0] in ("arms", "pretrain"):
        return False
    own, of_all = root.get(kind, name, keys[0]), root.get(keys[0])
    if keys[0] == "train":
        if keys[1:] == [RECIPE] and own is not None and own.get(RECIPE) is not None:
            return False
        of_all, own = below(of_all, own), written_out(own)
    merged = merge(of_all, own)
    if own is None or merged is None:
        return True
    for depth in range(1, len(keys) + 1):
        part = own.get(*keys[1:depth])
        if part is not None and merged.get(*keys[1:depth]) is part:
            return False
    return True
