"""The optimizer and the loss of the user's own file, as training uses them.

In: a trial's settings. Out: an optimizer, and a function from logits and labels to the mean loss.
It stands alone because the user's code runs here: its errors name its line, and what it gives is
looked at.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.sweepfile.own_parts import DECAY, parameters_of, rate_of
from harness.sweepfile.settings import Train
from headstart.errors import HeadstartError, InputError
from headstart.own_code import place_in_own_code, read_code, said_of, shown

_OURS_TO_HANDLE = ("deterministic implementation", "memory", "CUDA error")


def own_optimizer(groups: list[dict[str, Any]], settings: Train) -> torch.optim.Optimizer:
    """The user's optimizer over parameter groups, each with its own `lr` where that differs.

    Raises:
        InputError: its code raises an error, or it is no optimizer of torch's kind.
    """
    what = f"train.optimizer {shown(settings.optimizer)}"
    made = read_code(settings.optimizer, settings.optimizer_code).load()
    parameters = parameters_of(made)
    keywords = {str(rate_of(parameters)): settings.learning_rate, **settings.optimizer_options}
    if DECAY in parameters:
        keywords.setdefault(DECAY, settings.weight_decay)
    elif settings.weight_decay:
        raise InputError(f"{what}: takes no weight_decay; leave train.weight_decay out")
    optimizer = _called(what, lambda: made(groups, **keywords))
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise InputError(f"{what}: gives {kind}, and no torch.optim.Optimizer")
    if any("lr" not in group for group in optimizer.param_groups):
        raise InputError(f"{what}: its param_groups have no 'lr', which schedules change")
    own = type(optimizer)
    optimizer.__class__ = type(own.__name__, (_OwnOptimizer, own), {})
    return optimizer


class _OwnOptimizer(torch.optim.Optimizer):
    """What the user's optimizer is beside its own class: its errors name its line."""

    def step(self, closure: Any = None) -> Any:
        """One step.

        Raises:
            InputError: the user's code raised an error.
        """
        kind = type(self).__name__
        try:
            return _called(
                f"train.optimizer {kind}", lambda: super(_OwnOptimizer, self).step(closure)
            )
        except InputError as err:
            if closure is None and "'NoneType' object is not callable" in str(err):
                raise InputError(
                    f"{err}; step is called without a closure, which it asks for"
                ) from err
            raise


def own_loss(settings: Train) -> Callable[[Tensor, Tensor], Tensor]:
    """The user's loss: logits float (N, classes) and labels int64 (N,) → a scalar, the mean.

    Raises:
        InputError: its code raises an error, or what it gives is no scalar.
    """
    what = f"train.loss {shown(settings.loss)}"
    made, options = read_code(settings.loss, settings.loss_code).load(), settings.loss_options
    function = _called(what, lambda: made(**options)) if inspect.isclass(made) else made
    if isinstance(function, nn.Module) and any(True for _ in function.parameters()):
        raise InputError(f"{what}: has parameters, which no optimizer is given; put them into the "
                         "network")  # fmt: skip
    return OwnLoss(what, function, {} if inspect.isclass(made) else options)


class OwnLoss:
    """The user's loss; where it is a module, its buffers are where the logits are."""

    def __init__(self, what: str, function: Callable[..., Any], options: Mapping[str, Any]):
        self.what, self.function, self.options = what, function, options

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over a batch.

        Raises:
            InputError: the user's code raised an error, or gave no scalar.
        """
        if isinstance(self.function, nn.Module):
            self.function.to(logits.device)
        value = _called(self.what, lambda: self.function(logits, labels, **self.options))
        if not isinstance(value, Tensor) or value.dim() != 0:
            shape = "×".join(map(str, value.shape)) if isinstance(value, Tensor) else type(value)
            raise InputError(f"{self.what}: gives {shape}, and one number is needed: the mean over "
                             "the batch")  # fmt: skip
        return value


def _called(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except HeadstartError:
        raise
    except (Exception, SystemExit) as err:
        handled = isinstance(err, RuntimeError) and any(w in str(err) for w in _OURS_TO_HANDLE)
        if handled or (place_in_own_code(err) is None and not isinstance(err, TypeError)):
            raise
        raise InputError(f"{what}: {said_of(err)}") from err
