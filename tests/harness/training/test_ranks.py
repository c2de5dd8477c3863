"""What the ranks of a trial ask each other; here of a trial with one rank, or with ranks played."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from harness.training.ranks import ONE_RANK, OneRank


class PlayedRank(OneRank):
    """One of several ranks, as far as its place among them goes."""

    def __init__(self, rank: int, n: int):
        self.rank, self.n = rank, n


@pytest.mark.parametrize(("n_rows", "n"), [(16, 2), (7, 3), (2, 4), (0, 2), (1, 1)])
def test_every_row_is_the_share_of_one_rank(n_rows, n):
    shares = [PlayedRank(rank, n).share(n_rows) for rank in range(n)]
    assert (shares[0].start, shares[-1].stop) == (0, n_rows)
    assert all(share.stop == following.start for share, following in pairwise(shares))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert PlayedRank(0, n).with_rows(n_rows) == [rank for rank in range(n) if sizes[rank]]


def test_one_rank_has_all_rows_and_its_own_answers():
    assert ONE_RANK.is_first
    assert not PlayedRank(1, 2).is_first
    assert ONE_RANK.share(5) == slice(0, 5)
    tensor = torch.tensor([1.0, 2.0])
    assert ONE_RANK.sum_(tensor) is tensor
    assert ONE_RANK.gather(tensor).tolist() == [[1.0, 2.0]]
    assert tuple(ONE_RANK.flags_of_first(True, False)) == (True, False)
    assert ONE_RANK.bytes_of_first(b"state") == b"state"
    ONE_RANK.copy_first([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    with ONE_RANK.first_before_others():
        pass
