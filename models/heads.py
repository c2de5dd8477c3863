"""A head of fully connected layers in the place of the last linear layers of any network.

In: a network and what `model: {head: {hidden, dropout}}` says. Out: the same network, whose last
layers are one `DenseHead`: one layer group, drawn from the head's seed. It stands alone because
which layers are replaced is one rule for all networks, ours, torchvision's and the user's own.

The rule: the layer that gives the logits is replaced. Where it stands in a plain `Sequential`, so
are the linear layers, activations and dropout right before it, back to the first layer of another
kind (a flattening, a pooling, a normalisation) or to the first layer of all. Where a 1×1
convolution gives the logits (SqueezeNet), the features are averaged over the image first, and what
came after the convolution in its `Sequential` goes. Dropout right before the layer goes too. Of
networks of timm and transformers the layers of the logits alone are replaced, both of two heads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.dropout import SeededDropout
from models.groups import LayerGroup, layer_groups, run_once
from models.info import NewHead
from models.networks.pooled import PooledSequential
from models.own_forward import OwnModule

MOST_WEIGHTS = 2**30  # of a head: 4 GiB, and as much again for each number of an optimizer's

_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus,
)  # fmt: skip
_POOLING = (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.MaxPool2d, nn.Flatten)


class DenseHead(nn.Sequential):
    """Fully connected layers with ReLU, then dropout, after each but the last.

    Layers: `hidden1`, `relu1`, `dropout1` (where something is dropped), …, `output`.

    Attributes:
        replaced: paths of the network's own layers in whose place it stands.
    """

    replaced: tuple[str, ...] = ()

    def __init__(self, n_features: int, n_classes: int, head: NewHead):
        widths = (n_features, *head.hidden)
        n_weights = sum(a * b for a, b in zip(widths, (*head.hidden, n_classes), strict=True))
        if n_weights > MOST_WEIGHTS:
            raise ModelError(
                f"head.hidden: {list(head.hidden)} on {n_features:,} features has {n_weights:,} "
                f"weights; at most {MOST_WEIGHTS:,}"
            )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (n_in, n_out) in enumerate(zip(widths, head.hidden, strict=False), start=1):
            layers[f"hidden{k}"] = nn.Linear(n_in, n_out)
            layers[f"relu{k}"] = nn.ReLU()
            if head.dropout > 0:
                layers[f"dropout{k}"] = SeededDropout(head.dropout)
        layers["output"] = nn.Linear(widths[-1], n_classes)
        super().__init__(layers)

    def draw(self, seed: int) -> None:
        """Draw all weights anew from `seed` as torch does by default, input first."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for layer in self:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()


def replace_head(
    name: str, model: nn.Module, head: NewHead, n_classes: int, images: Tensor
) -> DenseHead:
    """Replace the last layers of `model`, in place, by a head that is still to be drawn.

    Args:
        name: of the network, for messages.
        images: float32 (2, C, H, W) that the network takes; it is run, and left as it was.

    Raises:
        ModelError: no linear layer, nor a 1×1 convolution in a `Sequential`, gives the logits.
    """
    try:
        return _put(model, head, n_classes, images)
    except ModelError as err:
        raise ModelError(f"{name}: model.head: {err}") from err


def _put(model: nn.Module, head: NewHead, n_classes: int, images: Tensor) -> DenseHead:
    if isinstance(model, OwnModule) and model.logit_paths:
        return _put_at(model, model.logit_paths, head, n_classes)
    last = _last_layer(model, n_classes, images)
    place = _place_of(model, last)
    with torch.random.fork_rng(devices=[]):
        made = DenseHead(_n_features(model, place), n_classes, head)
    made.train(model.training)
    made.replaced = place.replaced
    place.take(model, _over_maps(made) if last.is_over_maps else made)
    group = layer_groups(model, images)[-1]
    if not {id(p) for p in made.parameters()} <= {id(model.get_parameter(n)) for n in
                                                   group.parameters}:  # fmt: skip
        raise ModelError(f"layers with weights follow {last.path}, its last linear "
                         f"layer{_ADVICE}")  # fmt: skip
    _stop_dropout(model, group)
    return made


