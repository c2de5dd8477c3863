"""Evidence of shapes: digits of other habits than MNIST's, and ink that is no digit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from sheet_scenes import drawn_digit, handwritten_digits

from datasets.sheet.looks.shapes import NO_DIGIT, evidence, probabilities

WAYS = {
    "7 with a serif": ("7", [[(0, 25), (0, 2), (55, 0), (45, 40), (38, 100)]]),
    "7 with a bar": ("7", [[(0, 4), (55, 0), (35, 50), (20, 100)], [(10, 50), (60, 46)]]),
    "1 with a flag": ("1", [[(0, 30), (28, 0), (30, 100)]]),
    "1 with a foot": ("1", [[(0, 25), (28, 0), (28, 100)], [(0, 100), (58, 100)]]),
    "open 4": ("4", [[(0, 0), (0, 50), (45, 52)], [(44, 0), (42, 100)]]),
    "5 in two strokes": ("5", [[(10, 5), (5, 42), (40, 40), (55, 70), (30, 98), (0, 92)],
                               [(18, 0), (62, -3)]]),
    "0 with a slash": ("0", [[(30, 0), (5, 20), (0, 55), (15, 95), (40, 100), (60, 70), (60, 25),
                              (30, 0)], [(58, 8), (2, 92)]]),
}  # fmt: skip


def written(strokes: list[list[tuple[int, int]]], pen: int) -> np.ndarray:
    ink = np.zeros((160, 120), np.uint8)
    for stroke in strokes:
        cv2.polylines(ink, [np.array(stroke)[:, None] + 30], False, 255, pen, cv2.LINE_AA)
    return ink


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pen", [4, 9, 15])
def test_ways_to_write_are_known(way: str, pen: int) -> None:
    label, strokes = WAYS[way]
    assert evidence([written(strokes, pen)], label)[0] > 1.0
    assert evidence([written(strokes, pen)], str((int(label) + 4) % 10))[0] < -1.0


def test_digits_on_their_side_and_hatching_are_none() -> None:
    rng = np.random.default_rng(2)
    three, four = ((drawn_digit(rng, digit) * 255).astype(np.uint8) for digit in "34")
    hatched = written([[(0, y), (70, y + 4)] for y in range(0, 100, 9)], 5)
    none = probabilities([np.rot90(three).copy(), np.rot90(four, 3).copy(), hatched])[:, NO_DIGIT]
    assert (none > 0.7).all()


def test_letters_have_no_reference_and_nothing_to_say() -> None:
    ink = written(WAYS["7 with a bar"][1], 6)
    assert evidence([ink, ink, ink], "aα²").tolist() == [0, 0, 0]


@pytest.mark.slow
def test_real_pen_strokes_are_read(real_data: Path) -> None:
    """Of writers that neither MNIST nor the drawn digits have: at least 95 of 100.

    Slow: it reads many strokes.
    """
    source, rng = handwritten_digits(real_data), np.random.default_rng(0)
    labels = "0123456789" * 10
    inks = [(source(rng, label) * 255).astype(np.uint8) for label in labels]
    read = probabilities(inks).argmax(axis=1)
    assert np.mean(read == [int(label) for label in labels]) >= 0.95
