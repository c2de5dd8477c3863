"""A sweep file in, a frozen `Sweep` out, or all of the file's mistakes at once.

In: YAML text, a profile's name, `--set` assignments. Out: `settings.Sweep`. Only this
and `conditions.py` read or default configuration. Profiles and assignments are laid over the file
before anything is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.seeds import AXES
from harness.sweepfile.conditions import ConditionReader, Conditions
from harness.sweepfile.mistakes import Mistakes, Model, quote, show
from harness.sweepfile.nodes import (
    Node,
    merge,
    parse_scalar_or_flow,
    read_yaml,
    with_value,
    without,
)
from harness.sweepfile.searches import SearchReader
from harness.sweepfile.settings import (
    Condition,
    Deliver,
    Resources,
    Save,
    Seeds,
    Sweep,
    Until,
)
from headstart.cli import did_you_mean
from headstart.errors import SpecError
from headstart.settings import Compare, Measure

TOP_KEYS = (
    "name", "question", "model", "data", "train", "pretrain", "arms", "seeds", "seed", "vary",
    "compare", "measure", "resources", "profiles", "grid", "save", "track", "search", "deliver",
    "why",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
    if keys[0] == "grid":  # whose own keys are paths
        keys = ["grid", *filter(None, [".".join(keys[1:])])]
    return with_value(root, keys, parse_scalar_or_flow(text, "--set", key.strip()))


class _Reader:
    """Reads one sweep; reading goes on after a mistake."""

    def __init__(self, root: Node):
        self.root = root
        self.mistakes = Mistakes()

    def read(self) -> Sweep:
        root = self.root
        self.mistakes.known_keys(root, TOP_KEYS)
        name = self._text("name", pattern=NAME) or "unnamed"
        question = self._text("question") or ""
        vary = self._words("vary", AXES, default=AXES)
        track = self._words("track", ("tensorboard", "wandb", "mlflow"), default=("tensorboard",))
        conditions = ConditionReader(root, self.mistakes).read()
        measure = self._section("measure", Measure)
        resources = self._section("resources", Resources)
        save = self._section("save", Save)
        deliver = self._section("deliver", Deliver)
        why = self._text("why") if self.root.get("why") else ""
        names = {full: name for full, (name, _) in conditions.origin.items()}
        searches = SearchReader(root, self.mistakes).read(conditions.arms, names)
        compare = self._compare(conditions)
        seeds = self._seeds()
        seed = self._whole_number("seed", default=0)
        self._same_conditions(conditions.arms, searches)
        self._test_sets(conditions.arms)
        if self.mistakes or seeds is None or not (measure and resources and save and deliver):
            raise SpecError(self.mistakes.in_file_order())
        return Sweep(
            name=name,
            question=question,
            stages=conditions.stages,
            arms=conditions.arms,
            grid_points={key: point for key, (_, point) in conditions.origin.items() if point},
            seeds=seeds,
            seed=seed,
            vary=frozenset(vary),  # type: ignore[arg-type]
            compare=compare,
            measure=measure,
            resources=resources,
            save=save,
            track=tuple(track),  # type: ignore[arg-type]
            searches=searches,
            deliver=deliver,
            why=why or "",
        )

    # -- plain values ----------------------------------------------------------------------

    def _text(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        node = self.root.get(key)
        if node is None:
            self.mistakes.add(self.root, "is missing", key)
            return None
        text = " ".join(str(node.value).split())
        if not isinstance(node.value, str) or not text:
            self.mistakes.add(node, f"{show(node)} is not text")
            return None
        if pattern and not pattern.fullmatch(text):
            self.mistakes.add(
                node, f"{text!r} is not a name: letters, digits, '.', '_', '-', at most 64"
            )
            return None
        return text

    def _words(self, key: str, allowed: Sequence[str], default: Sequence[str]) -> Sequence[str]:
        node = self.root.get(key)
        if node is None:
            return default
        if not isinstance(node.value, list):
            self.mistakes.add(node, f"{show(node)} is not a list of {', '.join(allowed)}")
            return default
        words = [child.plain() for child in node.value]
        for child, word in zip(node.value, words, strict=True):
            if word not in allowed:
                near = did_you_mean(str(word), allowed)
                self.mistakes.add(
                    child, f"{quote(word)} is not one of {', '.join(allowed)}{near}", key
                )
        return words

    def _whole_number(self, key: str, default: int) -> int:
        node = self.root.get(key)
        if node is None:
            return default
        if type(node.value) is not int or node.value < 0:
            self.mistakes.add(node, f"{show(node)} is not a whole number from 0")
            return default
        return node.value

    def _section(self, key: str, model: type[Model]) -> Model | None:
        node = self.root.get(key)
        if node is None or node.value is None:
            return model()
        return self.mistakes.validate(model, node)

    # -- what stands across arms -----------------------------------------------------------

    def _compare(self, conditions: Conditions) -> tuple[Compare, ...]:
        node = self.root.get("compare")
        if node is None or node.value is None:
            return ()
        if not isinstance(node.value, list):
            self.mistakes.add(node, f"{show(node)} is not a list of {{treatment, control}}")
            return ()
        arms = self.root.get("arms")
        names = [key for key, _ in arms.items()] if arms else []
        pairs: list[Compare] = []
        for item in node.value:
            pair = self.mistakes.validate(Compare, item)
            if pair is None:
                continue
            known = True
            for role in ("treatment", "control"):
                arm = getattr(pair, role)
                if arm not in names:
                    known = False
                    near = did_you_mean(arm, names)
                    at = item.get(role) or item
                    self.mistakes.add(at, f"{arm!r} is not an arm; arms: {', '.join(names)}{near}")
            if known and pair.treatment == pair.control:
                self.mistakes.add(item, f"{pair.treatment!r} is compared with itself")
            elif known:
                pairs.extend(_pairs_over_grid(pair, conditions.origin))
        return tuple(pairs)

    def _seeds(self) -> Seeds | None:
        node = self.root.get("seeds")
        if node is None:
            return Seeds(values=tuple(range(5)))
        given = node.plain()
        if type(given) is int:
            if given < 1:
                self.mistakes.add(node, f"{given} is not a whole number from 1")
                return None
            return Seeds(values=tuple(range(given)))
        if isinstance(given, list):
            if not given or any(type(s) is not int or s < 0 for s in given):
                self.mistakes.add(node, f"{given} is not a list of whole numbers from 0")
                return None
            return Seeds(values=tuple(dict.fromkeys(given)))
        if isinstance(given, dict):
            return self._seeds_until(node)
        self.mistakes.add(
            node, f"{show(node)} is not a count, a list or {{until, at_least, at_most}}"
        )
        return None

    def _seeds_until(self, node: Node) -> Seeds | None:
        if not self.mistakes.known_keys(node, ("until", "at_least", "at_most")):
            return None
        until_node = node.get("until") or Node({}, node.where, "seeds.until")
        until = self.mistakes.validate(Until, until_node)
        bounds = {}
        for key, default in (("at_least", 8), ("at_most", 60)):
            child = node.get(key)
            bounds[key] = default if child is None else child.value
            if type(bounds[key]) is not int or bounds[key] < 2:
                self.mistakes.add(child or node, f"{bounds[key]!r} is not a whole number from 2")
                return None
        if bounds["at_least"] > bounds["at_most"]:
            self.mistakes.add(
                node, f"at_least {bounds['at_least']} is over at_most {bounds['at_most']}"
            )
            return None
        return Seeds(values=tuple(range(bounds["at_least"])), until=until, **bounds)

    def _same_conditions(self, arms: Mapping[str, Condition], searches: Mapping[str, Any]) -> None:
        """Two arms may be written alike where they are searched differently, or one is not."""
        seen: dict[str, str] = {}
        for name, condition in arms.items():
            key = f"{condition.model_dump_json()} {searches.get(name)!r}"
            if key in seen:
                node = self.root.get("arms", name) or self.root
                self.mistakes.add(
                    node, f"is the same condition as arm {seen[key]!r}", f"arms.{name}"
                )
            seen.setdefault(key, name)

    def _test_sets(self, arms: Mapping[str, Condition]) -> None:
        """Every arm is scored on test images; only a pretrain stage does without."""
        for name, condition in arms.items():
            for choice in condition.data:
                if choice.split.test == 0:
                    node = self.root.get("arms", name) or self.root
                    self.mistakes.add(
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