def _put_at(model: nn.Module, paths: tuple[str, ...], head: NewHead, n_classes: int) -> DenseHead:
    """Replace the layers that give the logits, as a library says, each by a head."""
    made = []
    for path in paths:
        layer = model.get_submodule(path)
        last = _Layer(path, layer)
        if not isinstance(layer, nn.Linear) and not (
            isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        ):
            raise ModelError(f"its last layer, {path}, is {type(layer).__name__}{_ADVICE}")
        n_features = last.layer.in_channels if last.is_over_maps else last.layer.in_features
        with torch.random.fork_rng(devices=[]):
            dense = DenseHead(int(n_features), n_classes, head)
        dense.train(model.training)
        dense.replaced = paths
        new = _over_maps(dense) if last.is_over_maps else dense
        setattr(model.get_submodule(last.parent), path.rpartition(".")[2], new)
        made.append(dense)
    return made[0]


def _over_maps(head: DenseHead) -> nn.Sequential:
    """The head behind the average of each map, which is computed with the features."""
    layers = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), head=head)
    return nn.Sequential(layers)


def head_of(model: nn.Module) -> tuple[str, DenseHead] | None:
    """Path and module of a head that `replace_head` put into the network; None without one."""
    heads = ((path, m) for path, m in model.named_modules() if isinstance(m, DenseHead))
    return next(heads, None)


def draw_heads(model: nn.Module, seed: int) -> None:
    """Draw all heads that `replace_head` put into the network, each from a seed of its own."""
    for k, head in enumerate(_dense_heads(model)):
        head.draw(seed + k)


def decide_alone(model: nn.Module, images: Tensor) -> bool:
    """Whether the logits of the two images come through the new heads alone.

    In a network that has another head beside them they do not.
    """
    handles = [
        head.register_forward_hook(lambda _module, _inputs, given: torch.zeros_like(given))
        for head in _dense_heads(model)
    ]
    try:
        logits = run_once(model, images)
    finally:
        for handle in handles:
            handle.remove()
    return bool(torch.equal(logits[:1], logits[1:]))


def _dense_heads(model: nn.Module) -> list[DenseHead]:
    return [module for module in model.modules() if isinstance(module, DenseHead)]


# -- which layers are replaced ---------------------------------------------------------------

_ADVICE = ": no head can take its place; leave model.head out, or write the layers into the network"


@dataclass(frozen=True)
class _Layer:
    """A layer that is called, under its path."""

    path: str
    layer: Any  # a linear layer or a convolution

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def n_outputs(self) -> int:
        layer = self.layer
        return int(layer.out_channels if self.is_over_maps else layer.out_features)

    @property
    def is_over_maps(self) -> bool:
        return isinstance(self.layer, nn.Conv2d)


def _last_layer(model: nn.Module, n_classes: int, images: Tensor) -> _Layer:
    """The linear layer or convolution that is called last.

    Raises:
        ModelError: there is none, it is called several times, or it does not give the logits.
    """
    calls: list[str] = []

    def noting(path: str) -> Callable[[nn.Module, object], None]:
        return lambda _module, _inputs: calls.append(path)

    layers = {path: module for path, module in model.named_modules()
              if isinstance(module, nn.Linear | nn.Conv2d)}  # fmt: skip
    handles = [layer.register_forward_pre_hook(noting(path)) for path, layer in layers.items()]
    try:
        run_once(model, images)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise ModelError(f"no linear layer or convolution is called{_ADVICE}")
    last = _Layer(calls[-1], layers[calls[-1]])
    if last.n_outputs != n_classes or calls.count(last.path) > 1:
        what = f"gives {last.n_outputs} numbers, and there are {n_classes} classes"
        if last.n_outputs == n_classes:
            what = "is called several times"
        raise ModelError(f"its last layer, {last.path}, {what}{_ADVICE}")
    return last


