"""How unlike the rest of a sheet a row or a mark is: ink, size, spacing, distance.

In: rows of marks. Out: numbers without a unit, 0 = like the others. It stands alone because
headings, stamps and row labels are all told by such differences, never by what they read.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from datasets.sheet.looks.shapes import NO_DIGIT, probabilities
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Mark

_RING = 9  # pixels around a mark in which the paper is measured
_COLOUR = 0.26  # radians (15°) between the colours of two inks: another ink
_SIZE = 0.4  # of the logarithm: half as large again
_SPACING = 0.6
_NUMBER = 0.8
_DISTANCE = 1.0
_NONE = 0.3  # of the share of "no digit"


def row_strangeness(ink: Ink, lines: Sequence[Sequence[Mark]], *, by_column: bool) -> np.ndarray:
    """float (n_lines,): of each row, how unlike the other rows it is.

    The sum over the colour of the ink, the size of the marks, their number, their spacing, the
    distance to the next row and how little they look like digits, each over a difference that
    careful writers do not make.
    """
    size = _logs([float(np.median([mark.size for mark in line])) for line in lines]) / _SIZE
    number = _logs([len(line) for line in lines]) / _NUMBER
    spacing = _logs([_pitch(line, by_column=by_column) for line in lines]) / _SPACING
    colours = [ink_colour(ink, line) for line in lines]
    others = [
        _unit(np.sum([c for j, c in enumerate(colours) if j != i], axis=0))
        for i in range(len(lines))
    ]
    angles = [angle(own, rest) for own, rest in zip(colours, others, strict=True)]
    parts = (
        np.abs(_from_others(size)),
        np.abs(_from_others(number)),
        np.maximum(0, -_from_others(spacing)),
        np.array(angles) / _COLOUR,
        _far(lines, by_column=by_column) / _DISTANCE,
        np.maximum(0, _from_others(np.array([_like_none(ink, line) for line in lines]))) / _NONE,
    )
    strangeness: np.ndarray = sum(parts, start=np.zeros(len(lines)))
    return strangeness


def ink_colour(ink: Ink, marks: Sequence[Mark]) -> np.ndarray:
    """float (3,), unit length: how much of each channel's light the ink of the marks takes.

    Grey ink takes the same of all three; what is brighter than the paper takes a negative share.
    """
    return _unit(np.sum([_taken(ink, mark) for mark in marks], axis=0))


def _taken(ink: Ink, mark: Mark) -> np.ndarray:
    top, left = max(mark.top - _RING, 0), max(mark.left - _RING, 0)
    patch = ink.picture[top : mark.bottom + _RING, left : mark.right + _RING].astype(np.float32) + 1
    inside = np.zeros(patch.shape[:2], np.uint8)
    inside[mark.top - top : mark.bottom - top, mark.left - left : mark.right - left] = mark.mask
    paper = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0
    if not paper.any():
        return np.zeros(3)
    levels = np.median(np.log(patch[paper]), axis=0) - np.log(patch[inside > 0]).mean(axis=0)
    taken: np.ndarray = levels * mark.area
    return taken


def _pitch(line: Sequence[Mark], *, by_column: bool) -> float:
    """Usual distance between the middles of neighbours; very far for a single mark."""
    places = sorted(mark.y if by_column else mark.x for mark in line)
    return max(float(np.median(np.diff(places))), 1.0) if len(places) > 1 else np.nan


def _like_none(ink: Ink, line: Sequence[Mark]) -> float:
    """How surely the marks of a row are no digits, 0 to 1; words are, on the whole."""
    return float(probabilities([cut_out(ink, mark) for mark in line])[:, NO_DIGIT].mean())


def _far(lines: Sequence[Sequence[Mark]], *, by_column: bool) -> np.ndarray:
    """float (n_lines,): logarithm of the distance to the nearest row, over the usual distance."""
    levels = np.array([np.median([m.x if by_column else m.y for m in line]) for line in lines])
    if len(levels) < 3:
        return np.zeros(len(levels))
    steps = np.abs(np.diff(levels))
    nearest = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))
    far: np.ndarray = np.maximum(0, np.log(np.maximum(nearest, 1) / max(np.median(steps), 1)))
    return far


def _logs(values: Sequence[float]) -> np.ndarray:
    logs: np.ndarray = np.log(np.array(values, float))
    return logs


def _from_others(values: np.ndarray) -> np.ndarray:
    """Each value less the median of the others; 0 where either is unknown."""
    others = [np.delete(values, i) for i in range(len(values))]
    middles = np.array([np.nanmedian(o) if np.isfinite(o).any() else np.nan for o in others])
    apart: np.ndarray = np.nan_to_num(values - middles)
    return apart


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-6)
    return unit


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two colours of ink, float (3,) of unit length, in radians."""
    return float(np.arccos(np.clip(a @ b, -1, 1)))
