"""How much memory this machine lets a command take, whether some bytes fit, and whether it has a
compiler.

In: what the kernel says of the machine and of the control group that a container or a batch system
made. Out: bytes. It stands alone because plans and trials ask the same questions, and plans do so
without torch.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EVALUATION_BATCH = 1000  # images whose losses are averaged in one go
CPU_PART = 100  # of these at once on a CPU; outputs of many more need fresh memory in every layer
MOST_PIXELS = EVALUATION_BATCH * 64 * 64  # of the images that a network on a GPU is shown at once
CONTEXT_BYTES = 600_000_000  # of a card for each process, beside what PyTorch's allocator counts
IMAGES_SHARE = 1 / 2  # of what a worker may take of a card, for images that lie there
AHEAD_BYTES = 256_000_000  # of images that a process reads ahead, of all its trials together
KEPT_BYTES = 256 << 20  # larger blocks go back to the system as soon as they are free
PROCESS_BYTES = 320_000_000  # anonymous memory of a process that has imported PyTorch and us


def fits(n_bytes: int, room: int | None) -> bool:
    """Whether so many bytes can lie in a memory at once; `room` None: its size is not known."""
    return room is None or n_bytes <= room


def keep_freed_memory() -> None:
    """Let this process use freed memory again, in place of asking the system for every tensor.

    glibc gives blocks of over 32 MB back as soon as they are free, and the system clears each page
    that it hands out: of a forward pass over photographs up to a third of the time. No bit depends
    on it. `give_freed_memory_back` ends it for what is free then. Other systems are left as they
    are, and so is a user's own setting.
    """
    if any(name in os.environ for name in ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")):
        return
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, 1073741824)


def give_freed_memory_back() -> None:
    """Give the system what this process holds and nothing uses."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def compiler_lacks() -> str | None:
    """Why `train.compile` cannot be done on this machine; None where it can."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name):
        return None
    return (f"PyTorch's compiler needs {name}, which is not found on this machine: install it "
            "(apt-get install g++), or leave compile out")  # fmt: skip


def memory_here(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of memory that the machine has, or its control group allows; None: not known."""
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
        return min([*limits, *_limits_of_groups(proc / "self" / "cgroup", groups)])
    return None


def _limits_of_groups(own: Path, groups: Path) -> Iterator[int]:
    """Of each group that this process is in; of version 2 and 1. No limit is a huge number, or
    the word `max`."""
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text("utf-8").splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        steps = [step for step in path.split("/") if step not in ("", "..")]
        for n_steps in range(len(steps) + 1):
            with suppress(OSError, ValueError):
                yield int(root.joinpath(*steps[:n_steps], name).read_text("ascii"))
