"""A sweep file in, a frozen `Sweep` out, or all of the file's mistakes at once.

In: YAML text, a profile's name, `--set` assignments. Out: `harness.settings.Sweep`. This is the
only place that reads or defaults configuration. Profiles and assignments are laid over the file
before anything is checked; stages and arms then inherit `model`, `data` and `train` key by key.
Checks run section by section and go on after a mistake, so that a file with eight mistakes gets
eight messages, each `file:line: key: what was given, what is allowed`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

import datasets
import models
from datasets.split import SplitSettings
from harness.seeds import AXES
from harness.settings import (
    Compare,
    Condition,
    DataChoice,
    Measure,
    ModelChoice,
    Resources,
    RunArm,
    Save,
    Seeds,
    Start,
    Sweep,
    Train,
    Until,
)
from harness.yaml12 import Node, merge, parse_scalar_or_flow, read_yaml, with_value, without
from headstart.cli import did_you_mean
from headstart.errors import InputError, SpecError

TOP_KEYS = (
    "name", "question", "model", "data", "train", "pretrain", "arms", "seeds", "seed", "vary",
    "compare", "measure", "resources", "profiles", "grid", "save", "track",
)  # fmt: skip
ARM_KEYS = ("model", "data", "train", "initialize", "fine_tune", "head")
STAGE_KEYS = (*ARM_KEYS, "shared")
SPLIT_KEYS = tuple(SplitSettings.model_fields)
FINE_TUNE_WORDS = "all, last_layer, last_N, gradual, {from: GROUP}, {unfreeze: [GROUPS]}"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_GRID = 10_000

Model = TypeVar("Model", bound=BaseModel)


def load_sweep(
    path: Path | str, profile: str | None = None, assignments: Sequence[str] = ()
) -> Sweep:
    """Read, override, check and freeze a sweep file.

    Args:
        path: the sweep file.
        profile: one of the file's `profiles`, laid over it; None for the file as it is.
        assignments: `key.path=value` texts, laid over the profile in their order.

    Raises:
        SpecError: every mistake found, in the order of the file.
    """
    root = read_yaml(path)
    root = _with_profile(root, profile)
    for assignment in assignments:
        root = _with_assignment(root, assignment)
    return read_sweep(without(root, ("profiles",)))


def read_sweep(root: Node) -> Sweep:
    """Check and freeze a sweep that is already resolved but for inheritance and `grid`."""
    return _Reader(root).read()


def _with_profile(root: Node, profile: str | None) -> Node:
    profiles = root.get("profiles")
    if profiles is not None and not isinstance(profiles.value, dict):
        raise SpecError([f"{profiles.where}: profiles: a mapping of names is expected"])
    if profile is None:
        return root
    known = list(profiles.value) if profiles else []
    chosen = root.get("profiles", profile)
    if chosen is None:
        raise SpecError(
            [f"{root.where.rsplit(':', 1)[0]}: --profile {profile}: is not one of "
             f"{', '.join(known) or '(the file has no profiles)'}{did_you_mean(profile, known)}"]
        )  # fmt: skip
    overlay = _strip_path(chosen, f"profiles.{profile}.")
    merged = merge(root, overlay) if isinstance(overlay.value, dict) else root
    assert merged is not None
    return Node(merged.value, root.where, "")


def _strip_path(node: Node, prefix: str) -> Node:
    """The profile's nodes under the paths that they override; they keep their own lines."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _strip_path(child, prefix) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_strip_path(child, prefix) for child in value]
    return Node(value, node.where, node.path.removeprefix(prefix))


def _with_assignment(root: Node, assignment: str) -> Node:
    key, sign, text = assignment.partition("=")
    keys = key.strip().split(".")
    if not sign or not all(keys):
        raise SpecError([f"--set {assignment}: key.path=value is expected"])
    if keys[0] not in TOP_KEYS:
        near = did_you_mean(keys[0], TOP_KEYS)
        raise SpecError([f"--set {key}: {keys[0]!r} is no key of a sweep{near}"])
    return with_value(root, keys, parse_scalar_or_flow(text, "--set", key.strip()))


