"""Digits that their writer crossed out.

In: the rows of a sheet and their labels. Out: the rows without what was crossed out. It is told by
three signs together: it looks like no digit, it does not look like its label, and it has more ink
than its neighbours, whose own looks are the measure, since a writer's habits are not crossed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.sheet.looks.shapes import DIGITS, NO_DIGIT, probabilities
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Lines, Mark
from datasets.sheet.strokes.noted import CROSSED_OUT, SURPLUS, Noted

LEAST_ROW = 4  # marks: fewer are no measure for one another
_READABLE = 0.35  # share of the label in a row that the network reads at all
MAYBE_NONE = 0.35  # share of "no digit"
_SURELY_NONE = 0.6
_MORE_INK = 1.15  # than the neighbours have
_UNLIKE_LABEL = 0.15  # of the neighbours' share


@dataclass(frozen=True)
class Looks:
    """Of each mark of a row, float (n,): share of its label, share of no digit, length of ink."""

    own: np.ndarray
    none: np.ndarray
    ink: np.ndarray

    def against_others(self, values: np.ndarray) -> np.ndarray:
        """Each value over the median of the other marks."""
        others = [np.median(np.delete(values, i)) for i in range(len(values))]
        ratios: np.ndarray = values / np.maximum(np.array(others), 1e-6)
        return ratios


def without_crossed_out(
    ink: Ink, lines: Lines, labels: Sequence[str], wanted: Sequence[int | None]
) -> tuple[Lines, tuple[Noted, ...]]:
    """The rows without crossed-out digits, and those.

    Args:
        ink: of the sheet.
        lines: its rows.
        labels: of each row the one label of all its marks.
        wanted: how many digits each row should hold, where that is known: what is more goes if it
            looks like no digit.
    """
    kept, noted = list[tuple[Mark, ...]](), list[Noted]()
    for line, label, n in zip(lines, labels, wanted, strict=True):
        out, why = _crossed(ink, line, label), CROSSED_OUT
        if n is not None and len(line) - out.sum() > n and not out.any():
            out, why = _surplus(ink, line, n), SURPLUS
        pairs = list(zip(line, out.tolist(), strict=True))
        kept.append(tuple(mark for mark, gone in pairs if not gone))
        noted += [Noted(mark, why) for mark, gone in pairs if gone]
    return tuple(kept), tuple(noted)


def _crossed(ink: Ink, line: Sequence[Mark], label: str) -> np.ndarray:
    """bool (n,): which marks of a row of one label are crossed out."""
    if len(line) < LEAST_ROW or label not in DIGITS:
        return np.zeros(len(line), bool)
    looks = looks_of(ink, line, label)
    more, like = looks.against_others(looks.ink), looks.against_others(looks.own)
    out = (looks.none > _SURELY_NONE) & (like < _UNLIKE_LABEL) & (more > _MORE_INK)
    is_measure = not out.all() and np.median(looks.own[~out]) > _READABLE
    crossed: np.ndarray = out & is_measure
    return crossed


def _surplus(ink: Ink, line: Sequence[Mark], n: int) -> np.ndarray:
    """bool (n,): the marks beyond `n` where they look least like digits, and clearly so."""
    none = looks_of(ink, line, "").none
    out = np.zeros(len(line), bool)
    out[np.argsort(-none, kind="stable")[: len(line) - n]] = True
    is_clear = 0 < n < len(line) and none[out].min() > max(MAYBE_NONE, 2 * none[~out].max())
    surplus: np.ndarray = out & is_clear
    return surplus


def looks_of(ink: Ink, line: Sequence[Mark], label: str) -> Looks:
    """How the marks of a row look; without a label, `own` is the share of the likeliest digit."""
    shares = probabilities([cut_out(ink, mark) for mark in line])
    digits = np.delete(shares, NO_DIGIT, axis=1)
    own = digits[:, int(label)] if label and label in DIGITS else digits.max(axis=1)
    length = np.array([mark.area / mark.size for mark in line])
    return Looks(own, shares[:, NO_DIGIT], length)
