"""How bright the bare paper would be at each pixel of a photograph: shadows stay, strokes go.

In: the grey levels of a photograph at working size. Out: the light. It stands alone because it
alone must know how wide a stroke may be: a close-up of one digit has strokes as wide as a shadow.
"""

from __future__ import annotations

import cv2
import numpy as np

_CLOSING = 81  # pixels: wider than the strokes of a page, narrower than any shadow that matters
_WIDER = (161, 321, 641)  # the same for close-ups, each where the one before leaves holes
_HOLES = 0.1  # of a piece of ink: so much missing from its middle shows that it is wider
_BROAD = np.ones((7, 7), np.uint8)  # 28 pixels: a hole, and not the soft rim of a thin stroke
_INK = 0.5  # share of the light that ink takes: less is a shadow
_SMALL = 40  # pixels of a closing's shape after shrinking: enough for a smooth light


def paper_light(working: np.ndarray) -> np.ndarray:
    """float32 (H, W): the light on the paper, for grey levels float32 (H, W) in 1..256.

    A closing fills in all that is narrower than itself and keeps the edges of the rest, so a
    shadow stays a shadow and its edge is not taken for a stroke. A stroke wider than the closing
    would stay too, and only its rim would be ink; there the light of a wider closing is taken.
    """
    light = _closed(working, _CLOSING)
    for width in _WIDER:
        wider = _closed(working, width)
        hollow = _hollow_ink(working / light, working / wider)
        if hollow.any():
            light = np.where(hollow, np.maximum(light, wider), light)
    return light


def _hollow_ink(narrow: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """bool (H, W): pieces of ink that the wider closing shows whole and the narrow one does not.

    Both: what is left of the light, float32 (H, W). Dark ground at the photograph's edge is none.
    """
    height, width = wide.shape
    size = (max(1, width // 4), max(1, height // 4))
    before, dark = (
        1 - cv2.resize(share, size, interpolation=cv2.INTER_AREA) for share in (narrow, wide)
    )
    _, pieces = cv2.connectedComponents(_off_edge(dark > _INK).astype(np.uint8), connectivity=8)
    areas = np.bincount(pieces.ravel())
    unseen = ((before < dark / 2) & (pieces > 0)).astype(np.uint8)
    holes = cv2.morphologyEx(unseen, cv2.MORPH_OPEN, _BROAD)
    missing = np.bincount(pieces.ravel(), weights=holes.ravel())
    hollow = missing > _HOLES * areas
    hollow[0] = False
    grown = cv2.dilate(hollow[pieces].astype(np.uint8), np.ones((5, 5), np.uint8))
    return cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _off_edge(mask: np.ndarray) -> np.ndarray:
    """`mask`, bool (H, W), without the pieces that reach the picture's edge."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    rim = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    inside: np.ndarray = mask & ~np.isin(labels, rim)
    return inside


def _closed(working: np.ndarray, closing: int) -> np.ndarray:
    """The closing with a disc of so many pixels, made at a half of the size or less."""
    height, width = working.shape
    shrink = max(2, closing // _SMALL)
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(working, size, interpolation=cv2.INTER_AREA)
    small = cv2.medianBlur(np.clip(small, 0, 255).astype(np.uint8), 5)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (closing // shrink, closing // shrink))
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel).astype(np.float32)
    light = cv2.resize(closed, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.maximum(cv2.GaussianBlur(light, (0, 0), 3), 1)
