"""Whether the values of a column look like labels or like pixels.

In: the values of columns as texts, of some hundred rows. Out: a number, or which of two columns is
the label. It stands alone because it knows values only, and neither names nor tables.

Labels are few whole numbers, about as frequent one as another, with few gaps. A column of pixels
may be that too. It then resembles the other columns, in how many values it has and how large they
are, and goes up and down with the one beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from datasets.tables.header import is_number

LIKELY = 0.2  # from here on a column may be the label
_LIKE_PIXELS = 0.4  # so much less do values look like labels that are as those of pixels
_CLEARLY = 2  # times more like labels than the other
_FEW_ROWS = 20  # of fewer, nothing is said by how often a value occurs
_COMPARED = 20  # columns that a candidate is compared with


def first_or_last(columns: Sequence[Sequence[str]]) -> int | None:
    """0 or -1: which of the first and the last column is the label; None where it is not clear.

    Of fewer rows than `_FEW_ROWS` little can be told: the first, unless it cannot be.
    """
    between = columns[1:-1][:: max(1, len(columns) // _COMPARED)]
    first = _beside_pixels(columns[0], columns[1:2], between)
    last = _beside_pixels(columns[-1], columns[-2:-1], between)
    low, high = sorted((first, last))
    if high >= LIKELY and high >= _CLEARLY * low:
        return 0 if first > last else -1
    if len(columns[0]) >= _FEW_ROWS or (first and last >= LIKELY):
        return None
    return 0 if first or not last else -1


def likeness(values: Sequence[str]) -> float:
    """How much numbers look like labels, 0 … 1."""
    numbers = _as_numbers(values)
    counts = Counter(values)
    is_whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()
    if not is_whole or len(counts) < 2 or (numbers.min() < 0 and set(numbers) != {-1, 1}):
        return 0
    share = np.array(list(counts.values())) / len(values)
    evenness = float(-(share * np.log(share)).sum() / math.log(len(counts)))
    compactness = len(counts) / float(numbers.max() - numbers.min() + 1)
    return evenness * (1 + compactness) / 2 * (0.25 if 2 * len(counts) > len(values) else 1)


def likeness_of_text(values: Sequence[str]) -> float:
    """1 where texts may be labels: several, and not another one in each of many rows."""
    n_distinct = len(set(values))
    return 0 if n_distinct < 2 or (len(values) >= 10 and n_distinct == len(values)) else 1


def counts_rows(values: Sequence[str]) -> bool:
    """Whether whole numbers go up by one from row to row, in the first rows."""
    first = values[:_FEW_ROWS]
    if not all(value.isdecimal() and len(value) < 20 for value in first):
        return False
    numbers = [int(value) for value in first]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def are_one_hot(columns: Sequence[Sequence[str]]) -> bool:
    """Whether one of the columns is 1 and the others 0, in every row."""
    expected = [0.0] * (len(columns) - 1) + [1.0]
    return all(sorted(_as_numbers(row).tolist()) == expected for row in zip(*columns, strict=True))


def _beside_pixels(
    values: Sequence[str], neighbour: Sequence[Sequence[str]], others: Sequence[Sequence[str]]
) -> float:
    """The likeness, less where the column resembles those of pixels."""
    score = likeness(values)
    if not score or not _resemble(values, others):
        return score
    return score * _LIKE_PIXELS * (1 - (_correlation(values, neighbour[0]) if neighbour else 0))


def _resemble(values: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a column has about as many values, up to about as large ones, as others have."""
    counts = [len(set(column)) for column in (values, *others)]
    largest = [float(np.nan_to_num(_as_numbers(each)).max()) for each in (values, *others)]
    return all(
        0.5 <= own / max(float(np.median(rest)), 1e-9) <= 2
        for own, *rest in (counts, largest)
        if rest
    )


def _correlation(values: Sequence[str], beside: Sequence[str]) -> float:
    """With the column beside it, 0 … 1; that of neighbouring pixels is high."""
    own, other = _as_numbers(values), _as_numbers(beside)
    is_known = np.isfinite(own).all() and np.isfinite(other).all()
    if len(own) < _FEW_ROWS or not is_known or own.std() == 0 or other.std() == 0:
        return 0.0
    return min(1.0, abs(float(np.corrcoef(own, other)[0, 1])))


def _as_numbers(values: Sequence[str]) -> np.ndarray:
    """What is no number is NaN."""
    return np.array([float(value) if is_number(value) else math.nan for value in values])
