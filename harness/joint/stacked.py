"""The tails of several seeds as one function: stacked weights, batched matrix products.

In: tails of linear layers, 1×1 convolutions and what works on each image by itself, and their
weights stacked. Out: a function from the seeds' features to their logits. It stands alone so that
the rule which tails can be stacked lies beside the code that computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from harness.joint.fused_network import batched_linear
from models.dropout import SeededDropout, factors_of_each

# Layers without parameters that treat each image by itself: seeds and batch can be one dimension.
_IMAGE_WISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Tanh,
    nn.Flatten, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d,
)  # fmt: skip
_IMAGE_WISE_FUNCTIONS = (torch.flatten, torch.relu, F.relu, F.gelu, F.adaptive_avg_pool2d)


def can_stack(tail: fx.GraphModule) -> bool:
    """Whether `StackedTail` can compute this tail: all of it trains, and all of it is known."""
    return all(p.requires_grad for p in tail.parameters()) and all(
        _is_known(tail, node) for node in tail.graph.nodes
    )


def _is_known(tail: fx.GraphModule, node: fx.Node) -> bool:
    if node.op in ("placeholder", "output"):
        return True
    if len(node.all_input_nodes) != 1:
        return False
    if node.op == "call_function":
        return node.target in _IMAGE_WISE_FUNCTIONS
    if node.op != "call_module":
        return False
    module = tail.get_submodule(str(node.target))
    return type(module) in (nn.Linear, SeededDropout, *_IMAGE_WISE_MODULES) or _is_1x1(module)


def _is_1x1(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (1, 1)
        and module.stride == (1, 1)
        and module.padding in ((0, 0), "valid", "same")
        and module.groups == 1
    )


@dataclass(eq=False, repr=False)
class StackedTail:
    """K tails of one shape as one function."""

    tails: Sequence[fx.GraphModule]  # of the K seeds; their dropout layers draw the masks
    weights: dict[str, Tensor]  # parameter name → float32 (K, …), the tails' parameters stacked

    def __post_init__(self) -> None:
        self.nodes = tuple(self.tails[0].graph.nodes)
        self.modules = {
            node: [tail.get_submodule(str(node.target)) for tail in self.tails]
            for node in self.nodes
            if node.op == "call_module"
        }
        self.draws_masks = any(isinstance(m[0], SeededDropout) for m in self.modules.values())
        self.scratch: dict[fx.Node, Tensor] = {}

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (K, batch, …) → logits (K, batch, classes).

        What is computed before the first weights is written over the features, or into the memory
        of the step before, whose gradients are no longer needed: fresh memory costs more time than
        the arithmetic.
        """
        values: dict[fx.Node, Tensor] = {}
        for node in self.nodes:
            if node.op == "placeholder":
                values[node] = inputs
            elif node.op != "output":
                values[node] = self._compute(node, values[node.all_input_nodes[0]])
        return values[self.nodes[-1].all_input_nodes[0]]

    def _compute(self, node: fx.Node, x: Tensor) -> Tensor:
        if node.op == "call_function":
            merged = x.flatten(0, 1)
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: merged)
            return self._apart(node.target(*args, **kwargs))  # type: ignore[operator]
        modules = self.modules[node]
        if isinstance(modules[0], SeededDropout):
            return self._drop(cast("list[SeededDropout]", modules), x)
        if isinstance(modules[0], nn.Linear):
            return self._linear(str(node.target), x)
        if isinstance(modules[0], nn.Conv2d):
            pixels = self._kept_copy(node, x.movedim(2, -1))
            return self._linear(str(node.target), pixels).movedim(-1, 2)
        return self._apart(modules[0](x.flatten(0, 1)))

    def _drop(self, layers: Sequence[SeededDropout], x: Tensor) -> Tensor:
        if not layers[0].training or layers[0].p == 0:  # the first one's mode counts
            return x
        if x.is_cuda and layers[0].p < 1:  # a seed by itself would be several launches
            return x * factors_of_each(layers, x[0])
        if x.requires_grad:
            return torch.stack([layer(seed) for layer, seed in zip(layers, x, strict=True)])
        for layer, seed in zip(layers, x, strict=True):
            layer.drop_(seed)
        return x

    def _kept_copy(self, node: fx.Node, x: Tensor) -> Tensor:
        """`x`, contiguous; where no gradient goes through, in memory that every step uses."""
        if x.requires_grad or x.is_contiguous():
            return x.contiguous()
        memory = self.scratch.get(node)
        if memory is None or memory.numel() < x.numel():
            memory = self.scratch[node] = x.new_empty(x.numel())
        return memory[: x.numel()].view(x.shape).copy_(x)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"].flatten(2)  # of a 1×1 convolution: its two sides
        return batched_linear(x, weight, self.weights.get(f"{name}.bias"))

    def _apart(self, merged: Tensor) -> Tensor:
        return torch.unflatten(merged, 0, (len(self.tails), -1))
