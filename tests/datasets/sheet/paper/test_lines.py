"""Printed lines go, the long straight strokes of a close-up stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets.sheet.paper.ink import find_ink


def page(height: int, width: int, *strokes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Paper with dark strokes (x0, y0, x1, y1, pen)."""
    photo = np.full((height, width, 3), 225, np.uint8)
    for x0, y0, x1, y1, pen in strokes:
        cv2.line(photo, (x0, y0), (x1, y1), (40, 40, 40), pen, cv2.LINE_AA)
    return photo


def shares_kept(photo: np.ndarray, *strokes: tuple[int, int, int, int, int]) -> list[float]:
    """How much of each stroke is ink, pixel by pixel of its middle line."""
    ink = find_ink(photo)
    steps = np.linspace(0, 1, 200)[10:-10]
    shares = []
    for x0, y0, x1, y1, _ in strokes:
        x, y = ((a + (b - a) * steps) * ink.scale for a, b in ((x0, x1), (y0, y1)))
        shares.append(float(ink.mask[y.round().astype(int), x.round().astype(int)].mean()))
    return shares


@pytest.mark.parametrize(("pen", "height"), [(5, 0.7), (30, 0.4), (14, 0.25)])
def test_the_stem_of_a_digit_stays_however_tall_it_is(pen: int, height: float) -> None:
    top = round(1200 * (1 - height) / 2)
    stem = (800, top, 790, 1200 - top, pen)
    bar = (600, 640, 900, 640, pen)
    photo = page(1200, 1600, stem, bar, (600, 640, 700, top, pen))
    assert min(shares_kept(photo, stem, bar)) > 0.95


def test_the_bar_of_a_broad_pen_stays_though_it_fills_the_picture() -> None:
    bar, stem = (66, 880, 734, 850, 110), (520, 560, 510, 1150, 110)
    photo = page(1300, 800, bar, stem, (100, 860, 400, 100, 110))
    assert min(shares_kept(photo, bar, stem)) > 0.95


def test_four_tall_ones_in_a_strip_stay() -> None:
    ones = [(x, 60, x - 8, 330, 12) for x in (200, 500, 800, 1100)]
    assert min(shares_kept(page(390, 1300, *ones), *ones)) > 0.95


def test_ruled_lines_go_and_the_digit_that_they_cross_stays() -> None:
    ruled = [(0, y, 1600, y + 12, 2) for y in range(100, 1200, 120)]
    stem = (700, 300, 690, 900, 16)
    shares = shares_kept(page(1200, 1600, *ruled, stem), stem, *ruled)
    assert shares[0] > 0.95
    assert max(shares[1:]) < 0.1


def test_lines_of_a_page_that_ends_within_the_picture_go() -> None:
    ruled = [(320, y, 1280, y, 2) for y in range(200, 1100, 100)]
    assert max(shares_kept(page(1200, 1600, *ruled), *ruled)) < 0.1


def test_a_margin_from_edge_to_edge_goes() -> None:
    margin = (200, 0, 204, 1199, 6)
    digit = (900, 300, 880, 800, 10)
    shares = shares_kept(page(1200, 1600, margin, digit), margin, digit)
    assert shares[0] < 0.1
    assert shares[1] > 0.95
