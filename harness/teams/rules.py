"""Which sweeps can have several ranks to a trial: the rules, checked when the plan is made.

In: a plan. Out: nothing, or one line for what is not possible.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.trials.spec import Plan
from headstart.errors import InputError


def check_workers(plan: Plan) -> None:
    """See that every trial of the plan can be shared by its workers.

    Raises:
        InputError: shares of GPUs, batches smaller than the number of workers, or batch norm by
            parts that are no worker's; the message says what to set instead.
    """
    resources, name = plan.sweep.resources, plan.sweep.name
    n, gpus = resources.workers, resources.gpus
    if n > 1 and gpus != "auto" and 0 < gpus < 1:
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
        if n > 1 and spec.condition.train.loss_code:
            raise InputError(
                f"{name}: {spec.arm}: train.loss is a file of your own and gives the mean of a "
                f"whole batch, of which each worker has a part; give resources.workers: 1, not {n}"
            )
        if reason := spec.condition.train.reason_against_workers(n):
            raise InputError(f"{name}: {spec.arm}: {reason}")


def notes(plan: Plan) -> Iterator[str]:
    """What `--dry-run` says of workers and packs."""
    resources = plan.sweep.resources
    if resources.workers > 1 and resources.pack not in (1, "auto"):
        yield (
            f"resources.pack: {resources.pack}: trials of {resources.workers} workers run one "
            "after another, never as one computation"
        )
