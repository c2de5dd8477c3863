"""How well a piece of ink fits the digit that it should be.

In: ink images and the labels they would get. Out: evidence in nats. The reference are the 1,797
handwritten digits that come with scikit-learn, so no network and no file is needed. The evidence
chooses between readings of a whole sheet (which way up, which strokes together); it never changes
a label, which comes from the place on the sheet alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

_SIDE = 12  # pixels: longer side of a normalised shape
_MARGIN = 2
_DIRECTIONS = 8
_CELLS = 5
_SHARPNESS = 25.0  # nats for each unit of cosine similarity
_LEAST = 0.005  # no single digit says more than this against a reading


def evidence(inks: Sequence[np.ndarray], labels: str) -> np.ndarray:
    """float (n,): log of how much likelier each ink is its label than a label by chance.

    Args:
        inks: n images uint8 (h, w), background 0.
        labels: n characters; what is no digit has no reference and gets 0.
    """
    scores = np.zeros(len(inks))
    known = [i for i, label in enumerate(labels) if label.isdigit()]
    if not known:
        return scores
    probability = probabilities([inks[i] for i in known])
    own = probability[np.arange(len(known)), [int(labels[i]) for i in known]]
    scores[known] = np.log(10 * np.maximum(own, _LEAST))
    return scores


def probabilities(inks: Sequence[np.ndarray]) -> np.ndarray:
    """float (n, 10): which digit each ink is, from its nearest references of each class."""
    features, classes = _references()
    similarity = np.stack([_feature(ink) for ink in inks]) @ features.T
    nearest = np.stack(
        [np.sort(similarity[:, classes == c], axis=1)[:, -3:].mean(axis=1) for c in range(10)], 1
    )
    weights = np.exp(_SHARPNESS * (nearest - nearest.max(axis=1, keepdims=True)))
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


@cache
def _references() -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and classes (n,) of scikit-learn's digits, upright and leaning."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.clip(bunch.images * (255 / 16), 0, 255).astype(np.uint8)
    features = [_feature(_enlarged(image, lean)) for lean in (0.0, 0.25) for image in images]
    return np.stack(features), np.tile(bunch.target, 2)


def _enlarged(image: np.ndarray, lean: float) -> np.ndarray:
    large = cv2.resize(np.pad(image, 2), (48, 48), interpolation=cv2.INTER_CUBIC)
    shear = np.array([[1, -lean, 24 * lean], [0, 1, 0]], np.float32)
    return cv2.warpAffine(large, shear, (48, 48))


def _feature(ink: np.ndarray) -> np.ndarray:
    """float32 (200,), unit length: directions of the edges in 5×5 cells of the shape."""
    shape = _normalised(ink)
    dx, dy = cv2.Sobel(shape, cv2.CV_32F, 1, 0), cv2.Sobel(shape, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    direction = np.arctan2(dy, dx) / (2 * np.pi) * _DIRECTIONS
    cells = []
    for d in range(_DIRECTIONS):
        apart = np.abs((direction - d + _DIRECTIONS / 2) % _DIRECTIONS - _DIRECTIONS / 2)
        share = np.clip(1 - apart, 0, 1).astype(np.float32) * strength
        smooth = cv2.GaussianBlur(share, (0, 0), 1.5)
        cells.append(cv2.resize(smooth, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).ravel())
    feature = np.sqrt(np.concatenate(cells))
    feature -= feature.mean()
    unit: np.ndarray = feature / max(float(np.linalg.norm(feature)), 1e-6)
    return unit


def _normalised(ink: np.ndarray) -> np.ndarray:
    """float32 (16, 16): cropped, the longer side 12 pixels, slim shapes widened.

    Widening (the shorter side grows with the 0.35th power of the proportions) brings the digits
    of pens and of scikit-learn's 8×8 images closer together.
    """
    strong = ink >= max(1.0, 0.25 * float(ink.max()))
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    frame = np.zeros((_SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN), np.float32)
    if not len(rows):
        return frame
    crop = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    height, width = crop.shape
    shorter = max(2, round(_SIDE * (min(crop.shape) / max(crop.shape)) ** 0.35))
    size = (shorter, _SIDE) if height >= width else (_SIDE, shorter)
    shrinks = height > size[1] and width > size[0]
    fitted = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    top, left = (len(frame) - size[1]) // 2, (len(frame) - size[0]) // 2
    frame[top : top + size[1], left : left + size[0]] = fitted / max(float(fitted.max()), 1)
    return frame
