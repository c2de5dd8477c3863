"""The light on the paper: shadows are light, strokes are not, however wide they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets.sheet.paper.light import paper_light

HEIGHT, WIDTH = 900, 1600


def with_digit(pen: int, ground: float = 220) -> tuple[np.ndarray, np.ndarray]:
    """A close-up of a 3, float32 (H, W), and where its stroke is, bool (H, W)."""
    page = np.full((HEIGHT, WIDTH), ground, np.float32)
    stroke = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top in (190, 450):
        cv2.ellipse(stroke, (750, top + 130), (180, 130), 0, -140, 120, 1, pen, cv2.LINE_AA)
    page[stroke > 0] = 40
    return page, stroke > 0


@pytest.mark.parametrize("pen", [12, 60, 100, 150])
def test_a_stroke_is_no_shadow_however_wide(pen: int) -> None:
    page, stroke = with_digit(pen)
    assert np.percentile(paper_light(page)[stroke], 2) > 200


def test_a_shadow_stays_a_shadow_beside_thin_strokes() -> None:
    page, _ = with_digit(12)
    cv2.circle(page, (300, 500), 150, 110, -1)
    assert 100 < paper_light(page)[500, 300] < 120


def test_a_dark_ground_at_the_edge_is_no_stroke() -> None:
    page, _ = with_digit(12)
    page[700:] = 30
    assert paper_light(page)[850, 800] < 40
