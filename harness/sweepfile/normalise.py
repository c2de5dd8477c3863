"""By which mean and deviation a condition's images are normalised.

In: the nodes of a condition, and what it starts from. Out: the same nodes, with the answer at
`model.normalise` in numbers, or without it where the network's own holds. What the network says
goes before what the data say: weights work with the numbers that they were trained with.

`normalise: weights` takes the numbers of a configuration that lies beside the file of weights, as
Hugging Face (`preprocessor_config.json`) and timm (`config.json`) publish them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.sweepfile.mistakes import Mistakes, show
from harness.sweepfile.nodes import without
from harness.sweepfile.settings import Start
from headstart.yaml12 import Node

_MOST_BYTES = 1 << 20
_CONFIGURATIONS = ("preprocessor_config.json", "config.json")


@dataclass(frozen=True)
class Published:
    """Mean and deviation of each channel, as a configuration beside the weights has them."""

    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def settled(whole: Node, start: Start, mistakes: Mistakes) -> Node:
    """The condition with one `normalise`, that of its network."""
    of_data = _of_data(whole, mistakes)
    data, model = whole.get("data"), whole.get("model")
    if of_data is not None and data is not None:
        choices = [without(choice, ("normalise",)) for choice in data.value]
        whole = _with(whole, "data", Node(choices, data.where, data.path))
    if model is None or not isinstance(model.value, dict):
        return whole
    chosen = model.get("normalise")
    if chosen is None or chosen.value is None:
        chosen = of_data
    if chosen is not None and chosen.value == "weights":
        chosen = _of_weights(chosen, start, mistakes)
    rest = without(model, ("normalise",))
    if chosen is None or chosen.value is None:
        return _with(whole, "model", rest)
    return _with(whole, "model", _with(rest, "normalise", chosen))


def published(path: Path) -> Published | None:
    """What a configuration beside a file of weights says; None where there is none."""
    for name in _CONFIGURATIONS:
        with suppress(OSError, ValueError, RecursionError, TypeError, KeyError):
            beside = path.parent / name
            if beside.is_file() and beside.stat().st_size <= _MOST_BYTES:
                numbers = _numbers(json.loads(beside.read_bytes()))
                if numbers is not None:
                    return Published(name, *numbers)
    return None


def _of_data(whole: Node, mistakes: Mistakes) -> Node | None:
    """What all choices of the data say; None where they say nothing."""
    data = whole.get("data")
    choices = data.value if data is not None and isinstance(data.value, list) else []
    said = [choice.get("normalise") for choice in choices if isinstance(choice.value, dict)]
    first = next((node for node in said if node is not None), None)
    if first is not None and any(n is None or n.plain() != first.plain() for n in said):
        mistakes.add(first, "is not the same for all data sets of first_of; give it to the network")
    return first


def _of_weights(node: Node, start: Start, mistakes: Mistakes) -> Node | None:
    if start.kind == "imagenet":
        return None  # torchvision's networks are given what their weights expect
    if start.kind != "file":
        what = "a stage" if start.kind == "stage" else "a run" if start.kind == "run" else "no file"
        mistakes.add(node, f"{show(node)}: it starts from {what}; give {{mean: …, std: …}}")
        return None
    numbers = published(start.path)
    if numbers is None:
        names = " or ".join(_CONFIGURATIONS)
        mistakes.add(node, f"{show(node)}: no {names} with a mean and a deviation lies beside "
                     f"{start.name}; give {{mean: …, std: …}}")  # fmt: skip
        return None
    return Node({key: _values(node, key, getattr(numbers, key)) for key in ("mean", "std")},
                node.where, node.path)  # fmt: skip


def _values(node: Node, key: str, numbers: tuple[float, ...]) -> Node:
    path = f"{node.path}.{key}"
    return Node([Node(n, node.where, path) for n in numbers], node.where, path)


def _with(node: Node, key: str, value: Node) -> Node:
    return Node({**node.value, key: value}, node.where, node.path)


def _numbers(content: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Of Hugging Face's image processors and timm's configurations, in 0..1."""
    for mapping in _mappings(content):
        if mapping.get("do_normalize") is False:
            return (0.0,), (1.0,)
        for mean, std in (("image_mean", "image_std"), ("mean", "std")):
            if isinstance(mapping.get(mean), list) and isinstance(mapping.get(std), list):
                return tuple(map(float, mapping[mean])), tuple(map(float, mapping[std]))
    return None


def _mappings(content: Any) -> Iterator[dict[str, Any]]:
    for key in ("pretrained_cfg", None):
        mapping = content.get(key) if key else content
        if isinstance(mapping, dict):
            yield mapping
