"""Is the page dark and the writing light: a blackboard, a tablet's dark mode, a negative?

In: a photograph. Out: yes or no. It stands alone because everything after it sees dark ink on light
paper, whatever was photographed.
"""

from __future__ import annotations

import cv2
import numpy as np

_SHRINK = 4
_REACH = 31  # pixels of the shrunk photograph: wider than two strokes, narrower than a page
_LEAST = 18.0  # levels of 256: weaker differences are grain
_FACTOR = 1.5  # what light marks must outweigh dark ones by
_DARK_PAGE = 150.0  # level: a page that is brighter is light, whatever lies on it


def is_dark_page(photo: np.ndarray) -> bool:
    """Whether a photograph, uint8 (H, W, 3), shows light writing on a dark page.

    The median around each pixel is the page there, since writing covers little of it. Marks count
    by how far they stand out from it: light ones by their brightest channel (coloured chalk), dark
    ones by their darkest (coloured ink), each only where the page itself is dark or light.
    """
    bright, dark = photo.max(axis=2), photo.min(axis=2)
    above = bright.astype(np.float32) - _page(bright)
    below = _page(dark) - dark.astype(np.float32)
    on_dark = _page(bright) < _DARK_PAGE
    light_marks = float(np.maximum(above - _LEAST, 0)[on_dark].sum())
    dark_marks = float(np.maximum(below - _LEAST, 0).sum())
    return bool(on_dark.mean() > 0.3 and light_marks > _FACTOR * dark_marks)


def _page(channel: np.ndarray) -> np.ndarray:
    """uint8 (H, W) → float32 (H, W): the level of the page around each pixel."""
    height, width = channel.shape
    size = (max(1, width // _SHRINK), max(1, height // _SHRINK))
    small = cv2.medianBlur(cv2.resize(channel, size, interpolation=cv2.INTER_AREA), _REACH)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
