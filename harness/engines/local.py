"""Run a plan with processes of this machine: one worker for each slot.

In: a `Queue` and what workers need. Out: the queue emptied. Workers are fresh (spawned) processes
that are deaf to signals: the command alone decides to stop, and writes it into the stop file. Where
a worker dies, the command starts another one, which continues the trial from its last state. A
worker whose command dies ends itself. It stands alone as the engine that needs no further package.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.engines.queue import Queue, Unit
from harness.engines.worker import Worker
from harness.plan.slots import gpu_of
from harness.teams.local_team import LocalTeam, begin_process
from harness.training.context import WorkerSettings
from headstart.scratch import scratch_folder
from headstart.signals import deaf_children

TICK_S = 0.5
END_WITHIN_S = 0.5  # for workers that have nothing to do; all that still run then are killed


@dataclass
class _Slot:
    """One place for a worker: its process, the command's end of the pipe, the unit that runs."""

    number: int
    process: BaseProcess | None = None
    pipe: Connection | None = None
    unit: Unit | None = None


def run_local(
    queue: Queue,
    settings: WorkerSettings,
    n_slots: int,
    tick: Callable[[], None] = lambda: None,
    n_gpus: int = 0,
) -> None:
    """Run everything in the queue; returns when nothing is left or the queue was stopped.

    Args:
        n_slots: how many workers run at once.
        tick: called about twice a second, and after every event.
        n_gpus: of this machine, on which trials train; 0: they train on CPUs. `slots.gpu_of` says
            which of them a process sees. Where w ranks share a trial, a slot has w processes.
    """
    slots = [_Slot(number) for number in range(min(n_slots, max(1, queue.n_left)))]
    with scratch_folder() as scratch:
        try:
            while not queue.finished:
                for slot in slots:
                    n_free = sum(other.unit is None for other in slots)
                    if slot.unit is None and (unit := queue.next_unit(n_free)) is not None:
                        _give(slot, unit, queue, settings, n_gpus, scratch)
                _listen(slots, queue)
                tick()
        finally:
            _end_processes(slots)


def _give(
    slot: _Slot, unit: Unit, queue: Queue, settings: WorkerSettings, n_gpus: int, scratch: Path
) -> None:
    if slot.process is None:
        context = multiprocessing.get_context("spawn")
        slot.pipe, workers_end = context.Pipe()
        first = slot.number * settings.n_workers
        numbers = range(first, first + settings.n_workers)
        gpus = [gpu_of(k, n_gpus) for k in numbers] if n_gpus else None
        slot.process = context.Process(
            target=_work, args=(workers_end, settings, gpus, scratch), name=f"worker-{slot.number}",
            daemon=settings.n_workers == 1,  # a daemon may not start processes
        )  # fmt: skip
        with deaf_children():
            slot.process.start()
        workers_end.close()
    slot.unit = unit
    assert slot.pipe is not None
    try:
        slot.pipe.send((unit, queue.folders(unit)))
    except (BrokenPipeError, OSError):
        _worker_died(slot, queue)


def _listen(slots: list[_Slot], queue: Queue) -> None:
    """Take the events that have come; wait for at most a tick."""
    pipes = [slot.pipe for slot in slots if slot.unit is not None and slot.pipe is not None]
    ready = wait(pipes, timeout=0 if queue.finished else TICK_S)
    for slot in slots:
        if slot.pipe is None or slot.pipe not in ready:
            continue
        try:
            event = slot.pipe.recv()
        except (EOFError, OSError):
            _worker_died(slot, queue)
            continue
        assert slot.unit is not None
        if event is None:
            queue.unit_over(slot.unit)
            slot.unit = None
        else:
            queue.take(event)


def _worker_died(slot: _Slot, queue: Queue) -> None:
    unit, process = slot.unit, slot.process
    _end_processes([slot])
    if unit is not None and process is not None:
        queue.crashed(unit, f"its worker process died (exit status {process.exitcode})")


def _end_processes(slots: Sequence[_Slot]) -> None:
    for slot in slots:
        if slot.pipe is not None:
            slot.pipe.close()
    processes = [slot.process for slot in slots if slot.process is not None]
    until = time.monotonic() + END_WITHIN_S
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    for process in processes:
        process.kill()
        process.join()
    for slot in slots:
        slot.process = slot.pipe = slot.unit = None


def _work(
    pipe: Connection, settings: WorkerSettings, gpus: list[int] | None, scratch: Path
) -> None:
    """A worker's life: take a unit, send its events and None, until the command closes the pipe."""
    tempfile.tempdir = str(scratch)  # for the sockets over which it starts ranks
    begin_process(gpus)
    worker = Worker(settings, LocalTeam(settings) if settings.n_workers > 1 else None)
    try:
        while True:
            unit, folders = pipe.recv()
            for event in worker.run(unit, folders):
                pipe.send(event)
            pipe.send(None)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        worker.close()
