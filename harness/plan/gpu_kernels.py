"""Arms whose network has an operation without a deterministic kernel on GPUs, said beforehand.

In: a plan. Out: a line for each such arm or stage. No GPU is needed: a step of the network is made
on tensors without content, and PyTorch's operators in it are compared with those that it refuses on
CUDA. It stands alone because it predicts; on a GPU `training/determinism.py` asks PyTorch itself,
and the row tells that answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.training.goal import Goal
from harness.training.loop import loss_function
from harness.training.network import build_frozen
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import ModelError
from models.dropout import SeededDropout

# Operators that PyTorch 2.15 refuses on CUDA under deterministic algorithms, without those that
# `training/kernels.py` computes. `tests/harness/plan/test_gpu_kernels.py` tries each of them.
REFUSED = frozenset((
    "upsample_linear1d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward",
    "upsample_trilinear3d_backward", "_upsample_bilinear2d_aa_backward",
    "_upsample_bicubic2d_aa_backward", "reflection_pad1d_backward", "reflection_pad3d_backward",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward", "max_unpool2d", "max_unpool3d", "median.dim",
    "nanmedian.dim", "put", "put_", "histc", "bincount", "index_reduce", "index_reduce_",
))  # fmt: skip


def notes(plan: Plan) -> Iterator[str]:
    """A line for each arm or stage that is not deterministic on GPUs, or may not be."""
    known: dict[str, str | None] = {}
    for (_, name), trials in plan.by_arm.items():
        spec = trials[0]
        condition, data = spec.condition, spec.data
        key = repr((condition.model, condition.fine_tune, data.image_size, data.channels))
        if key not in known:
            known[key] = _note(spec)
        if known[key] is not None:
            yield f"{name}: {known[key]}"


def _note(spec: TrialSpec) -> str | None:
    try:
        names = refused_on_cuda(spec)
    except ModelError:  # each trial reports it
        return None
    except Exception as err:  # a network's own code may need numbers, which no tensor has here
        first = (str(err).strip().splitlines() or [type(err).__name__])[0]
        return f"whether it is deterministic on a GPU shows when it trains there ({first[:120]})"
    if not names:
        return None
    return (
        f"{', '.join(names)}: no deterministic kernel on GPUs; there its trials have other bits "
        "each time that they run, and their rows say deterministic: false"
    )


def refused_on_cuda(spec: TrialSpec) -> list[str]:
    """The refused operators of a trial's step, in the order of their first use.

    Raises:
        ModelError: the network cannot be built.
    """
    network, _, _ = build_frozen(spec)
    for module in network.modules():
        if isinstance(module, SeededDropout):  # it draws on a device
            module.p = 0.0
    network.to("meta").train()
    goal = Goal.on_noise(spec.data.target, len(spec.data.class_names), "meta")
    loss_of_batch = loss_function(spec.train, goal=goal)
    labels = torch.zeros(2, dtype=torch.int64, device="meta")
    images = torch.zeros(2, spec.data.channels, *spec.data.image_size, device="meta")
    return refused_of(lambda: loss_of_batch(network(images), labels))


def refused_of(compute: Callable[[], Tensor]) -> list[str]:
    """The refused operators of a computation on tensors without content, and of its gradients."""
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_deterministic_debug_mode("warn")  # some functions then choose other operators
        try:
            with _Operators() as operators:
                result = compute()
                if result.requires_grad:
                    torch.autograd.backward(result)
        except NotImplementedError:  # an operator without shapes on such tensors
            if not operators.refused:
                raise
        finally:
            torch.set_deterministic_debug_mode(before)
    return list(operators.refused)


class _Operators(TorchDispatchMode):
    """Keeps the names of refused operators that run inside of its `with` block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refused: dict[str, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        for shown in (name, f"{name}.{func._overloadname}"):
            if shown in REFUSED:
                self.refused[name] = None
        return func(*args, **(kwargs or {}))