def _n_features(model: nn.Module, place: _Place) -> int:
    """Numbers that the first of the replaced layers takes."""
    for path in place.replaced:
        layer = model.get_submodule(path)
        if isinstance(layer, nn.Linear):
            return layer.in_features
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    raise AssertionError("the last layer is among them")


@dataclass(frozen=True)
class _Place:
    """Where the head goes: `path` becomes the head, and `gone` of the same `Sequential` go."""

    path: str
    gone: tuple[str, ...]
    replaced: tuple[str, ...]

    def take(self, model: nn.Module, head: nn.Module) -> None:
        for path in self.gone:
            parent, _, name = path.rpartition(".")
            del model.get_submodule(parent)._modules[name]
        parent, _, name = self.path.rpartition(".")
        setattr(model.get_submodule(parent), name, head)


def _place_of(model: nn.Module, last: _Layer) -> _Place:
    row = model.get_submodule(last.parent)
    if not isinstance(row, nn.Sequential) or not _is_plain_row(row):
        if last.is_over_maps:
            raise ModelError(f"its last layer, {last.path}, is a convolution, and stands in no "
                             f"Sequential{_ADVICE}")  # fmt: skip
        return _Place(last.path, (), (last.path,))
    names = list(row._modules)
    at = names.index(last.path.rpartition(".")[2])
    first, end = _first_of_run(row, at, last.is_over_maps), at + 1
    if last.is_over_maps:
        _refuse_other_than_averages(last, list(row)[at + 1 :])
        end = len(names)
    if not _has_others(model, row, names[first:end]):
        first = _first_of_run(row, at, only_dropout=True)
    before = f"{last.parent}." if last.parent else ""
    replaced = tuple(before + name for name in names[first:end])
    if first == 0 and end == len(names) and last.parent:
        return _Place(last.parent, (), replaced)
    return _Place(last.path, tuple(path for path in replaced if path != last.path), replaced)


def _refuse_other_than_averages(last: _Layer, after: list[nn.Module]) -> None:
    """Refuse a convolution that is no linear layer of each pixel, or not averaged at the end."""
    if last.layer.kernel_size not in (1, (1, 1)):
        raise ModelError(f"its last layer, {last.path}, is a convolution over several pixels"
                         f"{_ADVICE}")  # fmt: skip
    if any(type(layer) not in (*_ACTIVATIONS, *_POOLING) for layer in after):
        raise ModelError(f"its last layer, {last.path}, is a convolution, and more than "
                         f"activations and pooling follow it{_ADVICE}")  # fmt: skip


def _is_plain_row(row: nn.Sequential) -> bool:
    """Whether its layers are called one after another, and nothing else."""
    kinds = (kind for kind in type(row).__mro__ if kind is not OwnModule)
    owner = next(kind for kind in kinds if "forward" in vars(kind))
    return owner in (nn.Sequential, PooledSequential)


def _first_of_run(row: nn.Sequential, at: int, only_dropout: bool) -> int:
    """Where the layers begin that go with the one at `at`: with a linear layer or dropout."""
    layers = list(row)
    first = at
    for k in range(at - 1, -1, -1):
        layer = layers[k]
        if _is_dropout(layer) or (not only_dropout and isinstance(layer, nn.Linear)):
            first = k
        elif only_dropout or type(layer) not in (*_ACTIVATIONS, nn.Identity):
            break
    return first


def _has_others(model: nn.Module, row: nn.Module, names: list[str]) -> bool:
    """Whether the network has parameters beside those of these layers of a row."""
    gone = {id(p) for name in names for p in row.get_submodule(name).parameters()}
    return any(id(p) not in gone for p in model.parameters())


def _is_dropout(module: nn.Module) -> bool:
    return isinstance(module, SeededDropout | nn.modules.dropout._DropoutNd)


def _stop_dropout(model: nn.Module, group: LayerGroup) -> None:
    """Dropout of the replaced group that stands by itself (GoogLeNet's) drops nothing any more."""
    modules = dict(model.named_modules())
    for path in group.modules:
        module = modules.get(path)
        if isinstance(module, SeededDropout | nn.modules.dropout._DropoutNd):
            module.p = 0.0
