"""Whether the first row of a table names its columns, and what they are called.

In: the first row and some others. Out: yes or no, and names. It stands alone because rows of
numbers are names at times: of columns that were counted, or of an image that pandas took for names
and numbered where its values repeat.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from headstart.errors import DataError

Column = str | int
"""A column by its name, or by its number: 1 is the first, −1 the last."""
LABEL_NAMES = {
    *("label", "labels", "class", "classes", "target", "targets", "y", "digit", "category"),
    *("emotion", "letter", "character", "classlabel", "classid", "labelid", "classname"),
    *("labelname", "targetclass"),
}
"""How columns of labels are called, as `plain` gives a name."""

_FEWEST = 10  # numbers in a row that are taken for names of columns


def is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table names its columns."""
    if any(plain(name) in LABEL_NAMES for name in first):
        return True
    if not others:
        return not all(map(is_number, first[1:]))
    if 2 * sum(not is_number(name) for name in first) >= len(first) and any(
        not is_number(name) and any(is_number(field.partition(" ")[0]) for field in column)
        for name, *column in zip(first, *others[:20], strict=False)
    ):
        return True
    counted = [_counts(row) or _repeats(row) for row in (first, *others[:5])]
    return counted[0] and not any(counted[1:])


def _counts(row: Sequence[str]) -> bool:
    """Whether fields are numbers one after the other, as columns without names are counted."""
    for start in (0, 1, 2):
        tail = row[start:]
        if len(tail) >= _FEWEST and all(field.strip().isdecimal() for field in tail):
            numbers = [int(field.strip()[:20]) for field in tail]
            if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
                return True
    return False


def _repeats(row: Sequence[str]) -> bool:
    """Whether fields are an image whose equal values pandas numbered: 0, 0.1, 0.2, 7, 0.3, …"""
    for start in (0, 1):
        seen: Counter[str] = Counter()
        n_numbered = 0
        for name in (field.strip() for field in row[start:]):
            base, dot, k = name.partition(".")
            if not dot or (k == "0" and base not in seen):
                seen[name if not dot else base] += 1
            elif k.isdecimal() and len(k) < 20 and seen[base] == int(k):
                seen[base] += 1
                n_numbered += 1
            else:
                break
        else:
            if n_numbered >= _FEWEST:
                return True
    return False


def column_names(
    first: Sequence[str], n_fields: int, rows: Sequence[Sequence[str]], where: str
) -> tuple[str, ...]:
    """The names of all columns; one that a writer gives none (row names of R) has an empty one."""
    names = tuple(name.strip() for name in first)
    if len(names) == n_fields:
        return names
    if len(names) == n_fields + 1 and not names[-1]:
        return names[:-1]
    if len(names) == n_fields - 1:
        ends_empty = all(not row[-1].strip() for row in rows)
        return (*names, "") if ends_empty else ("", *names)
    raise DataError(f"{where}: {len(names)} names of columns, the line after it has {n_fields}")


def plain(name: str) -> str:
    """A name as it is compared: letters and digits, lower case."""
    return re.sub(r"[\W_]", "", name).lower()


def is_number(field: str) -> bool:
    """Whether a field is a number that is finite."""
    try:
        return math.isfinite(float(field)) and "_" not in field
    except ValueError:
        return False