class _Reader:
    """Reads one sweep; `mistakes` grows as sections are read."""

    def __init__(self, root: Node):
        self.root = root
        self.mistakes: dict[str, None] = {}  # ordered, without repeats of what is inherited

    def read(self) -> Sweep:
        root = self.root
        self._known_keys(root, TOP_KEYS)
        name = self._text("name", pattern=NAME) or "unnamed"
        question = self._text("question") or ""
        vary = self._words("vary", AXES, default=AXES)
        track = self._words("track", ("tensorboard", "wandb", "mlflow"), default=("tensorboard",))
        points = self._grid_points()
        stages, arms, where_from = self._conditions(points)
        measure = self._section("measure", Measure)
        resources = self._section("resources", Resources)
        save = self._section("save", Save)
        compare = self._compare(where_from)
        seeds = self._seeds()
        seed = self._whole_number("seed", default=0)
        self._same_conditions(arms)
        self._one_test_set(arms)
        if self.mistakes or seeds is None or not (measure and resources and save):
            raise SpecError(sorted(self.mistakes, key=_line_of))
        return Sweep(
            name=name,
            question=question,
            stages=stages,
            arms=arms,
            grid_points={key: point for key, (_, point) in where_from.items() if point},
            seeds=seeds,
            seed=seed,
            vary=frozenset(vary),  # type: ignore[arg-type]
            compare=compare,
            measure=measure,
            resources=resources,
            save=save,
            track=tuple(track),  # type: ignore[arg-type]
        )

    # -- reporting -------------------------------------------------------------------------

    def mistake(self, node: Node, message: str, path: str | None = None) -> None:
        path = node.path if path is None else path
        self.mistakes[
            f"{node.where}: {path}: {message}" if path else f"{node.where}: {message}"
        ] = None

    def _known_keys(self, node: Node, allowed: Sequence[str]) -> bool:
        if not isinstance(node.value, dict):
            self.mistake(node, f"{_show(node)} is not a mapping; its keys: {', '.join(allowed)}")
            return False
        for key, child in node.items():
            if key not in allowed:
                near = did_you_mean(key, allowed)
                self.mistake(child, f"is not a key here; allowed: {', '.join(allowed)}{near}")
        return True

    def _validate(self, model: type[Model], node: Node, fallback: Node) -> Model | None:
        try:
            return model.model_validate(node.plain())
        except ValidationError as err:
            for error in err.errors():
                self._explain(node, error, model)
            return None

    def _explain(self, node: Node, error: Any, model: type[BaseModel]) -> None:
        loc = [key for key in error["loc"] if not _is_union_branch(key)]
        at, below = node.nearest(loc)
        path = ".".join(filter(None, [at.path, *map(str, below)]))
        kind, given = error["type"], error["input"]
        if kind == "extra_forbidden":
            owner = _model_at(model, loc[:-1])
            allowed = list(owner.model_fields) if owner else []
            message = f"is not a key here; allowed: {', '.join(allowed)}"
            self.mistake(at, message + did_you_mean(str(loc[-1]), allowed), path)
        elif kind == "missing":
            self.mistake(at, "is missing", path)
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            near = did_you_mean(str(given), allowed)
            self.mistake(at, f"{_quote(given)} is not one of {', '.join(allowed)}{near}", path)
        else:
            reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
            given_text = "" if isinstance(given, dict) else f"{_quote(given)} "
            self.mistake(at, f"{given_text}{reason}", path)

    # -- plain values ----------------------------------------------------------------------

    def _text(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        node = self.root.get(key)
        if node is None:
            self.mistake(self.root, "is missing", key)
            return None
        text = " ".join(str(node.value).split())
        if not isinstance(node.value, str) or not text:
            self.mistake(node, f"{_show(node)} is not text")
            return None
        if pattern and not pattern.fullmatch(text):
            self.mistake(
                node, f"{text!r} is not a name: letters, digits, '.', '_', '-', at most 64"
            )
            return None
        return text

    def _words(self, key: str, allowed: Sequence[str], default: Sequence[str]) -> Sequence[str]:
        node = self.root.get(key)
        if node is None:
            return default
        if not isinstance(node.value, list):
            self.mistake(node, f"{_show(node)} is not a list of {', '.join(allowed)}")
            return default
        words = [child.plain() for child in node.value]
        for child, word in zip(node.value, words, strict=True):
            if word not in allowed:
                near = did_you_mean(str(word), allowed)
                self.mistake(child, f"{_quote(word)} is not one of {', '.join(allowed)}{near}", key)
        return words

    def _whole_number(self, key: str, default: int) -> int:
        node = self.root.get(key)
        if node is None:
            return default
        if type(node.value) is not int or node.value < 0:
            self.mistake(node, f"{_show(node)} is not a whole number from 0")
            return default
        return node.value

    def _section(self, key: str, model: type[Model]) -> Model | None:
        node = self.root.get(key)
        if node is None or node.value is None:
            return model()
        return self._validate(model, node, node)

    # -- grid ------------------------------------------------------------------------------

    def _grid_points(self) -> list[dict[str, Node]]:
        node = self.root.get("grid")
        if node is None:
            return [{}]
        if not isinstance(node.value, dict):
            self.mistake(node, "a mapping from key.path to a list of values is expected")
            return [{}]
        axes: list[list[tuple[str, Node]]] = []
        for key, child in node.items():
            if key.split(".")[0] not in ("model", "data", "train", "arms", "pretrain"):
                self.mistake(child, f"{key!r} is outside model, data, train, arms, pretrain")
            elif not isinstance(child.value, list) or not child.value:
                self.mistake(child, f"{_show(child)} is not a list of values")
            else:
                axes.append([(key, value) for value in child.value])
        n_points = 1
        for axis in axes:
            n_points *= len(axis)
        if n_points > MAX_GRID:
            self.mistake(node, f"has {n_points} points; at most {MAX_GRID}")
            return [{}]
        return [dict(point) for point in itertools.product(*axes)]

    # -- conditions ------------------------------------------------------------------------

    def _conditions(
        self, points: list[dict[str, Node]]
    ) -> tuple[dict[str, Condition], dict[str, Condition], dict[str, tuple[str, dict[str, Any]]]]:
        """Stages and arms at every grid point that concerns them, and where each came from."""
        made: dict[str, dict[str, Condition]] = {"pretrain": {}, "arms": {}}
        where_from: dict[str, tuple[str, dict[str, Any]]] = {}
        arms = self.root.get("arms")
        if arms is None or not isinstance(arms.value, dict) or not arms.value:
            self.mistake(arms or self.root, "at least one arm is expected", "arms")
        for point in points:
            root = self.root
            for key, value in point.items():
                keys = key.split(".")
                if keys[0] in ("arms", "pretrain") and root.get(*keys[:2]) is None:
                    self.mistake(value, f"{'.'.join(keys[:2])} does not exist")
                    continue
                root = with_value(root, keys, Node(value.value, value.where, key))
            for kind in ("pretrain", "arms"):
                section = root.get(kind)
                if section is not None and section.value is not None:
                    if not isinstance(section.value, dict):
                        self.mistake(section, f"{_show(section)} is not a mapping of names")
                        continue
                    for name, node in section.items():
                        mine = self._points_of(kind, name, point, root)
                        full = name + _point_suffix(mine)
                        condition = self._condition(root, kind, name, node, point)
                        where_from[full] = (name, mine)
                        if condition is not None:
                            made[kind].setdefault(full, condition)
        return made["pretrain"], made["arms"], where_from

    def _points_of(
        self, kind: str, name: str, point: Mapping[str, Node], root: Node
    ) -> dict[str, Any]:
        """The grid keys that decide this stage or arm: its own, the shared, its stages'."""
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
            if (key.split(".")[0] not in ("arms", "pretrain"))
            or tuple(key.split(".")[:2]) in family
        }

    def _condition(
        self, root: Node, kind: str, name: str, node: Node, point: Mapping[str, Node]
    ) -> Condition | None:
        if node.value is None:
            node = Node({}, node.where, node.path)
        if not name.strip() or len(name) > 64 or any(ord(c) < 32 for c in name):
            self.mistake(node, "a name has 1 to 64 printing characters")
        if not self._known_keys(node, STAGE_KEYS if kind == "pretrain" else ARM_KEYS):
            return None
        model = self._model(merge(root.get("model"), node.get("model")), node)
        data = self._data(merge(root.get("data"), node.get("data")), node)
        train_node = merge(root.get("train"), node.get("train")) or Node({}, node.where, "train")
        train = None
        if self._is_mapping(train_node, "train"):
            train = self._validate(Train, train_node, node)
        start = self._start(node.get("initialize"), kind, name, point)
        fine_tune = self._fine_tune(node.get("fine_tune"), model)
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
            self.mistake(node, f"{_show(node)} is not a mapping of {what} settings")
            return False
        return True

    def _choice(self, node: Node, key: str, allowed: Sequence[Any], default: Any) -> Any:
        child = node.get(key)
        if child is None:
            return default
        if not any(child.value is a or (child.value == a and type(a) is str) for a in allowed):
            shown = ", ".join(str(a).lower() if isinstance(a, bool) else a for a in allowed)
            near = did_you_mean(str(child.value), [a for a in allowed if isinstance(a, str)])
            self.mistake(child, f"{_show(child)} is not one of {shown}{near}")
            return default
        return child.value

    def _model(self, node: Node | None, fallback: Node) -> ModelChoice | None:
        if node is None:
            self.mistake(self.root, "is missing: {name: NETWORK}", "model")
            return None
        if not self._is_mapping(node, "a network's"):
            return None
        name_node = node.get("name")
        if name_node is None or not isinstance(name_node.value, str):
            self.mistake(name_node or node, "a network's name is expected", "model.name")
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
            self.mistake(name, str(err))
            return None
        checked = self._validate(model, node, name)
        return None if checked is None else checked.model_dump(mode="json", exclude_defaults=True)

    def _data(self, node: Node | None, fallback: Node) -> tuple[DataChoice, ...] | None:
        if node is None:
            self.mistake(self.root, "is missing: {name: DATA_SET}", "data")
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
            self.mistake(several, f"{_show(several)} is not a list of data sets")
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
            self.mistake(name_node or node, f"a data set's name is expected: {known}, or first_of",
                         f"{node.path}.name")  # fmt: skip
            return None
        split_node = Node(
            {k: v for k, v in node.value.items() if k in SPLIT_KEYS}, node.where, node.path
        )
        split = self._validate(SplitSettings, split_node, node)
        options = self._options(
            name_node,
            lambda: datasets.options_model(name_node.value),
            without(node, ("name", *SPLIT_KEYS)),
        )
        if split is None or options is None:
            return None
        return DataChoice(name=name_node.value, options=options, split=split)

    def _start(self, node: Node | None, kind: str, name: str, point: Mapping[str, Node]) -> Start:
        if node is None or node.value is None or node.value == "random":
            return Start()
        if isinstance(node.value, dict):
            arm = self._validate(RunArm, node, node)
            return Start() if arm is None else Start(kind="run", name=arm.run, arm=arm.arm)
        if not isinstance(node.value, str):
            self.mistake(node, f"{_show(node)} is not a stage, imagenet, a file or {{run, arm}}")
            return Start()
        stages = self.root.get("pretrain")
        names = [key for key, _ in stages.items()] if stages else []
        if node.value in names:
            if kind == "pretrain" and self._descends_from_itself(name):
                self.mistake(node, f"stage {name!r} starts from itself")
                return Start()
            mine = self._points_of("pretrain", node.value, point, self.root)
            return Start(kind="stage", name=node.value + _point_suffix(mine))
        if node.value == "imagenet":
            return Start(kind="imagenet")
        if Path(node.value).suffix in (".safetensors", ".pth", ".pt"):
            if not Path(node.value).is_file():
                self.mistake(node, f"{node.value!r}: no such file")
            return Start(kind="file", name=node.value)
        near = did_you_mean(node.value, [*names, "imagenet"])
        self.mistake(
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

    def _fine_tune(self, node: Node | None, model: ModelChoice | None) -> str | dict[str, Any]:
        if node is None:
            return "all"
        setting = node.plain()
        if isinstance(setting, dict):
            if len(setting) != 1 or not setting.keys() <= {"from", "unfreeze", "gradual"}:
                self.mistake(node, f"{_show(node)} is not one of {FINE_TUNE_WORDS}")
            return setting
        words = re.fullmatch(r"all|last_layer|gradual|last_([1-9][0-9]*)", str(setting))
        if words is None:
            near = did_you_mean(str(setting), ["all", "last_layer", "last_2", "gradual"])
            self.mistake(node, f"{_show(node)} is not one of {FINE_TUNE_WORDS}{near}")
            return "all"
        if words[1] and model is not None:
            depth = models.model_info(model.name, model.options).depth
            if depth is not None and int(words[1]) > depth:
                self.mistake(node, f"{setting!r} is deeper than {model.name}, which has {depth} "
                                   "layer groups")  # fmt: skip
        return str(setting)

    # -- what stands across arms -----------------------------------------------------------

    def _compare(self, where_from: Mapping[str, tuple[str, dict[str, Any]]]) -> tuple[Compare, ...]:
        node = self.root.get("compare")
        if node is None or node.value is None:
            return ()
        if not isinstance(node.value, list):
            self.mistake(node, f"{_show(node)} is not a list of {{treatment, control}}")
            return ()
        arms = self.root.get("arms")
        names = [key for key, _ in arms.items()] if arms else []
        pairs: list[Compare] = []
        for item in node.value:
            pair = self._validate(Compare, item, node)
            if pair is None:
                continue
            known = True
            for role in ("treatment", "control"):
                arm = getattr(pair, role)
                if arm not in names:
                    known = False
                    near = did_you_mean(arm, names)
                    at = item.get(role) or item
                    self.mistake(at, f"{arm!r} is not an arm; arms: {', '.join(names)}{near}")
            if known and pair.treatment == pair.control:
                self.mistake(item, f"{pair.treatment!r} is compared with itself")
            elif known:
                pairs.extend(_pairs_over_grid(pair, where_from))
        return tuple(pairs)

    def _seeds(self) -> Seeds | None:
        node = self.root.get("seeds")
        if node is None:
            return Seeds(values=tuple(range(5)))
        given = node.plain()
        if type(given) is int:
            if given < 1:
                self.mistake(node, f"{given} is not a whole number from 1")
                return None
            return Seeds(values=tuple(range(given)))
        if isinstance(given, list):
            if not given or any(type(s) is not int or s < 0 for s in given):
                self.mistake(node, f"{given} is not a list of whole numbers from 0")
                return None
            return Seeds(values=tuple(dict.fromkeys(given)))
        if isinstance(given, dict):
            return self._seeds_until(node)
        self.mistake(node, f"{_show(node)} is not a count, a list or {{until, at_least, at_most}}")
        return None

    def _seeds_until(self, node: Node) -> Seeds | None:
        if not self._known_keys(node, ("until", "at_least", "at_most")):
            return None
        until_node = node.get("until") or Node({}, node.where, "seeds.until")
        until = self._validate(Until, until_node, node)
        bounds = {}
        for key, default in (("at_least", 8), ("at_most", 60)):
            child = node.get(key)
            bounds[key] = default if child is None else child.value
            if type(bounds[key]) is not int or bounds[key] < 2:
                self.mistake(child or node, f"{bounds[key]!r} is not a whole number from 2")
                return None
        if bounds["at_least"] > bounds["at_most"]:
            self.mistake(node, f"at_least {bounds['at_least']} is over at_most {bounds['at_most']}")
            return None
        return Seeds(values=tuple(range(bounds["at_least"])), until=until, **bounds)

    def _same_conditions(self, arms: Mapping[str, Condition]) -> None:
        seen: dict[str, str] = {}
        for name, condition in arms.items():
            key = condition.model_dump_json()
            if key in seen:
                node = self.root.get("arms", name) or self.root
                self.mistake(node, f"is the same condition as arm {seen[key]!r}", f"arms.{name}")
            seen.setdefault(key, name)

    def _one_test_set(self, arms: Mapping[str, Condition]) -> None:
        """Arms that are compared may train on different data, but a bare `test: 0` scores none."""
        for name, condition in arms.items():
            for choice in condition.data:
                if choice.split.test == 0:
                    node = self.root.get("arms", name) or self.root
                    self.mistake(
                        node, "an arm needs test images; test: 0 leaves none", f"arms.{name}"
                    )


def _pairs_over_grid(
    pair: Compare, where_from: Mapping[str, tuple[str, dict[str, Any]]]
) -> Iterable[Compare]:
    """The pair at every grid point at which the keys that both depend on agree."""
    sides: dict[str, list[tuple[str, dict[str, Any]]]] = {
        role: [(full, point) for full, (name, point) in where_from.items() if name == arm]
        for role, arm in (("treatment", pair.treatment), ("control", pair.control))
    }
    for treatment, point in sides["treatment"]:
        for control, other in sides["control"]:
            if all(other[key] == value for key, value in point.items() if key in other):
                yield Compare(treatment=treatment, control=control)


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


def _is_union_branch(key: Any) -> bool:
    """Pydantic names the branch of a union in a location; that is no key of the file."""
    return isinstance(key, str) and bool(
        re.search(r"[\[(]|^(?:int|float|str|bool|tuple|list)$", key)
    )


def _model_at(model: type[BaseModel] | None, loc: Sequence[Any]) -> type[BaseModel] | None:
    """The settings class that reads the mapping at `loc` below `model`."""
    for key in loc:
        if model is None or not isinstance(key, str) or key not in model.model_fields:
            return None
        annotation = model.model_fields[key].annotation
        parts = [annotation, *getattr(annotation, "__args__", ())]
        model = next((p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)), None)
    return model


