"""What crosses a cut where more than one value does: packed as one tensor an image.

In: the graph of a network, and the values that lie before a cut and are needed after it. Out: what
each is (a tensor an image has, a number or a tensor that is the same for all images), and functions
that pack and unpack. It stands alone because only a run of two batches tells which is which, and
`split.py` knows graphs alone. Whether the packed parts compute what the whole does,
`own_split.py` tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Crossing:
    """The values that cross.

    Attributes:
        shapes: of what each image has: how many entries of the first dimension, and the rest.
        constants: what is the same for all images.
        counts: what is the number of images.
    """

    shapes: dict[fx.Node, tuple[int, tuple[int, ...]]]
    constants: dict[fx.Node, Any]
    counts: tuple[fx.Node, ...]


def look(
    model: nn.Module, graph: fx.Graph, nodes: Sequence[fx.Node], image_shape: tuple[int, ...]
) -> Crossing | None:
    """What each of the nodes is, by a run of two images and one of three; None: neither.

    The network is left as it was.
    """
    runs = [_values(model, graph, nodes, n, image_shape) for n in (2, 3)]
    shapes: dict[fx.Node, tuple[int, tuple[int, ...]]] = {}
    constants: dict[fx.Node, Any] = {}
    counts: list[fx.Node] = []
    for node in nodes:
        two, three = runs[0][node], runs[1][node]
        if isinstance(two, Tensor) and _is_of_images(two, three):
            shapes[node] = (two.shape[0] // 2, tuple(two.shape[1:]))
        elif isinstance(two, int) and (two, three) == (2, 3):
            counts.append(node)
        elif _is_same(two, three):
            constants[node] = two
        else:
            return None
    return Crossing(shapes, constants, tuple(counts)) if shapes else None


def pack(images: Tensor, *values: Tensor) -> Tensor:
    """Each (N·m, …) → (N, all numbers of an image)."""
    return torch.cat([value.reshape(len(images), -1) for value in values], dim=1)


def unpack(features: Tensor, start: int, stop: int, shape: tuple[int, ...]) -> Tensor:
    """(N, numbers) → (N·m, *shape) of the numbers from `start` to `stop`."""
    return features[:, start:stop].reshape(-1, *shape)


def _values(
    model: nn.Module,
    graph: fx.Graph,
    nodes: Sequence[fx.Node],
    n: int,
    image_shape: tuple[int, ...],
) -> dict[fx.Node, Any]:
    modes = {module: module.training for module in model.modules()}
    kept: dict[fx.Node, Any] = {}

    class Keeping(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if n in wanted:
                kept[n] = value
            return value

    wanted = set(nodes)
    device = next(model.parameters()).device
    noise = torch.randn(n, *image_shape, generator=torch.Generator().manual_seed(n)).to(device)
    try:
        for module in modes:
            module.training = False
        with torch.no_grad():
            Keeping(model, graph=graph).run(noise)
    finally:
        for module, training in modes.items():
            module.training = training
    return kept


def _is_of_images(two: Tensor, three: Any) -> bool:
    """Whether the first dimension grows with the images, and the numbers are floats."""
    return (
        isinstance(three, Tensor)
        and two.dim() > 0
        and two.dtype == torch.float32
        and two.shape[0] % 2 == 0
        and 3 * two.shape[0] == 2 * three.shape[0]
        and two.shape[1:] == three.shape[1:]
    )


def _is_same(two: Any, three: Any) -> bool:
    if isinstance(two, Tensor):
        return isinstance(three, Tensor) and two.shape == three.shape and torch.equal(two, three)
    return isinstance(two, int | float | bool | str | torch.Size) and bool(two == three)
