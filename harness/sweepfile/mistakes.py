"""What is wrong with a sweep file, collected: each mistake once, in the order of the file.

In: nodes that remember their lines, and what pydantic says of their values. Out: lines
`file:line: key: what was given, what is allowed`. It stands apart so that reading a section and
saying what is wrong with it do not get mixed up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.sweepfile.nodes import Node
from headstart.cli import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


class Mistakes:
    """Grows while a sweep is read; reading goes on after a mistake."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}  # ordered; what is inherited is said once

    def __bool__(self) -> bool:
        return bool(self._lines)

    def in_file_order(self) -> list[str]:
        return sorted(self._lines, key=_line_of)

    def add(self, node: Node, message: str, path: str | None = None) -> None:
        path = node.path if path is None else path
        self._lines[f"{node.where}: {path}: {message}" if path else f"{node.where}: {message}"] = (
            None
        )

    def known_keys(self, node: Node, allowed: Sequence[str]) -> bool:
        if not isinstance(node.value, dict):
            self.add(node, f"{show(node)} is not a mapping; its keys: {', '.join(allowed)}")
            return False
        for key, child in node.items():
            if key not in allowed:
                near = did_you_mean(key, allowed)
                self.add(child, f"is not a key here; allowed: {', '.join(allowed)}{near}")
        return True

    def validate(self, model: type[Model], node: Node) -> Model | None:
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
            message = f"is not a key here; allowed: {', '.join(allowed) or 'none'}"
            self.add(at, message + did_you_mean(str(loc[-1]), allowed), path)
        elif kind == "missing":
            self.add(at, "is missing", path)
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            near = did_you_mean(str(given), allowed)
            self.add(at, f"{quote(given)} is not one of {', '.join(allowed)}{near}", path)
        else:
            reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
            given_text = "" if isinstance(given, dict) else f"{quote(given)} "
            self.add(at, f"{given_text}{reason}", path)


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


def show(node: Node) -> str:
    return quote(node.plain())


def quote(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _line_of(message: str) -> tuple[str, int]:
    found = re.match(r"(.*?):(\d+): ", message)
    return (found[1], int(found[2])) if found else (message.split(" ")[0], 0)
