"""The sweep's optimizer: PyTorch's own, without the wrappers that its compiler needs.

In: parameter groups and the settings. Out: an optimizer. It stands alone for one reason: at their
first use PyTorch's wrappers import `torch._dynamo`, which costs every process that trains three
seconds, and we compile nothing.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

from harness.sweepfile.settings import Train

Kind = TypeVar("Kind", bound=Optimizer)
ParameterGroups = list[dict[str, Any]]  # as torch.optim takes them: `params`, and perhaps `lr`
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def make_optimizer(groups: ParameterGroups, settings: Train) -> Optimizer:
    """The sweep's optimizer over parameter groups; fused kernels where PyTorch has them."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return SGD(
            groups, rate, momentum=settings.momentum, nesterov=settings.nesterov,
            weight_decay=decay, fused=True,
        )  # fmt: skip
    kind = Adam if settings.optimizer == "adam" else AdamW
    return kind(
        groups, rate, betas=settings.betas, eps=settings.epsilon, weight_decay=decay, fused=True
    )


def _unwrapped(kind: type[Kind]) -> type[Kind]:
    """`kind` with its methods as they are written; its steps take no gradients."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("type[Kind]", type(kind.__name__, (kind,), methods))


Adam = _unwrapped(torch.optim.Adam)
AdamW = _unwrapped(torch.optim.AdamW)
SGD = _unwrapped(torch.optim.SGD)
