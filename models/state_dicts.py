"""Which mapping from names to tensors is meant, of all that a checkpoint holds.

In: what a pickle holds (`pickles.py`). Out: its state dicts by entry, the one that is meant, and
what there is to say of the rest. It stands alone because how training scripts lay out their
checkpoints is knowledge of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headstart.cli import few
from headstart.errors import ModelError
from headstart.output import is_text, on_one_line
from headstart.pickles import PICKLED_TENSOR, StandIn, TensorRef
from models.other_files import SAVE

_PRIMARY = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights",
            "params", "module", "ema")  # fmt: skip
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|rng|criterion|loss|history|callbacks|loops", re.I)
_MOST_DEPTH = 3
_LONGEST_NAME = 200  # of an entry


@dataclass
class StateDict:
    """A state dict in a file: where it lies, and its references to tensors by name."""

    path: str  # empty: the file itself
    tensors: dict[str, TensorRef | np.ndarray]
    others: list[str] = field(default_factory=list)


def state_dicts_of(value: object) -> dict[str, StateDict]:
    """Mappings from names to tensors by entry, the outermost first.

    Those that an optimizer, a loss or the like has count where there are no others.
    """
    return {each.path: each for each in (list(_found(value, _NOT_WEIGHTS)) or _found(value, None))}


def _found(value: object, but: re.Pattern[str] | None) -> Iterator[StateDict]:
    """Each mapping once, at most `_MOST_DEPTH` deep; not those under names that `but` finds."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    for _ in range(_MOST_DEPTH + 1):
        below: list[tuple[str, Any]] = []
        for path, item in waiting:
            if (mapping := _mapping(item)) is None or id(mapping) in seen:
                continue
            seen.add(id(mapping))
            if (own := _state_dict(path, mapping)) is not None:
                yield own
            below += [(f"{path}.{key}" if path else key, it) for key, it in mapping.items()
                      if isinstance(key, str) and len(key) <= _LONGEST_NAME and is_text(key)
                      and not (but and but.search(key))]  # fmt: skip
        waiting = below


def _state_dict(path: str, mapping: dict[Any, Any]) -> StateDict | None:
    tensors = {
        key: ref
        for key, item in mapping.items()
        if isinstance(key, str) and is_text(key) and (ref := _reference(item)) is not None
    }
    if not any(map(_is_weight, tensors.values())):
        return None
    others = [_shown(key) for key, item in mapping.items()
              if key not in tensors and _mapping(item) is None]  # fmt: skip
    return StateDict(path, tensors, others)


def _mapping(item: object) -> dict[Any, Any] | None:
    """A mapping of any class, which the file may have made itself."""
    if isinstance(item, StandIn):
        return item.items
    return item if isinstance(item, dict) else None


def _reference(item: object) -> TensorRef | np.ndarray | None:
    if isinstance(item, StandIn) and isinstance(item.state, np.ndarray):
        return item.state
    return item if isinstance(item, TensorRef) else None


def _is_weight(ref: TensorRef | np.ndarray) -> bool:
    """Whether it has several numbers with a point; a counter or a random state has not."""
    if isinstance(ref, np.ndarray):
        return ref.ndim > 0 and ref.dtype.kind == "f"
    return len(ref.shape) > 0 and "float" in ref.dtype


def only(path: Path, entries: Mapping[str, StateDict]) -> StateDict:
    """The one state dict of a file, or the one whose name is usual and that no other resembles.

    Raises:
        ModelError: two of them may be meant.
    """
    if len(entries) == 1:
        return next(iter(entries.values()))
    usual = [entry for name, entry in entries.items() if name.rpartition(".")[2] in _PRIMARY]
    if len(usual) == 1:
        names = _last_parts(usual[0])
        if not any(other is not usual[0] and _last_parts(other) & names
                   for other in entries.values()):  # fmt: skip
            return usual[0]
    raise ModelError(
        f"{path}: holds several state dicts, and one must be chosen; {offered(entries)}; say "
        f"initialize: {{file: {_as_yaml(str(path))}, "
        f"entry: {_as_yaml(next(name for name in entries if name))}}}"
    )


def _as_yaml(text: str) -> str:
    """A text as it may stand between braces in YAML."""
    return text if re.fullmatch(r"[\w./~ -]+", text) else json.dumps(text, ensure_ascii=False)


def _last_parts(entry: StateDict) -> set[str]:
    """Names by their last two parts, so that prefixes do not count."""
    return {".".join(name.split(".")[-2:]) for name in entry.tensors}


def offered(entries: Mapping[str, StateDict]) -> str:
    if not entries:
        return "it has none"
    listed = [f"{name or '(the file itself)'} ({len(entry.tensors)} tensors)"
              for name, entry in entries.items()]  # fmt: skip
    return f"it has {few(listed)}"


def notes_on(value: object, chosen: StateDict) -> Iterator[str]:
    if chosen.path:
        top = [key for key in _mapping(value) or {} if key != chosen.path.split(".", 1)[0]]
        beside = list(map(_shown, top))
        left = f"; left out: {few(beside)}" if beside else ""
        yield f"its entry {chosen.path} was taken{left}"
    if chosen.others:
        yield f"left out, since they are no plain tensors: {few(chosen.others)}"


def _shown(key: object) -> str:
    """A key of a stranger's file, as a record and a page can hold it."""
    return on_one_line(str(key)[:_LONGEST_NAME])


def why_none(value: object) -> str:
    """Why a file's content holds no weights that can be taken."""
    top = _mapping(value)
    for key, item in {"": value, **(top or {})}.items():
        if isinstance(item, StandIn) and _is_module(item.state):
            where = f"holds a whole pickled network under {key!r}" if key else (
                "is a whole pickled network"
            )  # fmt: skip
            return (f"{where} (of the class {few([item.name])}), which only the code that made it "
                    f"can open; nothing in it was run; where it was made, {SAVE}")  # fmt: skip
    if top is not None:
        if text := _what_instead(top):
            return text
        stand_ins = sorted({item.name for item in top.values() if isinstance(item, StandIn)})
        wants = f" (it wants to make {few(stand_ins)})" if stand_ins else ""
        return (f"holds no state dict (names → tensors), and nothing in it was run; it has "
                f"{few([str(key) for key in top]) or 'nothing'}{wants}")  # fmt: skip
    name = value.name if isinstance(value, StandIn) else type(value).__name__
    if isinstance(value, TensorRef):
        name = "single tensor"
    return f"holds a {few([name])}, not a state dict (names → tensors), and nothing in it was run"


def _what_instead(top: Mapping[Any, Any]) -> str:
    """What a mapping holds in the place of weights; empty: nothing that has a name."""
    if any("_packed_params" in str(key) for key in top):
        return "holds quantised weights, which are not read; save those before quantisation"
    tensors = [_reference(item) for key, item in top.items() if isinstance(key, str)]
    kinds = sorted({str(ref.dtype) for ref in tensors if ref is not None and ref.shape})
    if kinds:
        return (f"holds tensors of {few(kinds)} alone, and weights are of real numbers; were they "
                "quantised, save those before")  # fmt: skip
    if any(isinstance(item, StandIn) and item.name == PICKLED_TENSOR for item in top.values()):
        return f"holds tensors that pickle.dump has written; where it was made, {SAVE}"
    if {"state", "param_groups"} <= set(top):
        return f"is the state of an optimizer, without weights; where it was made, {SAVE}"
    return ""


def _is_module(state: object) -> bool:
    return isinstance(state, dict) and "_parameters" in state and "_modules" in state
