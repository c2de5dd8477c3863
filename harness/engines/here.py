"""Run a plan inside the process that asks for it: no worker is started, one trial runs at a time.

In and out as `local.py`: a `Queue`, emptied. A breakpoint in a trial stops at a prompt, a profiler
sees the trial, and a test needs no processes. The worker is the one that the other engines start,
so the bits, the records and the handling of errors are theirs. What this engine cannot survive is
the death of its own process: run the same command again.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.engines.queue import Queue
from harness.engines.worker import Worker
from harness.sweepfile.settings import Resources
from harness.training.context import WorkerSettings
from headstart.errors import InputError


def check_here(resources: Resources, n_slots: int | None) -> None:
    """Refuse what needs more than one process; `n_slots` is `--slots`, where it was given.

    Raises:
        InputError: several workers to a trial, or several trials at once.
    """
    for name, number in (("resources.workers:", resources.workers), ("--slots", n_slots)):
        if number is not None and number > 1:
            raise InputError(
                f"{name} {number}: --engine here runs everything in one process, so 1 is the most "
                "it takes; use --engine local or ray"
            )


def run_here(
    queue: Queue, settings: WorkerSettings, tick: Callable[[], None] = lambda: None
) -> None:
    """Run everything in the queue, as `run_local` does.

    `tick` is called after every event, but not during the steps between two evaluations, whose time
    is measured.
    """
    worker = Worker(settings)
    while (unit := queue.next_unit()) is not None:
        for event in worker.run(unit, queue.folders(unit)):
            queue.take(event)
            tick()
        queue.unit_over(unit)
