"""Low-rank adaptation: weights that stay as they are, plus a product of two small matrices.

In: a network and the layers to adapt. Out: the same network, each of whose chosen weights W is
W + (alpha / rank) · B A, with A and B as its only parameters that train (Hu et al., ICLR 2022,
section 4.1). A weight of more than two dimensions is seen as a matrix with a row for each output:
A of a convolution is then a convolution with `rank` outputs, and B one of 1×1.

PyTorch's `parametrize` puts the sum where the layer reads its weight. So a network computes with
the very numbers that its plain state dict, `merged`, holds, and no reader of weights has to know of
A and B.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from headstart.cli import few
from headstart.errors import TuningError, did_you_mean
from models.groups import LayerGroup

ATTENTION = frozenset(
    (
        *("query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "to_q", "to_v", "q", "v"),
        *("qkv", "Wqkv", "in_proj", "query_key_value", "to_qkv", "kv", "to_kv"),
    )
)
BETWEEN = "parametrizations"  # as PyTorch calls what stands between a layer and its weight


class LowRank(nn.Module):
    """weight → weight + scale · B A.

    Args:
        weight: (outputs, …), of the layer.
        rank: rows of A, columns of B.
        scale: alpha / rank.
        generator: draws A, on the CPU: uniform as Kaiming He has it, with a = √5. B is 0, so that
            the network begins as it was.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float, generator: torch.Generator):
        super().__init__()
        self.scale = scale
        n_inputs = weight[0].numel()
        bound = 1 / math.sqrt(n_inputs)  # = √(6 / ((1 + 5) n_inputs))
        drawn = torch.empty(rank, n_inputs).uniform_(-bound, bound, generator=generator)
        self.a = nn.Parameter(drawn.to(weight.device))
        self.b = nn.Parameter(torch.zeros(len(weight), rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """In float32 under autocast too: the sum is what is saved."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + self.scale * (self.b @ self.a).view(weight.shape)


def add_low_rank(
    model: nn.Module,
    groups: Sequence[LayerGroup],
    rank: int,
    alpha: float,
    targets: Sequence[str] | None,
    generator: torch.Generator,
) -> tuple[LayerGroup, ...]:
    """Adapt layers of a network; its groups, with the names that their parameters then have.

    Args:
        groups: of the network, input first; the last one, the head, trains whole and is left out.
        targets: paths of layers, or ends of paths (`qkv`, `attn.qkv`); None: what is usual: the
            projections of attention to queries and values (or to both and keys, where one layer
            makes all), else all convolutions without groups, else all linear layers.

    Raises:
        TuningError: a target that is no layer of the network, or has no weight to adapt.
    """
    weights = _usual(model, groups) if targets is None else _named(model, groups, targets)
    if not weights:
        raise TuningError("fine_tune", "lora: targets: auto: the network has no linear layer and "
                          "no convolution before its head")  # fmt: skip
    for path, name in weights:
        layer = model.get_submodule(path)
        weight = getattr(layer, name)
        adapted = LowRank(weight, rank, alpha / rank, generator)
        parametrize.register_parametrization(layer, name, adapted)
    return tuple(_renamed(group, {f"{path}.{name}" for path, name in weights}) for group in groups)


def merged(model: nn.Module) -> dict[str, Tensor]:
    """The network's state dict under its plain names; adapted weights are the sums.

    Of a network without adapted weights it is the state dict itself.
    """
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        path, is_between, rest = name.partition(f"{BETWEEN}.")
        if not is_between:
            state[name] = value
        elif rest.endswith(".original"):
            plain = rest.removesuffix(".original")
            layer = model.get_submodule(path.removesuffix("."))
            with torch.no_grad():
                state[f"{path}{plain}"] = getattr(layer, plain).detach()
    return state


def plain_name(name: str) -> str:
    """Of the weight in a plain state dict that a parameter of an adapted network belongs to."""
    path, is_between, rest = name.partition(f"{BETWEEN}.")
    return f"{path}{rest.partition('.')[0]}" if is_between else name


def is_added(name: str) -> bool:
    """Whether a parameter is A or B, which a plain state dict does not have."""
    return f"{BETWEEN}." in name and not name.endswith(".original")


def _renamed(group: LayerGroup, adapted: set[str]) -> LayerGroup:
    names: list[str] = []
    for name in group.parameters:
        if name in adapted:
            path, _, own = name.rpartition(".")
            between = f"{path}.{BETWEEN}.{own}"
            names += [f"{between}.original", f"{between}.0.a", f"{between}.0.b"]
        else:
            names.append(name)
    return LayerGroup(group.name, group.modules, tuple(names), group.buffers)


def _weight_of(module: nn.Module) -> str | None:
    """The name of a layer's weight that can be adapted."""
    if isinstance(module, nn.MultiheadAttention):
        return "in_proj_weight" if module.in_proj_weight is not None else None
    return "weight" if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) else None


def _adaptable(model: nn.Module, groups: Sequence[LayerGroup]) -> dict[str, str]:
    """Path → name of the weight, of every layer outside of the head that can be adapted."""
    head, own = set(groups[-1].parameters), {name for g in groups for name in g.parameters}
    found = {}
    for path, module in model.named_modules():
        name = _weight_of(module)
        if name is not None and f"{path}.{name}" in own - head:
            found[path] = name
    return found


def _usual(model: nn.Module, groups: Sequence[LayerGroup]) -> list[tuple[str, str]]:
    layers = {path: model.get_submodule(path) for path in _adaptable(model, groups)}
    attention = [
        path
        for path, layer in layers.items()
        if isinstance(layer, nn.MultiheadAttention) or path.rpartition(".")[2] in ATTENTION
    ]
    convolutions = [
        path
        for path, layer in layers.items()
        if isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == 1
    ]
    chosen = attention or convolutions or list(layers)
    return [(path, str(_weight_of(layers[path]))) for path in chosen]


def _named(
    model: nn.Module, groups: Sequence[LayerGroup], targets: Sequence[str]
) -> list[tuple[str, str]]:
    layers = _adaptable(model, groups)
    chosen = {}
    for target in targets:
        matching = [path for path in layers if f".{path}".endswith(f".{target}")]
        if not matching:
            ends = list(dict.fromkeys(path.rpartition(".")[2] for path in layers))
            raise TuningError(
                "fine_tune",
                f"lora: targets: no layer before the head that has a weight to adapt is called "
                f"{target!r}{did_you_mean(target, (*layers, *ends))}; there are "
                f"{few(ends) if ends else 'none'}",
            )
        chosen.update({path: layers[path] for path in matching})
    return [(path, name) for path, name in layers.items() if path in chosen]
