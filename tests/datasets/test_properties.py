"""Damaged and hostile files of data: every reader takes them or refuses them in words.

The inputs are those of `benchmarks/fuzz.py`, which makes them by the million; a seed is one input.
"""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_targets import read_changed
from datasets.tables.text import rows
from headstart.errors import DataError

NAMES = (
    "csv", "csv_gz", "idx", "npz", "images", "zip", "tar", "photo_labels", "labels.csv",
    "labels.json", "labels.mat", "mat", "npy", "parquet", "pickle", "webdataset",
)  # fmt: skip
fields = st.text(st.sampled_from("ab1.\"', \né"), min_size=1, max_size=6).map(str.strip)
tables = st.integers(2, 4).flatmap(
    lambda n: st.lists(st.lists(fields, min_size=n, max_size=n).filter(any), min_size=1, max_size=5)
)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@given(table=tables)
def test_a_table_that_another_program_wrote_comes_back(
    separator: str, table: list[list[str]]
) -> None:
    table = [[f"column {k}" for k in range(len(table[0]))], *table]  # tells what separates
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(table)
    text = out.getvalue()
    read = list(rows(text, "t.csv"))
    assert [row for _, row in read] == table
    assert [line for line, _ in read] == [
        1 + sum(before.count("\n") for row in table[:k] for before in row) + k
        for k in range(len(table))
    ]


@pytest.mark.parametrize("text", ['"' + "a" * 200_000, "a,b\n" + '"' + "a" * 200_000])
def test_a_quote_that_nothing_closes_is_one_line(text: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv:[12]: cannot be read as a row of fields"):
        list(rows(text, "t.csv"))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, phases=[Phase.generate])  # a seed cannot be made simpler
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_is_taken_or_refused_in_words(name: str, seed: int) -> None:
    read_changed(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_many_changed_files_are_taken_or_refused_in_words(name: str, seed: int) -> None:
    """Slow: more of the same, some of which take a second."""
    read_changed(name, seed)


@pytest.mark.slow
@settings(max_examples=12, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_a_changed_photo_is_read_or_refused_in_words(seed: int) -> None:
    """Slow: reading one photo of a sheet takes about a second."""
    read_changed("photos", seed)
