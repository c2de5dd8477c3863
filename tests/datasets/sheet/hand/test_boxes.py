"""Boxes of the photograph and of the upright sheet are each other's, whichever way it lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sheet_of_bars import PHOTO, READING, SCALE, bar

from datasets.sheet.hand.boxes import Box, box_of, frame_of
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import find_marks


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_boxes_are_of_the_photograph_as_it_lies_however_the_sheet_is_turned(quarters: int) -> None:
    lying = Box(40, 60, 30, 80)
    page = np.zeros((400, 600), bool)
    page[60:140, 40:70] = True
    ink = replace(READING.ink, mask=np.rot90(page, quarters)[::2, ::2], scale=SCALE)
    [mark] = find_marks(ink.mask)
    reading = Reading(
        quarters, replace(ink, darkness=ink.mask.astype(np.float32)), ((mark,),), None
    )
    assert frame_of(lying, PHOTO, reading) == (mark.left, mark.top, mark.right, mark.bottom)
    assert box_of(mark, PHOTO, reading) == lying


def test_a_box_of_the_whole_photograph_and_one_of_a_pixel_keep_to_the_picture() -> None:
    small = replace(READING, ink=replace(READING.ink, scale=0.1))
    assert frame_of(Box(0, 0, 600, 400), PHOTO, READING) == (0, 0, 300, 200)
    assert frame_of(Box(3, 4, 1, 1), PHOTO, small) == (0, 0, 1, 1)
    large = replace(READING, ink=replace(READING.ink, scale=4.0))
    assert box_of(bar(2399, 1599, 1, 1), PHOTO, large) == (599, 399, 1, 1)
    assert box_of(bar(0, 0, 4, 5), PHOTO, READING) == (0, 0, 8, 10)
    assert str(Box(1, 2, 3, 4)) == "[1, 2, 3, 4]"
