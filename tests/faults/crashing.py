"""A process that has imported everything, and forks a child for each command that it is given.

In: lines of JSON on standard input: the arguments of `harness.sweep`, where its output goes, its
cache, whether the file system has hard links, and at which of its changes to the file system the
command is killed (0: at none). Out: a line of JSON for each: how it ended, which changes it made
and how long it took. Starting Python anew for every point at which
a command can die would take five seconds each; a fork takes none. It has one thread, so that a fork
is a copy of all of it.

A change is a call that makes, moves, removes or flushes a file or folder. The command is killed
before the call; where a file is opened to be written it is killed after it, so that an empty file
lies there.
"""

from __future__ import annotations

import builtins
import errno
import io
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import torch

import harness.engines.worker
import harness.joint.fused
import harness.joint.heads
import harness.joint.pack  # noqa: F401
import harness.training.trial as trial_module
from harness.sweep import main
from headstart.errors import HeadstartError

CHANGES = ("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "fsync")


class Changes:
    """Counts this process's changes to the file system, and kills it at one of them."""

    def __init__(self, kill_at: int):
        self.kill_at = kill_at
        self.made: list[str] = []
        self.pid = os.getpid()  # workers that are forked from it are not counted

    def note(self, name: str, what: object) -> None:
        if os.getpid() != self.pid:
            return
        self.made.append(f"{name} {_name_of(what)}")
        if len(self.made) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def count_all(self) -> None:
        for name in CHANGES:
            setattr(os, name, self._before(name, getattr(os, name)))
        os.open = self._os_open(os.open)
        builtins.open = io.open = self._open(builtins.open)

    def _before(self, name, function):
        def counted(*arguments, **named):
            has_target = name in ("rename", "replace", "link")
            self.note(name, arguments[1] if has_target else arguments[0])
            return function(*arguments, **named)

        return counted

    def _os_open(self, function):
        def counted(path, flags, *arguments, **named):
            opened = function(path, flags, *arguments, **named)
            if flags & os.O_CREAT:
                self.note("open", path)
            return opened

        return counted

    def _open(self, function):
        def counted(file, mode="r", *arguments, **named):
            opened = function(file, mode, *arguments, **named)
            if set(mode) & set("wxa") and file != os.devnull:
                self.note("open", file)
            return opened

        return counted


def _refuse_link(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # as exFAT does


def _name_of(what: object) -> str:
    if isinstance(what, int):
        return os.readlink(f"/proc/self/fd/{what}")
    return os.fspath(what)


def serve() -> None:
    assert len(os.listdir("/proc/self/task")) == 1, "a fork copies one thread"
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.monotonic()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _live(asked, writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            made = pipe.read()  # until the command and the workers that it left have ended
        _, status = os.waitpid(child, 0)
        answer = {
            "status": os.waitstatus_to_exitcode(status),
            "made": made.splitlines(),
            "seconds": time.monotonic() - started,
        }
        print(json.dumps(answer), flush=True)


def _live(asked: dict, writer: int) -> None:
    """The child: one command from its start to its end, or to its death."""
    status = 99
    try:
        os.setsid()
        os.environ["HEADSTART_CACHE"] = asked["cache"]
        said = os.open(asked["said"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        torch.set_num_threads(1)
        pa.set_cpu_count(1)
        pa.set_io_thread_count(1)
        trial_module.STATE_SHARE = float("inf")  # with `--state-every 0`: a state at every step
        spawned = multiprocessing.get_context
        multiprocessing.get_context = lambda method=None: spawned("fork")
        if not asked["has_links"]:
            os.link = _refuse_link
        changes = Changes(asked["kill_at"])
        changes.count_all()
        try:
            status = main(asked["argv"])
        except HeadstartError as err:
            print(err, file=sys.stderr)
            status = err.exit_status
        os.write(writer, "\n".join(changes.made).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    serve()
