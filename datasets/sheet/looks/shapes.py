"""How well a piece of ink fits the digit that it should be.

In: ink images and the labels they would get. Out: evidence in nats. It comes from the directions
of the strokes and a network of one hidden layer, whose few weights lie beside this file in
`shapes.npz` (`benchmarks/digit_shapes.py` makes such): it needs no torch and reads a page in a few
milliseconds. The evidence chooses between readings of a whole sheet (which way up, which strokes
together); it never changes a label, which comes from the place on the sheet alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

NO_DIGIT = 10  # the class of ink that is not one whole, upright digit
WEIGHTS = Path(__file__).with_name("shapes.npz")
FEATURE_SCALE = 4.0  # features enter the network with numbers near 1
DIGITS = "0123456789"
_SIDE = 12  # pixels: longer side of a normalised shape
_MARGIN = 2
_DIRECTIONS = 8
_CELLS = 5
_SLIM = 0.3  # how much proportions count beside directions
_TEMPERATURE = 1.5  # pens and papers that the network has not seen make it too sure
_LEAST = 0.005  # no single digit says more than this against a reading


def evidence(inks: Sequence[np.ndarray], labels: str) -> np.ndarray:
    """float (n,): log of how much likelier each ink is its label than a label by chance.

    Args:
        inks: n images uint8 (h, w), background 0.
        labels: n characters; what is no digit has no reference and gets 0.
    """
    scores = np.zeros(len(inks))
    known = [i for i, label in enumerate(labels) if label in DIGITS]
    if not known:
        return scores
    probability = probabilities([inks[i] for i in known])
    own = probability[np.arange(len(known)), [int(labels[i]) for i in known]]
    scores[known] = np.log(10 * np.maximum(own, _LEAST))
    return scores


def nats(shares: np.ndarray, label: str) -> np.ndarray:
    """float (n,): the same for one label of all, from `probabilities`."""
    if label not in DIGITS:
        return np.zeros(len(shares))
    logs: np.ndarray = np.log(10 * np.maximum(shares[:, int(label)], _LEAST))
    return logs


def probabilities(inks: Sequence[np.ndarray]) -> np.ndarray:
    """float (n, 11): which digit each ink is; the last column (`NO_DIGIT`): that it is none."""
    hidden, hidden_bias, out, out_bias = _weights()
    features = FEATURE_SCALE * np.stack([feature(ink) for ink in inks])
    scores = np.maximum(features @ hidden.T + hidden_bias, 0) @ out.T + out_bias
    weights = np.exp((scores - scores.max(axis=1, keepdims=True)) / _TEMPERATURE)
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


@cache
def _weights() -> tuple[np.ndarray, ...]:
    """Of the hidden layer (h, d) and its bias, of the output (11, h) and its bias; float32."""
    with np.load(WEIGHTS) as stored:
        names = ("hidden", "hidden_bias", "out", "out_bias")
        return tuple(stored[name].astype(np.float32) for name in names)


def feature(ink: np.ndarray) -> np.ndarray:
    """float32 (201,) of uint8 (h, w) ink: directions of the edges in 5×5 cells, and proportions."""
    crop = _cropped(ink)
    shape = _normalised(crop)
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
    unit = feature / max(float(np.linalg.norm(feature)), 1e-6)
    slim = np.clip(np.log(crop.shape[0] / crop.shape[1]), -1.5, 1.5) * _SLIM
    return np.append(unit, np.float32(slim))


def _cropped(ink: np.ndarray) -> np.ndarray:
    """float32 (h, w), h and w at least 1: the ink without the background around it."""
    strong = ink >= max(1.0, 0.25 * float(ink.max()))
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    if not len(rows):
        return np.zeros((1, 1), np.float32)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)


def _normalised(crop: np.ndarray) -> np.ndarray:
    """float32 (16, 16): the longer side 12 pixels, slim shapes widened.

    Widening (the shorter side grows with the 0.35th power of the proportions) leaves room in
    the cells for what tells slim digits apart.
    """
    frame = np.zeros((_SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN), np.float32)
    height, width = crop.shape
    shorter = max(2, round(_SIDE * (min(crop.shape) / max(crop.shape)) ** 0.35))
    size = (shorter, _SIDE) if height >= width else (_SIDE, shorter)
    shrinks = height > size[1] and width > size[0]
    fitted = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    top, left = (len(frame) - size[1]) // 2, (len(frame) - size[0]) // 2
    frame[top : top + size[1], left : left + size[0]] = fitted / max(float(fitted.max()), 1)
    return frame
