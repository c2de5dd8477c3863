"""Plain pages with digits where a test wants them, and with what people also write on a sheet.

In: a generator and a source of digits. Out: a photograph, uint8 (H, W, 3), and what is read on it
before labels are known. It stands alone because `sheet_scenes` draws its pages at random, while
these say where a heading or a bracket stands.
"""

from __future__ import annotations

import cv2
import numpy as np
from sheet_scenes import DigitSource, Rng, drawn_digit

from datasets.sheet.labels import by_row
from datasets.sheet.paper.ink import Ink, find_ink
from datasets.sheet.reading.sorted_rows import rows_of_set
from datasets.sheet.strokes.marks import (
    Lines,
    Mark,
    digit_size,
    digits_and_small,
    find_marks,
    grouped,
)

THREE = "382"  # the labels of `three_rows`
PEN = (40, 40, 40)  # RGB
PAPER = 235


class Page:
    """A sheet of paper, dark pen on light, with a little grain and blur as a camera sees it."""

    def __init__(
        self, height: int, width: int, seed: int = 0, source: DigitSource = drawn_digit
    ) -> None:
        self.rng: Rng = np.random.default_rng(seed)
        self.source = source
        self.canvas = np.full((height, width, 3), PAPER, np.float32)

    def digit(
        self, label: str, x: float, y: float, size: float = 80, colour: tuple[int, ...] = PEN
    ) -> None:
        """A digit with its middle at (x, y), its longer side `size`."""
        glyph = self.source(self.rng, label)
        scale = size / max(glyph.shape)
        glyph = cv2.resize(glyph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = glyph.shape
        top, left = round(y - height / 2), round(x - width / 2)
        y0, x0 = max(top, 0), max(left, 0)
        part = self.canvas[y0 : top + height, x0 : left + width]
        seen = glyph[y0 - top : y0 - top + part.shape[0], x0 - left : x0 - left + part.shape[1]]
        part -= seen[..., None] * (PAPER - np.array(colour, np.float32))

    def rows(
        self, labels: str, n: int, *, left: float = 250, top: float = 200, pitch: float = 140
    ) -> None:
        """`n` digits of each label, row under row."""
        for row, label in enumerate(labels):
            for place in range(n):
                jitter = self.rng.normal(0, 5, 2)
                self.digit(label, left + pitch * place + jitter[0], top + 170 * row + jitter[1])

    def print(
        self, text: str, x: int, y: int, scale: float = 1.0, colour: tuple[int, ...] = PEN
    ) -> None:
        """Printed text whose lower left corner is at (x, y)."""
        canvas = self.canvas.astype(np.uint8)
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 3, cv2.LINE_AA)
        self.canvas = canvas.astype(np.float32)

    def stroke(self, *points: tuple[float, float], width: int = 6) -> None:
        """A stroke of the pen along the points (x, y)."""
        line = np.round(np.array(points)).astype(np.int32)[:, None]
        cv2.polylines(self.canvas, [line], False, PEN, width, cv2.LINE_AA)

    def photo(self, *, dark: bool = False) -> np.ndarray:
        """The page as photographed; `dark`: as chalk on a board."""
        seen = cv2.GaussianBlur(self.canvas, (0, 0), 1.0)
        seen = seen + self.rng.normal(0, 2, seen.shape)
        seen = 255 - 0.85 * seen if dark else seen
        return np.clip(seen, 0, 255).astype(np.uint8)


def three_rows() -> Page:
    """Three rows of six digits."""
    page = Page(640, 1200, 5)
    page.rows(THREE, 6)
    return page


def marks_on(page: Page) -> tuple[Ink, list[Mark], float]:
    """The ink of a page, its marks as large as digits, and their size in pixels."""
    ink = find_ink(page.photo())
    pieces = find_marks(ink.mask)
    size = digit_size(pieces)
    return ink, digits_and_small(grouped(pieces, size), size)[0], size


def rows_on(page: Page) -> tuple[Ink, Lines]:
    """The ink of a page that is labelled as `three_rows` is, and its rows."""
    ink, marks, size = marks_on(page)
    lines, _ = next(rows_of_set(ink, marks, size, by_row(THREE, "")))
    return ink, lines
