"""The processes that share one trial, as training sees them: each is a rank, 0 is the first.

In: tensors, flags and bytes of this rank. Out: sums over all ranks, and what the first rank gave.
It stands alone so that a trial is written once, for one rank as for many: `ONE_RANK` answers for a
trial that has a process to itself, `teams/collective.py` for one that several processes share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor


class Ranks(ABC):
    """This process's place among the `n` that share a trial.

    Every method is called by all ranks, in the same order.
    """

    rank: int
    n: int

    @property
    def is_first(self) -> bool:
        """Whether this rank is the one that decides and writes."""
        return self.rank == 0

    def share(self, n_rows: int) -> slice:
        """This rank's rows of `n_rows`: one after another, as equal as they can be."""
        return self._share_of(self.rank, n_rows)

    def with_rows(self, n_rows: int) -> list[int]:
        """The ranks whose share of `n_rows` is not empty."""
        shares = [self._share_of(rank, n_rows) for rank in range(self.n)]
        return [rank for rank, rows in enumerate(shares) if rows.start < rows.stop]

    def _share_of(self, rank: int, n_rows: int) -> slice:
        return slice(rank * n_rows // self.n, (rank + 1) * n_rows // self.n)

    @abstractmethod
    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place; the same bits for each. `tensor` is contiguous."""

    @abstractmethod
    def begin_sum(self, tensor: Tensor) -> Callable[[], None]:
        """Begin `sum_`; what is returned waits until `tensor` holds the sum."""

    @abstractmethod
    def gather(self, tensor: Tensor) -> Tensor:
        """What each rank gave, (n, …); the same bits for each. `tensor` is contiguous."""

    @abstractmethod
    def flags_of_first(self, *flags: bool) -> Sequence[bool]:
        """The flags that the first rank gave."""

    @abstractmethod
    def bytes_of_first(self, content: bytes) -> bytes:
        """What the first rank gave."""

    @abstractmethod
    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor, in place, what the first rank has."""

    @abstractmethod
    def first_before_others(self) -> AbstractContextManager[None]:
        """The block runs in the first rank, and then in all others; however long it takes."""


class OneRank(Ranks):
    """A trial that no other process shares."""

    rank, n = 0, 1

    def sum_(self, tensor: Tensor) -> Tensor:
        return tensor

    def begin_sum(self, tensor: Tensor) -> Callable[[], None]:
        return lambda: None

    def gather(self, tensor: Tensor) -> Tensor:
        return tensor[None]

    def flags_of_first(self, *flags: bool) -> Sequence[bool]:
        return flags

    def bytes_of_first(self, content: bytes) -> bytes:
        return content

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        pass

    def first_before_others(self) -> AbstractContextManager[None]:
        return nullcontext()


ONE_RANK = OneRank()
