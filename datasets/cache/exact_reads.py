"""Rows of a file that is larger than the memory, read without what lies around them.

In: rows of a memory map, and which of them are read next. Out: advice to the kernel. It stands
alone because the kernel guesses that files are read in order: where rows are drawn at random it
reads megabytes around each (8 MB on many cloud disks), and throws out rows that are needed.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np


class ExactReads:
    """Of the rows of one memory map, in this process.

    Args:
        rows: (N, ...), contiguous, in a memory map; other arrays are left as they are.
    """

    def __init__(self, rows: np.ndarray):
        self._map = _map_of(rows)
        self._row_bytes = rows[:1].nbytes
        if self._map is None:
            return
        start = np.frombuffer(self._map, np.uint8, 1).__array_interface__["data"][0]
        self._first = rows.__array_interface__["data"][0] - start
        self._map.madvise(mmap.MADV_RANDOM)

    def announce(self, index: np.ndarray) -> None:
        """Let the kernel begin to read the rows of `index` (integers), each as one piece."""
        if self._map is None:
            return
        for first, stop in _runs(np.unique(index)):
            begin = self._first + first * self._row_bytes
            page = begin - begin % mmap.PAGESIZE
            length = self._first + stop * self._row_bytes - page
            self._map.madvise(mmap.MADV_WILLNEED, page, length)


def _map_of(array: np.ndarray) -> mmap.mmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    has_advice = hasattr(mmap, "MADV_RANDOM")  # not on Windows
    return base if isinstance(base, mmap.mmap) and has_advice else None


def _runs(index: np.ndarray) -> Iterator[tuple[int, int]]:
    """The first row and the one after the last of each run of neighbours in sorted rows."""
    for run in np.split(index, np.flatnonzero(np.diff(index) > 1) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1
