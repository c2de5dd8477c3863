"""The learning rate of each step, as a sweep writes it.

In: an optimizer and the settings of a trial. Out: what changes the optimizer's rates. It stands
alone because a trial follows its schedule, and a refit repeats the schedule of the trial before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from harness.sweepfile.settings import Condition, Train
from headstart.metrics import LOWER_IS_BETTER


@dataclass(frozen=True)
class ProbePhase:
    """The epochs at the beginning in which the head alone trains, as a training of its own.

    Its rate stays as it is. After it optimizer and schedule begin anew.

    Attributes:
        epochs: how many; 1 or more.
        factor: its learning rate as a factor of `train.learning_rate`.
    """

    epochs: int
    factor: float = 1.0


def probe_phase(condition: Condition) -> ProbePhase | None:
    """Of a condition whose `fine_tune` has one."""
    first, rate = condition.tuning.head_first, condition.train.learning_rate
    if first is None or not first.is_probe:
        return None
    return ProbePhase(first.epochs, (first.learning_rate or rate) / rate)


def make_schedule(
    optimizer: Optimizer,
    settings: Train,
    steps_per_epoch: int,
    n_steps: int,
    probe: ProbePhase | None = None,
) -> LambdaLR | ReduceLROnPlateau | None:
    """The sweep's learning-rate schedule; None where the rate stays as it is.

    After a probe it is that of the steps that are left, from its warm-up on.
    """
    schedule = settings.schedule
    if schedule.name == "plateau":
        return ReduceLROnPlateau(
            optimizer,
            mode="min" if is_cost(schedule.monitor) else "max",
            factor=schedule.factor,
            patience=schedule.patience,
            min_lr=schedule.minimum,
        )
    warmup = schedule.n_warmup(steps_per_epoch)
    n_probe = 0 if probe is None else probe.epochs * steps_per_epoch
    if schedule.name == "none" and not warmup and (probe is None or probe.factor == 1.0):
        return None
    n_steps -= n_probe

    def factor(step: int) -> float:
        if probe is not None and step < n_probe:
            return probe.factor
        step -= n_probe
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, n_steps - warmup))
        low = schedule.final_fraction
        if schedule.name == "linear":
            return 1 - (1 - low) * done
        if schedule.name == "cosine":
            return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))
        if schedule.name == "step":
            return float(schedule.factor ** (step // (steps_per_epoch * schedule.every)))
        return 1.0

    return LambdaLR(optimizer, factor)


def is_cost(score: str) -> bool:
    """Whether less of a validation score, such as `val_loss`, is better."""
    return score.removeprefix("val_") in LOWER_IS_BETTER
