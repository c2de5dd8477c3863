"""The `search` sections of a sweep file in, one frozen `Search` for each searched arm out.

A section stands at the top, for all arms, or in an arm, laid over it; `search: none` leaves an arm
unsearched. Keys beside the section's own settings are the space: `learning_rate` is a key of
`train`, `dropout` one of the network's; `train.…`, `model.…` and `space: {…}` say it in full;
`fine_tune` is a key of arms that start from weights, and `pretrain.STAGE.train.…` one of a stage
that the arm starts from (at the top these two concern such arms alone). Every value that may be
drawn is checked here, with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from harness.sweepfile.conditions import Conditions
from harness.sweepfile.file import SearchSection, checked_fine_tune
from harness.sweepfile.mistakes import Mistakes, show
from harness.sweepfile.settings import FINE_TUNE, Condition, Train
from harness.sweepfile.settings.search import Search, by_owner, draw
from harness.sweepfile.together import mistakes_of
from headstart.errors import InputError, did_you_mean
from headstart.grid import Values
from headstart.value_errors import quote
from headstart.yaml12 import Node

OWN_KEYS = tuple(Search.model_fields)
NOT_SEARCHED = ("none", False)


@dataclass(frozen=True)
class _Arm:
    """An arm as it is searched.

    Attributes:
        stages: those that it starts from, directly or not, by their names in the file.
        point: what the grid says of it, by full key.
    """

    condition: Condition
    stages: Mapping[str, Condition]
    point: Values


class SearchReader:
    """Reads the searches of one sweep; what is wrong goes to `mistakes`."""

    def __init__(self, root: Node, mistakes: Mistakes):
        self.root = root
        self.mistakes = mistakes
        self.concerning: set[str] = set()  # keys of stages, at the top, that concern an arm

    def read(self, conditions: Conditions) -> dict[str, Search]:
        """Searches by the full name of their arm, the grid point included."""
        shared, arms = self.root.get("search"), conditions.arms
        if shared is not None and not arms:  # without a sound arm, its form alone can be checked
            self.mistakes.validate(SearchSection, shared)
        searches = {}
        for arm, condition in arms.items():
            own = self.root.get("arms", conditions.points[arm].arm, "search")
            if own is not None and own.value in NOT_SEARCHED:
                continue
            if own is None and (shared is None or _has_no_steps(condition)):
                continue  # nothing is searched, or nothing trains
            stages = _stages_before(condition, conditions)
            searched = _Arm(condition, stages, conditions.points[arm].values)
            search = self._search(shared, own, searched)
            if search is not None:
                searches[arm] = search
        if shared is not None and isinstance(shared.value, dict) and arms:
            self._check_concern(shared)
        return searches

    def _check_concern(self, shared: Node) -> None:
        """Whether a searched arm starts from each stage that the section at the top names, and
        one from weights where it names `fine_tune`."""
        for key, node in _entries(shared):
            if key == FINE_TUNE and key not in self.concerning and not self.mistakes:
                self.mistakes.add(node, "no arm that is searched starts from weights (initialize)")
            _, _, rest = key.partition("pretrain.")
            stage = rest.split(".")[0]
            if rest and stage not in self.concerning and self._has_stage(stage):
                self.mistakes.add(node, f"no arm that is searched starts from stage {stage!r}")

    def _search(self, shared: Node | None, own: Node | None, arm: _Arm) -> Search | None:
        settings: dict[str, Node] = {}
        space: dict[str, Node] = {}
        at = own or shared
        assert at is not None
        if _has_no_steps(arm.condition):
            self.mistakes.add(at, "nothing trains in this arm, so nothing can be searched")
            return None
        n_keys = 0
        for node in (shared, own):
            if node is None:
                continue
            if not isinstance(node.value, dict):
                self.mistakes.add(node, f"{show(node)} is not a mapping of settings to search")
                return None
            settings |= {k: v for k, v in node.items() if k in OWN_KEYS and k != "space"}
            space |= self._space(node, arm, is_own=node is own)
            n_keys += len(_entries(node))
        if not space:
            if not n_keys or (own is not None and not self.mistakes):
                text = "names no setting: learning_rate: {log_uniform: [1e-4, 1e-2]}"
                self.mistakes.add(at, text)
            return None  # what the top says is of stages that this arm does not start from
        whole = {**settings, "space": Node(space, at.where, f"{at.path}.space")}
        search = self.mistakes.validate(Search, Node(whole, at.where, at.path))
        if search is None or not self._ends_fit(search, space, arm):
            return None
        return search if self._fits_the_arm(search, at, arm) else None

    def _space(self, node: Node, arm: _Arm, is_own: bool) -> dict[str, Node]:
        """Distributions by full key, of the section's free keys and of its `space`."""
        below = node.get("space")
        if below is not None and not isinstance(below.value, dict):
            self.mistakes.add(below, f"{show(below)} is not a mapping of settings to search")
        space: dict[str, Node] = {}
        for key, child in _entries(node):
            full = self._key(key, child, arm, is_own)
            if full in space:
                self.mistakes.add(child, f"{full} is searched twice")
            elif full:
                space[full] = child
        return space

    def _key(self, key: str, node: Node, arm: _Arm, is_own: bool) -> str | None:
        """The full key; None where it concerns other arms, or with a mistake."""
        if key == FINE_TUNE:
            return self._layers(node, arm, is_own)
        if key.split(".")[0] == "pretrain":
            return self._key_of_stage(key, node, arm, is_own)
        return self._full_key(key, node, arm.condition)

    def _key_of_stage(self, key: str, node: Node, arm: _Arm, is_own: bool) -> str | None:
        """The key, where it is one of a stage that the arm starts from; None, with a mistake."""
        _, stage, section, rest = (*key.split(".", 3), "", "", "")[:4]
        self.concerning |= {stage} & arm.stages.keys()
        if not self._has_stage(stage):
            pretrain = self.root.get("pretrain")
            names = [name for name, _ in pretrain.items()] if pretrain else []
            near = did_you_mean(stage, names)
            text = f"{stage!r} is not a pretrain stage ({', '.join(names) or 'none'}){near}"
        elif section != "train" or rest.split(".")[0] not in Train.model_fields:
            text = (
                "of a stage a key of its train can be searched, as "
                f"pretrain.{stage}.train.epochs{did_you_mean(rest, Train.model_fields)}"
            )
        elif stage not in arm.stages:
            if not is_own:
                return None  # it concerns other arms
            text = f"this arm does not start from stage {stage!r}"
        elif key in arm.point:
            text = "is set by the grid too; leave it out in one of both"
        else:
            return key
        self.mistakes.add(node, text)
        return None

    def _has_stage(self, name: str) -> bool:
        return self.root.get("pretrain", name) is not None

    def _full_key(self, key: str, node: Node, condition: Condition) -> str | None:
        """`learning_rate` → `train.learning_rate`; None, with a mistake, for what is no setting."""
        options = condition.model.option_names
        section, _, rest = key.partition(".")
        if section not in ("train", "model") or not rest:
            section, rest = ("train" if section in Train.model_fields else "model"), key
        first = rest.split(".")[0]
        is_of_record = section == "model" and condition.model.is_record
        if is_of_record or first in (Train.model_fields if section == "train" else options):
            return f"{section}.{rest}"
        known = [*Train.model_fields, *options, FINE_TUNE, *OWN_KEYS]
        self.mistakes.add(
            node,
            "is no setting that can be searched: fine_tune, a key of train "
            f"({', '.join(Train.model_fields)}), an option of {condition.model.shown} "
            f"({', '.join(options) or 'it has none'}), or one of the search's own "
            f"({', '.join(OWN_KEYS)}){did_you_mean(first, known)}",
        )
        return None

    def _layers(self, node: Node, arm: _Arm, is_own: bool) -> str | None:
        """`fine_tune`, where the arm starts from weights; None, with a mistake, where it cannot."""
        if arm.condition.start.kind == "random":
            if is_own:
                self.mistakes.add(
                    node,
                    "this arm starts from random weights: which layers to fine-tune can be "
                    "searched where initialize says what they start from",
                )
            return None  # at the top it concerns other arms
        self.concerning.add(FINE_TUNE)
        if FINE_TUNE in arm.point:
            self.mistakes.add(node, "is set by the grid too; leave it out in one of both")
            return None
        return FINE_TUNE

    def _ends_fit(self, search: Search, space: Mapping[str, Node], arm: _Arm) -> bool:
        """Whether the setting takes every choice, and both ends of every range."""
        fits = True
        for key, distribution in search.space.items():
            (kind,) = distribution.model_fields_set
            at = space[key].get(kind) or space[key]
            for value in distribution.ends():
                if reason := _reason_against(arm, {key: value}):
                    fits = False
                    self.mistakes.add(at, f"{quote(value)}: {reason}")
        return fits

    def _fits_the_arm(self, search: Search, at: Node, arm: _Arm) -> bool:
        epochs = arm.condition.train.epochs
        if search.scheduler == "asha":
            at = at.get("scheduler") or at
            text = "asha is not available; synchronous is (with rungs: [EPOCHS, …] and keep)"
        elif search.rungs and search.rungs[-1] > epochs:
            at = at.get("rungs") or at
            text = f"{list(search.rungs)}: the arm trains {epochs} epochs"
        else:
            drawn = (draw(search, sample) for sample in range(search.samples))
            texts = (
                f"sample {sample}, {quote(values)}: {reason}"
                for sample, values in enumerate(drawn)
                if (reason := _reason_against(arm, values))
            )
            text = next(texts, "")
        if text:
            self.mistakes.add(at, text)
        return not text