def _show(node: Node) -> str:
    return _quote(node.plain())


def _quote(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _line_of(message: str) -> tuple[str, int]:
    found = re.match(r"(.*?):(\d+): ", message)
    return (found[1], int(found[2])) if found else (message.split(" ")[0], 0)


def resolved_yaml(sweep: Sweep) -> str:
    """The sweep with its profile, assignments, inheritance and grid written out.

    The text is a sweep file that reads to an equal `Sweep`, but for `grid_points`.
    """
    content: dict[str, Any] = {"name": sweep.name, "question": sweep.question}
    if sweep.stages:
        content["pretrain"] = {name: _written(c, True) for name, c in sweep.stages.items()}
    content["arms"] = {name: _written(c, False) for name, c in sweep.arms.items()}
    # every arm writes out its own; a sweep file without a model or data would be refused
    seeds = sweep.seeds
    content["seeds"] = (
        {"until": seeds.until.model_dump(), "at_least": seeds.at_least, "at_most": seeds.at_most}
        if seeds.until
        else list(seeds.values)
    )
    content["seed"] = sweep.seed
    content["vary"] = sorted(sweep.vary)
    content["compare"] = [pair.model_dump() for pair in sweep.compare]
    content["measure"] = sweep.measure.model_dump(mode="json")
    content["resources"] = sweep.resources.model_dump(mode="json")
    content["save"] = sweep.save.model_dump(mode="json")
    content["track"] = list(sweep.track)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _written(condition: Condition, is_stage: bool) -> dict[str, Any]:
    choices = [
        {"name": c.name, **c.options, **c.split.model_dump(mode="json", exclude_defaults=True)}
        for c in condition.data
    ]
    content: dict[str, Any] = {
        "model": {"name": condition.model.name, **condition.model.options},
        "data": choices[0] if len(choices) == 1 else {"first_of": choices},
        "train": condition.train.model_dump(mode="json", exclude_defaults=True),
        "initialize": condition.start.written(),
        "fine_tune": condition.fine_tune,
        "head": condition.head,
    }
    if is_stage:
        content["shared"] = condition.shared
    return content
