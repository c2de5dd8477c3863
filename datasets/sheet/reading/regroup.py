"""The rows of a sheet, looked at again now that their labels are known.

In: rows of marks, the small marks between them, and what is written in each row. Out: rows of
digits: strokes joined that are one digit, marks cut that are two, small digits taken in, dirt and
crossed-out digits left out, each only where the shapes then fit the label better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from datasets.sheet.labels import Labels
from datasets.sheet.looks.crossed_out import without_crossed_out
from datasets.sheet.looks.shapes import evidence
from datasets.sheet.looks.spelled import spelled
from datasets.sheet.paper.ink import Ink
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.marks import Lines, Mark, join
from datasets.sheet.strokes.noted import DIRT, Noted
from datasets.sheet.strokes.split import split_wide

_WIDE = 1.0  # of the digit size: narrower marks are not cut in two
_FAR = 1.7  # usual distances in a row: a mark further out at its end may be dirt
_BAND = 0.1  # of the digit size: how far small marks may stand above or below their neighbours
_SMALL_DIGIT = 0.3  # of the digit size: smaller marks are no digits of a row of one label
_LOOKS_RIGHT = 1.5  # nats in favour of the row's label: a small mark is a digit
_APART = 0.15  # of the digit size, from its neighbours: it is not a part of them
_CERTAIN = 1.5  # nats a digit: a row as it is needs no second look


@dataclass(frozen=True)
class Sheet:
    """The rows of a sheet while they are worked on.

    `size`: of a typical digit; `pen`: thickness of its strokes; both in pixels. `small`: for each
    row the marks in it that are smaller or flatter than digits. `left_out`: what is none.
    """

    ink: Ink
    size: float
    pen: float
    lines: Lines
    small: Lines
    left_out: tuple[Noted, ...]


def in_rows(lines: Lines, small: Sequence[Mark], size: float, labels: Labels) -> Lines:
    """For each row the small marks that stand in it; none where labels go by column."""
    if labels.kind == "columns":
        return ((),) * len(lines)
    return tuple(tuple(mark for mark in small if _stands_in(mark, line, size)) for line in lines)


def _stands_in(mark: Mark, line: Sequence[Mark], size: float) -> bool:
    """Between the tops and the bottoms of the marks next to it, and no further out than usual."""
    near = sorted(line, key=lambda other: abs(other.x - mark.x))[:2]
    top, bottom = min(other.top for other in near), max(other.bottom for other in near)
    reach = _BAND * size
    is_level = top - reach < mark.y < bottom + reach
    first, last = min(other.left for other in line), max(other.right for other in line)
    return is_level and first - 2.5 * size < mark.x < last + 2.5 * size


def as_spelled(sheet: Sheet, labels: Labels) -> Sheet:
    """The rows with as many marks as their texts have characters, wherever that is possible."""
    if len(sheet.lines) != labels.n_lines:
        return sheet
    lines, unused = list[tuple[Mark, ...]](), list[tuple[Mark, ...]]()
    left_out = list(sheet.left_out)
    for line, small, text in zip(sheet.lines, sheet.small, labels.lines, strict=True):
        row = None
        if len(line) != len(text) or _fit_each(sheet.ink, line, text) < _CERTAIN:
            both = sorted((*line, *small), key=lambda mark: mark.x)
            row = spelled(sheet.ink, both, text, sheet.size, sheet.pen)
        if row is None:
            lines.append(line)
            unused.append(small)
            continue
        lines.append(row.marks)
        is_small = {id(mark) for mark in small}
        unused.append(tuple(mark for mark in row.dropped if id(mark) in is_small))
        left_out += [Noted(mark, DIRT) for mark in row.dropped if id(mark) not in is_small]
    return replace(sheet, lines=tuple(lines), small=tuple(unused), left_out=tuple(left_out))


def _fit_each(ink: Ink, line: Sequence[Mark], text: str) -> float:
    return float(evidence([cut_out(ink, mark) for mark in line], text).mean())


def of_one_label_a_row(sheet: Sheet, labels: Labels, names: Sequence[str]) -> Sheet:
    """The rows of digits where `names` says the one label of each."""
    ink, left_out = sheet.ink, list(sheet.left_out)
    usual = float(np.median([len(line) for line in sheet.lines]))
    lines = list[tuple[Mark, ...]]()
    for line, label in zip(sheet.lines, names, strict=True):
        whole = regrouped(ink, line, label, sheet.size, sheet.pen, usual)
        trimmed, ends = without_far_ends(ink, whole, label)
        lines.append(trimmed)
        left_out += [Noted(mark, DIRT) for mark in ends]
    sheet = _with_small_digits(replace(sheet, lines=tuple(lines)), labels, names)
    rows, crossed_out = without_crossed_out(
        ink, sheet.lines, names, labels.expected(len(sheet.lines))
    )
    return replace(sheet, lines=rows, left_out=(*left_out, *crossed_out))


def _with_small_digits(sheet: Sheet, labels: Labels, names: Sequence[str]) -> Sheet:
    """Small marks that stand apart taken into their rows: by shape, or where a row lacks one."""
    most = max(len(line) for line in sheet.lines)
    wanted = [n or most for n in labels.expected(len(sheet.lines))]
    lines, unused = list[tuple[Mark, ...]](), list[tuple[Mark, ...]]()
    for line, small, label, n in zip(sheet.lines, sheet.small, names, wanted, strict=True):
        apart = [mark for mark in small if _is_apart(mark, line, sheet.size)]
        if label in "0123456789":
            taken = [mark for mark in apart if _fit(sheet.ink, [mark], label) > _LOOKS_RIGHT]
        else:
            by_ink = sorted(apart, key=lambda mark: -mark.area)
            taken = by_ink[: max(0, n - len(line))]
        ids = {id(mark) for mark in taken}
        lines.append(tuple(sorted((*line, *taken), key=lambda mark: mark.x)))
        unused.append(tuple(mark for mark in small if id(mark) not in ids))
    return replace(sheet, lines=tuple(lines), small=tuple(unused))


def _is_apart(mark: Mark, line: Sequence[Mark], size: float) -> bool:
    reach = _APART * size
    alone = all(o.right + reach < mark.left or o.left - reach > mark.right for o in line)
    return alone and mark.size > _SMALL_DIGIT * size


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
