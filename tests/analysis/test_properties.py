"""Damaged tables and answers: the analysis takes them or refuses them in words.

The inputs are those of `benchmarks/fuzz.py`, which makes them by the million; a seed is one input.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_targets import read_changed

OF_A_RUN = ["trials.parquet", "curves.parquet", "predictions.npz", "provenance.json", "run_images"]


@pytest.mark.parametrize("name", ["answers"])
@settings(max_examples=10, phases=[Phase.generate])  # a seed cannot be made simpler
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_is_taken_or_refused_in_words(name: str, seed: int) -> None:
    read_changed(name, seed)


@pytest.mark.parametrize("name", OF_A_RUN)
@settings(max_examples=2, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_of_a_run_is_taken_or_refused_in_words(name: str, seed: int) -> None:
    read_changed(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
@settings(max_examples=10, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_many_changed_files_of_a_run_are_taken_or_refused_in_words(name: str, seed: int) -> None:
    """Slow: each change is read with a whole run folder."""
    read_changed(name, seed)
