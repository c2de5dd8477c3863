"""One digit out of a sheet: as ink for networks, and as it was photographed.

In: the ink of a sheet and a mark on it. Out: small images.
"""

from __future__ import annotations

import cv2
import numpy as np

from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.marks import Mark

_MARGIN = 3  # pixels around a mark's box
_MNIST_PEN = 0.1  # thickness of a stroke over the longer side of the digit


def cut_out(ink: Ink, mark: Mark) -> np.ndarray:
    """The ink of one mark, uint8 (h, w), background 0, a firm stroke 255; with a soft edge."""
    height, width = ink.darkness.shape
    top, left = max(mark.top - _MARGIN, 0), max(mark.left - _MARGIN, 0)
    bottom, right = min(mark.bottom + _MARGIN, height), min(mark.right + _MARGIN, width)
    inside = np.zeros((bottom - top, right - left), np.uint8)
    inside[mark.top - top : mark.bottom - top, mark.left - left : mark.right - left] = mark.mask
    inside = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    share = ink.darkness[top:bottom, left:right] / ink.peak
    return (np.clip((share - 0.1) / 0.7, 0, 1) * inside * 255).astype(np.uint8)


def thickened(ink: np.ndarray) -> np.ndarray:
    """A digit, uint8 (h, w), with strokes at least as thick as the thinnest that MNIST has.

    Few of MNIST's strokes are thinner than a tenth of the digit's longer side; a fine pen's are a
    twentieth, and fade when the digit is scaled down to 20 pixels.
    """
    missing = round(_MNIST_PEN * max(ink.shape) - pen_width(np.pad(ink, 1) > 64))
    if missing < 1:
        return ink
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing + 1, missing + 1))
    return cv2.dilate(np.pad(ink, missing), kernel)


def original(upright: np.ndarray, ink: Ink, mark: Mark) -> np.ndarray:
    """The photograph around a mark, at its own resolution, uint8 (h, w, 3).

    `upright` is the photograph turned as `ink` is.
    """
    margin = 0.1 * mark.size
    top, left = (max(0, int((edge - margin) / ink.scale)) for edge in (mark.top, mark.left))
    bottom, right = (int((edge + margin) / ink.scale) + 1 for edge in (mark.bottom, mark.right))
    return upright[top:bottom, left:right].copy()


def pen_width(mask: np.ndarray) -> float:
    """Thickness of a typical stroke, in pixels.

    Across a stroke of w pixels the distances to its edge run from 1 to w/2 and back, so their
    mean is (w + 2) / 4.
    """
    if not mask.any():
        return 2.0
    distances = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)[mask]
    return max(1.0, 4 * float(distances.mean()) - 2)
