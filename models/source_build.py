"""Build a network of timm or transformers, its head found, and its weights' names made its own.

In: a name, options and two seeds. Out: a network as `build_model` gives any other, with the layers
that give the logits known. It stands alone because these networks are neither of ours, of which is
known how they compute, nor code of the user's that could do anything: how they run is tried as of
the latter (`own_build.py`), and which layers are the head is asked of the library.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import ModelError
from models.catalog import find_network
from models.global_draws import seeded
from models.info import NewHead
from models.own_build import Maker, Shape, drawn_by_two
from models.own_forward import OwnModule, adapt
from models.sources.options import TIMM, SourceOptions

_ROWS = (nn.Sequential, nn.ModuleList)


def build_source(
    name: str, options: SourceOptions, shape: Shape, init_seed: int, head_seed: int
) -> nn.Module:
    """The network with random weights as its library draws them, its head from `head_seed`.

    Raises:
        ModelError: it cannot be built for these images, or is no classifier of them.
    """
    head = options.head if isinstance(options.head, NewHead) else None
    return drawn_by_two(name, repr((name, options, shape)), _maker(name, options, shape), head,
                        shape, init_seed, head_seed)  # fmt: skip


def _maker(name: str, options: SourceOptions, shape: Shape) -> Maker:
    def make(seed: int) -> OwnModule:
        with seeded(seed):
            network = _built(name, options, shape, shape.n_classes)
        logits = _logit_layers(network, name, options, shape)
        adapted = adapt(network)
        adapted.logit_paths = logits
        adapted.image_shape = (shape.channels, *shape.image_size)
        if name.startswith(TIMM):
            adapted.head_paths = _heads_of_timm(network, logits)
        else:
            adapted.head_paths, adapted.frame_paths = logits, tuple(_bodies(network))
        return adapted

    return make


def _built(name: str, options: SourceOptions, shape: Shape, n_classes: int) -> nn.Module:
    return find_network(name).build(
        options, n_classes=n_classes, image_size=shape.image_size, channels=shape.channels
    )


_logits: dict[str, tuple[str, ...]] = {}  # in this process, by all that decides the network


def _logit_layers(
    network: nn.Module, name: str, options: SourceOptions, shape: Shape
) -> tuple[str, ...]:
    """Paths of the layers whose size the number of classes decides.

    Raises:
        ModelError: there are none, so the network is no classifier.
    """
    key = repr((name, options, shape))
    if key not in _logits:
        wider = _shapes(name, options, shape)
        own = {path: tuple(value.shape) for path, value in network.state_dict().items()}
        differ = [path for path in own if wider.get(path) != own[path]]
        _logits[key] = tuple(dict.fromkeys(path.rpartition(".")[0] for path in differ))
    if not _logits[key]:
        raise ModelError(f"{name}: no layer's size depends on the number of classes: it is no "
                         "classifier of images")  # fmt: skip
    return _logits[key]


def _shapes(name: str, options: SourceOptions, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Of the state dict of the same network with one class more, without its values if it can."""
    with suppress(Exception), torch.device("meta"):  # a library may look at values as it builds
        network = _built(name, options, shape, shape.n_classes + 1)
        return {path: tuple(value.shape) for path, value in network.state_dict().items()}
    with seeded(0):
        network = _built(name, options, shape, shape.n_classes + 1)
    return {path: tuple(value.shape) for path, value in network.state_dict().items()}


def _heads_of_timm(network: nn.Module, logits: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of what `get_classifier` gives, else of the layers of the logits."""
    given = cast("Any", network).get_classifier()
    modules = list(given) if isinstance(given, tuple | list | nn.ModuleList) else [given]
    paths = {id(module): path for path, module in network.named_modules()}
    heads = tuple(paths[id(module)] for module in modules if id(module) in paths)
    covered = all(any(f"{p}.".startswith(f"{h}.") for h in heads) for p in logits)
    return heads if heads and covered else logits


def _bodies(network: nn.Module) -> Iterator[str]:
    """Paths of a chain of modules from the network on, each with most of the weights before it."""
    path, module = "", network
    while True:
        n = {name: sum(p.numel() for p in child.parameters())
             for name, child in module.named_children()}  # fmt: skip
        largest = max(n, key=lambda name: n[name], default="")
        child = module._modules.get(largest)
        if child is None or 2 * n[largest] <= sum(n.values()) or isinstance(child, _ROWS):
            return
        if not any(isinstance(below, _ROWS) for below in child.modules()):
            return
        path, module = f"{path}.{largest}" if path else largest, child
        yield path


# -- weights under other names ---------------------------------------------------------------


def renamed(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Weights as their library makes them fit: old names, position embeddings of another size.

    None for a network of no other library, or where the library does not know the weights either.
    """
    if not isinstance(model, OwnModule):
        return None
    kind = type(model).__mro__[2]
    if kind.__module__.startswith("timm."):
        change = getattr(sys.modules[kind.__module__], "checkpoint_filter_fn", None)
        with suppress(Exception):  # written for weights that are known, and these may be any
            return None if change is None else dict(change(dict(state), model))
    if kind.__module__.startswith("transformers."):
        with suppress(Exception):
            return _positions_resized(model, _renamed_by_transformers(kind, model, state))
    return None


def _renamed_by_transformers(
    kind: Any, model: Any, state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What `from_pretrained` makes of them; what it does not know comes back as it is."""
    with torch.random.fork_rng(devices=[]), _silent():
        loaded, found = kind.from_pretrained(
            None,
            config=model.config,
            state_dict=dict(state),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    new = {*found["missing_keys"], *(key[0] for key in found["mismatched_keys"])}
    taken = {key: value for key, value in loaded.state_dict().items() if key not in new}
    misfits = {key[0]: state[key[0]] for key in found["mismatched_keys"] if key[0] in state}
    rest = {key: state[key] for key in found["unexpected_keys"] if key in state}
    return {**taken, **misfits, **rest}


@contextmanager
def _silent() -> Iterator[None]:
    """transformers draws bars and tables of what it loads; our report of weights says it."""
    import transformers

    logging: Any = transformers.logging  # parts of it have no types
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
        logging.set_verbosity(before)


def _positions_resized(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Position embeddings of a square grid, for the network's own grid."""
    own = model.state_dict()
    return {
        key: _resized(value, own[key])
        if key.endswith("position_embeddings") and key in own and own[key].shape != value.shape
        else value
        for key, value in state.items()
    }


def _resized(given: Tensor, own: Tensor) -> Tensor:
    """Bicubic, as timm does it; the tokens of no place come first and stay."""
    for n_first in (0, 1, 2):
        places = [max(0, tensor.shape[1] - n_first) for tensor in (given, own)]
        sides = [math.isqrt(n) for n in places]
        if [side**2 for side in sides] == places:
            first, grid = given[:, :n_first], given[:, n_first:]
            grid = grid.reshape(1, sides[0], sides[0], -1).permute(0, 3, 1, 2).float()
            size = (sides[1], sides[1])
            new = F.interpolate(grid, size=size, mode="bicubic", antialias=True)
            flat = new.permute(0, 2, 3, 1).reshape(1, sides[1] ** 2, -1)
            return torch.cat([first, flat.to(given.dtype)], dim=1)
    return given
