"""Strokes to digits: what belongs together, what is dirt, where two touch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets.sheet.strokes.marks import (
    Mark,
    digit_size,
    digits_and_small,
    find_marks,
    grouped,
    without_frames,
)

SIZE = 60.0


def page(*strokes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with strokes 6 pixels thick from (x, y) to (x, y)."""
    canvas = np.zeros((200, 400), np.uint8)
    for x0, y0, x1, y1 in strokes:
        cv2.line(canvas, (x0, y0), (x1, y1), 255, 6)
    return canvas > 0


def digits(pieces: list[Mark], size: float) -> list[Mark]:
    """The pieces that may be digits, strokes joined."""
    return digits_and_small(grouped(pieces, size), size)[0]


def spans(*strokes: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """(left, right) of the digits that the strokes make."""
    marks = digits(find_marks(page(*strokes)), SIZE)
    return sorted((mark.left, mark.right) for mark in marks)


def test_a_mark_knows_its_box_and_ink() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 7:9] = True
    (mark,) = find_marks(mask)
    assert (mark.left, mark.top, mark.right, mark.bottom) == (7, 5, 9, 15)
    assert (mark.x, mark.y, mark.size, mark.area) == (8, 10, 10, 20)


def test_a_separate_bar_belongs_to_its_digit() -> None:
    assert len(spans((100, 62, 100, 120), (106, 50, 140, 50))) == 1


def test_lines_of_a_table_as_thick_as_its_digits_are_no_measure_and_go() -> None:
    seven = [((x, 60, x + 30, 60), (x + 30, 60, x + 8, 110)) for x in (60, 160, 260)]
    lines = [(x, 5, x + 4, 195) for x in (20, 120, 220, 320)]
    pieces = find_marks(page(*lines, *(stroke for strokes in seven for stroke in strokes)))
    assert 50 <= digit_size(pieces) <= 60
    assert sorted(mark.left // 100 for mark in digits(pieces, SIZE)) == [0, 1, 2]


def test_a_tall_one_among_specks_is_no_line_of_a_table() -> None:
    pieces = find_marks(page((200, 10, 204, 190), (50, 40, 54, 40), (350, 120, 354, 122)))
    assert digit_size(pieces) > 150


def test_the_two_strokes_of_a_four_belong_together() -> None:
    four = ((100, 60, 100, 90), (100, 90, 122, 90), (134, 60, 134, 118))
    assert len(spans(*four)) == 1


def test_two_ones_side_by_side_stay_two() -> None:
    assert len(spans((100, 60, 100, 118), (112, 60, 112, 118))) == 2


def test_digits_of_neighbouring_rows_stay_two() -> None:
    assert len(spans((100, 10, 100, 70), (100, 80, 100, 140))) == 2


def test_specks_and_long_lines_are_dropped() -> None:
    kept = spans((100, 60, 130, 118), (200, 90, 204, 92), (10, 180, 390, 183))
    assert kept == spans((100, 60, 130, 118))


def test_many_specks_do_not_decide_the_size() -> None:
    dots = [(10 + 12 * i, 10, 13 + 12 * i, 10) for i in range(25)]
    strokes = [(100 + 80 * i, 60, 100 + 80 * i, 120) for i in range(3)]
    assert 55 < digit_size(find_marks(page(*dots, *strokes))) < 75


@pytest.mark.timeout(60)  # each pair of its 8,000 specks took a look at all specks joined before
def test_noise_has_no_digits_and_takes_no_time():
    mask = np.zeros((800, 800), bool)
    for dy in range(4):
        for dx in range(4):
            mask[dy::9, dx::9] = True
    pieces = find_marks(mask)
    assert len(pieces) > 7000
    assert digits(pieces, size=40.0) == []


def test_many_pieces_that_lie_apart_are_digits():
    mask = np.zeros((900, 900), bool)
    for dy in range(10):
        for dx in range(5):
            mask[dy::30, dx::30] = True
    assert len(digits(find_marks(mask), size=10.0)) == 900


def test_a_drawn_table_is_no_mark_and_a_large_nought_is() -> None:
    table = np.zeros((300, 700), bool)
    table[[0, 1, 2, 147, 148, 149, 297, 298, 299]] = True
    for x in range(0, 700, 116):
        table[:, x : x + 3] = True
    digits = table.copy()
    for x in (40, 160, 270, 390):
        digits[30:100, x : x + 12] = True
    marks = without_frames(find_marks(digits))
    assert sorted(mark.height for mark in marks) == [70] * 4
    nought = cv2.ellipse(np.zeros((300, 200), np.uint8), (100, 150), (80, 130), 0, 0, 360, 1, 12)
    nought[150:154, 100:104] = 1
    assert len(without_frames(find_marks(nought > 0))) == 2
