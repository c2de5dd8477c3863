"""Weights on disk and into a network: safetensors written, files of weights read.

In: a network and a state dict, or a path. Out: a file, or the network with the file's weights and
a report of them. What a file is, `weight_files` finds out, and `delta` whether its start belongs to
it; which of its names are the network's, `fitting` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.delta import open_whole, to_bytes, write_content
from models.fitting import fitted
from models.groups import LayerGroup
from models.heads import head_of
from models.own_forward import OwnModule
from models.source_build import renamed


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors, as state-dict keys.

    Attributes:
        loaded: taken from the file.
        new: of the network, not in the file or not taken from it: as they were drawn.
        left_out: of the file, not used.
        summed: loaded, but first added up over their three input channels.
        notes: what there is to say of it: a prefix that was taken off, types that were turned.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    summed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def save_weights(weights: nn.Module | Mapping[str, Tensor], path: Path | str) -> None:
    """Write a network's state dict (or one that is given) as safetensors, atomically.

    Raises:
        StorageError: the disk is full.
    """
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    write_content(to_bytes(state), path)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU, those of its start included (`delta.open_whole`).

    Raises:
        ModelError: there is no such file, it is damaged, or it holds no state dict.
    """
    return open_whole(path).tensors


def load_into(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    head: Literal["new", "keep"],
    groups: Sequence[LayerGroup],
    prefix: str = "",
) -> LoadReport:
    """Copy `state` into `model`; its last layer group is taken (`keep`) or left as drawn (`new`).

    A first layer that takes grey images accepts one that takes colour: its weights are summed. A
    prefix of all names that the network needs is taken off; `prefix` names one where there are
    several.

    Raises:
        ModelError: tensors are missing, of another shape, unknown or not finite; nothing was
            copied then.
    """
    own = model.state_dict()
    new = head_of(model)
    fitting = partial(fitted, own, of_head=_of_head(model, groups), head=head, prefix=prefix,
                      replaced=new[1].replaced if new else ())  # fmt: skip
    try:
        fit = fitting(state)
    except ModelError:
        other = renamed(model, state)
        if other is None:
            raise
        fit = fitting(other)
        state = other
    with torch.no_grad():
        for key, tensor in fit.tensors.items():
            own[key].copy_(_over_grey(tensor) if key in fit.summed else tensor)
    return LoadReport(
        loaded=tuple(key for key in own if key in fit.tensors),
        new=tuple(key for key in own if key not in fit.tensors),
        left_out=fit.left_out,
        summed=fit.summed,
        notes=fit.notes,
    )


def _of_head(model: nn.Module, groups: Sequence[LayerGroup]) -> set[str]:
    """Names of what stays as drawn with a new head: of the layers that give the logits."""
    names = {*groups[-1].parameters, *groups[-1].buffers}
    if isinstance(model, OwnModule) and model.logit_paths:
        of_logits = tuple(f"{path}." for path in model.logit_paths)
        return {name for name in names if name.startswith(of_logits)}
    return names


def _over_grey(colour: Tensor) -> Tensor:
    """Summed over the three channels, in float32 at least: half a float would round the sum."""
    return colour.sum(1, keepdim=True, dtype=torch.promote_types(colour.dtype, torch.float32))
