"""Digits that their writer crossed out, and digits that look unlike the others of their row.

In: the rows of a sheet and their labels. Out: the rows without what was crossed out, and the marks
that a person should check. A crossed-out digit is told by three signs together: it looks like no
digit, it does not look like its label, and it has more ink than its neighbours, whose own looks are
the measure, since a writer's habits are not crossed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.sheet.looks.shapes import DIGITS, NO_DIGIT, probabilities
from datasets.sheet.looks.unlike import angle, ink_colour
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.noted import (
    CROSSED_OUT,
    LIKE_NO_DIGIT,
    MUCH_INK,
    OTHER_INK,
    OTHER_SIZE,
    SURPLUS,
    Noted,
)

Lines = tuple[tuple[Mark, ...], ...]
_LEAST_ROW = 4  # marks: fewer are no measure for one another
_READABLE = 0.35  # share of the label in a row that the network reads at all
_NONE = 0.35  # share of "no digit": a person should look
_SURELY_NONE = 0.6
_MORE_INK = 1.15  # than the neighbours have
_MUCH_MORE_INK = 1.35  # and not quite like them: a person should look
_UNLIKE_LABEL = 0.15  # of the neighbours' share
_SIZE = 0.65  # of the logarithm: nearly twice or half the size of the neighbours
_MOST_OTHERS = 0.25  # of the marks: what more of them have is usual
_COLOUR = 0.35  # radians between the colours of two inks


@dataclass(frozen=True)
class _Looks:
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
    ink: Ink, lines: Lines, labels: Sequence[str] | None, wanted: Sequence[int | None]
) -> tuple[Lines, tuple[Noted, ...]]:
    """The rows without crossed-out digits, and those.

    Args:
        ink: of the sheet.
        lines: its rows.
        labels: of each row the one label of all its marks; None where they differ.
        wanted: how many digits each row should hold, where that is known: what is more goes if it
            looks like no digit.
    """
    kept, noted = list[tuple[Mark, ...]](), list[Noted]()
    for i, (line, n) in enumerate(zip(lines, wanted, strict=True)):
        out = np.zeros(len(line), bool)
        why = CROSSED_OUT
        if labels is not None:
            out = _crossed(ink, line, labels[i])
        if n is not None and len(line) - out.sum() > n and not out.any():
            out, why = _surplus(ink, line, n), SURPLUS
        pairs = list(zip(line, out.tolist(), strict=True))
        kept.append(tuple(mark for mark, gone in pairs if not gone))
        noted += [Noted(mark, why) for mark, gone in pairs if gone]
    return tuple(kept), tuple(noted)


def _crossed(ink: Ink, line: Sequence[Mark], label: str) -> np.ndarray:
    """bool (n,): which marks of a row of one label are crossed out."""
    if len(line) < _LEAST_ROW or label not in DIGITS:
        return np.zeros(len(line), bool)
    looks = _looks(ink, line, label)
    more, like = looks.against_others(looks.ink), looks.against_others(looks.own)
    out = (looks.none > _SURELY_NONE) & (like < _UNLIKE_LABEL) & (more > _MORE_INK)
    is_measure = not out.all() and np.median(looks.own[~out]) > _READABLE
    crossed: np.ndarray = out & is_measure
    return crossed


def _surplus(ink: Ink, line: Sequence[Mark], n: int) -> np.ndarray:
    """bool (n,): the marks beyond `n` where they look least like digits, and clearly so."""
    none = _looks(ink, line, "").none
    out = np.zeros(len(line), bool)
    out[np.argsort(-none, kind="stable")[: len(line) - n]] = True
    is_clear = 0 < n < len(line) and none[out].min() > max(_NONE, 2 * none[~out].max())
    surplus: np.ndarray = out & is_clear
    return surplus


def unlike_neighbours(ink: Ink, lines: Lines, labels: Sequence[str]) -> tuple[Noted, ...]:
    """Digits of the set that a person should check, each with the first reason."""
    marks = [mark for line in lines for mark in line]
    if len(marks) < _LEAST_ROW:
        return ()
    other_size, other_ink = _other_size(marks), _other_ink(ink, marks)
    notes = []
    for line, names in zip(lines, labels, strict=True):
        heavy = _heavy(ink, line, names)
        shares = _looks(ink, line, "").none.tolist()
        for mark, label, none, much in zip(line, names, shares, heavy.tolist(), strict=True):
            if id(mark) in other_size:
                notes.append(Noted(mark, OTHER_SIZE))
            elif id(mark) in other_ink:
                notes.append(Noted(mark, OTHER_INK))
            elif much:
                notes.append(Noted(mark, MUCH_INK))
            elif none > _NONE and label in DIGITS:
                notes.append(Noted(mark, LIKE_NO_DIGIT))
    return tuple(notes)


def _other_size(marks: Sequence[Mark]) -> set[int]:
    """Identities of the few marks that are much larger or smaller than the others."""
    usual = float(np.median([mark.size for mark in marks]))
    return _few([mark for mark in marks if abs(np.log(mark.size / usual)) > _SIZE], marks)


def _other_ink(ink: Ink, marks: Sequence[Mark]) -> set[int]:
    """Identities of the few marks in another ink; a page of two pens has no usual one."""
    usual = ink_colour(ink, marks)
    colours = [(mark, ink_colour(ink, [mark])) for mark in marks]
    return _few([mark for mark, colour in colours if angle(colour, usual) > _COLOUR], marks)


def _few(others: Sequence[Mark], marks: Sequence[Mark]) -> set[int]:
    return {id(mark) for mark in others} if len(others) <= _MOST_OTHERS * len(marks) else set()


def _heavy(ink: Ink, line: Sequence[Mark], names: str) -> np.ndarray:
    """bool (n,): marks of a row of one label with much more ink than the others, and less alike."""
    if len(line) < _LEAST_ROW or len(set(names)) > 1 or names[0] not in DIGITS:
        return np.zeros(len(line), bool)
    looks = _looks(ink, line, names[0])
    more, like = looks.against_others(looks.ink), looks.against_others(looks.own)
    heavy: np.ndarray = (more > _MUCH_MORE_INK) & (like < 0.9)
    return heavy


def _looks(ink: Ink, line: Sequence[Mark], label: str) -> _Looks:
    shares = probabilities([cut_out(ink, mark) for mark in line])
    digits = np.delete(shares, NO_DIGIT, axis=1)
    own = digits[:, int(label[0])] if label[:1] in DIGITS and label else digits.max(axis=1)
    length = np.array([mark.area / mark.size for mark in line])
    return _Looks(own, shares[:, NO_DIGIT], length)
