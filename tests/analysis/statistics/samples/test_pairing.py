"""Pairs of values by seed: by hand, against sets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.samples.pairing import pair_seeds
from headstart.errors import InputError

seeds = st.lists(st.integers(0, 9), unique=True, max_size=8)


def test_places_of_common_seeds_by_hand() -> None:
    pairs = pair_seeds(np.array([3, 1, 7]), np.array([7, 5, 3, 2]))
    assert pairs.treatment.tolist() == [0, 2]  # seeds 3 and 7
    assert pairs.control.tolist() == [2, 0]
    assert (len(pairs), pairs.n_alone) == (2, 3)


@given(seeds, seeds)
@settings(max_examples=60, deadline=None)
def test_agrees_with_sets(left: list[int], right: list[int]) -> None:
    treatment, control = np.array(left, np.int64), np.array(right, np.int64)
    pairs = pair_seeds(treatment, control)
    common = sorted(set(left) & set(right))
    assert treatment[pairs.treatment].tolist() == control[pairs.control].tolist() == common
    assert pairs.n_alone == len(set(left) ^ set(right))


def test_a_seed_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="seed 4 stands twice in the control"):
        pair_seeds(np.array([4]), np.array([4, 5, 4]))
    with pytest.raises(InputError, match="seed 2 stands twice in the treatment"):
        pair_seeds(np.array([2, 2]), np.array([4]))
