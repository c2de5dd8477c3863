"""What holds for any record, name, text and YAML file, and for damaged files of a run folder.

Changed files are those of `benchmarks/fuzz.py`, which makes them by the million; a seed is one
input.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_targets import read_changed
from headstart.cells import harmless
from headstart.digests import check_sealed, sealed
from headstart.errors import DataError, HeadstartError, RunFolderError, SpecError
from headstart.foreign import checked_name
from headstart.grid import as_column, from_column
from headstart.output import on_one_line
from headstart.rows import EvaluationRow, TrialRow, columns_of
from headstart.yaml12 import parse_yaml

printable = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | printable
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(printable, trees, max_size=6)
keys = st.sampled_from([column.name for column in columns_of(TrialRow)])
yaml_signs = st.text(st.sampled_from("ab:-&*!?|>%@`{}[],#'\" \n\t~.0e\\<="), max_size=40)


OF_A_RUN = ["trial.json", "archives", "plan.json", "curve.parquet"]


@pytest.mark.parametrize("name", OF_A_RUN)
@settings(max_examples=2, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_of_a_run_is_taken_or_refused_in_words(name: str, seed: int) -> None:
    read_changed(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
@settings(max_examples=12, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_many_changed_files_of_a_run_are_taken_or_refused_in_words(name: str, seed: int) -> None:
    """Slow: each change is read with a whole run folder."""
    read_changed(name, seed)


@given(objects)
def test_json_is_yaml_1_2(tree: dict[str, object]) -> None:
    text = json.dumps(tree, ensure_ascii=False)
    assert parse_yaml(text, "f").plain() == tree


@given(yaml_signs | st.text(max_size=40))
def test_any_text_is_a_mapping_or_mistakes_with_lines(text: str) -> None:
    try:
        read, mistakes = parse_yaml(text, "f").plain(), ("f: none",)
    except SpecError as err:
        read, mistakes = {}, err.mistakes
    assert isinstance(read, dict)
    assert mistakes
    assert all(mistake.startswith("f:") for mistake in mistakes)


@given(st.dictionaries(keys | printable, trees, max_size=5))
def test_a_record_of_any_values_is_a_row_or_a_value_error(content: dict[str, object]) -> None:
    for kind in (TrialRow, EvaluationRow):
        try:
            row = kind.from_json(content)
        except ValueError:
            continue
        assert kind.from_json(json.loads(json.dumps(row.to_json()))) == row


@given(objects, printable, trees)
def test_a_sealed_object_is_known_from_one_that_was_changed(
    content: dict[str, object], key: str, value: object
) -> None:
    content = {name: each for name, each in content.items() if name != "digests"}
    written = json.loads(json.dumps(sealed(content)))
    check_sealed(written)
    if key in written and json.dumps(written[key]) == json.dumps(value):
        return
    with pytest.raises(ValueError, match="damaged"):
        check_sealed({**written, key: value})


@given(st.text(max_size=30) | st.text(st.sampled_from("./\\~ab:"), max_size=12))
def test_a_name_that_is_taken_stays_inside(name: str) -> None:
    try:
        taken = checked_name(name, "here")
    except RunFolderError:
        return
    assert (Path("/run") / taken).resolve().is_relative_to("/run/")
    assert not any(part.startswith((".", "-", "~")) for part in taken.split("/"))


@given(st.text())
def test_any_message_is_lines_that_a_terminal_shows(text: str) -> None:
    assert on_one_line(text).replace("\xa0", " ").isprintable()
    for kind in (HeadstartError, DataError):
        lines = str(kind(text)).split("\n")
        assert len(lines) == text.count("\n") + 1
        assert all(line.replace("\xa0", " ").isprintable() for line in lines)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_no_cell_of_a_table_is_computed(cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([harmless(cell) for cell in cells])
    for cell, read in zip(cells, next(csv.reader([out.getvalue()])), strict=True):
        assert read.replace("'", "") == cell.replace("'", "").replace("\r\n", "\n")
        assert not read.startswith(("=", "@", "\t", "\r"))


@given(st.dictionaries(printable, scalars, min_size=1, max_size=4))
def test_a_grid_point_comes_back_from_its_column(values: dict[str, object]) -> None:
    assert from_column(as_column(values)) == values


@given(st.text())
def test_a_column_of_a_stranger_is_a_grid_point_or_none(text: str) -> None:
    assert isinstance(from_column(text), dict)
