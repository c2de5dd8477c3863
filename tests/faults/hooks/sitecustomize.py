"""Read by Python at the start of every process of a disturbed command; does what a test asked for.

In: environment variables. Out: functions of ours that wait, or take longer, when they are called.

HEADSTART_TEST_HOLD     MODULE:NAME[:N]: at its N-th call (default 1) the function writes the file
                        HEADSTART_TEST_AT, and goes on when the file HEADSTART_TEST_GO is there
HEADSTART_TEST_SLOW_S   seconds that every later call of it takes longer
HEADSTART_TEST_CLOCK_S  seconds by which the wall clock jumps, there and back, every tenth second
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import os
import sys
import time
from pathlib import Path


class _Wrapper(importlib.abc.MetaPathFinder):
    """Wraps one function as soon as its module was imported."""

    def __init__(self, module: str, name: str, nth: int):
        self.module, self.name, self.nth = module, name, nth
        self.n_calls = 0

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self._wrap(module)

        spec.loader.exec_module = exec_module
        return spec

    def _wrap(self, owner):
        *owners, last = self.name.split(".")
        for each in owners:
            owner = getattr(owner, each)
        function = getattr(owner, last)

        @functools.wraps(function)
        def held(*arguments, **named):
            self.n_calls += 1
            if self.n_calls == self.nth:
                _hold()
            elif self.n_calls > self.nth:
                time.sleep(float(os.environ.get("HEADSTART_TEST_SLOW_S", "0")))
            return function(*arguments, **named)

        setattr(owner, last, held)


def _hold() -> None:
    """Once for a whole command, whichever of its processes comes first."""
    try:
        Path(os.environ["HEADSTART_TEST_AT"]).open("x").close()
    except FileExistsError:
        return
    go = Path(os.environ["HEADSTART_TEST_GO"])
    until = time.monotonic() + 120
    while not go.exists() and time.monotonic() < until:
        time.sleep(0.01)


def _jump(by_s: float) -> None:
    """The wall clock of Python: `time.time` and `datetime.now`; clocks that only grow stay."""
    import datetime

    real = time.time

    def jumping() -> float:
        now = real()
        return now + by_s * (int(now * 10) % 2)

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(jumping(), tz)

    time.time = jumping
    datetime.datetime = Jumping


if "HEADSTART_TEST_HOLD" in os.environ:
    _module, _name, *_nth = os.environ["HEADSTART_TEST_HOLD"].split(":")
    sys.meta_path.insert(0, _Wrapper(_module, _name, int(_nth[0]) if _nth else 1))
if "HEADSTART_TEST_CLOCK_S" in os.environ:
    _jump(float(os.environ["HEADSTART_TEST_CLOCK_S"]))
