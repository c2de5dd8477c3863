"""Rows whose text is known: touching digits are cut, strokes joined, dirt and headings left out."""

from __future__ import annotations

import cv2
import numpy as np
from sheet_scenes import drawn_digit

from datasets.sheet.looks.spelled import rows_of_texts, spelled
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.marks import Mark, find_marks

SIZE, PEN = 100.0, 9.0


def row(text: str, seed: int, gap: int = 30) -> np.ndarray:
    """Ink of digits side by side, float32 (140, w); a negative gap lets them touch."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((140, 60 + 200 * len(text)), np.float32)
    left = 30
    for character in text:
        glyph = cv2.resize(drawn_digit(rng, character), (60, 100))
        part = canvas[20:120, left : left + 60]
        np.maximum(part, glyph, out=part)
        left += 60 + gap
    return canvas


def sheet(darkness: np.ndarray) -> tuple[Ink, list[Mark]]:
    mask = darkness > 0.4
    nothing, picture = np.zeros_like(mask), np.zeros((*mask.shape, 3), np.uint8)
    ink = Ink(darkness, mask, 1.0, 1.0, False, nothing, picture, False)
    return ink, sorted(find_marks(mask), key=lambda mark: mark.x)


def test_a_row_of_whole_digits_stays_as_it_is() -> None:
    ink, marks = sheet(row("3268", 1))
    result = spelled(ink, marks, "3268", SIZE, PEN)
    assert result is not None
    assert result.marks == tuple(marks)
    assert result.dropped == ()


def test_digits_that_touch_are_cut_where_the_text_says_so() -> None:
    ink, marks = sheet(row("3823", 1, gap=-2))
    assert len(marks) < 4
    result = spelled(ink, marks, "3823", SIZE, PEN)
    assert result is not None
    assert [round((mark.x - 30) / 58 - 0.5) for mark in result.marks] == [0, 1, 2, 3]


def test_a_digit_more_than_the_text_is_not_left_out_in_silence() -> None:
    ink, marks = sheet(row("3268", 1))
    assert spelled(ink, marks, "326", SIZE, PEN) is None
    assert spelled(ink, marks, "32686", SIZE, PEN) is None


def test_a_scribble_between_the_digits_is_left_out() -> None:
    darkness = row("3268", 1, gap=130)
    for x in range(110, 200, 8):
        cv2.line(darkness, (x, 30), (x + 8, 110), 1.0, 3)
        cv2.line(darkness, (x, 110), (x + 8, 30), 1.0, 3)
    ink, marks = sheet(darkness)
    result = spelled(ink, marks, "3268", SIZE, PEN)
    assert result is not None
    assert len(result.marks) == 4
    assert all(100 < mark.x < 210 for mark in result.dropped)
    assert result.dropped


def test_the_rows_of_the_texts_are_found_among_others() -> None:
    ink, _ = sheet(np.vstack([row(text, 4) for text in ("7777", "3268", "1111", "5094")]))
    marks = find_marks(ink.mask)
    lines = [tuple(m for m in marks if i * 140 <= m.y < (i + 1) * 140) for i in range(4)]
    lines = [tuple(sorted(line, key=lambda mark: mark.x)) for line in lines]
    assert rows_of_texts(ink, lines, ("3268", "5094"), SIZE, PEN) == [1, 3]
    assert rows_of_texts(ink, lines, ("7777", "1111"), SIZE, PEN) == [0, 2]
    assert rows_of_texts(ink, lines, ("5094", "3268"), SIZE, PEN) is None