def _entries(section: Node) -> list[tuple[str, Node]]:
    """What a section says to search: its free keys, then those of its `space`."""
    free = [(key, child) for key, child in section.items() if key not in OWN_KEYS]
    below = section.get("space")
    return [*free, *(below.items() if below is not None and isinstance(below.value, dict) else ())]


def _stages_before(condition: Condition, conditions: Conditions) -> dict[str, Condition]:
    """The stages that it starts from, directly or not, by their names in the file."""
    stages: dict[str, Condition] = {}
    start = condition.start
    while start.kind == "stage" and (stage := conditions.stages.get(start.name)) is not None:
        name = conditions.points[start.name].arm
        if name in stages:
            break  # a circle, which was told
        stages[name] = stage
        start = stage.start
    return stages


def _reason_against(arm: _Arm, values: Values) -> str:
    own, of_stages = by_owner(values)
    parts = [(arm.condition, own), *((arm.stages[name], v) for name, v in of_stages.items())]
    return next((reason for part in parts if (reason := _reason(*part))), "")


def _has_no_steps(condition: Condition) -> bool:
    """Whether settings of training decide nothing: nothing trains, or the head is fitted."""
    return condition.fine_tune == "none" or condition.tuning.is_fitted


def _reason(condition: Condition, values: Values) -> str:
    """Why the condition does not take the values; empty where it does."""
    if FINE_TUNE in values and (reason := _reason_against_layers(condition, values[FINE_TUNE])):
        return reason
    try:
        changed = condition.with_values(values)
    except ValidationError as err:
        first = err.errors()[0]
        return str(first["msg"].removeprefix("Value error, ").removeprefix("Input "))
    except (InputError, ValueError) as err:
        return str(err)
    return next((text for _, text in mistakes_of(changed)), "")


def _reason_against_layers(condition: Condition, setting: object) -> str:
    if setting == "none":
        return "trains nothing, so no other setting matters; give it an arm of its own"
    try:
        checked_fine_tune(setting)
    except ValueError as err:
        return str(err)
    depth = condition.model.info.depth
    n = str(setting).removeprefix("last_")
    if depth is not None and n.isdigit() and int(n) > depth:
        return f"is deeper than the network's {depth} layer groups"
    return ""
