"""What the stand-in for a card counted, read in the process that runs on it, or after its end.

In: the library that `fake_card.Card.environment` loads before all others, or the ledger that its
processes share. Out: counters, differences of them, kernels by name. It stands alone because it is
imported in such processes, which know nothing of building and of pytest.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_DEVICES = 16  # as in source/card.h
COUNTS = (
    "launches", "blas", "convolutions", "batch_norms", "dnn_others", "graph_launches", "copies_in",
    "copies_out", "copies_within", "fills", "bytes_in", "bytes_out", "stream_waits", "device_waits",
    "event_waits", "mallocs", "frees", "refusals", "unknown",
)  # fmt: skip


class _Counters(ctypes.Structure):
    """As in source/card.h, in its order."""

    _fields_ = (
        *((name, ctypes.c_long) for name in COUNTS),
        ("bytes_now", ctypes.c_long * MOST_DEVICES),
        ("bytes_peak", ctypes.c_long * MOST_DEVICES),
    )


class _Entry(ctypes.Structure):
    """As in source/ledger.cpp."""

    _fields_ = (("process", ctypes.c_long), ("counters", _Counters))


class Counters:
    """Counts at a moment, or what was counted between two.

    Attributes: those of `COUNTS`; `bytes_now` and `bytes_peak` by card of the machine, whichever
    of them are visible (what PyTorch's allocator took from a card, in whole segments).
    """

    def __init__(self, counts: dict[str, int], bytes_now: list[int], bytes_peak: list[int]):
        self.counts, self.bytes_now, self.bytes_peak = counts, bytes_now, bytes_peak

    def __getattr__(self, name: str) -> int:
        try:
            return self.counts[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def waits(self) -> int:
        """How often the host waited for a card."""
        return self.stream_waits + self.device_waits + self.event_waits

    @property
    def kernels(self) -> int:
        """What the host launched one by one: kernels, and calls of libraries, each one or more."""
        return self.launches + self.blas + self.convolutions + self.batch_norms + self.dnn_others

    @property
    def copies(self) -> int:
        """Between host and card."""
        return self.copies_in + self.copies_out

    @property
    def cards(self) -> list[int]:
        """The cards of the machine on which it held memory."""
        return [k for k, n_bytes in enumerate(self.bytes_peak) if n_bytes]

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={n}" for name, n in self.counts.items() if n)
        return f"Counters({counts}, waits={self.waits}, bytes_peak={self.bytes_peak})"


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    if not hasattr(library, "fake_reset"):
        raise RuntimeError("no stand-in here: start this process with fake_card.Card.run")
    return library


def counters() -> Counters:
    """Since the process began, or since the last `reset`."""
    address = _library().fake_counters
    address.restype = ctypes.POINTER(_Counters)
    return _read(address().contents)


def read_ledger(path: Path) -> dict[int, Counters]:
    """What each process of a command counted, by its id; those that used no card are left out."""
    content = path.read_bytes() if path.exists() else b""
    entries = (_Entry * (len(content) // ctypes.sizeof(_Entry))).from_buffer_copy(content)
    read = {entry.process: _read(entry.counters) for entry in entries if entry.process}
    return {process: counted for process, counted in read.items() if counted.cards}


def _read(raw: _Counters) -> Counters:
    counts = {name: getattr(raw, name) for name in COUNTS}
    return Counters(counts, list(raw.bytes_now), list(raw.bytes_peak))


def reset() -> None:
    """All counts to 0, the peaks to what is held now, no names."""
    _library().fake_reset()


@contextmanager
def counted() -> Iterator[Counters]:
    """What is counted inside; filled when the block ends. Peaks stay those of the process."""
    before = counters()
    difference = Counters({}, [], [])
    yield difference
    after = counters()
    difference.counts = {name: n - before.counts[name] for name, n in after.counts.items()}
    difference.bytes_now, difference.bytes_peak = after.bytes_now, after.bytes_peak


def kernels() -> dict[str, int]:
    """Times each kernel and library function ran since the last `reset`, by its C++ name.

    Needs `names=True` of the environment.
    """
    with tempfile.NamedTemporaryFile("r") as file:
        _library().fake_write_names(file.name.encode())
        lines = Path(file.name).read_text().splitlines()
    return {name: int(n) for n, name in (line.split("\t") for line in lines)}
