"""What the cache tells a person: one line each on standard error, at once.

In: what happens while a set is decoded, which may take minutes. Out: lines. It stands alone because
every part of the cache speaks in one voice: also from workers, which have no other.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

_FIRST_S = 3.0  # nothing is said of what takes less
_EVERY_S = 10.0


def say(line: str) -> None:
    """Show one line."""
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


@dataclass
class Progress:
    """Says how far a set is decoded: `photos: 2,300 of 5,000 images are decoded`."""

    name: str
    is_silent: bool = False
    _said_at: float = 0.0
    _has_spoken: bool = False

    def begin(self, done: int, total: int) -> None:
        """`done` images were decoded by a command that was killed."""
        self._said_at = time.monotonic() + _FIRST_S - _EVERY_S
        if done and not self.is_silent:
            say(f"{self.name}: {done:,} of {total:,} images were decoded before; it goes on there")

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        is_end = self._has_spoken and done == total
        if self.is_silent or (now - self._said_at < _EVERY_S and not is_end):
            return
        self._said_at, self._has_spoken = now, True
        say(f"{self.name}: {done:,} of {total:,} images are decoded")

    def silent(self) -> Progress:
        """One that says nothing."""
        return Progress(self.name, is_silent=True)
