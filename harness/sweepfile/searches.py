"""The `search` sections of a sweep file in, one frozen `Search` for each searched arm out.

A section stands at the top, for all arms, or in an arm, laid over it; `search: none` leaves an arm
unsearched. Keys beside the section's own settings are the space: `learning_rate` is a key of
`train`, `dropout` one of the network's; `train.…`, `model.…` and `space: {…}` say it in full. Every
value that may be drawn is checked here, with its line.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from harness.sweepfile.file import SearchSection
from harness.sweepfile.mistakes import Mistakes, quote, show
from harness.sweepfile.search_settings import Search, draw
from harness.sweepfile.settings import Condition, Train
from headstart.errors import InputError, did_you_mean
from headstart.grid import GridPoint, Values
from headstart.yaml12 import Node

OWN_KEYS = tuple(Search.model_fields)
NOT_SEARCHED = ("none", False)


class SearchReader:
    """Reads the searches of one sweep; what is wrong goes to `mistakes`."""

    def __init__(self, root: Node, mistakes: Mistakes):
        self.root = root
        self.mistakes = mistakes

    def read(
        self, arms: Mapping[str, Condition], points: Mapping[str, GridPoint]
    ) -> dict[str, Search]:
        """Searches by arm; `arms` and `points` are by full name, the grid point included."""
        shared = self.root.get("search")
        if shared is not None and not arms:  # without a sound arm, its form alone can be checked
            self.mistakes.validate(SearchSection, shared)
        searches = {}
        for arm, condition in arms.items():
            own = self.root.get("arms", points[arm].arm, "search")
            if own is not None and own.value in NOT_SEARCHED:
                continue
            if own is None and (shared is None or condition.fine_tune == "none"):
                continue  # nothing is searched, or nothing trains
            search = self._search(shared, own, condition)
            if search is not None:
                searches[arm] = search
        return searches

    def _search(self, shared: Node | None, own: Node | None, condition: Condition) -> Search | None:
        settings: dict[str, Node] = {}
        space: dict[str, Node] = {}
        at = own or shared
        assert at is not None
        if condition.fine_tune == "none":
            self.mistakes.add(at, "nothing trains in this arm, so nothing can be searched")
            return None
        for node in (shared, own):
            if node is None:
                continue
            if not isinstance(node.value, dict):
                self.mistakes.add(node, f"{show(node)} is not a mapping of settings to search")
                return None
            settings |= {k: v for k, v in node.items() if k in OWN_KEYS and k != "space"}
            space |= self._space(node, condition)
        if not space:
            self.mistakes.add(at, "names no setting: learning_rate: {log_uniform: [1e-4, 1e-2]}")
            return None
        whole = {**settings, "space": Node(space, at.where, f"{at.path}.space")}
        search = self.mistakes.validate(Search, Node(whole, at.where, at.path))
        if search is None or not self._ends_fit(search, space, condition):
            return None
        return search if self._fits_the_arm(search, at, condition) else None

    def _space(self, node: Node, condition: Condition) -> dict[str, Node]:
        """Distributions by full key, of the section's free keys and of its `space`."""
        entries = [(key, child) for key, child in node.items() if key not in OWN_KEYS]
        below = node.get("space")
        if below is not None and not isinstance(below.value, dict):
            self.mistakes.add(below, f"{show(below)} is not a mapping of settings to search")
        entries += list(below.items()) if below is not None else []
        space: dict[str, Node] = {}
        for key, child in entries:
            full = self._full_key(key, child, condition)
            if full in space:
                self.mistakes.add(child, f"{full} is searched twice")
            elif full:
                space[full] = child
        return space

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
        known = [*Train.model_fields, *options, *OWN_KEYS]
        self.mistakes.add(
            node,
            "is no setting that can be searched: a key of train "
            f"({', '.join(Train.model_fields)}), an option of {condition.model.shown} "
            f"({', '.join(options) or 'it has none'}), or one of the search's own "
            f"({', '.join(OWN_KEYS)}){did_you_mean(first, known)}",
        )
        return None

    def _ends_fit(self, search: Search, space: Mapping[str, Node], condition: Condition) -> bool:
        """Whether the setting takes every choice, and both ends of every range."""
        fits = True
        for key, distribution in search.space.items():
            (kind,) = distribution.model_fields_set
            at = space[key].get(kind) or space[key]
            for value in distribution.ends():
                if reason := _reason_against(condition, {key: value}):
                    fits = False
                    self.mistakes.add(at, f"{quote(value)}: {reason}")
        return fits

    def _fits_the_arm(self, search: Search, at: Node, condition: Condition) -> bool:
        epochs = condition.train.epochs
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
                if (reason := _reason_against(condition, values))
            )
            text = next(texts, "")
        if text:
            self.mistakes.add(at, text)
        return not text


def _reason_against(condition: Condition, values: Values) -> str:
    try:
        condition.with_values(values)
    except ValidationError as err:
        first = err.errors()[0]
        return str(first["msg"].removeprefix("Value error, ").removeprefix("Input "))
    except (InputError, ValueError) as err:
        return str(err)
    return ""
