"""Marks → the rows that hold the set's digits; the rest is set aside with its reason.

In: the marks of a sheet and its labels. Out: candidates for the rows, which `read` compares: which
row is a heading and which digits may stand in front of the rows cannot always be told by place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.sheet.labels import SKIP, Labels
from datasets.sheet.looks.unlike import row_strangeness
from datasets.sheet.paper.ink import Ink
from datasets.sheet.reading.row_labels import without_row_labels
from datasets.sheet.strokes.marks import Lines, Mark, find_marks
from datasets.sheet.strokes.noted import CUT_OFF, DIRT, HEADING, SKIPPED, Noted
from datasets.sheet.strokes.rows import find_rows

_SPARSE = 0.34  # of the median row: a row of fewer marks may be dirt
_STRANGE = 1.5  # of `row_strangeness`: a row that may be no row of digits
_VERY_STRANGE = 3.0  # the same where nobody said how many rows there are
_MOST_TIMES = 4  # so many times the rows that there should be: a texture, and no sheet
_MOST_CHOICES = 12  # of rows that a label may skip


def rows_of_set(
    ink: Ink, marks: Sequence[Mark], size: float, labels: Labels
) -> Iterator[tuple[Lines, tuple[Noted, ...]]]:
    """Candidates for the rows of digits (columns, where labels go by column), top to bottom.

    Args:
        ink: of the sheet.
        marks: on it, one for each digit as far as shape can tell.
        size: a typical digit's, in pixels.
        labels: how many rows there should be, and which to skip.

    Yields:
        The rows, each from left to right, and every mark that stands in none of them.
    """
    n_skipped = labels.text.count(SKIP)
    at_edge = _as_large_as_digits(find_marks(ink.cut_off), size)
    lines, dirt = _without_sparse(marks, size, labels, n_skipped)
    for kept, skipped in _without_skipped(lines, labels):
        rows, headings = _without_headings(ink, kept, labels)
        rows, in_front = without_row_labels(ink, rows, size, labels)
        cut_off = _all([mark for mark in at_edge if _beside(mark, rows, size)], CUT_OFF)
        yield rows, (*cut_off, *_all(dirt, DIRT), *_all(skipped, SKIPPED), *headings, *in_front)


def all_rows(marks: Sequence[Mark], size: float) -> Lines:
    """All rows of marks, whatever stands in them."""
    x, y = np.array([mark.x for mark in marks]), np.array([mark.y for mark in marks])
    return tuple(tuple(marks[i] for i in row) for row in find_rows(x, y, size).indices)


def _as_large_as_digits(marks: Sequence[Mark], size: float) -> list[Mark]:
    return [mark for mark in marks if 0.4 * size < mark.size < 1.6 * size]


def _beside(mark: Mark, lines: Lines, size: float) -> bool:
    """Whether a mark stands in line with the row, or with the column, that is nearest to it."""
    marks = [other for line in lines for other in line]
    apart = [(abs(other.x - mark.x), abs(other.y - mark.y)) for other in marks]
    return min(min(apart, key=sum), default=np.inf) < 0.8 * size


def _all(marks: Sequence[Mark], why: str) -> tuple[Noted, ...]:
    return tuple(Noted(mark, why) for mark in marks)


def _without_sparse(
    marks: Sequence[Mark], size: float, labels: Labels, n_skipped: int
) -> tuple[Lines, tuple[Mark, ...]]:
    """The marks by row, and those that are dirt.

    Where there are more rows than labels, rows of very few marks are taken for dirt: paper edges,
    stains, what lies beside the sheet.
    """
    kept, dirt = list(marks), list[Mark]()
    wanted = None if labels.n_lines is None else labels.n_lines + n_skipped
    while True:
        x, y = np.array([mark.x for mark in kept]), np.array([mark.y for mark in kept])
        if labels.kind == "columns":
            x, y = y, x
        rows = find_rows(x, y, size, wanted)
        fewest = min(rows.indices, key=len)
        surplus = wanted is not None and wanted < len(rows.indices) < _MOST_TIMES * (wanted + 2)
        if not surplus or len(fewest) > _SPARSE * float(np.median(rows.counts)):
            return tuple(tuple(kept[i] for i in row) for row in rows.indices), tuple(dirt)
        dirt += [kept[i] for i in fewest]
        kept = [mark for i, mark in enumerate(kept) if i not in fewest]


def _without_skipped(lines: Lines, labels: Labels) -> Iterator[tuple[Lines, tuple[Mark, ...]]]:
    """The rows that are to be read: a label to skip may stand for a row that shows no marks."""
    places = [i for i, text in enumerate(labels.text) if text == SKIP]
    n_visible = len(lines) - (labels.n_lines or 0)
    if not places or not 0 < n_visible <= len(places):
        yield lines, ()
        return
    for hidden in itertools.islice(
        itertools.combinations(places, len(places) - n_visible), _MOST_CHOICES
    ):
        shown = [text for i, text in enumerate(labels.text) if i not in hidden]
        pairs = list(zip(lines, shown, strict=True))
        skipped = tuple(mark for line, text in pairs if text == SKIP for mark in line)
        yield tuple(line for line, text in pairs if text != SKIP), skipped


def _without_headings(ink: Ink, lines: Lines, labels: Labels) -> tuple[Lines, tuple[Noted, ...]]:
    """The rows without those that are unlike the others and more than the labels ask for.

    A heading, a date that a camera printed, a page number. As many rows as there are labels are
    kept whatever they look like; where their number is open, only a very strange row goes.
    """
    left_out: list[Noted] = []
    if len(lines) >= _MOST_TIMES * ((labels.n_lines or 8) + 2):
        return lines, ()
    least = _VERY_STRANGE if labels.n_lines is None else _STRANGE
    while len(lines) > max(2 if labels.n_lines is None else labels.n_lines, 1):
        strangeness = row_strangeness(ink, lines, by_column=labels.kind == "columns")
        worst = int(strangeness.argmax())
        if strangeness[worst] < least:
            break
        left_out += _all(lines[worst], HEADING)
        lines = lines[:worst] + lines[worst + 1 :]
    return lines, tuple(left_out)
