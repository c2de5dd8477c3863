"""Walls between boxes go; ones stay, however straight and even they are."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.walls import without_walls


def stroke(x: float, height: int = 100, top: int = 50) -> Mark:
    return Mark(round(x), top, np.ones((height, 8), bool))


def digit(x: float, height: int = 60, top: int = 70) -> Mark:
    return Mark(round(x), top, np.ones((height, 40), bool))


WALLS = [stroke(140 * i) for i in range(8)]
DIGITS = [digit(140 * i + 50) for i in range(7)]


@pytest.mark.parametrize("slope", [0.0, 0.08])
@pytest.mark.parametrize("missing", [(), (3,)])
def test_walls_go_and_what_is_in_the_boxes_stays(slope: float, missing: tuple[int, ...]) -> None:
    marks = [
        Mark(mark.left, mark.top + round(slope * mark.left), mark.mask)
        for mark in (*(wall for i, wall in enumerate(WALLS) if i not in missing), *DIGITS)
    ]
    assert without_walls(marks) == marks[-len(DIGITS) :]


def test_a_one_in_a_box_stays() -> None:
    ones = [stroke(140 * i + 66, height=62, top=68) for i in range(7)]
    assert without_walls([*WALLS, *ones]) == ones


@pytest.mark.parametrize(
    "marks",
    [
        [stroke(140 * i) for i in range(12)],  # a row of ones
        [*WALLS, *(digit(140 * i + 50, height=95, top=52) for i in range(7))],  # 1 2 1 3 1 …
        [*WALLS, *DIGITS[:2]],  # two small digits among tall ones
        [*WALLS[:4], *DIGITS[:3]],  # too few to tell
        [*(stroke(140 * i + 60 * (i % 2)) for i in range(8)), *DIGITS],  # uneven
        [*(stroke(140 * i, 100 - 40 * (i % 2)) for i in range(8)), *DIGITS],  # of two heights
    ],
)
def test_ones_stay(marks: list[Mark]) -> None:
    assert without_walls(marks) == marks
