"""A network as an ordered list of layer groups, found by walking it in the order of computation.

In: any network and one example batch. Out: `LayerGroup`s from input to head; each parameter and
buffer stands in exactly one.

The rule: the module tree is opened wherever a module is only a frame: the network itself, a plain
`Sequential` or list, a row of equal blocks, and a module that consists of little else than such a
row (a transformer's encoder). What is not opened is a unit: a convolution, a linear layer, a
residual block, a Fire module, an encoder layer. Units are ordered by their first call on the
example. A unit with parameters begins a group; a normalisation layer joins the group before it, and
so do units without parameters (activations, pooling), but for dropout: it joins the group whose
input it thins. A frame's own parameters (a class token, a position embedding) join the group before
the frame's first unit. Where a network's library says which modules are its head (`head_paths`),
all around them is opened, and they are the last group, both heads of a network of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from models.dropout import SeededDropout
from models.networks.pooled import PooledSequential
from models.own_forward import OwnModule, let_go

NORMALISATION = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

_FRAMES = (nn.Sequential, PooledSequential, nn.ModuleList)


@dataclass(frozen=True)
class LayerGroup:
    """A part of a network that is frozen or trained as one.

    Attributes:
        name: the path of the module that it began with.
        modules: paths of its modules, in the order of computation.
        parameters: names as in `named_parameters`.
        buffers: names as in `named_buffers`.
    """

    name: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]


@dataclass
class _Draft:
    """A group while it is being collected."""

    name: str
    modules: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    buffers: list[str] = field(default_factory=list)


def layer_groups(model: nn.Module, example: Tensor) -> tuple[LayerGroup, ...]:
    """The layer groups of `model`, from input to head.

    Args:
        example: float32 (N, C, H, W) that the network takes, on its device; the content does not
            matter. The network is run once, in evaluation mode, and left as it was.

    Raises:
        ModelError: the example does not fit, or parts of the network take no part in computing.
    """
    heads = model.head_paths if isinstance(model, OwnModule) else ()
    frames = list(_frames(model))
    opened = {path for path, _ in frames}
    units = {
        path: module
        for path, module in model.named_modules()
        if path not in opened and _parent(path) in opened
    }
    called = _order_of_calls(model, units, example)
    order = (*(p for p in called if p not in heads), *(p for p in called if p in heads))
    drafts, place = _collect(units, order, heads)
    _place_own_tensors(frames, order, drafts, place)
    if isinstance(model, OwnModule):
        _place_unused(model, units, drafts)
    _refuse_unplaced(model, drafts)
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    return tuple(_finished(draft, own) for draft in drafts)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _frames(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(path, module) of every module that is opened, the network itself first."""
    heads = model.head_paths if isinstance(model, OwnModule) else ()
    known = model.frame_paths if isinstance(model, OwnModule) else ()
    waiting: list[tuple[str, nn.Module]] = [("", model)]
    while waiting:
        path, module = waiting.pop(0)
        yield path, module
        for name, child in module.named_children():
            below = f"{path}.{name}" if path else name
            holds_head = any(head.startswith(f"{below}.") for head in heads)
            if holds_head or below in known or (below not in heads and _is_frame(child)):
                waiting.append((below, child))


def _is_frame(module: nn.Module) -> bool:
    if type(module) in _FRAMES or _is_row_of_blocks(module):
        return True
    most = 0.9 * _n_parameters(module)  # a row beside others, as a branch, does not open a block
    return any(_is_row_of_blocks(c) and _n_parameters(c) >= most for c in module.children())


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _is_row_of_blocks(module: nn.Module) -> bool:
    """Whether this is a list with two or more blocks of one class.

    Layers of torch and further lists are no blocks.
    """
    if not isinstance(module, nn.Sequential | nn.ModuleList):
        return False
    kinds = Counter(type(child) for child in module if not _is_layer_or_list(child))
    return any(count > 1 for count in kinds.values())


def _is_layer_or_list(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) or not any(module.children())


