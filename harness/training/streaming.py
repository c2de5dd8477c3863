"""Images of a set that is too large for the GPU or for the disk, read ahead batch by batch.

In: a set's images (a map of the decoded file, or what decodes each one from its own file) and the
rows of the batches to come, which are known when an epoch begins. Out: each batch on the device,
when it is asked for. A few threads read ahead into pinned memory; the copies have a stream of their
own, so the host waits for no copy, only for a disk or a decoder that is slower than the network.
What is read follows from the rows alone: the bits are those of images that lie on the device.

All trials of a process together have `AHEAD_BYTES` for batches that are read ahead, so a pack of
any size takes no more memory for them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from datasets.cache.checked import is_mapped, read_rows, row_shape, table_of
from datasets.cache.exact_reads import ExactReads
from harness.training.machine import AHEAD_BYTES
from headstart.processes import n_cores

AHEAD = 3  # batches of each part
MOST_THREADS = 4

_new_stream: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream


class Budget:
    """The bytes that all sources of a process may have read ahead, and whose turn it is.

    The source that has the fewest batches reads first, of those the one that asked first: in a pack
    that is the one whose step comes first. What no source has room for is read when it is asked
    for. One thread of the process uses it.

    Args:
        n_bytes: of all sources together. Where no other batch is read ahead one may be larger.
    """

    def __init__(self, n_bytes: int):
        self.n_bytes = n_bytes
        self._held: WeakKeyDictionary[ReadAhead, int] = WeakKeyDictionary()  # sources may end
        self._waiting: WeakKeyDictionary[ReadAhead, None] = WeakKeyDictionary()  # in their order

    @property
    def held(self) -> int:
        """Bytes of the batches that are read ahead now."""
        return sum(self._held.values())

    def ask(self, source: ReadAhead) -> None:
        """What a source holds has changed, and it would read more; it goes to the line's end."""
        self._held[source] = source.n_bytes
        self._waiting.pop(source, None)
        self._waiting[source] = None
        while waiting := list(self._waiting):
            first = min(waiting, key=lambda source: source.n_begun)
            wanted = first.wanted()
            if wanted == 0:
                del self._waiting[first]
            elif self.held and self.held + wanted > self.n_bytes:
                return
            else:
                first.begin()
                self._held[first] = first.n_bytes


BUDGET = Budget(AHEAD_BYTES)


@dataclass(eq=False)
class _Batch:
    """One that is planned: its rows, and its images once a thread has begun to read them."""

    rows: np.ndarray
    reading: Future[Tensor] | None = None

    def cancel(self) -> None:
        if self.reading is not None:
            self.reading.cancel()


class ReadAhead:
    """The images of one set for one part, batch after batch.

    Args:
        images: of the set, uint8 (N, C, H, W); those that are read are compared before.
        device: where batches go.
        ahead: batches that are read before they are asked for, at most.
        budget: of the process.
    """

    def __init__(
        self, images: np.ndarray, device: torch.device, ahead: int = AHEAD, budget: Budget = BUDGET
    ):
        self.images, self.row, self.device = images, row_shape(images), device
        self.image_bytes = math.prod(self.row)
        self._file = ExactReads(table_of(images)) if is_mapped(images) else None
        self.ahead, self.budget = ahead, budget
        self._plan: Iterator[np.ndarray] = iter(())  # rows of the batches after those of the queue
        self._queue: deque[_Batch] = deque()
        self.n_begun = 0  # of the queue, the first ones

    def follow(self, batches: Iterable[np.ndarray]) -> None:
        """From now on read these rows ahead, int64 (batch,) each; what was planned is dropped."""
        self._drop(len(self._queue))
        self._plan = (rows for rows in batches if len(rows))
        self._fill()

    def at(self, rows: np.ndarray) -> Tensor:
        """The images at `rows`, on the device, as they lie in the table.

        Batches may be left out. One that was not planned is read at once, and disturbs no plan.

        Raises:
            what a comparison of damaged images raises.
        """
        for place, batch in enumerate(self._queue):
            if np.array_equal(batch.rows, rows):
                self._drop(place)
                reading = self._queue.popleft().reading
                self.n_begun = max(0, self.n_begun - 1)
                self._fill()
                if reading is not None:
                    return self._send(reading.result())
                break
        return self._send(self._read(rows, self._memory(len(rows))))

    @property
    def n_bytes(self) -> int:
        """Of the batches that are read ahead."""
        begun = islice(self._queue, self.n_begun)
        return sum(len(batch.rows) for batch in begun) * self.image_bytes

    def wanted(self) -> int:
        """Bytes of the batch that comes next; 0: no more is planned."""
        if self.n_begun == len(self._queue):
            return 0
        return len(self._queue[self.n_begun].rows) * self.image_bytes

    def begin(self) -> None:
        """Let a thread read the batch that comes next."""
        batch = self._queue[self.n_begun]
        # Here, not in the thread: CUDA's present device is each thread's own.
        memory = self._memory(len(batch.rows))
        batch.reading = _threads().submit(self._read, batch.rows, memory)
        self.n_begun += 1

    def _drop(self, n: int) -> None:
        """The first batches of the queue."""
        for _ in range(n):
            self._queue.popleft().cancel()
        self.n_begun = max(0, self.n_begun - n)

    def _fill(self) -> None:
        self._queue.extend(map(_Batch, islice(self._plan, self.ahead - len(self._queue))))
        self.budget.ask(self)

    def _memory(self, n: int) -> Tensor:
        """For `n` images; PyTorch keeps pinned memory, and gives it out once a copy has ended."""
        shape = (n, *self.row)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def _read(self, rows: np.ndarray, memory: Tensor) -> Tensor:
        if self._file is not None:
            self._file.announce(rows)
        read_rows(self.images, rows, memory.numpy())
        return memory

    def _send(self, memory: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return memory
        copies, now = _copies(self.device), torch.cuda.current_stream(self.device)
        with torch.cuda.stream(copies):
            sent = memory.to(self.device, non_blocking=True)
        now.wait_stream(copies)
        sent.record_stream(now)
        return sent


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(MOST_THREADS, n_cores()), "images")


@cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    return _new_stream(device)
