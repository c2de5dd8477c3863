"""Which pages are dark: light writing on dark ground, whatever the width of the strokes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets.sheet.paper.dark import is_dark_page

HEIGHT, WIDTH = 1000, 1600


def close_up(pen: int, ground: int, ink: int) -> np.ndarray:
    """Two digits that fill a photograph, uint8 (H, W, 3), in the light of a lamp at its middle."""
    page = np.full((HEIGHT, WIDTH), ground, np.uint8)
    for x in (450, 1150):
        cv2.ellipse(page, (x, 350), (170, 150), 0, -140, 120, ink, pen, cv2.LINE_AA)
        cv2.ellipse(page, (x, 650), (170, 150), 0, -120, 140, ink, pen, cv2.LINE_AA)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    lit = page * (1 - 0.2 * (x**2 + y**2))
    return np.repeat(lit.astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("pen", [10, 190])
def test_light_strokes_on_dark_ground_are_a_dark_page(pen: int) -> None:
    assert is_dark_page(close_up(pen, ground=30, ink=240))


@pytest.mark.parametrize("pen", [10, 190])
@pytest.mark.parametrize("ground", [230, 130])
def test_dark_strokes_are_none_on_white_nor_on_grey_ground(pen: int, ground: int) -> None:
    assert not is_dark_page(close_up(pen, ground=ground, ink=25))


def test_an_empty_page_is_not_dark() -> None:
    assert not is_dark_page(np.full((HEIGHT, WIDTH, 3), 40, np.uint8))
