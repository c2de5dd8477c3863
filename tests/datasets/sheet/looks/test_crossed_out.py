"""What a writer crossed out goes, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sheet_pages import THREE, Page, rows_on, three_rows

from datasets.sheet.looks.crossed_out import without_crossed_out
from datasets.sheet.strokes.noted import CROSSED_OUT, SURPLUS

SPOT = (250 + 2 * 140, 200 + 170)  # the third digit of the second row


def zigzag(made: Page) -> None:
    x, y = SPOT
    steps = np.linspace(-35, 35, 10)
    made.stroke(*((x + dx, y + (28 if i % 2 else -28)) for i, dx in enumerate(steps)))


def scribble(made: Page) -> None:
    x, y = SPOT
    turns = np.linspace(0, 14 * np.pi, 200)
    made.stroke(*zip(x + 35 * np.cos(turns), y + 38 * np.sin(1.07 * turns), strict=True))


def strokes(made: Page) -> None:
    x, y = SPOT
    for dy in (-24, -8, 8, 24):
        made.stroke((x - 36, y + dy + 4), (x + 36, y + dy - 4))


@pytest.mark.slow
@pytest.mark.parametrize("cross", [zigzag, scribble, strokes])
def test_a_crossed_out_digit_goes_and_the_others_stay(cross: object) -> None:
    """Slow: it reads whole sheets."""
    made = three_rows()
    assert callable(cross)
    cross(made)
    ink, lines = rows_on(made)
    assert [len(line) for line in lines] == [6, 6, 6]
    kept, left_out = without_crossed_out(ink, lines, THREE, (None,) * 3)
    assert [len(line) for line in kept] == [6, 5, 6]
    assert [item.why for item in left_out] == [CROSSED_OUT]
    assert abs(left_out[0].mark.x / ink.scale - SPOT[0]) < 20
    kept, left_out = without_crossed_out(ink, lines, "abc", (6, 5, 6))  # letters
    assert [len(line) for line in kept] == [6, 5, 6]
    assert [item.why for item in left_out] == [SURPLUS]


def test_no_digit_goes_where_nothing_is_crossed_out() -> None:
    ink, lines = rows_on(three_rows())
    kept, left_out = without_crossed_out(ink, lines, THREE, (5, 5, 5))
    assert (kept, left_out) == (lines, ())
