"""What stands on a sheet and is no digit of the set goes, and the digits stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest
from sheet_pages import Page, marks_on

from datasets.sheet.labels import SKIP, Labels, by_row, one_class
from datasets.sheet.reading.read import read_sheet
from datasets.sheet.reading.sorted_rows import rows_of_set
from datasets.sheet.strokes.noted import CUT_OFF, HEADING, ROW_LABEL, SKIPPED

marks_once = lru_cache(maxsize=1)(marks_on)


def left_out(page: Page, labels: Labels) -> tuple[tuple[int, ...], dict[str, int]]:
    """Digits by row, and how many marks were left out for which reason, of the first candidate."""
    ink, marks, size = marks_once(page)
    lines, others = next(rows_of_set(ink, marks, size, labels))
    return tuple(len(line) for line in lines), Counter(item.why for item in others)


def sheet(seed: int = 0, labels: str = "382") -> Page:
    """Three rows of six digits."""
    page = Page(660, 1200, seed)
    page.rows(labels, 6)
    return page


def bracket(page: Page, x: float, y: float) -> None:
    page.stroke((x, y - 45), (x + 8, y), (x, y + 45))


def dot(page: Page, x: float, y: float) -> None:
    page.stroke((x, y + 35), (x + 2, y + 36), width=9)


def colon(page: Page, x: float, y: float) -> None:
    dot(page, x, y - 50)
    dot(page, x, y)


def arrow(page: Page, x: float, y: float) -> None:
    page.stroke((x - 15, y), (x + 40, y))
    page.stroke((x + 22, y - 14), (x + 40, y), (x + 22, y + 14))


OTHERS = [
    pytest.param(*each, marks=pytest.mark.slow)
    for each in ((arrow, 55, 6), (dot, 60, 3), (colon, 60, 3))
]


@pytest.mark.parametrize(("sign", "first", "n"), [(bracket, 65, 6), *OTHERS])
def test_a_number_with_a_sign_in_front_of_each_row_is_its_label(
    sign: Callable[[Page, float, float], None], first: float, n: int
) -> None:
    page = sheet()
    for row, label in enumerate("382"):
        page.digit(label, first, 200 + 170 * row, size=70)
        sign(page, first + 45, 200 + 170 * row)
    assert left_out(page, by_row("382", "")) == ((6,) * 3, {ROW_LABEL: n})
    assert left_out(page, one_class("3", ""))[1] == {ROW_LABEL: n}


def test_a_printed_column_of_small_numbers_is_no_column_of_digits() -> None:
    page = sheet()
    for row, label in enumerate("382"):
        page.print(label, 50, 215 + 170 * row, scale=1.8)
    assert left_out(page, by_row("382", "")) == ((6,) * 3, {ROW_LABEL: 3})


def test_a_first_column_of_digits_that_only_stands_apart_stays() -> None:
    page = sheet()
    for row, label in enumerate("382"):
        page.digit(label, 60, 200 + 170 * row)
    assert left_out(page, by_row("382", ""))[0] == (7,) * 3
    said = replace(by_row("382", ""), per_row=6)
    assert left_out(page, said) == ((6,) * 3, {ROW_LABEL: 3})
    likely = replace(by_row("382", ""), likely=6)
    assert left_out(page, likely) == ((6,) * 3, {ROW_LABEL: 3})


def test_two_blocks_of_digits_are_no_labels_and_digits() -> None:
    page = Page(660, 1300, 1)
    page.rows("382", 2, left=100)
    page.rows("382", 5, left=520)
    assert left_out(page, by_row("382", ""))[0] == (7,) * 3


def test_a_heading_above_the_rows_goes_and_a_label_can_say_so() -> None:
    page = sheet()
    page.print("Name: A. Student 217", 100, 80, scale=1.6)
    assert left_out(page, by_row("382", ""))[0] == (6,) * 3
    assert left_out(page, by_row(f"{SKIP}382", ""))[0] == (6,) * 3


def test_a_row_of_digits_too_many_is_refused_unless_a_label_skips_it() -> None:
    page = sheet()
    assert left_out(page, by_row("38", "")) == ((6,) * 3, {})
    counts, why = left_out(page, by_row(f"3{SKIP}2", ""))
    assert (counts, why) == ((6,) * 2, {SKIPPED: 6})
    text = Labels("text", ("333333", SKIP, "222222"))
    assert left_out(page, text)[0] == (6,) * 2


def test_a_date_that_the_camera_printed_is_no_row() -> None:
    page = Page(1100, 900, 3)
    for row, text in enumerate(("45791", "04322")):
        for place, label in enumerate(text):
            page.digit(label, 120 + 150 * place, 400 + 160 * row, colour=(200, 50, 70))
    page.print("2018-5-23 17:03", 560, 1050)
    counts, why = left_out(page, Labels("text", ("45791", "04322")))
    assert counts == (5, 5)
    assert set(why) <= {HEADING}


def test_a_digit_cut_by_the_edge_is_listed_and_not_cut_out() -> None:
    page = sheet()
    page.digit("8", 1195, 370)
    assert left_out(page, by_row("382", "")) == ((6,) * 3, {CUT_OFF: 1})


def test_chalk_on_a_board_is_read_as_pen_on_paper() -> None:
    reading = read_sheet(sheet().photo(dark=True), by_row("382", ""))
    assert reading.ink.inverted
    assert reading.labels == ("333333", "888888", "222222")


def test_short_rows_lose_nothing_by_themselves() -> None:
    page = Page(640, 640, 4)
    page.rows("382", 3, left=170, pitch=170)
    for row in range(3):
        page.digit("5", 40, 200 + 170 * row, size=50)
    assert left_out(page, by_row("382", "")) == ((4, 4, 4), {})
    assert left_out(page, replace(by_row("382", ""), per_row=3))[0] == (3, 3, 3)


def test_the_label_of_a_single_row_goes_where_the_text_says_how_long_it_is() -> None:
    page = Page(400, 1200, 6)
    page.rows("3", 6, top=180)
    page.digit("4", 80, 180)
    bracket(page, 135, 180)
    assert left_out(page, Labels("text", ("333333",))) == ((6,), {ROW_LABEL: 2})
