"""Damaged tables and answers: the analysis takes them or refuses them in words.

The inputs are those of `benchmarks/fuzz.py`, which makes them by the million; a seed is one input.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_targets import read_changed


@pytest.mark.parametrize(
    "name",
    [
        "trials.parquet",
        "curves.parquet",
        "predictions.npz",
        "provenance.json",
        "run_images",
        "answers",
    ],
)
@settings(max_examples=10, phases=[Phase.generate])  # a seed cannot be made simpler
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_is_taken_or_refused_in_words(name: str, seed: int) -> None:
    read_changed(name, seed)
