"""Ranks that are threads of this process, for tests of what ranks compute together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from harness.training.ranks import OneRank


class Together(OneRank):
    """One of `n` threads."""

    def __init__(self, rank, n, place, barrier):
        self.rank, self.n, self.place, self.barrier = rank, n, place, barrier

    def sum_(self, tensor):
        tensor.copy_(sum(self.gather(tensor)))
        return tensor

    def gather(self, tensor):
        self.place[self.rank] = tensor.clone()
        self.barrier.wait()
        table = torch.stack([self.place[k] for k in range(self.n)])
        self.barrier.wait()
        return table


def by_ranks(n, work):
    """What `work(ranks)` returns in each of `n` threads."""
    place, barrier = {}, threading.Barrier(n, timeout=120)
    with ThreadPoolExecutor(n) as pool:
        ranks = [Together(k, n, place, barrier) for k in range(n)]
        return list(pool.map(work, ranks))


def assert_as_whole(results, alone, *, of_rows, of_sums, of_buffers):
    """Rows of the ranks, sums of their gradients and each one's buffers are those of one process.

    Args:
        results, alone: of each rank, of one process: outputs and gradients of the inputs (batches,
            rows, …), gradients by name, buffers by name.
        of_rows, of_sums, of_buffers: tolerances, as `torch.testing.assert_close` takes them.
    """
    for k in (0, 1):
        whole = torch.cat([result[k] for result in results], dim=1)
        torch.testing.assert_close(whole, alone[k], **of_rows)
    for name, gradient in alone[2].items():
        total = sum(result[2][name] for result in results)
        torch.testing.assert_close(total, gradient, **of_sums)
    for name, buffer in alone[3].items():
        for result in results:
            torch.testing.assert_close(result[3][name], buffer, **of_buffers)
            assert torch.equal(result[3][name], results[0][3][name])  # the same bits for all
