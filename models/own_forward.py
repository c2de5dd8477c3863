"""What a network of the user's own computes, as the networks of the catalogue do: logits.

In: a module that the user's code made. Out: the same module, whose forward gives a tensor (N,
classes) and whose errors name the line of the user's file. It stands alone because layer groups,
building and training all ask whether a network is of the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn

from headstart.errors import ModelError
from headstart.own_code import said_of
from models.dropout import DropoutCalls, SeededDropout

_CAUGHT = "caught_dropout"
_OURS_TO_HANDLE = ("deterministic implementation", "memory", "CUDA error")  # by whoever trains


class OwnModule(nn.Module):
    """What an adapted network is, beside the class that the user wrote.

    Attributes:
        place: which of several outputs are the logits; None where there is one.
        draws: whether it draws from the global generators.
        channels_last: whether its activations may lie in that layout; `view` allows it not.
        head_paths: of the modules that are its head, where its library says it.
        logit_paths: of the layers that give the logits, one for each head.
        image_shape: (channels, height, width) of a network of a library.
        frame_paths: of modules that hold most of the network, which are frames for layer groups.
    """

    channels_last: bool = False
    head_paths: tuple[str, ...] = ()
    logit_paths: tuple[str, ...] = ()
    frame_paths: tuple[str, ...] = ()
    image_shape: tuple[int, ...] = ()
    place: int | None = None
    draws: bool = False

    def forward(self, x: Any) -> Any:
        """float32 (N, C, H, W) → logits (N, classes).

        Raises:
            ModelError: the user's code raised an error; the message names its line.
        """
        if not self.channels_last:  # images of one channel may lie in both layouts at once
            x = x.reshape(-1).reshape(x.shape)
        try:
            with self.dropout_calls():
                output = super().forward(x)
        except ModelError:
            raise
        except (Exception, SystemExit) as err:
            if isinstance(err, RuntimeError) and any(w in str(err) for w in _OURS_TO_HANDLE):
                raise
            raise ModelError(_said(err, x, self.training)) from err
        return logits_of(output, self.place)

    def catch_dropout(self, rates: Sequence[float]) -> None:
        """Let the calls of `torch.nn.functional.dropout` be those of layers of ours, in order."""
        self._modules.pop(_CAUGHT, None)
        if rates:
            self.add_module(_CAUGHT, nn.ModuleList(SeededDropout(rate) for rate in rates))

    def dropout_calls(self) -> AbstractContextManager[object]:
        """The block in which the layers of `catch_dropout` are called, if there are any."""
        layers = self._modules.get(_CAUGHT)
        return DropoutCalls(list(layers.children())) if layers is not None else nullcontext()


def let_go(network: nn.Module) -> None:
    """Drop what modules of a library keep from an evaluation until `train()` is called.

    timm's attention keeps biases that it computed from weights. A module that is frozen is never
    put into training mode, so its class is asked here; all modes stay as they are.
    """
    if not (isinstance(network, OwnModule) and network.logit_paths):
        return
    modes = {module: module.training for module in network.modules()}
    for module in modes:
        if type(module).train is not nn.Module.train:
            type(module).train(module, True)
    for module, training in modes.items():
        module.training = training


def adapt(network: nn.Module) -> OwnModule:
    """Let the network's class be its own and `OwnModule` too; its tensors and names stay.

    Raises:
        ModelError: it is of a class that allows no other (a scripted network).
    """
    kind = type(network)
    made = type(kind.__name__, (OwnModule, kind), {"__module__": kind.__module__})
    try:
        network.__class__ = made
    except TypeError as err:
        raise ModelError(
            f"{kind.__name__} is compiled or scripted; give the network as it is before that"
        ) from err
    assert isinstance(network, OwnModule)
    return network


def logits_of(output: Any, place: int | None) -> Any:
    """The logits among what a network gives: a tensor, a mapping, an object or a sequence."""
    if isinstance(output, Tensor | fx.Proxy):
        return output
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    logits = getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if place is not None and isinstance(output, Sequence):
        return output[place]
    return output


def find_logits(output: Any, n_classes: int, what: str) -> int | None:
    """Which of several outputs are the logits of two images; None where there is no choice.

    Raises:
        ModelError: none is, or several could be.
    """
    given = logits_of(output, None)
    if isinstance(given, Tensor):
        _check(given, n_classes, what)
        return None
    items = list(given) if isinstance(given, tuple | list) else []
    fitting = [k for k, item in enumerate(items) if _fits(item, n_classes)]
    if len(fitting) == 1:
        return fitting[0]
    holds = ", ".join(_words(item) for item in items) if items else _words(given)
    which = f"{len(fitting)} of these could be" if fitting else "none of these are"
    raise ModelError(
        f"{what}: forward gives {holds} for 2 images, and {which} the logits, a tensor of "
        f"2×{n_classes}; return that tensor alone, or a dict with the key `logits`"
    )


def _check(logits: Tensor, n_classes: int, what: str) -> None:
    if _fits(logits, n_classes):
        return
    shape = "×".join(map(str, logits.shape))
    if tuple(logits.shape) == (2, n_classes):
        raise ModelError(f"{what}: forward gives numbers of {logits.dtype}; float is needed")
    advice = "give one number for each class"
    if logits.dim() > 2 and tuple(logits.shape[:2]) == (2, n_classes):
        advice = "end with flatten(1)"
    elif logits.dim() == 2 and logits.shape[0] == 2:
        advice = (
            f"the data have {n_classes} classes: take n_classes in the signature, and give the "
            "last layer as many outputs"
        )
    raise ModelError(
        f"{what}: forward gives {shape or 'one number'} for 2 images, and 2×{n_classes} is "
        f"needed: {advice}"
    )


def _fits(item: object, n_classes: int) -> bool:
    return (
        isinstance(item, Tensor)
        and tuple(item.shape) == (2, n_classes)
        and item.is_floating_point()
    )


def _words(item: object) -> str:
    if isinstance(item, Tensor):
        return "×".join(map(str, item.shape)) or "one number"
    if isinstance(item, Mapping):
        return f"a dict with {', '.join(map(str, item)) or 'no key'}"
    return type(item).__name__


def _said(err: BaseException, x: Any, training: bool) -> str:
    text = said_of(err)
    if isinstance(x, Tensor):
        text += f" (for images of {'×'.join(map(str, x.shape[1:]))})"
        if training and len(x) == 1 and "more than 1 value per channel" in text:
            text += "; the last batch of an epoch has 1 image: set another train.batch_size"
        elif x.device.type == "cpu" and ("CUDA" in text or "cuda" in text):
            text += "; a network is put on its device for you: leave .cuda() out, use x.device"
        elif "channels" in text and x.dim() == 4:
            other = 4 - x.shape[1]
            text += f"; model: {{channels: {other}}} makes images of {other} channels"
        elif "shapes cannot be multiplied" in text:
            text += "; model: {image_size: …} makes images of another size"
    return text


def to_plain(network: object, what: str) -> nn.Module:
    """The network itself, taken out of what wraps it, on the CPU.

    Raises:
        ModelError: it is no network.
    """
    while isinstance(network, nn.DataParallel) or hasattr(network, "_orig_mod"):
        network = network.module if isinstance(network, nn.DataParallel) else network._orig_mod
    if not isinstance(network, nn.Module):
        raise ModelError(f"{what}: gives {type(network).__name__}, and no torch.nn.Module")
    if isinstance(network, OwnModule):
        raise ModelError(f"{what}: gives the same network again; each trial needs one of its own, "
                         "so build it in each call")  # fmt: skip
    return network.to(torch.device("cpu"))
