"""K networks of one shape as one function: wide convolutions, batched matrix products.

In: K networks that differ in their numbers alone, and their parameters stacked. Out: a function
from the K seeds' inputs to their logits, differentiable in the stacked parameters; or the reason
why a network cannot be transformed. The network's graph is walked as torch.fx traces it, so this
works for any network whose layers are known here, ours or torchvision's.

A value has one of two layouts: `wide` (batch, K × channels, …) for convolutions, batch norm and
pooling, `apart` (K, batch, …) for matrix products, dropout and flattening. It is converted where
the next layer needs the other one. A function of single numbers takes either.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from headstart.errors import ModelError
from models.dropout import SeededDropout, factors_of_each
from models.split import Tracer

_ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid,
    nn.Sigmoid, nn.Tanh, nn.Identity,
)  # fmt: skip
_ELEMENTWISE_FUNCTIONS = (
    torch.relu, F.relu, F.relu6, F.gelu, F.silu, F.hardswish, torch.sigmoid, torch.tanh,
    operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul,
)  # fmt: skip
_POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_POOLING_FUNCTIONS = (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d)
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)

_traced: WeakKeyDictionary[nn.Module, fx.Graph] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Value:
    """A tensor of all seeds in one of the two layouts."""

    tensor: Tensor
    is_wide: bool

    @property
    def n_dims(self) -> int:
        """Dimensions that one seed's tensor has."""
        return self.tensor.dim() - (not self.is_wide)

    def wide(self) -> Tensor:
        """(batch, K × channels, …)."""
        return self.tensor if self.is_wide else self.tensor.movedim(0, 1).flatten(1, 2)

    def apart(self, n: int) -> Tensor:
        """(K, batch, …)."""
        tensor = self.tensor
        return torch.unflatten(tensor, 1, (n, -1)).movedim(1, 0) if self.is_wide else tensor


def reason_against(network: nn.Module) -> str | None:
    """Why K of this network cannot be one function; None where they can."""
    names = list(network.named_parameters(remove_duplicate=False))
    if len(names) != len(list(network.parameters())):
        return "two of its layers share a parameter"
    try:
        graph = trace(network)
    except ModelError as err:
        return str(err)
    for node in graph.nodes:
        reason = _against(network, node)
        if reason is not None:
            return reason
    used = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    for name, _ in network.named_parameters():
        if name.rpartition(".")[0] not in used:
            return f"its parameter {name} is not used by a layer that is called"
    return None


def trace(network: nn.Module) -> fx.Graph:
    """The graph of a network's computation; kept while the network lives, as packs ask often.

    Raises:
        ModelError: torch.fx cannot trace it.
    """
    if isinstance(network, fx.GraphModule):
        return network.graph
    if network in _traced:
        return _traced[network]
    try:
        graph = _traced[network] = Tracer().trace(network)
    except Exception as err:  # a network's own code runs on symbols here, and can raise anything
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise ModelError(f"torch.fx cannot trace {type(network).__name__}: {reason}") from err
    return graph


def _against(network: nn.Module, node: fx.Node) -> str | None:
    """Why one node of the graph is not known here."""
    if node.op in ("placeholder", "output"):
        return None
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        what = _against_module(module)
        return None if what is None else f"{node.target} ({type(module).__name__}): {what}"
    if node.op == "call_function":
        if node.target in (*_ELEMENTWISE_FUNCTIONS, *_POOLING_FUNCTIONS) or (
            (node.target is torch.cat and _dim(node, 0) == 1)
            or (node.target is torch.flatten and _dim(node, 0) == 1 and len(node.args) < 3)
        ):
            return None
        name = getattr(node.target, "__name__", str(node.target))
        return f"{node.name}: the function {name} is not known to keep seeds apart"
    kinds = {"get_attr": "a tensor of the network's own", "call_method": "a tensor's method"}
    unknown = kinds.get(node.op, node.op)
    return f"{node.name} ({node.target}): {unknown} is not known to keep seeds apart"


