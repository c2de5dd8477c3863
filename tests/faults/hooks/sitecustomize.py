"""Read by Python at the start of every process of a disturbed command; does what a test asked for.

In: environment variables. Out: functions of ours that wait, or take longer, when they are called.

HEADSTART_TEST_HOLD     MODULE:NAME[:N]: at its N-th call (default 1) the function writes the file
                        HEADSTART_TEST_AT, and goes on when the file HEADSTART_TEST_GO is there
HEADSTART_TEST_DEATHS   instead of waiting, the process is killed there, so many times in all
HEADSTART_TEST_SLOW_S   seconds that every later call of it takes longer
HEADSTART_TEST_CLOCK_S  seconds by which the wall clock jumps, there and back, every tenth second
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from pathlib import Path


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls `act(module)` as soon as a module whose name begins with `prefix` was imported."""

    def __init__(self, prefix, act):
        self.prefix, self.act = prefix, act

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith(self.prefix):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self.act(module)

        spec.loader.exec_module = exec_module
        return spec


def _wrap(place: str) -> None:
    """Wrap the function that HEADSTART_TEST_HOLD names, once its module was imported."""
    module_name, name, *rest = place.split(":")
    nth, slow_s = int(rest[0]) if rest else 1, float(os.environ.get("HEADSTART_TEST_SLOW_S", "0"))
    at_the_call = _die if "HEADSTART_TEST_DEATHS" in os.environ else _hold
    n_calls = 0

    def wrap(owner) -> None:
        if owner.__name__ != module_name:
            return
        *owners, last = name.split(".")
        for each in owners:
            owner = getattr(owner, each)
        function = getattr(owner, last)

        @functools.wraps(function)
        def wrapped(*arguments, **named):
            nonlocal n_calls
            n_calls += 1
            if n_calls == nth:
                at_the_call()
            elif n_calls > nth:
                time.sleep(slow_s)
            return function(*arguments, **named)

        setattr(owner, last, wrapped)

    sys.meta_path.insert(0, _AfterImport(module_name, wrap))


def _hold() -> None:
    """Once for a whole command, whichever of its processes comes first."""
    try:
        Path(os.environ["HEADSTART_TEST_AT"]).open("x").close()
    except FileExistsError:
        return
    go = Path(os.environ["HEADSTART_TEST_GO"])
    until = time.monotonic() + 300
    while not go.exists() and time.monotonic() < until:
        time.sleep(0.01)


def _die() -> None:
    """As the kernel kills a process that takes too much memory."""
    for number in range(int(os.environ["HEADSTART_TEST_DEATHS"])):
        try:
            Path(f"{os.environ['HEADSTART_TEST_AT']}-{number}").open("x").close()
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


def _jump(by_s: float) -> None:
    """The wall clock of Python and of our modules; clocks that only grow stay as they are."""
    import datetime

    real, real_datetime = time.time, datetime.datetime

    def jumping() -> float:
        now = real()
        return now + by_s * (int(now * 10) % 2)

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(jumping(), tz)

    def replace(module) -> None:
        if getattr(module, "datetime", None) is real_datetime:
            module.datetime = Jumping

    time.time = jumping
    sys.meta_path.insert(0, _AfterImport("harness.", replace))


if "HEADSTART_TEST_HOLD" in os.environ:
    _wrap(os.environ["HEADSTART_TEST_HOLD"])
if "HEADSTART_TEST_CLOCK_S" in os.environ:
    _jump(float(os.environ["HEADSTART_TEST_CLOCK_S"]))
