"""What pydantic says of a value that does not fit → words for the person who wrote it.

In: errors as `ValidationError.errors` gives them. Out: what was given, what is allowed. It stands
alone because sweep files and files of one section are told alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from headstart.errors import did_you_mean

Details = Mapping[str, Any]  # one error, as `ValidationError.errors` gives it
_FORMS = {  # what a value must be, by the kind of error of a value that is something else
    "float_type": "a number", "float_parsing": "a number",
    "int_type": "a whole number", "int_parsing": "a whole number",
    "string_type": "a text", "bool_type": "true or false",
    "list_type": "a list", "tuple_type": "a list",
    "dict_type": "a mapping of keys", "model_type": "a mapping of keys",
}  # fmt: skip


def with_forms(
    errors: Sequence[Details], place: Callable[[Details], str], model: type[BaseModel]
) -> Iterator[Details]:
    """The errors; where a value may have several forms and has none of them, one names all.

    Args:
        errors: as `ValidationError.errors` gives them.
        place: where in the file an error is.
        model: what the file's values were to be; the examples of its keys are shown.
    """
    at: dict[str, list[Details]] = {}
    for error in errors:
        at.setdefault(place(error), []).append(error)
    for key, its in at.items():
        names = [name for error in its for name in _names(error)]
        others = [_FORMS.get(str(error["type"]), "") for error in its if not _names(error)]
        has_forms = len(its) > 1 and all(others)
        is_deeper = any(other.startswith((f"{key}.", f"{key}[")) for other in at)
        if not has_forms or is_deeper or isinstance(its[0]["input"], Mapping):
            yield from its
            continue
        example = _example(model, its[0]["loc"])
        if isinstance(example, Mapping):
            shown = ", ".join(f"{name}: {value}" for name, value in example.items())
            others = [each.replace("of keys", f"as {{{shown}}}") for each in others]
        allowed = [", ".join(names)] * bool(names) + list(dict.fromkeys(others))
        near = did_you_mean(str(its[0]["input"]), names)
        text = ("one of " if names else "") + " or ".join(allowed) + near
        yield {**its[0], "type": "no_form", "msg": f"is not {text}"}


def _names(error: Details) -> list[str]:
    """The names of which a value must be one; empty where names are not what is asked for."""
    if error["type"] != "literal_error":
        return []
    return str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")


def _example(model: type[BaseModel], path: Sequence[int | str]) -> object:
    """What the key at `path` shows as its example; None where it is not known."""
    example: object = None
    for key in path:
        field = model.model_fields.get(str(key))
        if field is not None:
            example = (field.examples or [None])[0]
            model = next(models_in(field.annotation), model)
    return example


def reason(error: Details) -> str:
    """What was given and what is allowed, of one error."""
    given = error["input"]
    if error["type"] == "literal_error":
        allowed = _names(error)
        near = did_you_mean(str(given), allowed)
        if error["loc"][-1:] == ("head",) and isinstance(given, Mapping):
            near = "; layers of a head are an option of the network: model: {head: …}"
        return f"{quote(given)} is not one of {', '.join(allowed)}{near}"
    if error["type"] == "unknown_name":
        return str(error["msg"])
    if error["type"] in ("tuple_type", "list_type"):
        return f"{quote(given)} is not a list"
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{quote(given)} is not a mapping of keys"
    if error["type"] == "too_long":
        most = error["ctx"]["max_length"]
        return f"{quote(given)} has {len(given)} items, and {most} are taken"
    if error["type"] == "string_type":
        as_text = "; quotes make it one" if isinstance(given, (int, float)) else ""
        return f"{quote(given)} is no text{as_text}"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return text if isinstance(given, Mapping) else f"{quote(given)} {text}"


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The settings classes that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def quote(value: object) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
