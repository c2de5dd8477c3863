"""Build a network of the user's own, and find out by trying how it can be run.

In: a reference, options and two seeds. Out: a network on the CPU in training mode as
`build_model` gives any other. It stands alone because a network of the catalogue needs none of
this: which of its outputs are the logits, whether it takes channels-last weights (`view` does not
on such activations), whether it draws from global generators, which layer is its head.

What is found out depends on the code and the shapes alone, never on the device that trains: the
trial runs on the CPU, on images that lie as channels-last weights make activations lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.errors import InputError, ModelError
from headstart.own_code import said_of, shown
from models.dropout import DropoutCalls, seed_dropout, set_dropout_generator
from models.global_draws import have_drawn, seeded, states_of_all
from models.groups import layer_groups
from models.heads import decide_alone, draw_heads, head_of, replace_head
from models.info import NewHead
from models.own import CLASSES, OwnOptions, read_maker, read_signature
from models.own_forward import OwnModule, adapt, find_logits, to_plain

_UNINITIALISED = (nn.UninitializedParameter, nn.UninitializedBuffer)


@dataclass(frozen=True)
class Shape:
    """What the data decide of a network."""

    n_classes: int
    image_size: tuple[int, int]
    channels: int

    def images(self, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
        """Two images of noise, always the same."""
        draws = torch.Generator().manual_seed(0)
        noise = torch.randn(2, self.channels, *self.image_size, generator=draws)
        return noise.contiguous(memory_format=layout)


@dataclass(frozen=True)
class Findings:
    """How a network of the user's can be run.

    Attributes:
        place: which of its outputs are the logits, where it gives several.
        channels_last: whether it computes with channels-last weights.
        draws: whether it draws from the global generators.
        dropped: by each call of torch's function of dropout, which layers of ours take over.
    """

    place: int | None
    channels_last: bool
    draws: bool
    dropped: tuple[float, ...] = ()


_findings: dict[str, Findings] = {}  # in this process, by all that decides the network


Maker = Callable[[int], OwnModule]  # of a seed that decides all weights


def build_own(
    reference: str, options: OwnOptions, shape: Shape, init_seed: int, head_seed: int
) -> nn.Module:
    """The network with random weights: its own initialisation, drawn from `init_seed`.

    Raises:
        ModelError: the code raises an error, or what it gives is no classifier of these images.
    """
    what = shown(reference)
    signature = read_signature(reference, read_maker(reference, options))

    def make(seed: int) -> OwnModule:
        return _made(reference, options, shape, seed)

    key, head = repr((reference, options, shape)), signature.new_head(options)
    return drawn_by_two(what, key, make, head, shape, init_seed, head_seed)


def drawn_by_two(
    what: str,
    key: str,
    make: Maker,
    head: NewHead | None,
    shape: Shape,
    init_seed: int,
    head_seed: int,
) -> OwnModule:
    """A network of `init_seed`, whose last layer group is that of the same one of `head_seed`.

    So the head is initialised as its author wrote it and yet by a seed of its own.

    Args:
        what: the network, for messages.
        key: of all that decides the network, under which it is tried once in a process.
        head: what takes the place of the network's own head.

    Raises:
        ModelError: the code raises an error, or what it gives is no classifier of these images.
    """
    network = _complete(what, make, head, shape, init_seed)
    second = _complete(what, make, head, shape, head_seed)
    drawn = {name: value.clone() for name, value in second.state_dict().items()}
    if key not in _findings:
        _findings[key] = _try(second, shape, what)
        _refuse_two_heads(second, shape, what)
        _refuse_made_in_forward(second, drawn, what)
    findings = _findings[key]
    network.place, network.draws = findings.place, findings.draws
    network.catch_dropout(findings.dropped)
    groups = layer_groups(network, torch.zeros(2, shape.channels, *shape.image_size))
    own = network.state_dict()
    with torch.no_grad():
        for name in groups[-1].parameters:
            if name in own and name in drawn:
                own[name].copy_(drawn[name])
    network.channels_last = findings.channels_last
    if findings.channels_last:
        network.to(memory_format=torch.channels_last)
    return network


def _complete(what: str, make: Maker, head: NewHead | None, shape: Shape, seed: int) -> OwnModule:
    """The network of one seed, its dropout ours, its head the one that is asked for."""
    adapted = make(seed)
    _refuse_unknown_sizes(adapted, what)
    _refuse_odd_state(adapted, what)
    _keep_fixed(adapted)
    if not any(True for _ in adapted.parameters()):
        raise ModelError(f"{what}: has no parameters that train")
    seed_dropout(adapted)
    adapted.train()
    if head:
        replace_head(what, adapted, head, shape.n_classes, shape.images())
        draw_heads(adapted, seed)
    return adapted


def tried(name: str, network: nn.Module, options: str, shape: Shape) -> nn.Module:
    """A network that the user put into `models/networks/`: its weights as drawn, and how it runs.

    Raises:
        ModelError: the code raises an error, or what it gives is no classifier of these images.
    """
    adapted = adapt(network)
    key = repr((name, options, shape))
    if key not in _findings:
        drawn = {name: value.clone() for name, value in adapted.state_dict().items()}
        _findings[key] = _try(adapted, shape, name)
        _refuse_two_heads(adapted, shape, name)
        adapted.to(memory_format=torch.contiguous_format)
        adapted.load_state_dict(drawn)
        adapted.zero_grad(set_to_none=True)
    findings = _findings[key]
    adapted.place, adapted.draws = findings.place, findings.draws
    adapted.channels_last = findings.channels_last
    set_dropout_generator(adapted, None)
    if findings.channels_last:
        adapted.to(memory_format=torch.channels_last)
    return adapted.train()


def _made(reference: str, options: OwnOptions, shape: Shape, seed: int) -> OwnModule:
    what = shown(reference)
    maker = read_maker(reference, options)  # before the seed: to run the file may draw
    signature = read_signature(reference, maker)
    with seeded(seed):
        try:
            network = maker(
                **signature.arguments(options, shape.n_classes, shape.image_size, shape.channels)
            )
            adapted = adapt(to_plain(network, what))
            adapted.eval().train()
        except InputError:
            raise
        except (Exception, SystemExit) as err:
            text = f"{what} cannot be built: {said_of(err)}"
            if signature.classes is None:
                text += f"; its signature names no {CLASSES[0]}, so it is not given the number"
            raise ModelError(text) from err
        if any(isinstance(tensor, _UNINITIALISED) for tensor in _tensors(adapted)):
            with torch.no_grad():  # layers that learn their sizes from the first images
                adapted.eval()(torch.zeros(2, shape.channels, *shape.image_size))
    return adapted


def _refuse_two_heads(network: OwnModule, shape: Shape, what: str) -> None:
    """Refuse a new head beside which another layer gives logits too."""
    new = head_of(network)
    if new and not decide_alone(network, shape.images()):
        raise ModelError(
            f"{what}: model.head: its logits do not come from {new[0]} alone (has it two heads?), "
            "so no head can take its place; leave model.head out"
        )


def _refuse_unknown_sizes(network: nn.Module, what: str) -> None:
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if isinstance(tensor, _UNINITIALISED):
            raise ModelError(f"{what}: the size of {name} is learnt from the first images, and "
                             "forward does not use that layer; leave it out")  # fmt: skip


def _refuse_odd_state(network: nn.Module, what: str) -> None:
    """Refuse what no file of weights holds: other things than tensors, and tensors with gaps."""
    for path, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(f"{what}: {path} is scripted; give the layer as it is before that")
    state = network.state_dict()
    lacking = [name for name, _ in network.named_parameters() if name not in state]
    if lacking:
        raise ModelError(f"{what}: its state_dict lacks {lacking[0]}, so its weights cannot be "
                         "kept; leave state_dict as torch has it")  # fmt: skip
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{what}: state_dict holds {name}, which is {type(value).__name__} "
                             "and no tensor; register_buffer keeps numbers as tensors")  # fmt: skip
        if value.layout is not torch.strided or value.is_quantized:
            raise ModelError(f"{what}: {name} is sparse or quantized, which no file of weights "
                             "holds; keep it dense, of floats or integers")  # fmt: skip


def _refuse_made_in_forward(network: nn.Module, before: Mapping[str, Tensor], what: str) -> None:
    made = [name for name, _ in network.named_parameters() if name not in before]
    if made:
        raise ModelError(
            f"{what}: forward makes the parameter {made[0]}, which no seed and no weights file "
            "decides; make the layer in __init__ (nn.LazyLinear, nn.LazyConv2d and their like "
            "learn their size from the first images)"
        )


def _keep_fixed(network: nn.Module) -> None:
    """What the user's code fixes (`requires_grad=False`) stays as it is, under its own name.

    It becomes a buffer, since `fine_tune` decides of every parameter whether it trains.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:
                delattr(module, name)
                module.register_buffer(name, parameter.detach())


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _try(network: OwnModule, shape: Shape, what: str) -> Findings:
    """Run the network in both modes, forward and back; its state is of no use afterwards."""
    set_dropout_generator(network, torch.Generator().manual_seed(0))
    with seeded(0):
        before = states_of_all()
        images = shape.images()
        with torch.no_grad():
            network.place = find_logits(network.eval()(images), shape.n_classes, what)
            in_training = find_logits(network.train()(images), shape.n_classes, what)
        network.place = in_training if network.place is None else network.place
        _step(network, images)
        draws = have_drawn(before)
    dropped = _caught(network, shape) if draws and network.logit_paths else ()
    with seeded(0):
        takes = _takes_channels_last(network, shape)
    return Findings(network.place, takes, draws and not dropped, dropped)


