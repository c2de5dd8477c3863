"""How large the cache may grow, and which sets go when it is full.

In: the folder of the decoded sets, and the bytes that the next one takes. Out: enough room, by
removing the sets whose last use is longest ago; each removal is said. A set that a running command
has open is never removed: each process that opens a set puts a file beside it whose name says which
process that is, so this works without file locks.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NoReturn

from datasets.cache.said import say
from headstart.errors import InputError
from headstart.files import dead_temporaries, remove, temporary_beside

LIMIT_VARIABLE = "HEADSTART_DECODED_GB"
SHARE = 3 / 4  # of the disk's free space, without that variable: run folders need some too
_WAYS_OUT = (
    "free some space, set HEADSTART_CACHE to a folder with more, or set a smaller image size"
)
_TOUCH_S = 3600.0  # a mark of another machine counts as dead after a day without a touch


@dataclass(eq=False)
class Use:
    """This process's mark that it has an entry open, from `open` to its end."""

    entry: Path
    mark: Path = field(init=False)
    _touched: float = -math.inf

    def __post_init__(self) -> None:
        self.mark = temporary_beside(self.entry)

    def touch(self) -> None:
        """Say that it is used now; a cache that may not be written goes without."""
        now = time.monotonic()
        if now - self._touched < _TOUCH_S:
            return
        if self._touched == -math.inf:
            for dead in dead_temporaries(self.entry.parent, self.entry.name):
                remove(dead)
        self._touched = now
        with suppress(OSError):
            os.utime(self.entry / "meta.json")
        with suppress(OSError):
            self.mark.touch()


@cache
def use_of(entry: Path, pid: int) -> Use:
    """The mark of process `pid`, which is this one, on an entry."""
    use = Use(entry)
    # Not atexit: workers of multiprocessing skip it, and a fork would remove its parent's mark.
    Finalize(None, _remove_mark, (use.mark,), exitpriority=0)
    return use


def _remove_mark(mark: Path) -> None:
    """Of a process that ends; a cache that may not be written by now keeps it, as of a dead one."""
    with suppress(OSError):
        mark.unlink()


def mark_used(entry: Path) -> None:
    """Say that this process has an entry open, until it ends."""
    use_of(entry, os.getpid()).touch()


def is_used(entry: Path, by_others: bool = False) -> bool:
    """Whether a process has it open, this one too unless it asks for the others."""
    marks = {mark for mark in entry.parent.glob(f".{entry.name}.*.tmp") if mark.is_file()}
    own = temporary_beside(entry).name.rpartition("-")[0]
    if by_others:
        marks = {mark for mark in marks if not mark.name.startswith(own)}
    return bool(marks - set(dead_temporaries(entry.parent, entry.name)))


def make_room(folder: Path, needed: int, sparing: Path, can_stay: bool = False) -> bool:
    """Remove the sets used longest ago until the rest and `needed` bytes are within the limit.

    Without a limit in the environment it is `SHARE` of what these sets take and what is free.

    Args:
        folder: of the decoded sets.
        needed: bytes that the next one takes.
        sparing: its own folder, which counts as needed already.
        can_stay: whether the set can do without; then nothing is removed in vain.

    Returns:
        Whether there is room; always so unless the set can stay encoded.

    Raises:
        InputError: the limit is no number; or the set alone takes more, or more than the disk has,
            and cannot do without.
    """
    limit = _Limit.of(folder, sparing)
    sets = _sets(folder, sparing)
    total, own = sum(each.n_bytes for each in sets), _n_bytes(sparing)
    unused = [each for each in sets if not is_used(each.folder)]
    may_go = sum(each.n_bytes for each in unused)
    if can_stay:
        is_free = needed - own <= shutil.disk_usage(folder).free + may_go
        if not is_free or total - may_go + needed > limit.n_bytes:
            return False
    elif needed > limit.n_bytes:
        _refuse(needed, limit, folder)
    for each in sorted(unused, key=lambda each: each.used_at):
        if total + needed <= limit.n_bytes:
            break
        _remove(each, limit.said)
        total -= each.n_bytes
    free = shutil.disk_usage(folder).free
    if needed - own > free:
        raise InputError(
            f"{folder}: the decoded images take {needed / 1e9:,.2f} GB here, of which "
            f"{max(0, needed - own) / 1e9:,.2f} GB are to be written, and {free / 1e9:,.2f} GB are "
            f"free; {_WAYS_OUT}"
        )
    return True


@dataclass(frozen=True)
class _Limit:
    """What all decoded sets may take together, who says so, and whether a person does."""

    n_bytes: int
    said: str
    is_given: bool

    @classmethod
    def of(cls, folder: Path, sparing: Path) -> _Limit:
        given = limit_bytes()
        if given is not None:
            return cls(given, f"{LIMIT_VARIABLE}={given / 1e9:g}", True)
        taken = sum(each.n_bytes for each in _sets(folder, sparing)) + _n_bytes(sparing)
        n_bytes = int(SHARE * (shutil.disk_usage(folder).free + taken))
        return cls(n_bytes, f"without {LIMIT_VARIABLE}: three quarters of the free disk", False)


def _refuse(needed: int, limit: _Limit, folder: Path) -> NoReturn:
    size = f"the decoded images take {needed / 1e9:,.2f} GB"
    if limit.is_given:
        raise InputError(
            f"{size}, and {LIMIT_VARIABLE} allows {limit.n_bytes / 1e9:g}; raise it, or set a "
            "smaller image size"
        )
    free = shutil.disk_usage(folder).free
    raise InputError(
        f"{folder}: {size} here, and {free / 1e9:,.2f} GB are free; all decoded sets may take "
        f"{limit.n_bytes / 1e9:,.2f} GB, three quarters of that and of what they have, unless "
        f"{LIMIT_VARIABLE} says more: {_WAYS_OUT}"
    )


def limit_bytes() -> int | None:
    """What all decoded sets may take together as the environment says; None: it says nothing.

    Raises:
        InputError: the variable is no number of gigabytes.
    """
    given = os.environ.get(LIMIT_VARIABLE)
    if not given:
        return None
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise InputError(f"{LIMIT_VARIABLE}={given!r}: a number of gigabytes over 0 is expected")
    return int(limit * 1e9)


@dataclass(frozen=True)
class _Set:
    folder: Path
    n_bytes: int
    used_at: float


def _sets(folder: Path, sparing: Path) -> list[_Set]:
    """All that lies there and is whole or was begun, but for `sparing`."""
    sets = []
    for path in folder.iterdir():
        with suppress(OSError):  # another command makes room too
            if path.is_dir() and not path.is_symlink() and path != sparing:
                meta = path / "meta.json"
                if meta.exists() and not (path / "images.npy").exists():
                    continue  # says where images lie; next to nothing would be won
                used_at = (meta if meta.exists() else path).stat().st_mtime
                sets.append(_Set(path, _n_bytes(path), used_at))
    return sets


def _n_bytes(folder: Path) -> int:
    n_bytes = 0
    with suppress(OSError):
        n_bytes = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    return n_bytes


def _remove(each: _Set, why: str) -> None:
    """It is gone at once for other commands; those that read it still can."""
    aside = temporary_beside(each.folder)
    with suppress(OSError):
        each.folder.rename(aside)
        remove(aside)
        say(
            f"{each.folder}: removed to make room ({why}): {each.n_bytes / 1e9:.2f} GB, "
            f"last used on {datetime.fromtimestamp(each.used_at):%Y-%m-%d}"
        )
