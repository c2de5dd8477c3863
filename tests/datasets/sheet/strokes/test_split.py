"""Where digits touch, they are cut at the thin place, or not at all."""

from __future__ import annotations

import cv2
import numpy as np

from datasets.sheet.strokes.marks import find_marks, join
from datasets.sheet.strokes.split import split_tall, split_wide


def page(*strokes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with strokes 6 pixels thick from (x, y) to (x, y)."""
    canvas = np.zeros((200, 400), np.uint8)
    for x0, y0, x1, y1 in strokes:
        cv2.line(canvas, (x0, y0), (x1, y1), 255, 6)
    return canvas > 0


def test_touching_digits_are_cut_at_the_thin_place() -> None:
    mask = page((100, 60, 100, 118), (160, 60, 160, 118), (100, 90, 160, 90))
    (whole,) = find_marks(mask)
    parts = split_wide(whole, 2, pen=6)
    assert parts is not None
    assert len(parts) == 2
    assert abs(parts[0].right - 130) < 15
    assert join(parts).mask.sum() == whole.mask.sum()  # no ink is lost


def test_a_solid_blob_is_not_cut() -> None:
    mask = np.zeros((100, 200), bool)
    mask[20:80, 20:180] = True
    (blob,) = find_marks(mask)
    assert split_wide(blob, 2, pen=6) is None


def test_digits_that_touch_from_row_to_row_are_cut_across() -> None:
    mask = page((100, 10, 130, 10), (115, 10, 115, 130), (100, 130, 130, 130))
    (whole,) = find_marks(mask)
    parts = split_tall(whole, 2, pen=6)
    assert parts is not None
    assert parts[0].bottom <= parts[1].top + 2