def _caught(network: OwnModule, shape: Shape) -> tuple[float, ...]:
    """What calls of torch's function of dropout drop, where all that is drawn is theirs.

    A library's network alone is asked: what a network of the user's draws stays as it is.
    """
    rates = []
    with seeded(0), torch.no_grad():
        for training in (False, True):
            with DropoutCalls() as calls:
                network.train(training)(shape.images())
            rates.append(calls.rates)
        if len(rates[0]) != len(rates[1]):
            return ()  # a call in training alone belongs to no layer group
        network.catch_dropout(rates[1])
        set_dropout_generator(network, torch.Generator().manual_seed(0))
        before = states_of_all()
        network(shape.images())
        if not have_drawn(before):
            return tuple(rates[1])
    network.catch_dropout(())
    return ()


def _takes_channels_last(network: OwnModule, shape: Shape) -> bool:
    with suppress(ModelError, RuntimeError):
        network.to(memory_format=torch.channels_last)
        network.channels_last = True
        images = shape.images(torch.channels_last)
        with torch.no_grad():
            network.eval()(images)
        _step(network, images)
        return True
    return False


def _step(network: OwnModule, images: Tensor) -> None:
    """Forward and back in training mode."""
    logits = network.train()(images)
    if logits.requires_grad:
        torch.autograd.backward(logits.float().sum())
