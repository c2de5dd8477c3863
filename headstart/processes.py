"""Which process this is, and whether another process still lives.

In: a process id. Out: names of machines and processes that are never used twice. A process id alone
is used again, and means nothing in another container or on another node. It stands alone because
locks and temporary files both have to tell a dead command from a living one.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path

UNKNOWN = "unknown"  # when a process began, where the system does not say


def this_machine() -> str:
    """Names the place where process ids mean the same: this boot and process namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8", "replace").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return f"{socket.gethostname()} {uuid.getnode()}"


def is_alive(pid: int, started: str) -> bool:
    """Whether the process of this machine that began at `started` still runs.

    Where the system does not say when a process began, any process of that id counts.
    """
    return process_started(pid) in (started, UNKNOWN)


def process_started(pid: int) -> str | None:
    """When a process of this machine began, in clock ticks since boot; None for a dead one.

    With the process id it names a process for good: ids are used again, start times are not.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):  # gone, hidden from this user, or no /proc (macOS)
        return UNKNOWN if _exists(pid) else None
    return None if words[0] in "ZX" else words[19]


def n_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _exists(pid: int) -> bool:
    if pid <= 0:  # to the kernel these are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
