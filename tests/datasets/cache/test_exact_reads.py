"""What the kernel is told of rows that are read at random."""

import mmap
from pathlib import Path

import numpy as np

from datasets.cache.exact_reads import ExactReads

ROW = 3 * 4096
AT = 4096 + 64  # where rows begin in the file


class _Recorded(mmap.mmap):
    advice: list[tuple[int, ...]]

    def madvise(self, *arguments: int) -> None:
        self.advice.append(arguments)
        super().madvise(*arguments)


def test_rows_are_announced_run_by_run(tmp_path: Path) -> None:
    """Each run of neighbours is one piece, from the page that it begins in to its last byte."""
    file = tmp_path / "images"
    file.write_bytes(bytes(AT) + bytes(range(10)) * ROW)
    with file.open("rb") as opened:
        mapped = _Recorded(opened.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.advice = []
    rows = np.ndarray((10, ROW), np.uint8, mapped, AT)  # as np.memmap does it
    reads = ExactReads(rows)
    reads.announce(np.array([7, 2, 3, 2]))
    ahead = mmap.MADV_WILLNEED
    pieces = [(2, 4), (7, 8)]
    starts = [(AT + first * ROW) // 4096 * 4096 for first, _ in pieces]
    assert mapped.advice == [
        (mmap.MADV_RANDOM,),
        *(
            (ahead, start, AT + stop * ROW - start)
            for start, (_, stop) in zip(starts, pieces, strict=True)
        ),
    ]


def test_the_map_of_numpy_is_seen_behind_views(tmp_path: Path) -> None:
    """A view of a memory map is advised like the map; what lies in memory is left alone."""
    np.save(tmp_path / "rows.npy", np.arange(4 * ROW, dtype=np.uint8).reshape(4, ROW))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    before = rows.copy()
    ExactReads(rows.view(np.ndarray)).announce(np.arange(4))
    assert np.array_equal(rows, before)
    ExactReads(before).announce(np.array([0, 3]))
