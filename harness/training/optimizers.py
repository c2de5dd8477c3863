"""The sweep's optimizer: PyTorch's own, without the wrappers that its compiler needs.

In: parameter groups and the settings. Out: an optimizer. It stands alone because at their first use
PyTorch's wrappers import `torch._dynamo`, which costs every process that trains three seconds, and
we compile nothing; and because on a GPU its kernels read the learning rates where they lie.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

from harness.sweepfile.settings import TIMMS_OPTIMIZERS, Train
from harness.training.own_parts import own_optimizer
from headstart.errors import MissingPackageError

Kind = TypeVar("Kind", bound=Optimizer)
ParameterGroups = list[dict[str, Any]]  # as torch.optim takes them: `params`, and perhaps `lr`
MUONS_MOMENTUM = 0.95  # where none is written; Jordan et al. (2024)
IN_MEMORY = ("cuda",)  # devices whose kernels read learning rates from memory
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def make_optimizer(groups: ParameterGroups, settings: Train) -> Optimizer:
    """The sweep's optimizer over parameter groups; fused kernels where PyTorch has them."""
    if settings.optimizer_code:
        return own_optimizer(groups, settings)
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return SGD(
            groups, rate, momentum=settings.momentum, nesterov=settings.nesterov,
            weight_decay=decay, fused=True,
        )  # fmt: skip
    if settings.optimizer in TIMMS_OPTIMIZERS:
        return _timms(groups, settings)
    kind = Adam if settings.optimizer == "adam" else AdamW
    return kind(
        groups, rate, betas=settings.betas, eps=settings.epsilon, weight_decay=decay, fused=True
    )


def _timms(groups: ParameterGroups, settings: Train) -> Optimizer:
    """An optimizer of timm's, with what of ours it takes.

    Raises:
        MissingPackageError: timm is not installed.
    """
    try:
        from timm.optim.lamb import Lamb
        from timm.optim.lion import Lion
        from timm.optim.muon import Muon
    except ImportError as err:
        raise MissingPackageError(
            f"train.optimizer {settings.optimizer} is timm's: pip install timm"
        ) from err
    rate, decay = settings.learning_rate, settings.weight_decay
    optimizer: Optimizer
    if settings.optimizer == "lion":
        optimizer = Lion(groups, lr=rate, betas=settings.betas, weight_decay=decay)
    elif settings.optimizer == "lamb":
        optimizer = Lamb(
            groups, lr=rate, betas=settings.betas, eps=settings.epsilon, weight_decay=decay
        )
    else:
        optimizer = Muon(
            groups, lr=rate, weight_decay=decay, momentum=settings.momentum or MUONS_MOMENTUM,
            nesterov=settings.nesterov,
        )  # fmt: skip
    return optimizer


class _DeviceRates:
    """The learning rates of an optimizer's groups in a GPU's memory, float32."""

    def __init__(self, n: int, device: torch.device):
        self.tensors = [torch.zeros((), device=device) for _ in range(n)]
        self.loaded: list[float | None] = [None] * n

    def load(self, rates: Sequence[float]) -> None:
        """Write those that changed."""
        for k, rate in enumerate(rates):
            if self.loaded[k] != rate:
                self.tensors[k].fill_(rate)
                self.loaded[k] = rate


def load_rates(optimizer: Optimizer) -> None:
    """Let a GPU's kernels see the groups' learning rates as they are now; nothing on a CPU."""
    rates = _rates_of(optimizer)
    if rates is not None:
        rates.load([group["lr"] for group in optimizer.param_groups])


def _rates_of(optimizer: Optimizer) -> _DeviceRates | None:
    """The optimizer's rates in its GPU's memory; None on a CPU, where they are numbers."""
    device = optimizer.param_groups[0]["params"][0].device
    if device.type not in IN_MEMORY:
        return None
    rates: _DeviceRates | None = getattr(optimizer, "device_rates", None)
    if rates is None:
        rates = _DeviceRates(len(optimizer.param_groups), device)
        optimizer.device_rates = rates  # type: ignore[attr-defined]
    return rates


@contextmanager
def _rates_on_device(optimizer: Optimizer) -> Iterator[None]:
    """On a GPU: kernels that read each group's rate from memory.

    A number would be a constant of a captured step. The groups keep their numbers, which schedules
    and states are made of.
    """
    groups, rates = optimizer.param_groups, _rates_of(optimizer)
    if rates is None:
        yield
        return
    is_capturing = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
    numbers = [group["lr"] for group in groups]
    rates.load(numbers)  # nothing where a step is captured: they were loaded before
    try:
        for group, rate in zip(groups, rates.tensors, strict=True):
            group.update(lr=rate, **_capturable(group, is_capturing))
        yield
    finally:
        for group, number in zip(groups, numbers, strict=True):
            group.update(lr=number, **_capturable(group, False))


def _capturable(group: dict[str, Any], is_capturing: bool) -> dict[str, bool]:
    """What Adam wants to be told; its fused kernels are the same."""
    return {"capturable": is_capturing} if "capturable" in group else {}


def _begin_momenta(optimizer: Optimizer) -> None:
    """Give parameters that join later a momentum of 0, which their first step makes the gradient.

    PyTorch's fused kernel takes momenta of all parameters of a group, or of none.
    """
    state = optimizer.state
    for group in optimizer.param_groups:
        moving = [p for p in group["params"] if p.grad is not None] if group["momentum"] else []
        new = [p for p in moving if state.get(p, {}).get("momentum_buffer") is None]
        for parameter in new if len(new) < len(moving) else ():
            state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _unwrapped(kind: type[Kind]) -> type[Kind]:
    """`kind` with its methods as they are written; its steps take no gradients."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    bare: Callable[[Optimizer, None], None] = torch.no_grad()(inspect.unwrap(kind.step))

    def step(self: Optimizer, closure: None = None) -> None:
        if isinstance(self, torch.optim.SGD):
            _begin_momenta(self)
        with _rates_on_device(self):
            bare(self, closure)

    methods["step"] = step
    return cast("type[Kind]", type(kind.__name__, (kind,), methods))


Adam = _unwrapped(torch.optim.Adam)
AdamW = _unwrapped(torch.optim.AdamW)
SGD = _unwrapped(torch.optim.SGD)
