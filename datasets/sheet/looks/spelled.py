"""A row of marks and the characters that are written in it → the mark of each character.

In: the marks of one row, small ones too, and its text. Out: as many marks as the text has
characters: neighbours joined that are one character, marks cut that are two, what is neither left
out; of all ways that which the shapes fit best. It stands alone because only here the number of
marks is known for certain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.sheet.looks.shapes import DIGITS, NO_DIGIT, nats, probabilities
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Mark, join
from datasets.sheet.strokes.split import split_wide

MOST_MARKS = 80  # of one row; more are a texture
_JOIN, _CUT = 1.0, 2.0  # nats: what joining two marks and cutting one in two must bring
_DROP, _DROP_SMALL = 2.5, 0.5  # nats: the same for leaving out a mark, and a small one
_LEAST_FIT = 1.0  # nats a digit: of a row that holds the text
_NONE = 0.4  # probability: a mark that may be no digit
_SMALL = 0.45  # of the digit size
_WIDE = 0.75  # of the digit size: narrower marks are not cut
_MOST_PARTS = 4
_MOST_TIMES = 3  # so many marks a character: a row of more is no row of this text
_MOST_ROWS = 150  # times texts: more are not tried


@dataclass(frozen=True)
class Spelled:
    """The mark of each character, the marks that are none, and how well all fit, in nats."""

    marks: tuple[Mark, ...]
    dropped: tuple[Mark, ...]
    fit: float


@dataclass(frozen=True)
class _Step:
    """From `n_marks` neighbours to these characters' marks, at this price in nats."""

    n_marks: int
    marks: tuple[Mark, ...]
    price: float


def spelled(ink: Ink, line: Sequence[Mark], text: str, size: float, pen: float) -> Spelled | None:
    """The mark of each character of the text; None where no way to cut and join gives as many.

    Args:
        ink: of the sheet.
        line: the marks of the row, from left to right.
        text: what is written in it, at least one character.
        size: a typical digit's, in pixels.
        pen: thickness of a stroke, in pixels.
    """
    if not len(text) / _MOST_PARTS <= len(line) <= min(MOST_MARKS, _MOST_TIMES * len(text) + 10):
        return None
    steps = [list(_steps(line, i, size, pen)) for i in range(len(line))]
    marks = list(
        {id(mark): mark for each in steps for step in each for mark in step.marks}.values()
    )
    fit = _Fit(ink, marks, text)
    best = np.full((len(line) + 1, len(text) + 1), -np.inf)
    best[0, 0] = 0.0
    came: dict[tuple[int, int], _Step] = {}
    for i, at in enumerate(steps):
        for j in np.flatnonzero(np.isfinite(best[i])).tolist():
            for step in at:
                to = (i + step.n_marks, j + len(step.marks))
                if to[1] <= len(text) and fit.allows(step, line[i], j, size):
                    value = best[i, j] - step.price + fit.of(step.marks, j)
                    if value > best[to]:
                        best[to], came[to] = value, step
    if not np.isfinite(best[-1, -1]):
        return None
    return Spelled(*_way_back(line, came, len(text)), float(best[-1, -1]))


def rows_of_texts(
    ink: Ink, lines: Sequence[tuple[Mark, ...]], texts: Sequence[str], size: float, pen: float
) -> list[int] | None:
    """Which of the rows hold the texts, in their order, where there are more rows than texts.

    The choice that the shapes fit best; what stands in the other rows is a heading, a date, dirt.
    None where no choice fits or where there are too many.
    """
    if not len(texts) < len(lines) <= _MOST_ROWS / len(texts):
        return None
    fits = [
        [_fit_of(spelled(ink, line, text, size, pen), text) for text in texts] for line in lines
    ]
    best = np.full((len(lines) + 1, len(texts) + 1), -np.inf)
    best[:, 0] = 0.0
    for i, row in enumerate(fits):
        for j, fit in enumerate(row):
            best[i + 1, j + 1] = max(best[i, j + 1], best[i, j] + fit)
    if not np.isfinite(best[-1, -1]):
        return None
    chosen, j = list[int](), len(texts)
    for i in range(len(lines), 0, -1):
        if j and best[i, j] != best[i - 1, j]:
            chosen.append(i - 1)
            j -= 1
    return chosen[::-1]


def _fit_of(row: Spelled | None, text: str) -> float:
    """A row that hardly looks like the text is none of it, even where no other row is left."""
    n_digits = sum(character in DIGITS for character in text)
    return -np.inf if row is None or row.fit < _LEAST_FIT * n_digits - _CUT else row.fit


class _Fit:
    """How well marks fit the characters of the text, asked once for each mark and character."""

    def __init__(self, ink: Ink, marks: Sequence[Mark], text: str) -> None:
        shares = probabilities([cut_out(ink, mark) for mark in marks])
        kinds = sorted(set(text))
        table = np.stack([nats(shares, kind) for kind in kinds], axis=1)
        self.rows = {id(mark): row for mark, row in zip(marks, table, strict=True)}
        self.none = {id(m): share for m, share in zip(marks, shares[:, NO_DIGIT], strict=True)}
        self.columns = [kinds.index(character) for character in text]

    def of(self, marks: Sequence[Mark], first: int) -> float:
        """Of marks for the characters from `first` on, in nats."""
        return sum(self._each(marks, first))

    def allows(self, step: _Step, mark: Mark, first: int, size: float) -> bool:
        """Whole digits are not left out, nor cut into parts that are not the text's digits."""
        if len(step.marks) == 1 or self.none[id(mark)] > _NONE:
            return True
        if not step.marks:
            return mark.size < _SMALL * size
        return self.of(step.marks, first) > 0

    def _each(self, marks: Sequence[Mark], first: int) -> list[float]:
        pairs = zip(marks, self.columns[first:], strict=False)
        return [float(self.rows[id(mark)][column]) for mark, column in pairs]


def _steps(line: Sequence[Mark], i: int, size: float, pen: float) -> Iterator[_Step]:
    mark = line[i]
    yield _Step(1, (mark,), 0.0)
    yield _Step(1, (), _DROP_SMALL if mark.size < _SMALL * size else _DROP)
    for n in (2, 3):
        pieces = line[i : i + n]
        if len(pieces) == n and _may_be_one(pieces, size):
            yield _Step(n, (join(pieces),), _JOIN * (n - 1))
    if mark.width >= _WIDE * size:
        for n in range(2, 1 + min(_MOST_PARTS, max(2, round(mark.width / (0.4 * size))))):
            parts = split_wide(mark, n, pen)
            if parts:
                yield _Step(1, tuple(parts), _CUT * (n - 1))


def _may_be_one(pieces: Sequence[Mark], size: float) -> bool:
    width = max(mark.right for mark in pieces) - min(mark.left for mark in pieces)
    height = max(mark.bottom for mark in pieces) - min(mark.top for mark in pieces)
    gaps = [b.left - a.right for a, b in itertools.pairwise(pieces)]
    return max(gaps) < 0.3 * size and width < 1.2 * size and height < 1.6 * size


def _way_back(
    line: Sequence[Mark], came: dict[tuple[int, int], _Step], n_characters: int
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    place, marks, dropped = (len(line), n_characters), list[Mark](), list[Mark]()
    while place != (0, 0):
        step = came[place]
        if not step.marks:
            dropped.append(line[place[0] - 1])
        marks += reversed(step.marks)
        place = (place[0] - step.n_marks, place[1] - len(step.marks))
    return tuple(reversed(marks)), tuple(reversed(dropped))
