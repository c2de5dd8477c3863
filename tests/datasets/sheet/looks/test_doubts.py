"""Digits that look odd stay, and a person is told to look at them."""

from __future__ import annotations

from sheet_pages import THREE, Page, rows_on, three_rows

from datasets.sheet.looks.doubts import doubts_of
from datasets.sheet.strokes.noted import OTHER_INK, OTHER_SIZE


def test_nothing_is_to_be_checked_on_a_plain_page() -> None:
    ink, lines = rows_on(three_rows())
    assert doubts_of(ink, lines, [label * 6 for label in THREE]) == ()


def test_a_digit_of_another_size_or_ink_is_to_be_checked() -> None:
    made = three_rows()
    made.digit("3", 250 + 6 * 140, 200, size=190)
    made.digit("2", 250 + 6 * 140, 540, colour=(220, 60, 60))
    ink, lines = rows_on(made)
    notes = doubts_of(
        ink, lines, [label * len(line) for label, line in zip(THREE, lines, strict=True)]
    )
    assert {item.why for item in notes} == {OTHER_SIZE, OTHER_INK}
    assert {id(item.mark) for item in notes} == {id(lines[0][-1]), id(lines[2][-1])}


def test_a_page_of_two_pens_has_no_odd_ink() -> None:
    made = Page(640, 1200, 5)
    for row, label in enumerate(THREE):
        for place in range(6):
            colour = (220, 60, 60) if place % 2 else (40, 40, 40)
            made.digit(label, 250 + 140 * place, 200 + 170 * row, colour=colour)
    ink, lines = rows_on(made)
    notes = doubts_of(ink, lines, [label * 6 for label in THREE])
    assert OTHER_INK not in {item.why for item in notes}


def test_a_digit_that_looks_like_another_is_to_be_checked() -> None:
    ink, lines = rows_on(three_rows())
    (doubt,) = doubts_of(ink, lines, ["333333", "888788", "222222"])
    assert doubt.mark is lines[1][3]
    assert doubt.why == "looks like 8, not 7"
    few = (lines[2][:2],)  # too few to be a measure for one another
    assert [item.why for item in doubts_of(ink, few, ["27"])] == ["looks like 2, not 7"]
    assert doubts_of(ink, lines, ["aaaaaa", "bbbbbb", "cccccc"]) == ()
