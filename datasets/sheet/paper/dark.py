"""Is the page dark and the writing light: a blackboard, a tablet's dark mode, a negative?

In: a photograph. Out: yes or no. It stands alone because everything after it sees dark ink on light
paper, whatever was photographed.
"""

from __future__ import annotations

import cv2
import numpy as np

_REACH = 31  # pixels of the shrunk photograph: wider than two strokes, narrower than a page
_SHRINKS = (2, 8)  # after halving: for the strokes of a page, and for those of a close-up
_LEAST = 18.0  # levels of 256: weaker differences are grain
_FACTOR = 1.5  # what light marks must outweigh dark ones by
_NOTHING = 0.002  # levels a pixel: less light or dark is no mark
_DARK_PAGE = 150.0  # level: a page that is brighter is light, whatever lies on it


def is_dark_page(photo: np.ndarray) -> bool:
    """Whether a photograph, uint8 (H, W, 3), shows light writing on a dark page.

    The median around each pixel is the page there, since writing covers little of it. Marks count
    by how far they stand out from it: light ones by their brightest channel (coloured chalk), dark
    ones by their darkest (coloured ink), each only where the page itself is dark or light. Two
    widths of the median are asked, since the inside of a wide stroke looks like page to the
    narrow one, and a vignette like marks to the wide one: their two factors are multiplied.
    """
    size = (max(1, photo.shape[1] // 2), max(1, photo.shape[0] // 2))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    bright, dark = small.max(axis=2), small.min(axis=2)
    factor = 1.0
    for shrink in _SHRINKS:
        factor *= _light_over_dark(bright, dark, shrink)
        if not factor:  # most pages, which are light
            return False
    return factor > _FACTOR ** len(_SHRINKS)


def _light_over_dark(bright: np.ndarray, dark: np.ndarray, shrink: int) -> float:
    """How much light marks on dark ground outweigh dark marks; 0 where the page is not dark."""
    page = _page(bright, shrink)
    on_dark = page < _DARK_PAGE
    if on_dark.mean() <= 0.3:
        return 0.0
    light_marks = float((np.maximum(bright - page - _LEAST, 0) * on_dark).mean())
    dark_marks = float(np.maximum(_page(dark, shrink) - dark - _LEAST, 0).mean())
    return (light_marks + _NOTHING) / (dark_marks + _NOTHING)


def _page(channel: np.ndarray, shrink: int) -> np.ndarray:
    """uint8 (H, W) → float32 (H, W): the level of the page around each pixel."""
    height, width = channel.shape
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.medianBlur(cv2.resize(channel, size, interpolation=cv2.INTER_AREA), _REACH)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