def _against_module(module: nn.Module) -> str | None:
    kind = type(module)
    if kind is nn.Conv2d or _is_grey(module):
        return None if module.padding_mode == "zeros" else f"padding_mode {module.padding_mode}"
    if kind in _BATCH_NORM:
        return "a cumulative average (momentum: None)" if module.momentum is None else None
    if isinstance(module, nn.Flatten) and kind is nn.Flatten:
        return None if (module.start_dim, module.end_dim) == (1, -1) else "not from 1 to -1"
    if kind is nn.MaxPool2d and module.return_indices:
        return "return_indices"
    if kind in (nn.Linear, nn.GroupNorm, SeededDropout, *_ELEMENTWISE, *_POOLING):
        return None
    return "no such layer is known to keep seeds apart"


def _is_grey(module: nn.Module) -> bool:
    """Whether it is our layer that turns grey into colour; answered without torchvision."""
    name = f"{type(module).__module__}.{type(module).__name__}"
    return name == "models.networks.torchvision_networks.GreyConv2d"


def _dim(node: fx.Node, default: int) -> object:
    given = node.args[1] if len(node.args) > 1 else None
    return node.kwargs.get("dim", node.kwargs.get("start_dim", default if given is None else given))


def _inputs(node: fx.Node) -> list[fx.Node]:
    """A node's inputs in the order of its arguments; an input given twice stands there twice."""
    inputs: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), inputs.append)
    return inputs


