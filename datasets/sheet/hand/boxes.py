"""Where a part of a photograph lies on the sheet that was read from it, and the other way round.

In: boxes in pixels of the photograph, or marks of the upright sheet at working size. Out: the same
in the other's pixels. It stands alone because a sheet may be read turned and made smaller, and what
people say of it must not depend on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datasets.sheet.photos import Photo
    from datasets.sheet.reading.read import Reading
    from datasets.sheet.strokes.marks import Mark


class Box(NamedTuple):
    """A part of a photograph, in pixels of it as it lies once turned as its EXIF entry says."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"


class Frame(NamedTuple):
    """A part of the upright sheet, in working pixels."""

    left: int
    top: int
    right: int
    bottom: int


def frame_of(box: Box, photo: Photo, reading: Reading) -> Frame:
    """Where a box of the photograph lies on the upright sheet."""
    height, width = photo.image.shape[:2]
    left, top, right, bottom = box.left, box.top, box.left + box.width, box.top + box.height
    for _ in range(reading.quarters):
        left, top, right, bottom = top, width - right, bottom, width - left
        width, height = height, width
    scale, (most_down, most_across) = reading.ink.scale, reading.ink.mask.shape
    left, right = (min(round(x * scale), most_across) for x in (left, right))
    top, bottom = (min(round(y * scale), most_down) for y in (top, bottom))
    return Frame(left, top, max(right, left + 1), max(bottom, top + 1))


def box_of(mark: Mark, photo: Photo, reading: Reading) -> Box:
    """The box of a mark in pixels of the photograph."""
    height, width = photo.image.shape[:2]
    scale = reading.ink.scale
    left, top, right, bottom = (
        round(edge / scale) for edge in (mark.left, mark.top, mark.right, mark.bottom)
    )
    turned_width, turned_height = (height, width) if reading.quarters % 2 else (width, height)
    for _ in range(-reading.quarters % 4):
        left, top, right, bottom = top, turned_width - right, bottom, turned_width - left
        turned_width, turned_height = turned_height, turned_width
    left, top = (max(0, min(low, most - 1)) for low, most in ((left, width), (top, height)))
    right, bottom = min(right, width), min(bottom, height)
    return Box(left, top, max(1, right - left), max(1, bottom - top))
