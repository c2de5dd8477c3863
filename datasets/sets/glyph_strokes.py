"""How the 62 characters are written: pen strokes as points, several ways where people differ.

In a box where x grows to the right from 0 to 7 and y downwards: 0 is the top of capitals and
digits, 4 that of small letters, 10 the line they stand on, 13 where tails end. Strokes are parted
by `|`, points by spaces; a stroke that begins with `~` is a smooth curve through its points
(Catmull and Rom, 1974), any other is drawn straight from point to point. Own drawings, so that
what the `glyphs` set shows does not depend on the fonts of an OpenCV version. The strokes are in
`glyph_strokes.tsv`, a line a way.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

_SAMPLES_PER_SEGMENT = 6


@cache
def read_ways() -> dict[str, list[str]]:
    """Each character's ways of being written, as texts of strokes, in the order of the table."""
    ways: dict[str, list[str]] = {}
    lines = Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines()
    for character, way in (line.split("\t") for line in lines[1:]):
        ways.setdefault(character, []).append(way)
    return ways


@cache
def ways_to_write(character: str) -> tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]:
    """For each way to write `character` its strokes, each a pair (points, weights).

    `points` are float (K, 2), x and y in the box above; `weights @ points` is the drawn line,
    float (M, 2), so that moved points give a line that is as smooth.
    """
    return tuple(tuple(map(_stroke, way.split("|"))) for way in read_ways()[character])


def _stroke(text: str) -> tuple[np.ndarray, np.ndarray]:
    points = np.array(
        [[float(value) for value in point.split(",")] for point in text.lstrip("~").split()]
    )
    return points, _weights(len(points), smooth=text.startswith("~"))


def _weights(n_points: int, *, smooth: bool) -> np.ndarray:
    """float (M, n_points): Catmull–Rom or linear weights of each point at M places of the line."""
    place = np.linspace(0, n_points - 1, (n_points - 1) * _SAMPLES_PER_SEGMENT + 1)
    start = np.minimum(place.astype(int), n_points - 2)
    t = place - start
    if smooth:
        shares = (
            np.stack(
                [
                    -t + 2 * t**2 - t**3,
                    2 - 5 * t**2 + 3 * t**3,
                    t + 4 * t**2 - 3 * t**3,
                    -(t**2) + t**3,
                ]
            )
            / 2
        )
        offsets = [-1, 0, 1, 2]
    else:
        shares, offsets = np.stack([1 - t, t]), [0, 1]
    weights = np.zeros((len(place), n_points))
    for share, offset in zip(shares, offsets, strict=True):
        neighbour = np.clip(start + offset, 0, n_points - 1)
        np.add.at(weights, (np.arange(len(place)), neighbour), share)
    return weights
