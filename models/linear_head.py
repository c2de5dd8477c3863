"""The one linear layer that gives a network's logits from its features, where there is one.

In: a network with its layer groups. Out: the layer, and what it was given. It stands alone because
a linear probe can only be fitted to a layer that is all there is behind the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from headstart.errors import TuningError
from models.groups import LayerGroup, run_once

_INSTEAD = "fine_tune: last_layer trains any head by steps"


def linear_head(name: str, model: nn.Module, groups: Sequence[LayerGroup], images: Tensor) -> str:
    """The path of the linear layer that is the whole head: features in, logits out.

    Args:
        name: of the network, for messages.
        images: float32 (2, C, H, W) that the network takes; it is run, and left as it was.

    Raises:
        TuningError: the head is anything else; the message says what it is and what to do.
    """
    head = groups[-1]
    paths = {parameter.rpartition(".")[0] for parameter in head.parameters}
    path = min(paths)
    layer = model.get_submodule(path)
    if len(paths) > 1 or not isinstance(layer, nn.Linear):
        kinds = [f"{p} ({type(model.get_submodule(p)).__name__})" for p in sorted(paths)]
        raise TuningError(
            "fine_tune",
            f"{{probe: lbfgs}} fits one linear layer, and the head of {name} is "
            f"{', '.join(kinds)}; {_INSTEAD}",
        )
    with calls_of(layer) as calls:
        logits = run_once(model, images)
    is_all = len(calls) == 1 and calls[0][0].dim() == 2 and torch.equal(calls[0][1], logits)
    if not is_all:
        raise TuningError(
            "fine_tune",
            f"{{probe: lbfgs}} needs a last layer that takes a row of features for each image and "
            f"gives the logits, and {path} of {name} does not; {_INSTEAD}",
        )
    return path


@contextmanager
def calls_of(layer: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """What the layer is given and gives, call after call, while the block runs."""
    calls: list[tuple[Tensor, Tensor]] = []
    handle = layer.register_forward_hook(
        lambda _module, inputs, given: calls.append((inputs[0].detach(), given.detach()))
    )
    try:
        yield calls
    finally:
        handle.remove()
