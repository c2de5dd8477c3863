"""The contact sheet: the photograph, upright, with a box and a label around every digit found.

In: a photograph and its `Reading`. Out: a picture for people, who see at one glance what was
found, in which order, and what was left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.noted import Noted

_ROW_COLOURS = ((200, 30, 30), (20, 110, 200))  # RGB, in turn, so that rows can be told apart
_LEFT_OUT = (130, 130, 130)
_DOUBT = (220, 130, 0)
_PAPER = (255, 255, 255)


def contact_sheet(photo: np.ndarray, reading: Reading, noun: str = "row") -> np.ndarray:
    """uint8 (H, W, 3), RGB, at working size, with a column at the left that counts each row.

    Args:
        photo: uint8 (H, W, 3), RGB, as it lies.
        reading: of this photo; where it has no labels the boxes get question marks.
        noun: what a line of digits is called: `row` or `column`.
    """
    upright = np.ascontiguousarray(np.rot90(photo, reading.quarters))
    scale = reading.ink.scale
    size = (max(1, round(upright.shape[1] * scale)), max(1, round(upright.shape[0] * scale)))
    picture = cv2.resize(upright, size, interpolation=cv2.INTER_AREA)
    margin = 260
    sheet = cv2.copyMakeBorder(picture, 0, 0, margin, 0, cv2.BORDER_CONSTANT, value=_PAPER)
    for item in reading.left_out:
        _box(sheet, item.mark, "", _LEFT_OUT, margin)
    for item in _first_of_each_place(reading.left_out):
        _write_small(sheet, item.why.split(",")[0], (item.mark.left + margin, item.mark.top - 8))
    to_check = {id(item.mark) for item in reading.doubts}
    for number, row in enumerate(reading.rows):
        colour = _ROW_COLOURS[number % 2]
        labels = reading.labels[number] if reading.labels else "?" * len(row)
        for mark, label in zip(row, labels, strict=True):
            doubtful = id(mark) in to_check
            _box(
                sheet,
                mark,
                f"{_drawable(label)}?" if doubtful else _drawable(label),
                _DOUBT if doubtful else colour,
                margin,
            )
        place = _place(row, number, noun)
        _write(sheet, f"{noun} {number + 1}: {len(row)}", place, colour)
    return sheet


def _first_of_each_place(items: Sequence[Noted]) -> list[Noted]:
    """Those to name: the others stand to the right of one that is left out for the same reason."""
    named: list[Noted] = []
    for item in sorted(items, key=lambda item: item.mark.left):
        beside = [
            other
            for other in named
            if other.why == item.why and abs(other.mark.y - item.mark.y) < 2 * item.mark.size
        ]
        if not beside:
            named.append(item)
    return named


def _place(row: tuple[Mark, ...], number: int, noun: str) -> tuple[int, int]:
    """Where the count of a line is written: beside a row, in a list for columns."""
    return (8, round(row[0].y)) if noun == "row" else (8, 40 + 40 * number)


def _box(
    sheet: np.ndarray, mark: Mark, label: str, colour: tuple[int, int, int], margin: int
) -> None:
    left, right = mark.left + margin, mark.right + margin
    cv2.rectangle(sheet, (left - 3, mark.top - 3), (right + 3, mark.bottom + 3), colour, 2)
    _write(sheet, label, (left - 3, max(mark.top - 8, 22)), colour)


def _drawable(label: str) -> str:
    """The label in the characters that OpenCV can draw: `α` as `alpha`, `水` as `U+6C34`."""
    if label.isascii():
        return label
    name = unicodedata.name(label, "")
    return name.split("LETTER ")[1].lower() if "LETTER " in name else f"U+{ord(label):04X}"


def _write_small(sheet: np.ndarray, text: str, place: tuple[int, int]) -> None:
    """Grey words that end within the sheet, on a strip of white, so that they stand out on ink."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
    x, y = min(place[0], sheet.shape[1] - width - 4), max(place[1], height + 2)
    cv2.rectangle(sheet, (x - 2, y - height - 2), (x + width + 2, y + below), _PAPER, cv2.FILLED)
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _LEFT_OUT, 1, cv2.LINE_AA)


def _write(
    sheet: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(sheet, text, place, font, 0.9, _PAPER, 5, cv2.LINE_AA)
    cv2.putText(sheet, text, place, font, 0.9, colour, 2, cv2.LINE_AA)
