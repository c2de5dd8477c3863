"""What a labels file and the command line may say, and what bad ones are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.sheet.labels import (
    Labels,
    by_column,
    by_row,
    class_in_name,
    likely_counts,
    one_class,
    parse_labels,
)
from datasets.sheet.labels_file import read_labels_file
from headstart.errors import DataError

PHOTOS = [Path("a/sheet.jpg"), Path("b/threes.jpg")]


def read(tmp_path: Path, text: str, photos: list[Path] | None = None) -> list[Labels]:
    path = tmp_path / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    return read_labels_file(path, PHOTOS if photos is None else photos)


def test_all_kinds_of_labels(tmp_path: Path) -> None:
    text = "threes.jpg: 3\nsheet.jpg: 0123456789  # kept as text, never a number\n"
    assert read(tmp_path, text) == [by_row("0123456789", ""), one_class("3", "")]
    text = "a/sheet.jpg: {columns: 012}\nthrees.jpg: {text: [31415, 92]}\n"
    assert read(tmp_path, text) == [by_column("012", ""), Labels("text", ("31415", "92"))]


def test_labels_of_lines() -> None:
    assert by_row("12", "").of_lines([3, 2]) == ("111", "22")
    assert by_row("12", "").of_lines([3, 2, 1]) is None
    assert one_class("7", "").of_lines([2, 1]) == ("77", "7")
    assert Labels("text", ("31", "4")).of_lines([2, 1]) == ("31", "4")
    assert Labels("text", ("31", "4")).of_lines([2, 2]) is None


def test_labels_are_any_characters(tmp_path: Path) -> None:
    text = "sheet.jpg: αβГя水Aa+÷\nthrees.jpg: {text: ['(8+3)x4/7', 5×7-2, '-']}\n"
    rows, spelled = read(tmp_path, text)
    assert rows.lines == tuple("αβГя水Aa+÷")
    assert spelled.lines == ("(8+3)x4/7", "5×7-2")
    assert by_row("e\u0301a", "").lines == ("é", "a")  # an accent belongs to its letter


def test_expectations_are_grammar() -> None:
    assert Labels("text", ("65",)).expectation() == "1 row of 2"
    assert Labels("text", ("65", "1")).expectation() == "2 rows of 2, 1"
    assert by_row("7", "").expectation() == "1 row labelled 7"
    assert by_column("12", "").expectation() == "2 columns labelled 1 2"
    assert one_class("α", "").expectation() == "characters of class α"
    assert by_row("2" * 300, "").expectation() == f"300 rows labelled {'2 ' * 40}…"


def test_class_in_the_name() -> None:
    assert class_in_name(Path("x/source_imgs_3.jpg")) == one_class("3", "")
    with pytest.raises(DataError, match="does not end in one digit"):
        class_in_name(Path("photo_12.jpg"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sheet.jpg: 12\n", "no labels for b/threes.jpg"),
        ("sheet.jpg: 1\nthreees.jpg: 3\n", r"yaml:2: 'threees.jpg' .*did you mean 'threes.jpg'"),
        ("sheet.jpg: 1\nsheet.jpg: 2\n", "yaml:2: sheet.jpg: is given twice"),
        ("sheet.jpg: {row: 12}\nthrees.jpg: 3\n", r"yaml:1: 'row' is not one of .*'rows'"),
        ("sheet.jpg: 1 2\nthrees.jpg: 3\n", r"yaml:1: .1 2. must be one character for each of"),
        ("sheet.jpg: '-'\nthrees.jpg: 3\n", r"yaml:1: '-' is not one digit, letter or sign"),
        ("sheet.jpg: '--'\nthrees.jpg: 3\n", r"yaml:1: '--' must be one character"),
        ('sheet.jpg: "1\\u0007"\nthrees.jpg: 3\n', r"yaml:1: .* must be one character"),
        ("sheet.jpg: {text: [1, [2]]}\nthrees.jpg: 3\n", "yaml:1: text must be rows"),
        ("sheet.jpg: [1, 2]\nthrees.jpg: 3\n", "yaml:1: labels must be text or a mapping"),
        ("sheet.jpg: {rows: 1\n", "yaml:2: "),
        ("- sheet.jpg\n", "a mapping"),
        ("", "a mapping"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_two_photos_of_one_name_need_their_paths(tmp_path: Path) -> None:
    photos = [Path("a/1.jpg"), Path("b/1.jpg")]
    with pytest.raises(DataError, match="name of 2 photos; give its path"):
        read(tmp_path, "1.jpg: 3\n", photos)
    labels = read(tmp_path, "a/1.jpg: 3\nb/1.jpg: 4\n", photos)
    assert labels == [one_class("3", ""), one_class("4", "")]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_labels_file(tmp_path / "none.yaml", PHOTOS)


def test_a_row_to_skip_and_the_digits_of_a_row_can_be_said_everywhere(tmp_path: Path) -> None:
    assert by_row("-01-", "").lines == ("0", "1")
    assert by_row("-01-", "").n_lines == 2
    file = tmp_path / "labels.yaml"
    file.write_text("a.jpg: -01\nb.jpg: {rows: 0-1, per_row: 12}\nc.jpg: {text: [-, 45, 067]}\n")
    a, b, c = read_labels_file(file, [Path("a.jpg"), Path("b.jpg"), Path("c.jpg")])
    assert a == by_row("-01", "")
    assert b == Labels("rows", ("0", "-", "1"), per_row=12)
    assert b.expected(2) == (12, 12)
    assert c.lines == ("45", "067")
    assert c.expected(2) == (2, 3)
    assert c.of_lines((2, 3)) == ("45", "067")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"rows": "01", "per_row": "many"}, "per_row: 'many' is not a whole number, 1 or more"),
        ({"text": ["01"], "per_row": 12}, "text already says how many digits"),
        ({"text": ["-"]}, "text must name a row that holds digits"),
        ("--", "must be one character for each of the rows"),
    ],
)
def test_what_cannot_be_meant_by_them_is_refused(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_labels(value, "here")


def test_counts_say_how_long_rows_likely_are_where_each_class_has_one() -> None:
    once = [by_row("012", ""), by_row("34", "")]
    assert [each.likely for each in likely_counts(once, 12)] == [12, 12]
    twice = [by_row("012", ""), by_row("24", "")]
    assert likely_counts(twice, 12) == twice
    assert likely_counts([one_class("3", "")], 12) == [one_class("3", "")]
