"""Another order of classes is named; marks that are no digits make no sheet."""

from __future__ import annotations

import cv2
import numpy as np
from sheet_scenes import drawn_digit

from datasets.sheet.looks.other_order import look_like_no_digits, looks_like


def signs() -> list[np.ndarray]:
    """A filled square, a house, a star of strokes and a comb, uint8 (120, 120)."""
    square, house, star, comb = (np.zeros((120, 120), np.uint8) for _ in range(4))
    square[10:110, 10:110] = 255
    cv2.polylines(
        house, [np.array([(10, 50), (60, 8), (110, 50), (110, 110), (10, 110)])], True, 255, 9
    )
    for end in ((10, 10), (110, 10), (60, 2), (2, 60), (118, 60), (10, 110), (110, 110), (60, 118)):
        cv2.line(star, (60, 60), end, 255, 7)
    cv2.line(comb, (5, 15), (115, 15), 255, 9)
    for x in range(10, 115, 20):
        cv2.line(comb, (x, 15), (x, 110), 255, 7)
    return [square, house, star, comb]


def test_signs_are_no_digits_whatever_their_label() -> None:
    assert look_like_no_digits(signs(), "8888")
    assert not look_like_no_digits(signs(), "abcd")  # of letters shapes say nothing


def test_digits_of_any_label_are_digits() -> None:
    rng = np.random.default_rng(0)
    inks = [(drawn_digit(rng, c) * 255).astype(np.uint8) for c in "77734"]
    assert not look_like_no_digits(inks, "77734")
    assert not look_like_no_digits(inks, "11196")


def cuts(text: str, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(drawn_digit(rng, character) * 255).astype(np.uint8) for character in text]


def test_another_order_of_classes_is_named_and_a_habit_is_not() -> None:
    rows = [cuts(label * 4, i) for i, label in enumerate("1234")]
    assert looks_like(rows, ["2222", "3333", "4444", "1111"]) == "1234"
    assert looks_like(rows, ["1111", "2222", "3333", "4444"]) is None
    assert looks_like(rows, ["7777", "2222", "3333", "4444"]) is None  # one row: how one writes
    texts = [cuts("3268", 7), cuts("5094", 8)]
    assert looks_like(texts, ["5094", "3268"]) == "3268 5094"
    assert looks_like(texts, ["3268", "5091"]) is None
    assert looks_like(texts, ["abcd", "efgh"]) is None
    sevens = [cuts("1111183", 9)]
    assert looks_like(sevens, ["7777783"]) is None  # most digits, but of one class
