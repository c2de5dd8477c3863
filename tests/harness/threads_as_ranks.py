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
    place, barrier = {}, threading.Barrier(n, timeout=20)
    with ThreadPoolExecutor(n) as pool:
        ranks = [Together(k, n, place, barrier) for k in range(n)]
        return list(pool.map(work, ranks))
