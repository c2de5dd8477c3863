"""The sweep's optimizer: PyTorch's own, without what it wraps round its methods for its compiler.

At their first use those wrappers import `torch._dynamo`, which costs every process that trains
three seconds, though nothing is compiled here.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

from harness.sweepfile.settings import Train

Kind = TypeVar("Kind", bound=Optimizer)
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def make_optimizer(groups: list[dict[str, Any]], settings: Train) -> Optimizer:
    """The sweep's optimizer over parameter groups; fused kernels where PyTorch has them."""
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "fused": True,
    }
    if settings.optimizer == "sgd":
        return SGD(groups, momentum=settings.momentum, nesterov=settings.nesterov, **common)
    kind = Adam if settings.optimizer == "adam" else AdamW
    return kind(groups, betas=settings.betas, eps=settings.epsilon, **common)


def _unwrapped(kind: type[Kind]) -> type[Kind]:
    """`kind` with its methods as they are written; its steps take no gradients."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("type[Kind]", type(kind.__name__, (kind,), methods))


Adam = _unwrapped(torch.optim.Adam)
AdamW = _unwrapped(torch.optim.AdamW)
SGD = _unwrapped(torch.optim.SGD)