def _order_of_calls(
    model: nn.Module, units: dict[str, nn.Module], example: Tensor
) -> tuple[str, ...]:
    """Paths of the units, in the order in which they are first called."""
    called: dict[str, None] = {}
    handles = [
        module.register_forward_pre_hook(lambda _module, _input, path=path: called.setdefault(path))
        for path, module in units.items()
    ]
    try:
        run_once(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(called)


def run_once(model: nn.Module, example: Tensor) -> Any:
    """What the network gives for the example in evaluation mode; its modes stay as they were.

    Raises:
        ModelError: the example does not fit.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            return model.eval()(example)
    except (RuntimeError, ValueError, AssertionError) as err:
        shape = "×".join(str(side) for side in example.shape[1:])
        reason = str(err).strip().splitlines()[0]
        raise ModelError(
            f"the network does not take inputs of {shape}: {reason}; set another image_size"
        ) from err
    finally:
        for module, training in modes.items():
            module.training = training
        let_go(model)


def _collect(
    units: dict[str, nn.Module], order: Sequence[str], heads: Collection[str] = ()
) -> tuple[list[_Draft], dict[str, int]]:
    """Groups with their units' tensors, and each unit's place among them."""
    drafts: list[_Draft] = []
    place: dict[str, int] = {}
    waiting: list[str] = []  # what joins the group that comes next
    for path in order:
        module = units[path]
        has_tensors = any(True for _ in module.parameters()) or any(True for _ in module.buffers())
        is_second_head = path in heads and bool(place.keys() & set(heads))
        if (
            has_tensors
            and not is_second_head
            and not (drafts and isinstance(module, NORMALISATION) and path not in heads)
        ):
            drafts.append(_Draft(path, waiting))
            waiting = []
        if not drafts or (not has_tensors and _is_dropout(module)):
            waiting.append(path)
            continue
        _join(drafts[-1], path, module)
        place[path] = len(drafts) - 1
    if drafts:
        drafts[-1].modules += waiting
    return drafts, place


def _is_dropout(module: nn.Module) -> bool:
    return isinstance(module, SeededDropout | nn.modules.dropout._DropoutNd)


def _join(draft: _Draft, path: str, module: nn.Module) -> None:
    draft.modules.append(path)
    draft.parameters += [f"{path}.{name}" for name, _ in module.named_parameters()]
    draft.buffers += [f"{path}.{name}" for name, _ in module.named_buffers()]


def _place_own_tensors(
    frames: Sequence[tuple[str, nn.Module]],
    order: Sequence[str],
    drafts: Sequence[_Draft],
    place: dict[str, int],
) -> None:
    """Put the parameters and buffers that frames hold themselves into groups, if there are any."""
    if not drafts:
        return
    for path, frame in frames:
        prefix = f"{path}." if path else ""
        inside = [place[unit] for unit in order if unit in place and unit.startswith(prefix)]
        first = min(inside, default=len(drafts))
        draft = drafts[max(first - 1, 0)]
        draft.parameters += [prefix + n for n, _ in frame.named_parameters(recurse=False)]
        draft.buffers += [prefix + n for n, _ in frame.named_buffers(recurse=False)]


def _place_unused(model: nn.Module, units: dict[str, nn.Module], drafts: list[_Draft]) -> None:
    """Put what no image goes through into the first group: it is there, and never changes.

    A network of the user's own may hold layers that it does not use, or in training alone. One
    that calls no layer at all is one group.
    """
    if not drafts:
        drafts.append(_Draft("network"))
        drafts[0].buffers += [name for name, _ in model.named_buffers()]
    placed = {name for draft in drafts for name in (*draft.parameters, *draft.buffers)}
    used = {path for draft in drafts for path in draft.modules}
    drafts[0].modules += [path for path in units if path not in used]
    drafts[0].parameters += [name for name, _ in model.named_parameters() if name not in placed]
    drafts[0].buffers += [
        name
        for name, _ in model.named_buffers()
        if name not in placed and name not in drafts[0].buffers
    ]


def _finished(draft: _Draft, own: set[str]) -> LayerGroup:
    """The group; of a tensor that two layers share, only the name that the network counts."""
    return LayerGroup(
        draft.name,
        tuple(draft.modules),
        tuple(name for name in draft.parameters if name in own),
        tuple(name for name in draft.buffers if name in own),
    )


def _refuse_unplaced(model: nn.Module, drafts: Sequence[_Draft]) -> None:
    placed = {name for draft in drafts for name in draft.parameters}
    unplaced = [name for name, _ in model.named_parameters() if name not in placed]
    if unplaced or not drafts:
        raise ModelError(
            "layer groups need every layer to take part in computing; these do not: "
            f"{', '.join(unplaced[:3]) or 'the network has no parameters'}"
        )
