"""A table with a label and the pixels of one image on each line → labels and pixel values.

In: the bytes of a CSV file, and what a person says of its columns. Out: arrays. It stands alone
because it reads millions of fields: Python's csv module splits the lines and numpy reads the
numbers. On the 785 columns of an MNIST table the readers of pandas and pyarrow take 1.6 times as
long and more memory, and name no line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np

from datasets.tables.header import LABEL_NAMES, Column, is_number, plain
from datasets.tables.pixel_columns import Columns, Wanted, find_columns, numbers_in, part_of
from datasets.tables.text import decode, read_bytes, rows, sample
from headstart.errors import DataError

_BETWEEN = "\x1f"  # the unit separator: no field holds it
_SAMPLE = (200, 800)  # the first rows, and some from all over, decide what the columns are


@dataclass(frozen=True)
class PixelTable:
    """What a table holds, row by row.

    Attributes:
        labels: (N,) text, or (N, C) numbers where they are one-hot.
        pixels: float32 (N, pixels).
        columns: which columns these were.
        class_names: the names that texts beside the labels give them.
        parts: of each row; empty where the table says none.
        groups: of each row; empty where none were asked for.
    """

    labels: np.ndarray
    pixels: np.ndarray
    columns: Columns
    class_names: dict[int | str, str] | None
    parts: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass
class _Kept:
    """The fields of all rows that are no pixels."""

    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def read_table(path: Path, encoding: str = "utf-8", wanted: Wanted | None = None) -> PixelTable:
    """Labels and pixel values of one file.

    Raises:
        DataError: no rows, a row with more or fewer fields than the first, a pixel that is no
            number, an empty label (names the line); or what `find_columns` refuses.
    """
    text = decode(read_bytes(path), str(path), encoding)
    head, spread = sample(text, str(path), *_SAMPLE)
    columns = find_columns(str(path), head, spread, wanted or Wanted())
    first_line = head[1 if columns.has_header else 0][0]
    kept = _Kept()
    at = _Place(path)
    try:
        pixels = np.loadtxt(
            _pixel_rows(text, columns, first_line, kept, at),
            np.float32,
            delimiter=_BETWEEN,
            comments=None,
            ndmin=2,
        )
    except ValueError:  # of the line that was read last
        raise at.error(columns) from None
    labels = np.array(kept.labels, str)
    if len(columns.labels) > 1:
        one_hot = [[float(value) for value in row.split(_BETWEEN)] for row in kept.labels]
        labels = np.array(one_hot)
    return PixelTable(
        labels, pixels, columns, _names_of(kept, path), tuple(kept.parts), tuple(kept.groups)
    )


def read_labels(path: Path, encoding: str, wanted: Column | None) -> np.ndarray:
    """(N,) texts: the labels in a table of their own, one on each line.

    Raises:
        DataError: several columns, of which none is called as labels are, or an empty label.
    """
    text = decode(read_bytes(path), str(path), encoding)
    table = list(rows(text, str(path)))
    first = table[0][1] if table else []
    named = [k for k, name in enumerate(first) if plain(name) in LABEL_NAMES]
    if wanted is not None:
        is_number_of = isinstance(wanted, int) and 0 < abs(wanted) <= len(first)
        named = [k for k, name in enumerate(first) if name.strip() == wanted]
        named = [int(wanted) - (int(wanted) > 0)] if is_number_of else named
    elif len(first) == 1:
        named = [0]
    if len(named) != 1:
        raise DataError(
            f"{path}: holds the columns {', '.join(first[:6]) or 'none'}; say which one is the "
            "label with label_column, by its name or its number from 1"
        )
    second = table[1][1][named[0]] if len(table) > 1 and len(table[1][1]) > named[0] else ""
    is_header = plain(first[named[0]]) in LABEL_NAMES or (
        not is_number(first[named[0]]) and is_number(second)
    )
    labels = []
    for line, fields in table[is_header:]:
        label = fields[named[0]].strip() if len(fields) == len(first) else ""
        if not label:
            raise DataError(f"{path}:{line}: no label; each line needs one")
        labels.append(label)
    return np.array(labels, str)


class _Place:
    """The row that was read last."""

    def __init__(self, path: Path):
        self.path = path
        self.line = 0
        self.fields: Sequence[str] = ()

    def error(self, columns: Columns) -> DataError:
        """What is wrong with the pixels of this row."""
        if len(columns.pixels) == 1:
            values = numbers_in(self.fields[columns.pixels[0]])
            odd = next((k for k, value in enumerate(values) if not is_number(value)), None)
            if odd is None:
                return DataError(
                    f"{self.path}:{self.line}: {len(values)} pixels, lines before it have another "
                    "number of them"
                )
            return DataError(
                f"{self.path}:{self.line}: pixel {odd + 1} is '{values[odd]}', not a number"
            )
        odd = next((k for k in columns.pixels if not is_number(self.fields[k])), columns.pixels[0])
        value = self.fields[odd].strip()
        return DataError(f"{self.path}:{self.line}: field {odd + 1} is '{value}', not a number")


def _pixel_rows(
    text: str, columns: Columns, first_line: int, kept: _Kept, at: _Place
) -> Iterator[str]:
    """The pixels of each row, as one text; all else that is wanted of it goes to `kept`."""
    pixels_of = _chooser(columns.pixels)
    labels_of = _chooser(columns.labels)
    is_list = len(columns.pixels) == 1
    for line, fields in rows(text, str(at.path)):
        if line < first_line:
            continue
        at.line, at.fields = line, fields
        if len(at.fields) != columns.n_fields:
            raise DataError(
                f"{at.path}:{at.line}: {len(at.fields)} fields, the first image has "
                f"{columns.n_fields}; each line needs one label and all pixels"
            )
        label = _BETWEEN.join(labels_of(at.fields)).strip()
        if not label and columns.labels:
            raise DataError(
                f"{at.path}:{at.line}: the label (field {columns.labels[0] + 1}) is empty; leave "
                "out images without a label"
            )
        kept.labels += [label] if columns.labels else []
        if columns.label_names is not None:
            kept.names.append(at.fields[columns.label_names].strip())
        if columns.part is not None:
            kept.parts.append(_part(at, columns.part))
        if columns.group is not None:
            kept.groups.append(at.fields[columns.group].strip())
        pixels = pixels_of(at.fields)
        yield _BETWEEN.join(numbers_in(pixels[0]) if is_list else pixels)


def _chooser(columns: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    """Gives these fields of a row; quick where they stand side by side."""
    if not columns:
        return lambda fields: ()
    first, end = columns[0], columns[-1] + 1
    if tuple(columns) == tuple(range(first, end)):
        return lambda fields: fields[first:end]
    chosen: Callable[[Sequence[str]], Sequence[str]] = itemgetter(*columns)
    return chosen


def _part(at: _Place, column: int) -> str:
    part = part_of(at.fields[column])
    if not part:
        raise DataError(
            f"{at.path}:{at.line}: field {column + 1} is '{at.fields[column].strip()}'; parts are "
            "train, validation and test"
        )
    return part


def _names_of(kept: _Kept, path: Path) -> dict[int | str, str] | None:
    """The one text that stands beside each label."""
    if not kept.names:
        return None
    names: dict[int | str, str] = {}
    for label, name in zip(kept.labels, kept.names, strict=True):
        first = names.setdefault(label, name)
        if first != name:
            raise DataError(
                f"{path}: label {label} is called '{first}' and '{name}'; say which column is the "
                "label with label_column, and leave out the other with ignore_columns"
            )
    return names
