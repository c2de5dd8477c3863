"""Images of a set that is too large for the GPU or for the disk, read ahead batch by batch.

In: a set's images (a map of the decoded file, or what decodes each one from its own file) and the
rows of the batches to come, which are known when an epoch begins. Out: each batch on the device,
when it is asked for. A few threads read ahead into pinned memory; the copies have a stream of their
own, so the host waits for no copy, only for a disk or a decoder that is slower than the network.
What is read follows from the rows alone: the bits are those of images that lie on the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from datasets.cache.checked import read_rows, row_shape
from headstart.processes import n_cores

AHEAD = 3  # batches
MOST_THREADS = 4

_new_stream: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream


class ReadAhead:
    """The images of one set for one part, batch after batch.

    Args:
        images: of the set, uint8 (N, C, H, W); those that are read are compared before.
        device: where batches go.
    """

    def __init__(self, images: np.ndarray, device: torch.device):
        self.images, self.row, self.device = images, row_shape(images), device
        self._plan: Iterator[np.ndarray] = iter(())  # rows of the batches that are not begun
        self._queue: deque[tuple[np.ndarray, Future[Tensor]]] = deque()

    def follow(self, batches: Iterable[np.ndarray]) -> None:
        """From now on read these rows ahead, int64 (batch,) each; what was planned is dropped."""
        for _, batch in self._queue:
            batch.cancel()
        self._queue.clear()
        self._plan = (rows for rows in batches if len(rows))
        self._fill()

    def at(self, rows: np.ndarray) -> Tensor:
        """The images at `rows`, on the device, as they lie in the table.

        Batches may be left out. One that was not planned is read at once, and disturbs no plan.

        Raises:
            what a comparison of damaged images raises.
        """
        for place, (planned, _) in enumerate(self._queue):
            if np.array_equal(planned, rows):
                for _ in range(place):
                    self._queue.popleft()[1].cancel()
                _, batch = self._queue.popleft()
                self._fill()
                return self._send(batch.result())
        return self._send(self._read(rows, self._memory(len(rows))))

    def _fill(self) -> None:
        while len(self._queue) < AHEAD:
            rows = next(self._plan, None)
            if rows is None:
                return
            # Here, not in the thread: CUDA's present device is each thread's own.
            memory = self._memory(len(rows))
            self._queue.append((rows, _threads().submit(self._read, rows, memory)))

    def _memory(self, n: int) -> Tensor:
        """For `n` images; PyTorch keeps pinned memory, and gives it out once a copy has ended."""
        shape = (n, *self.row)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def _read(self, rows: np.ndarray, memory: Tensor) -> Tensor:
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
