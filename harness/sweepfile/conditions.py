"""Stages and arms of a sweep, at every point of its grid, as frozen conditions.

In: the sweep's nodes. Out: `Conditions`. Each stage and arm inherits `model`, `data` and `train`
key by key; a grid point lays its values over the file before that.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

import datasets
import models
from datasets.split import SplitSettings
from harness.sweepfile.mistakes import Mistakes, show
from harness.sweepfile.nodes import Node, merge, with_value, without
from harness.sweepfile.settings import Condition, DataChoice, ModelChoice, RunArm, Start, Train
from headstart.cli import did_you_mean
from headstart.errors import InputError

CONDITION_KEYS = ("model", "data", "train", "initialize", "fine_tune", "head")
ARM_KEYS = (*CONDITION_KEYS, "search")
STAGE_KEYS = (*CONDITION_KEYS, "shared")
SPLIT_KEYS = tuple(SplitSettings.model_fields)
FINE_TUNE_WORDS = "all, last_layer, last_N, none, gradual, {from: GROUP}, {unfreeze: [GROUPS]}"
MAX_GRID = 10_000

Kind = Literal["pretrain", "arms"]


@dataclass
class Conditions:
    """All conditions of a sweep.

    Attributes:
        stages, arms: by full name, the grid point included.
        origin: full name → (name in the file, the part of the grid point that concerns it).
    """

    stages: dict[str, Condition] = field(default_factory=dict)
    arms: dict[str, Condition] = field(default_factory=dict)
    origin: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)


class ConditionReader:
    """Reads the conditions of one sweep; what is wrong goes to `mistakes`."""

    def __init__(self, root: Node, mistakes: Mistakes):
        self.root = root
        self.mistakes = mistakes

    def read(self) -> Conditions:
        """Stages and arms at every grid point that concerns them."""
        made = Conditions()
        arms = self.root.get("arms")
        if arms is None or not isinstance(arms.value, dict) or not arms.value:
            self.mistakes.add(arms or self.root, "at least one arm is expected", "arms")
        for point in self._grid_points():
            root = self._at(point)
            for name, node in self._section(root, "pretrain"):
                self._read_into(made.stages, made, root, "pretrain", name, node, point)
            for name, node in self._section(root, "arms"):
                self._read_into(made.arms, made, root, "arms", name, node, point)
        return made

    def _section(self, root: Node, kind: Kind) -> list[tuple[str, Node]]:
        section = root.get(kind)
        if section is None or section.value is None:
            return []
        if not isinstance(section.value, dict):
            self.mistakes.add(section, f"{show(section)} is not a mapping of names")
        return list(section.items())

    def _read_into(
        self,
        into: dict[str, Condition],
        made: Conditions,
        root: Node,
        kind: Kind,
        name: str,
        node: Node,
        point: Mapping[str, Node],
    ) -> None:
        mine = self._points_of(kind, name, point, root)
        full = name + _point_suffix(mine)
        made.origin[full] = (name, mine)
        condition = self._condition(root, kind, name, node, point)
        if condition is not None:
            into.setdefault(full, condition)

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

    # -- grid ------------------------------------------------------------------------------

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
        n_points = 1
        for axis in axes:
            n_points *= len(axis)
        if n_points > MAX_GRID:
            self.mistakes.add(node, f"has {n_points} points; at most {MAX_GRID}")
            return [{}]
        return [dict(point) for point in itertools.product(*axes)]

    # -- one condition ---------------------------------------------------------------------

    def _points_of(
        self, kind: str, name: str, point: Mapping[str, Node], root: Node
    ) -> dict[str, Any]:
        """The grid keys that decide this stage or arm: its own, shared ones, its stages'.

        A shared key does not, where all of them write something of their own in its place.
        """
        family = {(kind, name)}
        parent = root.get(kind, name, "initialize")
        while parent is not None and isinstance(parent.value, str):
            stage = ("pretrain", parent.value)
            if stage in family or root.get(*stage) is None:
                break
            family.add(stage)
            parent = root.get(*stage, "initialize")
        return {
            key: value.plain()
            for key, value in point.items()
            if tuple(key.split(".")[:2]) in family
            or any(_inherits(root, *member, key.split(".")) for member in family)
        }

    def _condition(
        self, root: Node, kind: str, name: str, node: Node, point: Mapping[str, Node]
    ) -> Condition | None:
        if node.value is None:
            node = Node({}, node.where, node.path)
        if not name.strip() or len(name) > 64 or any(ord(c) < 32 for c in name):
            self.mistakes.add(node, "a name has 1 to 64 printing characters")
        if not self.mistakes.known_keys(node, STAGE_KEYS if kind == "pretrain" else ARM_KEYS):
            return None
        model_node = merge(root.get("model"), node.get("model"))
        model = self._model(model_node)
        data = self._data(merge(root.get("data"), node.get("data")))
        train_node = merge(root.get("train"), node.get("train")) or Node({}, node.where, "train")
        train = None
        if self._is_mapping(train_node, "train"):
            train = self.mistakes.validate(Train, train_node)
        start = self._start(node.get("initialize"), kind, name, point, root)
        fine_tune = self._fine_tune(node.get("fine_tune"), model_node, model)
        head = self._choice(node, "head", ("auto", "new", "keep"), "auto")
        shared = self._choice(node, "shared", (True, False), False)
        if model is None or data is None or train is None:
            return None
        return Condition(
            model=model, data=data, train=train, start=start, fine_tune=fine_tune,
            head=head, shared=shared,
        )  # fmt: skip

    def _is_mapping(self, node: Node, what: str) -> bool:
        if not isinstance(node.value, dict):
            self.mistakes.add(node, f"{show(node)} is not a mapping of {what} settings")
            return False
        return True

    def _choice(self, node: Node, key: str, allowed: Sequence[Any], default: Any) -> Any:
        child = node.get(key)
        if child is None:
            return default
        if not any(child.value is a or (child.value == a and type(a) is str) for a in allowed):
            shown = ", ".join(str(a).lower() if isinstance(a, bool) else a for a in allowed)
            near = did_you_mean(str(child.value), [a for a in allowed if isinstance(a, str)])
            self.mistakes.add(child, f"{show(child)} is not one of {shown}{near}")
            return default
        return child.value

    def _model(self, node: Node | None) -> ModelChoice | None:
        if node is None:
            self.mistakes.add(self.root, "is missing: {name: NETWORK}", "model")
            return None
        if not self._is_mapping(node, "a network's"):
            return None
        name_node = node.get("name")
        if name_node is None or not isinstance(name_node.value, str):
            self.mistakes.add(name_node or node, "a network's name is expected", "model.name")
            return None
        options = self._options(
            name_node, lambda: models.options_model(name_node.value), without(node, ("name",))
        )
        return None if options is None else ModelChoice(name=name_node.value, options=options)

    def _options(
        self, name: Node, find: Callable[[], type[BaseModel]], node: Node
    ) -> dict[str, Any] | None:
        try:
            model = find()
        except InputError as err:
            self.mistakes.add(name, str(err))
            return None
        checked = self.mistakes.validate(model, node)
        return None if checked is None else checked.model_dump(mode="json", exclude_defaults=True)

    def _data(self, node: Node | None) -> tuple[DataChoice, ...] | None:
        if node is None:
            self.mistakes.add(self.root, "is missing: {name: DATA_SET}", "data")
            return None
        if isinstance(node.value, str):
            node = Node({"name": node}, node.where, node.path)
        if not self._is_mapping(node, "a data set's"):
            return None
        several = node.get("first_of")
        if several is None:
            choice = self._data_choice(node)
            return None if choice is None else (choice,)
        if not isinstance(several.value, list) or not several.value:
            self.mistakes.add(several, f"{show(several)} is not a list of data sets")
            return None
        shared = without(node, ("first_of",))
        choices = []
        for item in several.value:
            if isinstance(item.value, str):
                item = Node({"name": item}, item.where, item.path)
            if self._is_mapping(item, "a data set's"):
                merged = (merge(shared, item) if shared.value else item) or item
                choices.append(self._data_choice(Node(merged.value, item.where, item.path)))
        return None if None in choices else tuple(choices)  # type: ignore[arg-type]

    def _data_choice(self, node: Node) -> DataChoice | None:
        name_node = node.get("name")
        if name_node is None or not isinstance(name_node.value, str):
            known = ", ".join(datasets.dataset_names())
            message = f"a data set's name is expected: {known}, or first_of"
            self.mistakes.add(name_node or node, message, f"{node.path}.name")
            return None
        split_node = Node(
            {k: v for k, v in node.value.items() if k in SPLIT_KEYS}, node.where, node.path
        )
        split = self.mistakes.validate(SplitSettings, split_node)
        options = self._options(
            name_node,
            lambda: datasets.options_model(name_node.value),
            without(node, ("name", *SPLIT_KEYS)),
        )
        if split is None or options is None:
            return None
        return DataChoice(name=name_node.value, options=options, split=split)

    def _start(
        self, node: Node | None, kind: str, name: str, point: Mapping[str, Node], root: Node
    ) -> Start:
        if node is None or node.value is None or node.value == "random":
            return Start()
        if isinstance(node.value, dict):
            arm = self.mistakes.validate(RunArm, node)
            return Start() if arm is None else Start(kind="run", name=arm.run, arm=arm.arm)
        if not isinstance(node.value, str):
            self.mistakes.add(
                node, f"{show(node)} is not a stage, imagenet, a file or {{run, arm}}"
            )
            return Start()
        stages = self.root.get("pretrain")
        names = [key for key, _ in stages.items()] if stages else []
        if node.value in names:
            if kind == "pretrain" and self._descends_from_itself(name):
                self.mistakes.add(node, f"stage {name!r} starts from itself")
                return Start()
            mine = self._points_of("pretrain", node.value, point, root)
            return Start(kind="stage", name=node.value + _point_suffix(mine))
        if node.value == "imagenet":
            return Start(kind="imagenet")
        if Path(node.value).suffix in (".safetensors", ".pth", ".pt"):
            if not Path(node.value).is_file():
                self.mistakes.add(node, f"{node.value!r}: no such file")
            return Start(kind="file", name=node.value)
        near = did_you_mean(node.value, [*names, "imagenet"])
        self.mistakes.add(
            node,
            f"{node.value!r} is not a pretrain stage ({', '.join(names) or 'none'}), imagenet, "
            f"a .safetensors or .pth file, or {{run: DIR, arm: NAME}}{near}",
        )
        return Start()

    def _descends_from_itself(self, name: str) -> bool:
        seen: set[str] = set()
        current: Any = name
        while isinstance(current, str) and current not in seen:
            seen.add(current)
            parent = self.root.get("pretrain", current, "initialize")
            current = parent.value if parent else None
            if current == name:
                return True
        return False

    def _fine_tune(
        self, node: Node | None, model_node: Node | None, model: ModelChoice | None
    ) -> str | dict[str, Any]:
        if node is None:
            return "all"
        setting = node.plain()
        if isinstance(setting, dict):
            if len(setting) != 1 or not setting.keys() <= {"from", "unfreeze", "gradual"}:
                self.mistakes.add(node, f"{show(node)} is not one of {FINE_TUNE_WORDS}")
            return setting
        words = re.fullmatch(r"all|last_layer|none|gradual|last_([1-9][0-9]*)", str(setting))
        if words is None:
            near = did_you_mean(str(setting), ["all", "last_layer", "last_2", "none", "gradual"])
            self.mistakes.add(node, f"{show(node)} is not one of {FINE_TUNE_WORDS}{near}")
            return "all"
        depth = self._depth(model_node, model)
        if words[1] and depth is not None and int(words[1]) > depth:
            self.mistakes.add(
                node, f"{setting!r} is deeper than the network's {depth} layer groups"
            )
        return str(setting)

    @staticmethod
    def _depth(node: Node | None, model: ModelChoice | None) -> int | None:
        """Layer groups of the network, known even where one of its options is wrong."""
        name = node.get("name") if node is not None else None
        try:
            if model is not None:
                return models.model_info(model.name, model.options).depth
            return models.model_info(str(name.value), {}).depth if name is not None else None
        except InputError:
            return None


def _inherits(root: Node, kind: str, name: str, keys: Sequence[str]) -> bool:
    """Whether the sweep's own value at `keys` (`data`, `train`) reaches this stage or arm."""
    if keys[0] in ("arms", "pretrain"):
        return False
    own = root.get(kind, name, keys[0])
    merged = merge(root.get(keys[0]), own)
    if own is None or merged is None:
        return True
    for depth in range(1, len(keys) + 1):
        mine = own.get(*keys[1:depth])
        if mine is not None and merged.get(*keys[1:depth]) is mine:
            return False
    return True


def _point_suffix(point: Mapping[str, Any]) -> str:
    """` [dense=500, dropout=0.7]`; the shortest key endings that tell the keys apart."""
    if not point:
        return ""
    shown = []
    for key, value in point.items():
        last = key.rsplit(".", 1)[-1]
        clash = sum(other.rsplit(".", 1)[-1] == last for other in point) > 1
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        shown.append(f"{key if clash else last}={text}")
    return f" [{', '.join(shown)}]"
