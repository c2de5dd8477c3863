"""How many trials run at once on this machine, and which of its GPUs a worker sees.

In: what a trial asks for and what there is. Out: a number of slots, or one line for what cannot
be: an engine would wait for a GPU that never comes, or hand out one that is not there.
"""

from __future__ import annotations

import math

from harness.sweepfile.settings import Settled
from headstart.errors import InputError


def trials_at_once(
    resources: Settled, asked: int | None, n_cpus: int, n_gpus: int | None, why_none: str = ""
) -> int:
    """Slots of this machine: as many as its CPUs allow; and no GPU idles for want of a CPU.

    Args:
        resources: of a trial.
        asked: `--slots`; None leaves it to the machine.
        n_cpus: CPUs that this process may use; one trial runs on however few.
        n_gpus: GPUs here; None where they do not count: elsewhere, or nothing is left to run.
        why_none: why there is no GPU, for people.

    Raises:
        InputError: a trial asks for more GPUs than there are, or `asked` trials do.
    """
    by_cpus = asked or max(1, n_cpus // resources.cpus_per_trial)
    if not resources.gpus or n_gpus is None:
        return by_cpus
    if resources.gpus < 1:  # a share: such trials have one worker
        by_gpus, on_each = n_gpus * _to_a_gpu(resources.gpus), n_gpus
    else:
        by_gpus = on_each = int(n_gpus // resources.gpus_per_trial)
    if by_gpus < 1:
        reason = f" ({why_none})" if why_none else ""
        raise InputError(
            f"resources.gpus: {resources.gpus:g}, resources.workers: {resources.workers}: GPUs "
            f"that a trial needs: {resources.gpus_per_trial:g}, that PyTorch sees here: {n_gpus}"
            f"{reason}; lower them, or set gpus: 0"
        )
    if asked is not None and asked > by_gpus:
        raise InputError(
            f"--slots {asked}: with resources.gpus: {resources.gpus:g}, {by_gpus} trials at once "
            f"are the most on the GPUs here ({n_gpus})"
        )
    return asked or min(by_gpus, max(by_cpus, on_each))


def gpu_of(worker: int, n_gpus: int) -> int:
    """The GPU, from 0, that a worker sees. A GPU gets a second worker when each has a first one."""
    return worker % n_gpus


def _to_a_gpu(share: float) -> int:
    return max(1, math.floor(1 / share + 1e-9))
