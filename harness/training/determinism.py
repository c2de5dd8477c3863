"""Operations without a deterministic kernel on a GPU: which a network has, and what follows.

In: a network on its device. Out: the names of the operations that PyTorch refuses where the same
bits are demanded. A trial that has one runs nevertheless, since no other run of it would go better;
its row names the operation and says `deterministic: false`. It stands alone because the answer must
be there before the first step, alike for trials by themselves, packs and ranks.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable

import torch
from torch import nn

from harness.training.goal import Goal
from harness.training.loop import loss_function
from harness.training.process import in_precision
from harness.trials.spec import TrialSpec
from models.dropout import set_dropout_generator

N_IMAGES = 2
_REFUSAL = re.compile(r"^(.+?) does not have a deterministic implementation")
_known: dict[
    str, tuple[str, ...]
] = {}  # in this process, by all that decides the network and its steps


def refused_operations(
    spec: TrialSpec,
    network: nn.Module,
    device: torch.device,
    before_epoch: Callable[[int], None] = lambda epoch: None,
) -> tuple[str, ...]:
    """Names of what a GPU refuses of a trial's steps and evaluations; none on other devices.

    A copy of the network makes one step on noise, once in this process for all seeds.

    Args:
        network: on the device; it stays as it is.
        before_epoch: lets train what trains in an epoch; called with the last one, then the first.
    """
    key = spec.step_key
    if device.type == "cuda" and key not in _known:
        before_epoch(spec.condition.train.epochs - 1)
        _known[key] = _try(spec, copy.deepcopy(network), device)
        before_epoch(0)
    return _known.get(key, ())


def learn_from(err: RuntimeError, spec: TrialSpec) -> bool:
    """Whether an error is a refusal that the step on noise did not meet; it is then known."""
    refusal, known = _REFUSAL.match(str(err)), _known.get(spec.step_key, ())
    if refusal is None or refusal[1] in known:
        return False
    _known[spec.step_key] = (*known, refusal[1])
    return True


def allow_refused_operations() -> None:
    """Let this process compute what has no deterministic kernel, until it is set up again."""
    torch.set_deterministic_debug_mode("warn")
    # The row says it; PyTorch would say it at every step.
    warnings.filterwarnings("ignore", message=_REFUSAL.pattern.removeprefix("^"))


def _try(spec: TrialSpec, network: nn.Module, device: torch.device) -> tuple[str, ...]:
    train, n_classes = spec.train, len(spec.data.class_names)
    draws = torch.Generator(device=device).manual_seed(0)
    set_dropout_generator(network, draws)
    computed = in_precision(network, train.precision)
    shape = (N_IMAGES, spec.data.channels, *spec.data.image_size)
    images = torch.randn(shape, generator=draws, device=device)
    labels = torch.arange(N_IMAGES, device=device) % n_classes
    goal = Goal.on_noise(spec.data.target, n_classes, device)
    loss_of_batch = loss_function(train, goal=goal)

    def evaluate_and_make_step() -> None:
        with torch.no_grad():
            loss_of_batch(computed.eval()(images), labels)
        loss = loss_of_batch(computed.train()(images), labels)
        if loss.requires_grad:
            torch.autograd.backward(loss)

    return watch(evaluate_and_make_step)


def watch(compute: Callable[[], None]) -> tuple[str, ...]:
    """The names of the operations of a computation that would be refused."""
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.set_deterministic_debug_mode("warn")
        try:
            compute()
        finally:
            torch.set_deterministic_debug_mode(before)
    refusals = (_REFUSAL.match(str(warning.message)) for warning in caught)
    return tuple(dict.fromkeys(refusal[1] for refusal in refusals if refusal))
