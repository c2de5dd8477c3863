"""Which sweeps can have several ranks to a trial: the rules, checked when the plan is made.

In: a plan whose `resources.workers` is over 1, and what it trains on. Out: nothing, or one line for
what is not possible. The rules look for batch norm in the networks, which needs torch; a plan with
one worker to a trial is never checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.sweepfile.settings import Settled
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import InputError, ModelError

if TYPE_CHECKING:
    from torch import nn

    from models.groups import LayerGroup


def check_workers(plan: Plan, resources: Settled) -> None:
    """See that every trial of the plan can be shared by its workers.

    Raises:
        InputError: shares of GPUs, batches smaller than the number of workers, or batch norm on
            CPUs; the message says what to set instead.
    """
    n, gpus, name = resources.workers, resources.gpus, plan.sweep.name
    if gpus and gpus < 1:
        raise InputError(
            f"{name}: resources.gpus: {gpus:g} with resources.workers: {n}: each worker of a trial "
            "needs a GPU of its own (NCCL refuses to share one); give gpus: 1 or workers: 1"
        )
    for spec, *_ in plan.by_arm.values():
        size = spec.condition.train.batch_size
        if size < n:
            raise InputError(
                f"{name}: {spec.arm}: train.batch_size: {size} is less than resources.workers: "
                f"{n}; each worker needs an image of the batch"
            )
        if not gpus and (reason := _reason_on_cpus(spec, n)):
            raise InputError(f"{name}: {spec.arm}: {reason}")


def notes(plan: Plan) -> Iterator[str]:
    """What `--dry-run` says of workers and packs."""
    resources = plan.sweep.resources
    if resources.workers > 1 and resources.pack not in (1, "auto"):
        yield (
            f"resources.pack: {resources.pack}: trials of {resources.workers} workers run one "
            "after another, never as one computation"
        )


def _reason_on_cpus(spec: TrialSpec, n: int) -> str | None:
    from harness.training.network import build_network

    try:
        return reason_on_cpus(spec, n, *build_network(spec))
    except ModelError:  # the trial says so for itself
        return None


def reason_on_cpus(
    spec: TrialSpec, n: int, network: nn.Module, groups: Sequence[LayerGroup]
) -> str | None:
    """Why `n` workers on CPUs cannot share a trial: batch norm that ever trains; None if they can.

    Raises:
        ModelError: the network has no such layer groups as `fine_tune` names.
    """
    from torch import nn

    from models.finetune import unfreezing

    epochs = spec.condition.train.epochs
    trains = unfreezing(spec.condition.fine_tune, groups, epochs).names
    for path in (path for group in groups if group.name in trains for path in group.modules):
        for layer, module in network.get_submodule(path).named_modules(prefix=path):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                return (
                    f"{spec.condition.model.name} has batch norm ({layer}), whose statistics of a "
                    f"batch {n} workers can share on GPUs alone (torch has synchronised batch norm "
                    "for nothing else); set resources.gpus: 1 or resources.workers: 1"
                )
    return None
