"""A process that has imported everything, and forks a child for each command that it is given.

In: lines of JSON on standard input: the arguments of `harness.sweep`, where its output goes, its
cache, whether the file system has hard links, and at which of its changes to the file system the
command is killed (0: at none) or loses its power. Out: a line of JSON for each: how it ended, which
changes it made and how long it slept. Starting Python anew for every point at which a command can
die would take five seconds each; a fork takes none. It has one thread, so that a fork is a copy of
all of it.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
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
from changes import Changes
from power import Journal

import harness.engines.current as current_module
import harness.engines.worker
import harness.joint.fused
import harness.joint.heads
import harness.joint.pack  # noqa: F401
import harness.training.trial as trial_module
import headstart.lock as lock_module
from harness.sweep import main
from headstart.errors import HeadstartError


def _refuse_link(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # as exFAT does


def serve() -> None:
    assert len(os.listdir("/proc/self/task")) == 1, "a fork copies one thread"
    for line in sys.stdin:
        asked = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _live(asked, writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            made = pipe.read()  # until the command and the workers that it left have ended
        _, status = os.waitpid(child, 0)
        slept_s, *changes = made.splitlines() or ["0"]
        answer = {
            "status": os.waitstatus_to_exitcode(status),
            "made": changes,
            "slept_s": float(slept_s),
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
        # A slow machine makes no more changes than a fast one.
        lock_module.HEARTBEAT_S = current_module.WAIT_S = 3600.0
        trial_module.STATE_SHARE = float("inf")  # with `--state-every 0`: a state at every step
        spawned = multiprocessing.get_context
        multiprocessing.get_context = lambda method=None: spawned("fork")
        if not asked["has_links"]:
            os.link = _refuse_link
        slept, sleep = [0.0], time.sleep
        time.sleep = lambda seconds: (slept.append(seconds), sleep(seconds))
        changes = Changes(asked["kill_at"])
        if asked["graveyard"]:
            changes = Journal(asked["kill_at"], asked["folders"], asked["graveyard"])
        changes.count_all()
        try:
            status = main(asked["argv"])
        except HeadstartError as err:
            print(err, file=sys.stderr)
            status = err.exit_status
        os.write(writer, "\n".join([str(sum(slept)), *changes.made]).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    serve()
