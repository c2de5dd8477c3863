"""Gradient checkpointing: a block keeps its inputs alone, and is computed again on the way back.

In: a network and its layer groups. Out: the same network, whose blocks take less memory in training
and give the same bits. It stands alone because the second computation must draw the masks of the
first, and must leave statistics of batch norm alone; the libraries' own switches do neither.

The computing again is PyTorch's (`torch.utils.checkpoint`, not reentrant), which keeps autocasting
and the global generators as they were.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from headstart.errors import TuningError
from models.dropout import SeededDropout
from models.groups import LayerGroup

_checkpoint = inspect.unwrap(checkpoint)  # its wrapper imports PyTorch's compiler: three seconds


class Checkpointed(nn.Module):
    """What a block is, beside the class that it is of."""

    def forward(self, *given: Any, **named: Any) -> Any:
        """As the block's own; what it keeps of it for the way back is `given` and `named`."""
        if not torch.is_grad_enabled():
            return super().forward(*given, **named)
        given = tuple(list(x) if isinstance(x, list) else x for x in given)  # DenseNet adds to it
        return _checkpoint(
            super().forward, *given, use_reentrant=False, context_fn=self._contexts, **named
        )

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        generators = {
            id(layer.generator): layer.generator
            for layer in self.modules()
            if isinstance(layer, SeededDropout) and layer.generator is not None
        }
        states = [(each, each.get_state()) for each in generators.values()]
        return nullcontext(), _again(self, states)


def use_checkpoints(name: str, network: nn.Module, groups: Sequence[LayerGroup]) -> None:
    """Let the blocks of a network be computed again on the way back; changes `network`.

    Raises:
        TuningError: none of its layer groups has a module of several layers.
    """
    blocks = blocks_of(network, groups)
    if not blocks:
        raise no_blocks(name)
    for block in blocks:
        kind = type(block)
        made = type(kind.__name__, (Checkpointed, kind), {"__module__": kind.__module__})
        block.__class__ = made


def no_blocks(name: str) -> TuningError:
    """What to say of a network of this name in which nothing would be computed again."""
    return TuningError(
        "train.gradient_checkpointing",
        f"{name} has no module of several layers below its layer groups, so nothing would be "
        "computed again; leave it out, or give accumulate",
    )


def blocks_of(network: nn.Module, groups: Sequence[LayerGroup]) -> list[nn.Module]:
    """The outermost modules of several layers that lie in one layer group each; the head is none.

    A block without weights of its own, or a list of blocks, is none either.
    """
    owner = {name: k for k, group in enumerate(groups) for name in group.parameters}
    blocks: list[nn.Module] = []

    def look(module: nn.Module, path: str) -> None:
        for name, child in module.named_children():
            below = f"{path}{name}"
            owners = {owner.get(f"{below}.{n}") for n, _ in child.named_parameters()}
            is_list = isinstance(child, nn.ModuleList | nn.ModuleDict)
            has_layers = sum(1 for _ in child.children()) > 1
            if len(owners) == 1 and has_layers and not is_list:
                if owners != {len(groups) - 1}:
                    blocks.append(child)
            elif owners:
                look(child, f"{below}.")

    look(network, "")
    return blocks


@contextmanager
def _again(block: nn.Module, states: Sequence[tuple[torch.Generator, Any]]) -> Iterator[None]:
    """Draw as the first time did; what the block writes into its buffers is thrown away."""
    now = [(generator, generator.get_state()) for generator, _ in states]
    kept = [(module, dict(module._buffers)) for module in block.modules() if module._buffers]
    for generator, state in states:
        generator.set_state(state)
    for module, buffers in kept:
        for name, value in buffers.items():
            module._buffers[name] = None if value is None else value.clone()
    try:
        yield
    finally:
        for generator, state in now:
            generator.set_state(state)
        for module, buffers in kept:
            module._buffers.update(buffers)
