"""Walls between the boxes of a form: left of a row of boxes when its long lines were taken off.

In: pieces of ink. Out: those that are no walls. A wall is too short to be a printed line of the
page; what tells it from a one is its company: an even comb of strokes, all taller than what stands
between them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.sheet.strokes.marks import Mark

_LEAST = 5  # walls of a row: fewer may be tall ones
_SLIM = 0.3  # width over height
_ALIKE = 0.15  # of the height, and of the distance: what walls of a row differ by at most
_BESIDE = 0.25  # of the height: how far a wall may stand above or below the one before it
_LOWER = 0.85  # of a wall's height: what is written in a box is no taller
_WRITTEN = 0.3  # of a wall's height: what is smaller is a speck
_FILLED = 0.6  # of the boxes: so many hold something
_MOST_APART = 3  # boxes: a wall or two may hang together with a digit


def without_walls(pieces: Sequence[Mark]) -> list[Mark]:
    """The pieces less the walls between the boxes of forms."""
    slim = [piece for piece in pieces if piece.width <= _SLIM * piece.height]
    walls = {id(wall) for comb in _combs(slim) if _are_walls(comb, pieces) for wall in comb}
    return [piece for piece in pieces if id(piece) not in walls]


def _combs(slim: Sequence[Mark]) -> Iterator[list[Mark]]:
    """Slim pieces of one height, each beside the one before it, from left to right."""
    rest = sorted(slim, key=lambda piece: piece.x)
    while rest:
        comb = [rest.pop(0)]
        for piece in list(rest):
            if _goes_on(comb[-1], piece):
                comb.append(piece)
                rest = [other for other in rest if other is not piece]
        yield comb


def _goes_on(wall: Mark, piece: Mark) -> bool:
    is_beside = abs(piece.y - wall.y) < _BESIDE * wall.height
    return is_beside and abs(piece.height - wall.height) < _ALIKE * wall.height


def _are_walls(comb: Sequence[Mark], pieces: Sequence[Mark]) -> bool:
    if len(comb) < _LEAST:
        return False
    gaps = np.diff([wall.x for wall in comb])
    in_boxes = gaps / np.median(gaps)
    n_boxes = in_boxes.round()
    if (n_boxes < 1).any() or (n_boxes > _MOST_APART).any() or (n_boxes == 1).mean() < _FILLED:
        return False
    if (abs(in_boxes / n_boxes - 1) > _ALIKE).any():
        return False
    filled = [_holds_something(a, b, pieces) for a, b in itertools.pairwise(comb)]
    return float(np.mean(filled)) >= _FILLED


def _holds_something(left: Mark, right: Mark, pieces: Sequence[Mark]) -> bool:
    """Whether something lower than the walls stands between them, and within their height."""
    height = (left.height + right.height) / 2
    between = [
        piece
        for piece in pieces
        if left.x < piece.x < right.x
        and piece.size > _WRITTEN * height
        and abs(piece.y - (left.y + right.y) / 2) < height / 2
    ]
    return bool(between) and max(piece.height for piece in between) < _LOWER * height
