"""A row of marks, looked at again now that its label is known.

In: the marks of one row and their label. Out: the digits of the row: strokes joined that are one
digit, marks cut that are two, dirt at the ends left out, each only where the shapes then fit the
label better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.sheet.cut import cut_out
from datasets.sheet.ink import Ink
from datasets.sheet.marks import Mark, join, split_wide
from datasets.sheet.shapes import evidence

_WIDE = 1.0  # of the digit size: narrower marks are not cut in two
_FAR = 1.7  # usual distances in a row: a mark further out at its end may be dirt


def regrouped(
    ink: Ink, line: Sequence[Mark], label: str, size: float, pen: float, usual: float
) -> tuple[Mark, ...]:
    """The row with neighbours joined and wide marks cut where that fits its label better.

    A row that has as many digits as `usual` is cut only on strong evidence: a wide mark in it is
    more likely one digit that was written over.
    """
    joined: list[Mark] = []
    for mark in line:
        if joined and _near(joined[-1], mark, size):
            whole = join((joined[-1], mark))
            if _fit(ink, [whole], label) > _fit(ink, [joined[-1], mark], label) + 1:
                joined[-1] = whole
                continue
        joined.append(mark)
    cut: list[Mark] = []
    least_gain = 2.0 if len(joined) < usual else 6.0
    for mark in joined:
        cut.extend(_cut_if_better(ink, mark, label, size, pen, least_gain))
    return tuple(cut)


def without_far_ends(
    ink: Ink, line: tuple[Mark, ...], label: str
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    """The row without a first or last mark that stands far off and looks like something else."""
    ends: list[Mark] = []
    while len(line) >= 4:
        steps = np.diff([mark.x for mark in line])
        far = _FAR * float(np.median(steps))
        if steps[0] > far and _fit(ink, line[:1], label) < -0.5:
            ends.append(line[0])
            line = line[1:]
        elif steps[-1] > far and _fit(ink, line[-1:], label) < -0.5:
            ends.append(line[-1])
            line = line[:-1]
        else:
            break
    return line, tuple(ends)


def _near(a: Mark, b: Mark, size: float) -> bool:
    width = max(a.right, b.right) - min(a.left, b.left)
    height = max(a.bottom, b.bottom) - min(a.top, b.top)
    return b.left - a.right < 0.3 * size and width < 1.15 * size and height < 1.5 * size


def _cut_if_better(
    ink: Ink, mark: Mark, label: str, size: float, pen: float, least_gain: float
) -> list[Mark]:
    if mark.width < _WIDE * size:
        return [mark]
    best, best_fit = [mark], _fit(ink, [mark], label) + least_gain
    for n in range(2, 1 + max(2, round(mark.width / (0.6 * size)))):
        parts = split_wide(mark, n, pen)
        if parts and min(part.size for part in parts) > 0.5 * size:
            fit = _fit(ink, parts, label)
            if fit > best_fit:
                best, best_fit = parts, fit
    return best


def _fit(ink: Ink, marks: Sequence[Mark], label: str) -> float:
    return float(evidence([cut_out(ink, mark) for mark in marks], label * len(marks)).sum())