def batched_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (K, batch, …, in) → (K, batch, …, out) by weights (K, out, in) and biases (K, out)."""
    rows = x.reshape(len(x), -1, x.shape[-1])
    if bias is None:
        product = torch.bmm(rows, weight.transpose(1, 2))
    else:
        product = torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))
    return product.view(*x.shape[:-1], -1)


_Compute = Callable[..., _Value]


@dataclass(eq=False, repr=False)
class FusedNetwork:
    """K networks of one shape as one function.

    Raises:
        ModelError: a layer that `reason_against` refuses.
    """

    # Of the K seeds; the first one's graph and modes count, and each draws its own dropout masks.
    networks: Sequence[nn.Module]
    weights: dict[str, Tensor]  # parameter name → (K, …), the networks' parameters stacked
    buffers: dict[str, Tensor]  # buffer name → (K, …), stacked; batch norm changes them

    def __post_init__(self) -> None:
        lead = self.networks[0]
        reason = reason_against(lead)
        if reason is not None:
            raise ModelError(f"the network cannot be fused: {reason}")
        self.n = len(self.networks)
        self.draws_masks = any(isinstance(m, SeededDropout) for m in lead.modules())
        graph = trace(lead)
        place = {node: i for i, node in enumerate(graph.nodes)}
        self.result = place[next(iter(graph.find_nodes(op="output"))).all_input_nodes[0]]
        # What each node computes. The graph is not looked at later, so calls can be compiled. It is
        # given this object, which would otherwise lie on a GPU until Python looks for circles.
        self.steps: list[tuple[_Compute, list[int]]] = []
        for node in graph.nodes:
            if node.op not in ("placeholder", "output"):
                is_layer = node.op == "call_module"
                compute = self._layer(str(node.target)) if is_layer else self._function(node)
                self.steps.append((compute, [place[given] for given in _inputs(node)]))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (K, batch, …) → logits (K, batch, classes)."""
        values = [_Value(inputs, False)]
        for compute, places in self.steps:
            values.append(compute(self, *[values[place] for place in places]))
        return values[self.result].apart(self.n)

    def _layer(self, name: str) -> _Compute:
        module = self.networks[0].get_submodule(name)
        if isinstance(module, _ELEMENTWISE):
            return lambda _, x: _Value(module(x.tensor), x.is_wide)
        if isinstance(module, nn.Linear):
            return lambda fused, x: _Value(fused._linear(name, x), False)
        if isinstance(module, nn.Flatten):
            return lambda fused, x: _Value(x.apart(fused.n).flatten(2), False)
        if isinstance(module, SeededDropout):
            layers = [network.get_submodule(name) for network in self.networks]
            return lambda fused, x: fused._drop(cast("list[SeededDropout]", layers), x)
        return lambda fused, x: _Value(fused._wide_layer(name, module, x.wide()), True)

    def _wide_layer(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """x (batch, K × channels, …) → the same layout."""
        if isinstance(module, nn.Conv2d):
            if _is_grey(module):
                scale, shift = module.get_buffer("scale"), module.get_buffer("shift")
                x = (torch.unflatten(x, 1, (self.n, 1)) * scale + shift).flatten(1, 2)
            return self._convolve(name, module, x)
        if isinstance(module, _BATCH_NORM):
            return self._normalise(name, module, x)
        if isinstance(module, nn.GroupNorm):
            weight, bias = self._flat(f"{name}.weight"), self._flat(f"{name}.bias")
            return F.group_norm(x, self.n * module.num_groups, weight, bias, module.eps)
        result: Tensor = module(x)
        return result

    def _function(self, node: fx.Node) -> _Compute:
        function = cast("Callable[..., Tensor]", node.target)
        if function is torch.flatten:
            return lambda fused, x: _Value(x.apart(fused.n).flatten(2), False)
        if function is torch.cat:
            return lambda fused, *parts: _Value(
                torch.cat([x.apart(fused.n) for x in parts], dim=2), False
            )
        is_pooling = function in _POOLING_FUNCTIONS
        constants = {k: a for k, a in enumerate(node.args) if not isinstance(a, fx.Node)}
        named = {k: a for k, a in node.kwargs.items() if not isinstance(a, fx.Node)}
        names = [k for k, a in node.kwargs.items() if isinstance(a, fx.Node)]
        name, n_args = node.name, len(node.args)

        def compute(fused: FusedNetwork, *inputs: _Value) -> _Value:
            if any(value.n_dims != inputs[0].n_dims for value in inputs):
                raise ModelError(f"{name}: {function} of tensors of different dimensions")
            is_wide = is_pooling or inputs[0].is_wide
            tensors = [x.wide() if is_wide else x.apart(fused.n) for x in inputs]
            args = [constants[k] if k in constants else tensors.pop(0) for k in range(n_args)]
            rest = dict(zip(names, tensors, strict=True))
            return _Value(function(*args, **rest, **named), is_wide)

        return compute

    def _flat(self, name: str) -> Tensor | None:
        """A stacked parameter (K, n, …) → (K × n, …); None where the layer has none."""
        stacked = self.weights.get(name)
        return None if stacked is None else stacked.flatten(0, 1)

    def _convolve(self, name: str, module: nn.Conv2d, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"].flatten(0, 1), self._flat(f"{name}.bias")
        n_groups = self.n * module.groups
        return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation, n_groups)

    def _linear(self, name: str, x: _Value) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        return batched_linear(x.apart(self.n), weight, bias)

    def _normalise(self, name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
        """Batch norm over K × channels: each seed's statistics are of its own channels."""
        mean = self.buffers.get(f"{name}.running_mean")
        variance = self.buffers.get(f"{name}.running_var")
        if module.training and mean is not None:
            self.buffers[f"{name}.num_batches_tracked"].add_(1)
        return F.batch_norm(
            x,
            None if mean is None else mean.view(-1),
            None if variance is None else variance.view(-1),
            self._flat(f"{name}.weight"),
            self._flat(f"{name}.bias"),
            module.training or mean is None,
            0.0 if module.momentum is None else module.momentum,  # None is refused
            module.eps,
        )

    def _drop(self, layers: Sequence[SeededDropout], x: _Value) -> _Value:
        """Each seed by the mask that it would have drawn alone."""
        if not layers[0].training or layers[0].p == 0:
            return x
        values = x.apart(self.n)
        if layers[0].p == 1:
            return _Value(torch.zeros_like(values), False)
        return _Value(values * factors_of_each(layers, values[0]), False)
