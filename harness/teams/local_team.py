"""The ranks of a trial as processes of this machine.

In: `WorkerSettings`. Out: a `Team`. A server process imports torch once, and the ranks are forked
from it. A rank ends itself as soon as its worker is gone, in whatever way the worker ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from harness.teams.rank import RankRunner
from harness.teams.team import Message, Team
from harness.training.context import WorkerSettings
from headstart.output import make_output_steady
from headstart.signals import SIGNALS, deaf_children

HOST = "127.0.0.1"
# torch's optimizers import its compiler when first used: as long again as torch itself.
IMPORTED = ["harness.teams.data_parallel", "torch._dynamo"]


@dataclass
class _Place:
    process: BaseProcess
    pipe: Connection
    is_dead: bool = False


class LocalTeam(Team):
    """Processes of this machine; process k sees the k-th of the GPUs that this one sees."""

    def __init__(self, settings: WorkerSettings):
        self.settings = settings
        self.n = settings.n_workers
        self.places: list[_Place] = []

    def start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        for rank in range(self.n):
            pipe, ranks_end = context.Pipe()
            args = (ranks_end, self.settings, rank)
            process = context.Process(target=_serve, args=args, name=f"rank-{rank}", daemon=True)
            with deaf_children():
                process.start()
            ranks_end.close()
            self.places.append(_Place(process, pipe))

    def call(self, rank: int, method: str, *arguments: object) -> None:
        with suppress(OSError):  # it is dead: `receive` says so
            self.places[rank].pipe.send((method, arguments))

    def receive(self, timeout_s: float) -> list[Message]:
        ready = wait([place.pipe for place in self.places if not place.is_dead], timeout_s)
        messages = []
        for rank, place in enumerate(self.places):
            if place.is_dead or place.pipe not in ready:
                continue
            try:
                kind, content = place.pipe.recv()
                messages.append(Message(rank, kind, content))
            except (EOFError, OSError):
                place.is_dead = True
                place.process.join(1.0)
                status = f"exit status {place.process.exitcode}"
                messages.append(Message(rank, "died", status))
        return messages

    def end(self) -> None:
        for place in self.places:
            place.process.kill()
        for place in self.places:
            place.process.join()
            place.pipe.close()
        self.places = []
        self.is_open = False


def _serve(pipe: Connection, settings: WorkerSettings, rank: int) -> None:
    """A rank's life: take a call, send its items, until its worker is gone."""
    begin_process([rank] if settings.device == "cuda" else None)
    runner = RankRunner(settings, rank, HOST)
    while True:
        try:
            method, arguments = pipe.recv()
            for item in runner.call(method, *arguments):
                pipe.send(("item", item))
            pipe.send(("over", None))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def begin_process(gpus: Sequence[int] | None) -> None:
    """Ignore signals, see these of the GPUs that are visible (None: all), and end with the parent.

    Whatever it shows, and whoever no longer reads it, does not end it.
    The process ends itself as soon as the one that started it is gone. That one started it deaf to
    signals; a library might let them through again.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    make_output_steady()
    if gpus is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = [visible.split(",")[gpu] if visible else str(gpu) for gpu in gpus]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # waits for a pipe to close, which the system does however the parent ends
    os._exit(1)
