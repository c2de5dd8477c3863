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
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import ValidationError

from headstart.errors import ModelError, did_you_mean
from headstart.own_code import is_reference
from models import networks
from models.info import ModelInfo, Network, NetworkOptions, NewHead, new_head, normalised
from models.networks.torchvision_options import TorchvisionOptions, torchvision_info
from models.own import CheckedOptions, OwnNetwork, OwnOptions
from models.sources.hf_networks import HfNetwork
from models.sources.options import HF, TIMM, SourceOptions, is_source
from models.sources.timm_networks import TimmNetwork

if TYPE_CHECKING:
    from torch import nn

OptionsOrMapping = NetworkOptions | Mapping[str, object]
"""Options that have been validated, or keys and values as a person writes them."""

SHIPPED = ("lenet5", "midas_cnn", "mlp")  # networks of ours, of which is known how they compute

_DEFINES = [
    re.compile(rf"^{text}\b", re.MULTILINE) for text in ("class Options", "def info", "def build")
]
_REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@dataclass(frozen=True)
class TorchvisionNetwork:
    """One of torchvision's networks by name, with the interface of a network's module."""

    name: str
    Options: ClassVar = TorchvisionOptions

    def info(self, options: TorchvisionOptions) -> ModelInfo:
        return torchvision_info(self.name, options)

    def build(
        self,
        options: TorchvisionOptions,
        *,
        n_classes: int,
        image_size: tuple[int, int],
        channels: int,
    ) -> nn.Module:
        """The network with random weights; here torchvision is imported."""
        from models.networks.torchvision_networks import build_torchvision

        return build_torchvision(
            self.name, options, n_classes=n_classes, image_size=image_size, channels=channels
        )


@cache
def model_names() -> tuple[str, ...]:
    """The names of our own networks, sorted. Reads the modules' text, and imports none of them."""
    return tuple(sorted(i.name for i in pkgutil.iter_modules(networks.__path__) if _is_network(i)))


@cache
def torchvision_names() -> tuple[str, ...]:
    """The names of torchvision's classification networks, sorted; none where not installed."""
    package = find_spec("torchvision")
    if package is None or package.origin is None:
        return ()
    folder = Path(package.origin).parent / "models"
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return tuple(sorted(name for text in texts for name in _REGISTERED.findall(text)))


def find_network(name: str) -> Network:
    """Network `name`: the module of one of ours, one of torchvision's, or the user's own file.

    Raises:
        ModelError: there is no such network.
    """
    if is_reference(name):
        return cast("Network", OwnNetwork(name))
    if is_source(name):
        kind = TimmNetwork if name.startswith(TIMM) else HfNetwork
        return cast("Network", kind(name))
    if name in model_names():
        return cast("Network", importlib.import_module(f"models.networks.{name}"))
    if name in torchvision_names():
        return cast("Network", TorchvisionNetwork(name))
    known = (*model_names(), *torchvision_names())
    raise ModelError(
        f"'{name}' is no network{did_you_mean(name, known)}; there are "
        f"{', '.join(model_names())}, torchvision's classification networks, {TIMM}NAME, "
        f"{HF}FOLDER, and those of a file of your own: my_nets.py:Net"
    )


def is_users(name: str) -> bool:
    """Whether a network's code is the user's: named by its file, or put into `models/networks/`."""
    return is_reference(name) or (name in model_names() and name not in SHIPPED)


def options_model(name: str) -> type[NetworkOptions]:
    """What may stand beside `name` in a `model` entry.

    Raises:
        ModelError: there is no such network.
    """
    return find_network(name).Options


def read_options(name: str, options: OptionsOrMapping) -> NetworkOptions:
    """`options` as the network's frozen options object, defaults filled in.

    An object that this function (or a sweep file's reader) has made comes back as it is.

    Raises:
        ModelError: there is no such network, or an option it does not take; a line for each.
    """
    if isinstance(options, OwnOptions):
        return options
    expected = options_model(name)
    if isinstance(options, expected):
        return options
    try:
        return kept_options(name, expected.model_validate(dict(options)))
    except ValidationError as err:
        raise ModelError("\n".join(_mistakes(name, expected, err))) from err


def kept_options(name: str, options: NetworkOptions) -> NetworkOptions:
    """Checked options as plans, records and workers keep them.

    Raises:
        ModelError: a network of another library that does not exist, or whose package is missing.
    """
    if isinstance(options, SourceOptions):
        kind = TimmNetwork if name.startswith(TIMM) else HfNetwork
        return cast("NetworkOptions", kind(name).kept(options))  # type: ignore[arg-type]
    return options.kept() if isinstance(options, CheckedOptions) else options


def model_info(name: str, options: OptionsOrMapping) -> ModelInfo:
    """What the network is given, and its depth where that is known without building it.

    Raises:
        ModelError: there is no such network, or an option does not fit it.
    """
    chosen = read_options(name, options)
    info = normalised(find_network(name).info(chosen), chosen)
    if new_head(chosen) and name not in SHIPPED:
        return replace(info, depth=None)  # how many layers it takes the place of is not known
    return info


def _is_network(module: pkgutil.ModuleInfo) -> bool:
    path = Path(networks.__path__[0]) / f"{module.name}.py"
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    return all(pattern.search(text) for pattern in _DEFINES)


def _mistakes(name: str, expected: type[NetworkOptions], err: ValidationError) -> list[str]:
    lines = []
    for mistake in err.errors():
        key = str(mistake["loc"][0]) if mistake["loc"] else ""
        path = ".".join([name, *map(str, mistake["loc"])])
        if mistake["loc"][:-1] == ("head",) and mistake["type"] in ("extra_forbidden", "missing"):
            keys = tuple(NewHead.model_fields)
            near = did_you_mean(path.rpartition(".")[2], keys)
            is_missing = mistake["type"] == "missing"
            what = (
                "is missing" if is_missing else f"is no key here; allowed: {', '.join(keys)}{near}"
            )
        elif mistake["type"] == "model_type":
            what = f"{mistake['input']!r} is not a mapping of keys"
        elif mistake["type"] == "extra_forbidden":
            keys = tuple(expected.model_fields)
            allowed = f"its options are {', '.join(keys)}" if keys else "it has no options"
            what = f"is no option of this network{did_you_mean(key, keys)}; {allowed}"
        else:
            given = f"{mistake['input']!r}: " if key else ""
            what = f"{given}{str(mistake['msg']).removeprefix('Value error, ')}"
        lines.append(f"{path}: {what}")
    return lines
