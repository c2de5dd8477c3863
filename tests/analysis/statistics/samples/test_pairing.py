"""Pairs of trials by seed: by hand, against a merge, and what is refused."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.samples.pairing import pair_seeds
from headstart.errors import InputError

seeds = st.lists(st.integers(0, 9), unique=True, max_size=8)


def trials(arm: str, of_seeds: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"arm": arm, "seed": of_seeds})


def test_rows_of_common_seeds_by_hand() -> None:
    pairs = pair_seeds(trials("t", [3, 1, 7]), trials("c", [7, 5, 3, 2]))
    assert pairs.treatment.tolist() == [0, 2]  # seeds 3 and 7
    assert pairs.control.tolist() == [2, 0]
    assert (len(pairs), pairs.n_alone) == (2, 3)


@given(seeds, seeds)
@settings(max_examples=60, deadline=None)
def test_agrees_with_a_merge(left: list[int], right: list[int]) -> None:
    treatment, control = trials("t", left), trials("c", right)
    pairs = pair_seeds(treatment, control)
    common = treatment.merge(control, on="seed")["seed"].sort_values().tolist()
    assert treatment["seed"].iloc[pairs.treatment].tolist() == common
    assert control["seed"].iloc[pairs.control].tolist() == common
    assert pairs.n_alone == len(left) + len(right) - 2 * len(common)


def test_a_seed_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="seed 4 stands twice among the trials of c"):
        pair_seeds(trials("t", [4]), trials("c", [4, 5, 4]))
