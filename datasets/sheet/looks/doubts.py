"""Digits of the set that a person should check: unlike the others, or unlike their label.

In: the rows of a sheet that was read, and the labels of each row. Out: marks, each with its first
reason. Nothing is left out for a doubt: it is listed and boxed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.sheet.looks.crossed_out import LEAST_ROW, MAYBE_NONE, looks_of
from datasets.sheet.looks.shapes import DIGITS, NO_DIGIT, probabilities
from datasets.sheet.looks.unlike import angle, ink_colour
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Lines, Mark
from datasets.sheet.strokes.noted import LIKE_NO_DIGIT, MUCH_INK, OTHER_INK, OTHER_SIZE, Noted

_MUCH_MORE_INK = 1.35  # than the neighbours have
_LESS_ALIKE = 0.9  # of the neighbours' share of their label: more ink alone is a thick pen
_SIZE = 0.65  # of the logarithm: nearly twice or half the size of the neighbours
_MOST_OTHERS = 0.25  # of the marks: what more of them have is usual
_COLOUR = 0.35  # radians between the colours of two inks
_DOUBTFUL = 0.8  # probability of another digit, or of none


def doubts_of(ink: Ink, lines: Lines, labels: Sequence[str]) -> tuple[Noted, ...]:
    """The digits to check.

    Args:
        ink: of the sheet.
        lines: its rows of digits.
        labels: of each row one character a digit.
    """
    doubts = _unlike_others(ink, lines, labels)
    noted = {id(doubt.mark) for doubt in doubts}
    shapes = _of_shape(ink, lines, labels)
    return (*doubts, *(doubt for doubt in shapes if id(doubt.mark) not in noted))


def _unlike_others(ink: Ink, lines: Lines, labels: Sequence[str]) -> list[Noted]:
    """Digits unlike the others in size, ink or look; too few are no measure for one another."""
    marks = [mark for line in lines for mark in line]
    if len(marks) < LEAST_ROW:
        return []
    other_size, other_ink = _other_size(marks), _other_ink(ink, marks)
    notes = []
    for line, names in zip(lines, labels, strict=True):
        heavy = _heavy(ink, line, names)
        shares = looks_of(ink, line, "").none.tolist()
        for mark, label, none, much in zip(line, names, shares, heavy.tolist(), strict=True):
            if id(mark) in other_size:
                notes.append(Noted(mark, OTHER_SIZE))
            elif id(mark) in other_ink:
                notes.append(Noted(mark, OTHER_INK))
            elif much:
                notes.append(Noted(mark, MUCH_INK))
            elif none > MAYBE_NONE and label in DIGITS:
                notes.append(Noted(mark, LIKE_NO_DIGIT))
    return notes


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
    if len(line) < LEAST_ROW or len(set(names)) > 1 or names[0] not in DIGITS:
        return np.zeros(len(line), bool)
    looks = looks_of(ink, line, names[0])
    more, like = looks.against_others(looks.ink), looks.against_others(looks.own)
    heavy: np.ndarray = (more > _MUCH_MORE_INK) & (like < _LESS_ALIKE)
    return heavy


def _of_shape(ink: Ink, lines: Lines, labels: Sequence[str]) -> list[Noted]:
    """Digits that surely look like another digit than their label, or like none."""
    pairs = [
        (mark, label)
        for line, names in zip(lines, labels, strict=True)
        for mark, label in zip(line, names, strict=True)
        if label in DIGITS
    ]
    if not pairs:
        return []
    shares = probabilities([cut_out(ink, mark) for mark, _ in pairs])
    notes = []
    for (mark, label), share in zip(pairs, shares, strict=True):
        if share.max() > _DOUBTFUL and share[int(label)] < 1 - _DOUBTFUL:
            like = int(share.argmax())
            why = LIKE_NO_DIGIT if like == NO_DIGIT else f"looks like {like}, not {label}"
            notes.append(Noted(mark, why))
    return notes
