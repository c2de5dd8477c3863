"""Which network of the catalogue has tensors of the shapes that a file has.

In: a file's tensors by name. Out: a few words, or none. Only the networks of about as many
parameters are built, without memory for their weights, so it takes a second or two; it is asked
where weights do not fit, and nowhere else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache

import torch
from torch import Tensor, nn

from models.build import build_model
from models.catalog import model_info, model_names, torchvision_names

_N_BUILT = 8  # of torchvision's, nearest by their number of parameters
_MOST_APART = 2.0  # of these numbers, as a ratio
_LEAST = 600_000  # parameters; torchvision's smallest network has twice as many
_MOST_ON_CPU = 100_000_000  # parameters of a network that cannot be built without memory
_OF_HEADS = 4  # tensors by which a file of other classes differs: two of its own, two of ours
_ENOUGH = 0.8  # of the tensors of both

OTHER_NAMES = ", under other names"
Shapes = dict[str, tuple[int, ...]]


def nearest_network(tensors: Mapping[str, Tensor]) -> str:
    """`torchvision's resnet34`, with `, under other names` where they are; empty: none is near."""
    given = _shapes(tensors)
    shapes = Counter(given.values())
    best, apart, its_names = "", math.inf, set[str]()
    for network, named in _candidates(_n_parameters(tensors)):
        own = Counter(named.values())
        n = (shapes - own).total() + (own - shapes).total()
        if n < apart:
            best, apart, its_names = network, n, set(named)
            alike, of = (shapes & own).total(), own.total()
    under = "" if len(its_names & set(given)) * 2 >= len(given) else OTHER_NAMES
    if apart <= min(_OF_HEADS, shapes.total()):
        return best + under
    if best and alike >= _ENOUGH * max(of, shapes.total()):
        return f"{best} but for some ({alike} of {of} are there){under}"
    return ""


def _candidates(n_parameters: int) -> Iterator[tuple[str, Shapes]]:
    for name in model_names():
        with suppress(Exception):  # a network that needs options of its own
            yield f"the network {name}", _of_ours(name)
    for name in _of_about(n_parameters):
        with suppress(Exception):  # one that this version of torchvision cannot build so
            yield f"torchvision's {name}", _of_torchvision(name)


@cache
def _of_ours(name: str) -> Shapes:
    info = model_info(name, {})
    size, channels = info.image_size, info.channels
    assert size is not None
    assert channels is not None  # a network of the catalogue says both
    return _shapes(
        build_model(
            name, n_classes=10, image_size=size, channels=channels, init_seed=0, head_seed=0
        ).state_dict()
    )


@cache
def _of_torchvision(name: str) -> Shapes:
    return _shapes(_without_memory(name).state_dict())


def _of_about(n_parameters: int) -> list[str]:
    """torchvision's networks by how near their number of parameters is, the nearest first."""
    if n_parameters < _LEAST or not torchvision_names():
        return []
    from torchvision.models import get_model_weights

    apart = {}
    for name in torchvision_names():
        for weights in list(get_model_weights(name))[:1]:
            n = weights.meta["num_params"]
            ratio = max(n, n_parameters) / max(1, min(n, n_parameters))
            if ratio <= _MOST_APART:
                apart[name] = ratio
    return sorted(apart, key=lambda name: apart[name])[:_N_BUILT]


def _without_memory(name: str) -> nn.Module:
    from torchvision.models import get_model, get_model_weights

    model: nn.Module
    options = {"aux_logits": False, "init_weights": False} if name in (
        "googlenet", "inception_v3") else {}  # fmt: skip
    try:
        with torch.device("meta"):
            model = get_model(name, weights=None, **options)
    except (NotImplementedError, RuntimeError):  # it computes with its widths
        if next(iter(get_model_weights(name))).meta["num_params"] > _MOST_ON_CPU:
            raise
        model = get_model(name, weights=None, **options)
    return model


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    """The shape of each tensor by name; counters left out."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.dim()}


def _n_parameters(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() for name, t in tensors.items() if t.dim() and "running_" not in name)
