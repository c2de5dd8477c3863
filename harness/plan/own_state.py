"""What code of the user's own keeps between steps where no saved state has it.

In: a network, an optimizer and a loss, and the names of the user's files. Out: numbers and
generators by the place that holds them. It stands alone because this looks into the user's objects,
classes and modules: a counter of steps may stand in any of them, and may matter only after many
steps, when two copies that make two steps would not differ yet.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.own_code import PREFIX

MOST_ITEMS, MOST_DEPTH = 100, 3
_IN_STATE = ("_parameters", "_buffers", "_modules", "state", "param_groups", "defaults")
Kept = dict[str, object]


def kept_outside(objects: Mapping[str, object], masks: torch.Generator) -> Kept:
    """Numbers and generators that steps may change and no state holds, each by its place.

    Tensors themselves are left out: a feature map that is kept to be looked at does no harm, and
    one that is used shows in the numbers.

    Args:
        objects: the network, the optimizer and the loss by their names; a network's is "".
        masks: the trial's own generator, which is seeded for each step.
    """
    kept: Kept = {}
    for name, value in objects.items():
        parts = value.named_modules() if isinstance(value, nn.Module) else [("", value)]
        for path, part in parts:
            where = ".".join(filter(None, (name, path)))
            for key, inner in _attributes(part):
                kept |= _kept(f"{where}.{key}".lstrip("."), inner, masks)
        if name and isinstance(value, nn.Module):  # no state holds a loss's buffers
            kept |= {f"{name}.{key}": _bits(buffer) for key, buffer in value.named_buffers()}
    for where, holder in _private_holders():
        for key, inner in list(vars(holder).items()):
            if not key.startswith("__"):
                kept |= _kept(f"{where}.{key}", inner, masks)
    return kept


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _attributes(part: object) -> list[tuple[str, object]]:
    if isinstance(part, FunctionType) or not hasattr(part, "__dict__"):
        return []
    return [(key, value) for key, value in vars(part).items() if key not in _IN_STATE]


def _private_holders() -> Iterator[tuple[str, ModuleType | type]]:
    """The user's modules that were run, and the classes that they define."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(PREFIX) or not isinstance(module, ModuleType):
            continue
        short = name.partition(".")[2]
        yield short, module
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == name:
                yield f"{short}.{value.__qualname__}", value


def _kept(where: str, value: object, masks: torch.Generator, depth: int = 0) -> Kept:
    """What of a value can be compared, by its place; nothing of what says nothing."""
    plain = _plain(value, masks)
    if plain is not None:
        return {where: plain}
    if depth == MOST_DEPTH or isinstance(value, str | bytes | Tensor | np.ndarray):
        return {}
    kept: Kept = {}
    if isinstance(value, Mapping):
        kept[f"len({where})"] = len(value)
        for key, inner in itertools.islice(value.items(), MOST_ITEMS):
            kept |= _kept(f"{where}[{key!r}]", inner, masks, depth + 1)
    elif isinstance(value, Sequence | Set):
        kept[f"len({where})"] = len(value)
        for k, inner in enumerate(itertools.islice(value, MOST_ITEMS)):
            kept |= _kept(f"{where}[{k}]", inner, masks, depth + 1)
    return kept


def _plain(value: object, masks: torch.Generator) -> Any:
    """A number, or where a generator stands; None for what is neither."""
    if type(value) in (int, float) or isinstance(value, np.number):
        return value
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, torch.Generator) and value is not masks:
        return value.get_state().numpy().tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, random.Random):
        return value.getstate()
    return None
