"""What is wrong with a sweep file, collected: each mistake once, in the order of the file.

In: nodes that remember their lines, and what pydantic says of their values. Out: lines
`file:line: key: what was given, what is allowed`. It stands apart so that reading a section and
saying what is wrong with it do not get mixed up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from harness.sweepfile.settings import KINDS, AlsoTest, ByName, Seeds
from headstart.errors import InputError, did_you_mean
from headstart.output import on_one_line
from headstart.value_errors import Details, models_in, quote, reason, with_forms
from headstart.yaml12 import Node, Where

Model = TypeVar("Model", bound=BaseModel)


class Mistake(NamedTuple):
    """Where, which key, and what of it."""

    where: Where
    path: str
    text: str

    def __str__(self) -> str:
        return on_one_line(": ".join(filter(None, [str(self.where), self.path, self.text])))


class Mistakes:
    """Grows while a sweep is read; reading goes on after a mistake."""

    def __init__(self) -> None:
        self._all: dict[Mistake, None] = {}  # ordered; what is inherited is said once

    def __bool__(self) -> bool:
        return bool(self._all)

    def in_file_order(self) -> list[str]:
        return [str(mistake) for mistake in sorted(self._all, key=lambda each: each.where)]

    def add(self, node: Node, text: str, path: str | None = None) -> None:
        self._all[Mistake(node.where, node.path if path is None else path, text)] = None

    def validate(
        self,
        model: type[Model],
        node: Node,
        may_lack: Collection[str] = (),
        whole: type[BaseModel] | None = None,
    ) -> Model | None:
        """The node's values as a `model`; None, with a mistake for each, where they do not fit.

        Of keys in `may_lack` it is said elsewhere that they are missing. `whole` is the model of
        all keys that may stand there, where `model` reads only some of them.
        """
        try:
            return model.model_validate(node.plain())
        except ValidationError as err:
            errors = with_forms(
                err.errors(), lambda error: _place(node, error)[0].path, whole or model
            )
            for error in _without_echoes(errors, node):
                if error["type"] != "missing" or error["loc"] not in {(k,) for k in may_lack}:
                    self._explain(whole or model, node, error)
            return None

    def _explain(self, model: type[BaseModel], node: Node, error: Details) -> None:
        at, below = _place(node, error)
        path = ".".join(filter(None, [at.path, *below]))
        if error["type"] == "missing":
            self.add(at, "is missing", path)
        elif error["type"] == "extra_forbidden":
            allowed = _keys_beside(model, error["loc"], node.plain())
            near = did_you_mean(str(error["loc"][-1]), allowed)
            text = f"is not a key here; allowed: {', '.join(allowed) or 'none'}"
            self.add(at, text + near, path)
        else:
            self.add(at, reason(error), path)


def _place(node: Node, error: Details) -> tuple[Node, list[str]]:
    """The deepest node on the way to an error, and the key below it that is not there.

    A location also holds names that are no keys of the file: branches of a union, and `options`.
    """
    path = error["loc"]
    for key in path:
        node = node.get(key) or node
    is_missing = error["type"] == "missing" and node.path.rsplit(".", 1)[-1] != path[-1]
    return node, [str(path[-1])] if is_missing else []


def _without_echoes(all_errors: Iterable[Details], node: Node) -> Iterator[Details]:
    """Each mistake once: of a union's branches, what the branch that fits best says."""
    errors = list(all_errors)
    places = [_place(node, error)[0].path for error in errors]
    for error, place in zip(errors, places, strict=True):
        others = [
            other
            for other, its in zip(errors, places, strict=True)
            if other is not error and (its == place or its.startswith((f"{place}.", f"{place}[")))
        ]
        if not (_is_of_type(error) and any(not _is_of_type(other) for other in others)):
            yield error


def _is_of_type(error: Details) -> bool:
    """Whether it says no more than that the value is of another kind than a branch takes."""
    is_no_name = error["type"] == "literal_error" and isinstance(error["input"], Mapping)
    return is_no_name or str(error["type"]).endswith("_type")


def _keys_beside(model: type[BaseModel], path: Sequence[int | str], given: Any) -> list[str]:
    """The keys that the mapping takes in which the last key of `path` stands."""
    beside: list[str] = []
    for key in path[:-1]:
        beside = []
        if key in KINDS:  # a branch of a union, and no key of the file
            model = KINDS[str(key)]
            continue
        if key == "options" and issubclass(model, ByName):
            beside = ["name", *model.split_keys, *(("part", "label") * (model is AlsoTest))]
            model = _options_of(model, given)
            continue
        if isinstance(given, Mapping):
            given = given.get(key)
        elif isinstance(given, list) and isinstance(key, int):
            given = given[key]
        field = model.model_fields.get(str(key))
        model = next(models_in(field.annotation), model) if field else model
        if model is Seeds:
            model = Seeds.rule_of(given)
    return [*beside, *(name for name, field in model.model_fields.items() if not field.exclude)]


def _options_of(choice: type[ByName], given: Any) -> type[BaseModel]:
    try:
        return choice.options_model(str(given["name"]))
    except (InputError, KeyError, TypeError):
        return choice


def show(node: Node) -> str:
    return quote(node.plain())
