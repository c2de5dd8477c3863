"""From a name to a network's options and what it is given, without importing torch.

A network of ours is one module of `models/networks/` that has a class `Options` and functions
`info` and `build`; it is found by that, so adding one means adding one file. Every classification
network of torchvision is known by its name too: the names are read from torchvision's sources,
since importing it takes seconds.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from headstart.cli import did_you_mean
from headstart.errors import ModelError
from models import networks
from models.info import ModelInfo
from models.networks.torchvision_options import TorchvisionOptions, torchvision_info

_DEFINES = [
    re.compile(rf"^{text}\b", re.MULTILINE) for text in ("class Options", "def info", "def build")
]
_REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def model_names() -> tuple[str, ...]:
    """The names of our own networks, sorted. Reads the modules' text, and imports none of them."""
    return tuple(sorted(i.name for i in pkgutil.iter_modules(networks.__path__) if _is_network(i)))


@cache
def torchvision_names() -> tuple[str, ...]:
    """The names of torchvision's classification networks, sorted; none where not installed."""
    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return ()
    folder = Path(found.origin).parent / "models"
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return tuple(sorted(name for text in texts for name in _REGISTERED.findall(text)))


def network_module(name: str) -> ModuleType | None:
    """The module of our network `name`; None where the name is torchvision's.

    Raises:
        ModelError: there is no such network.
    """
    if name in model_names():
        return importlib.import_module(f"models.networks.{name}")
    if name in torchvision_names():
        return None
    known = (*model_names(), *torchvision_names())
    raise ModelError(
        f"'{name}' is no network{did_you_mean(name, known)}; there are "
        f"{', '.join(model_names())} and torchvision's classification networks"
    )


def options_model(name: str) -> type[BaseModel]:
    """What may stand beside `name` in a `model` entry.

    Raises:
        ModelError: there is no such network.
    """
    module = network_module(name)
    return TorchvisionOptions if module is None else module.Options


def read_options(name: str, options: Mapping[str, Any]) -> Any:
    """`options` as the network's frozen options object, defaults filled in.

    Raises:
        ModelError: there is no such network, or an option it does not take; a line for each.
    """
    expected = options_model(name)
    try:
        return expected.model_validate(dict(options))
    except ValidationError as err:
        raise ModelError("\n".join(_mistakes(name, expected, err))) from err


def model_info(name: str, options: Mapping[str, Any]) -> ModelInfo:
    """What the network is given, and its depth where that is known without building it.

    Raises:
        ModelError: there is no such network, or an option does not fit it.
    """
    module, chosen = network_module(name), read_options(name, options)
    return torchvision_info(name, chosen) if module is None else module.info(chosen)


def _is_network(module: pkgutil.ModuleInfo) -> bool:
    path = Path(networks.__path__[0]) / f"{module.name}.py"
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    return all(pattern.search(text) for pattern in _DEFINES)


def _mistakes(name: str, expected: type[BaseModel], err: ValidationError) -> list[str]:
    lines = []
    for found in err.errors():
        key = str(found["loc"][0]) if found["loc"] else ""
        if found["type"] == "extra_forbidden":
            keys = tuple(expected.model_fields)
            allowed = f"its options are {', '.join(keys)}" if keys else "it has no options"
            what = f"is no option of this network{did_you_mean(key, keys)}; {allowed}"
        else:
            what = f"{found['input']!r}: {found['msg']}"
        lines.append(f"{name}.{key}: {what}")
    return lines
