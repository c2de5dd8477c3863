"""How a command ends when a signal asks it to: soon, with one line and status 75, in every phase.

In: SIGINT, SIGTERM, SIGHUP and SIGUSR2. Out: `StoppedBySignal`, raised where the command is at that
moment. Where work ends better by itself (trials save their states), the command is patient for a
few seconds: a flag and `actions` ask first, and the exception comes only if that was not enough.

It stands alone because every phase of a command needs it, and every process that a command starts
must be deaf to what is meant for the command: `kill` reaches a process, but a terminal, `timeout`,
systemd and SLURM reach the group or all of them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import FrameType
from typing import NoReturn

from headstart.errors import EXIT_STOPPED

SIGNALS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
PATIENCE_S = 6.0  # for work that ends by itself: a step, an evaluation, the saving of a state
CLEAN_UP_S = 3.5  # from the exception to the end of the process, whatever it is doing
SAME_S = 1.0  # `timeout` signals its child and then its group: within this time it is one request


class StoppedBySignal(BaseException):
    """A signal asked the command to end; no `Exception`, which would count as a trial's own."""


@dataclass
class StopRequest:
    """The handler of `SIGNALS`. A second signal ends the patience, a third one the process."""

    by: str | None = None  # the name of the signal that came
    _actions: tuple[Callable[[], None], ...] = ()  # done when the first one comes
    _patience_s: float = 0.0
    _asked_at: float = 0.0
    _is_ending: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGALRM:
            self._end()
        elif self.by is None:
            self.by, self._asked_at = signal.Signals(number).name, now
            if not self._patience_s:
                self._end()
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)
            for action in self._actions:
                with suppress(OSError):  # a full disk: the patience ends the work
                    action()
        elif now - self._asked_at > SAME_S:
            self._end()

    def _end(self) -> None:
        if self._is_ending:  # and the exception was lost, or cleaning up takes too long
            self.end_process()
        self._is_ending = True
        signal.setitimer(signal.ITIMER_REAL, CLEAN_UP_S)
        raise StoppedBySignal(self.by)

    def end_process(self) -> NoReturn:
        """Say the last word and end, whatever the process is doing.

        It may be writing to `sys.stderr`, which then takes nothing from a handler.
        """
        with suppress(OSError):
            os.write(2, f"{self.message}\n".encode())
        os._exit(EXIT_STOPPED)

    @property
    def message(self) -> str:
        """What the command says as its last word."""
        return f"Stopped by {self.by}: what has ended is kept. The same command goes on from here."

    @contextmanager
    def patience(self, *actions: Callable[[], None]) -> Iterator[None]:
        """In this block the first signal calls `actions`, and raises nothing until later."""
        self._actions, self._patience_s = actions, PATIENCE_S
        try:
            yield
        finally:
            self._actions, self._patience_s = (), 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in this block. A SIGHUP that `nohup` had ignored stays ignored."""
        before: dict[int, signal._HANDLER] = {}
        try:
            for number in (*SIGNALS, signal.SIGALRM):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


def end_at_once() -> None:
    """Let a signal end this process with its line and status: for a time with nothing to clean up.

    `listening` takes over for its block. A SIGHUP that `nohup` had ignored stays ignored.
    """

    def end(number: int, frame: FrameType | None) -> None:
        StopRequest(signal.Signals(number).name).end_process()

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started in this block, and all that they start, receive no `SIGNALS`.

    The signals wait until the end of the block; then this process handles them. The tracker that
    multiprocessing starts beside a first process lets signals through again, so it comes before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
