"""A follower that no trial notices: it goes last, and stays within a share of the machine's time.

In: clocks. Out: whether there is time for more now. It stands alone because reading and serving are
paced by the same account.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

SHARE = 0.02  # of the machine's processor time
START_S = 4.0  # processor seconds beyond that: to start, and to make the chart's script


def at_lowest_priority() -> None:
    """Let everything else on the machine go first: of this thread and those that it starts.

    `SCHED_IDLE` lies still lower, and is not used: where every core trains, it gets so little that
    a page would be answered after minutes.
    """
    with suppress(OSError):
        os.nice(19)


def cpu_seconds() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def n_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class Pace:
    """An account of processor seconds: `SHARE` of the machine's, and `START_S` to begin with."""

    now: Callable[[], float] = time.monotonic
    used_s: Callable[[], float] = cpu_seconds
    cpus: int = field(default_factory=n_cpus)

    def __post_init__(self) -> None:
        self.started_at = self.now()

    @property
    def wait_s(self) -> float:
        """Seconds until this process is within its share again; 0 where it is."""
        per_s = SHARE * self.cpus
        allowed = START_S + per_s * (self.now() - self.started_at)
        return max(0.0, (self.used_s() - allowed) / per_s)
