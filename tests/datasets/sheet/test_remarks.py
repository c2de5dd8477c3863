"""What is said of a photograph that was read: rows of odd length, what was left out, odd digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.sheet.labels import Labels, by_row
from datasets.sheet.paper.ink import Ink
from datasets.sheet.photos import Photo, what_does_not_fit
from datasets.sheet.reading.read import Reading
from datasets.sheet.remarks import record, remarks, summary, uneven_rows
from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.noted import CROSSED_OUT, OTHER_SIZE, Noted


def photo(labels: Labels) -> Photo:
    return Photo(Path("a/sheet.jpg"), "sheet", np.zeros((200, 300, 3), np.uint8), labels, "0" * 64)


def marks(n: int) -> tuple[Mark, ...]:
    return tuple(Mark(20 * i, 10, np.ones((8, 4), bool)) for i in range(n))


def test_rows_unlike_most_are_named_and_those_unlike_the_users_word() -> None:
    rows = photo(by_row("0123", ""))
    assert uneven_rows((12, 12, 11, 12), rows) == ["row 3 holds 11 digits, and most rows hold 12"]
    assert uneven_rows((5, 6, 7, 8), rows) == ["rows hold from 5 to 8 digits"]
    assert uneven_rows((12, 12, 12, 12), rows) == []
    said = photo(replace(by_row("0123", ""), per_row=12))
    assert uneven_rows((12, 1, 12, 13), said) == [
        "row 2 holds 1 digit, and 12 were said",
        "row 4 holds 13 digits, and 12 were said",
    ]
    assert uneven_rows((2, 3), photo(Labels("text", ("12", "345")))) == []


def test_the_console_and_the_record_say_the_same() -> None:
    row = marks(3)
    dirt = Mark(90, 30, np.ones((8, 8), bool))
    ink = replace(Ink.none(), scale=0.5, inverted=True)
    reading = Reading(
        0, ink, (row,), ("777",), 1.0, (Noted(dirt, CROSSED_OUT),), (Noted(row[1], OTHER_SIZE),)
    )
    sevens = photo(by_row("7", ""))
    line = summary(sevens, reading, None)
    assert line.startswith("a/sheet.jpg: 3 digits (3); a dark page")
    assert remarks(sevens, reading) == [
        f"a/sheet.jpg: 1 mark left out: {CROSSED_OUT}",
        f"a/sheet.jpg: row 1, digit 2: {OTHER_SIZE}",
    ]
    kept = record(sevens, reading, None)
    assert kept["left_out"] == [{"why": CROSSED_OUT, "box": (180, 60, 16, 16)}]
    assert kept["to_check"] == [{"line": 1, "place": 2, "why": OTHER_SIZE, "box": (40, 20, 8, 16)}]
    assert kept["dark_page"] is True


def test_a_row_too_many_is_refused_with_the_label_that_skips_it() -> None:
    three = Reading(0, Ink.none(), (marks(5), marks(5), marks(4)), None)
    message = what_does_not_fit(photo(by_row("38", "")), three)
    assert "3 rows found where there should be 2 rows" in message
    assert message.endswith("- for a row that holds none of its digits, such as a heading")
    assert "\n" not in message
    assert "- for a row" not in what_does_not_fit(photo(by_row("3825", "")), three)
