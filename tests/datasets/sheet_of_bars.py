"""A made-up sheet whose marks are plain bars: what is read on it is known to the pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.sheet.hand.boxes import Box
from datasets.sheet.hand.corrections import Drop, Placed
from datasets.sheet.labels import Labels
from datasets.sheet.paper.ink import Ink
from datasets.sheet.photos import Photo
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark

SCALE = 0.5  # the photograph is twice as large as the sheet is read


def sheet(*bars: tuple[int, int, int, int]) -> Ink:
    """A page of 200×300 working pixels with black bars (left, top, width, height)."""
    mask = np.zeros((200, 300), bool)
    for left, top, width, height in bars:
        mask[top : top + height, left : left + width] = True
    nothing, picture = np.zeros_like(mask), np.zeros((*mask.shape, 3), np.uint8)
    return Ink(mask.astype(np.float32), mask, 1.0, SCALE, False, nothing, picture, False)


def bar(left: int, top: int, width: int, height: int) -> Mark:
    return Mark(left, top, np.ones((height, width), bool))


A, B, C = (20, 20, 20, 40), (60, 20, 20, 40), (100, 20, 20, 40)  # a row of sevens
D, E = (20, 120, 20, 40), (60, 120, 20, 40)  # a row of ones
ROWS = (tuple(bar(*x) for x in (A, B, C)), tuple(bar(*x) for x in (D, E)))
LABELS = Labels("rows", ("7", "1"))
PHOTO = Photo(Path("s.jpg"), "s", np.zeros((400, 600, 3), np.uint8), LABELS, "a" * 64)
READING = Reading(0, sheet(A, B, C, D, E), ROWS, ("777", "11"))


def box(left: int, top: int, width: int, height: int) -> Box:
    """A box of working pixels in pixels of the photograph."""
    return Box(*(int(x / SCALE) for x in (left, top, width, height)))


def drop(*boxes: tuple[int, int, int, int]) -> tuple[Drop, ...]:
    return tuple(Drop(box(*each), f"c.yaml:{n}") for n, each in enumerate(boxes, 1))


def digits(*said: tuple[tuple[int, int, int, int], str | None]) -> tuple[Placed, ...]:
    return tuple(Placed(box(*at), label, f"c.yaml:{n}") for n, (at, label) in enumerate(said, 1))


def boxes(reading: Reading) -> list[list[tuple[int, int, int, int]]]:
    """(left, top, width, height) of each digit, row by row, in working pixels."""
    return [[(m.left, m.top, m.width, m.height) for m in row] for row in reading.rows]
