"""What a writer crossed out goes; odd digits stay, and a person is told to look at them."""

from __future__ import annotations

import numpy as np
import pytest
from sheet_pages import Page

from datasets.sheet.labels import by_row
from datasets.sheet.looks.crossed_out import unlike_neighbours, without_crossed_out
from datasets.sheet.paper.ink import Ink, find_ink
from datasets.sheet.reading.sorted_rows import rows_of_set
from datasets.sheet.strokes.marks import Mark, digit_size, find_marks, group_strokes
from datasets.sheet.strokes.noted import CROSSED_OUT, OTHER_INK, OTHER_SIZE, SURPLUS

LABELS = "382"
SPOT = (250 + 2 * 140, 200 + 170)  # the third digit of the second row


def page() -> Page:
    """Three rows of six digits."""
    made = Page(640, 1200, 5)
    made.rows(LABELS, 6)
    return made


def read(made: Page) -> tuple[Ink, tuple[tuple[Mark, ...], ...]]:
    ink = find_ink(made.photo())
    pieces = find_marks(ink.mask)
    size = digit_size(pieces)
    lines, _ = next(rows_of_set(ink, group_strokes(pieces, size), size, by_row(LABELS, "")))
    return ink, lines


def zigzag(made: Page) -> None:
    x, y = SPOT
    steps = np.linspace(-35, 35, 10)
    made.stroke(*((x + dx, y + (28 if i % 2 else -28)) for i, dx in enumerate(steps)))


def scribble(made: Page) -> None:
    x, y = SPOT
    turns = np.linspace(0, 14 * np.pi, 200)
    made.stroke(*zip(x + 35 * np.cos(turns), y + 38 * np.sin(1.07 * turns), strict=True))


def strokes(made: Page) -> None:
    x, y = SPOT
    for dy in (-24, -8, 8, 24):
        made.stroke((x - 36, y + dy + 4), (x + 36, y + dy - 4))


@pytest.mark.parametrize("cross", [zigzag, scribble, strokes])
def test_a_crossed_out_digit_goes_and_the_others_stay(cross: object) -> None:
    made = page()
    assert callable(cross)
    cross(made)
    ink, lines = read(made)
    assert [len(line) for line in lines] == [6, 6, 6]
    kept, left_out = without_crossed_out(ink, lines, LABELS, (None,) * 3)
    assert [len(line) for line in kept] == [6, 5, 6]
    assert [item.why for item in left_out] == [CROSSED_OUT]
    assert abs(left_out[0].mark.x / ink.scale - SPOT[0]) < 20
    kept, left_out = without_crossed_out(ink, lines, None, (6, 5, 6))  # as text says it
    assert [len(line) for line in kept] == [6, 5, 6]
    assert [item.why for item in left_out] == [SURPLUS]


def test_no_digit_goes_where_nothing_is_crossed_out() -> None:
    ink, lines = read(page())
    kept, left_out = without_crossed_out(ink, lines, LABELS, (5, 5, 5))
    assert (kept, left_out) == (lines, ())
    assert unlike_neighbours(ink, lines, [label * 6 for label in LABELS]) == ()


def test_a_digit_of_another_size_or_ink_is_to_be_checked() -> None:
    made = page()
    made.digit("3", 250 + 6 * 140, 200, size=190)
    made.digit("2", 250 + 6 * 140, 540, colour=(220, 60, 60))
    ink, lines = read(made)
    notes = unlike_neighbours(
        ink, lines, [label * len(line) for label, line in zip(LABELS, lines, strict=True)]
    )
    assert {item.why for item in notes} == {OTHER_SIZE, OTHER_INK}
    assert {id(item.mark) for item in notes} == {id(lines[0][-1]), id(lines[2][-1])}


def test_a_page_of_two_pens_has_no_odd_ink() -> None:
    made = Page(640, 1200, 5)
    for row, label in enumerate(LABELS):
        for place in range(6):
            colour = (220, 60, 60) if place % 2 else (40, 40, 40)
            made.digit(label, 250 + 140 * place, 200 + 170 * row, colour=colour)
    ink, lines = read(made)
    notes = unlike_neighbours(ink, lines, [label * 6 for label in LABELS])
    assert OTHER_INK not in {item.why for item in notes}
