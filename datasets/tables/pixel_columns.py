"""Which column of a table of pixels is the label, and which are pixels: by name, else by content.

In: the first rows of a table and some from all over it. Out: the numbers of the columns, and notes
that say which was taken for what. It stands alone because it is a judgement on columns; reading
them is `pixel_table`'s. Where two columns could be the label, both are named with the setting that
chooses: a network trained on a column of pixels learns nothing that anybody asked for.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from datasets.files.image_kinds import is_image_name
from datasets.files.part_words import PART_OF
from datasets.tables.header import LABEL_NAMES, Column, column_names, is_header, is_number, plain
from datasets.tables.likeness import (
    LIKELY,
    are_one_hot,
    counts_rows,
    first_or_last,
    likeness,
    likeness_of_text,
)
from datasets.tables.measurements import sign_of_measurements
from headstart.errors import DataError, did_you_mean

ID_NAMES = {"", "id", "ids", "index", "idx", "unnamed0", "imageid", "rowid", "rownames", "row"}
_PARTS = {**PART_OF, "publictest": "validation", "privatetest": "test"}  # of FER-2013
_MOST_JUDGED = 2_000_000  # fields that decide what the columns are
_FEWEST_PIXELS = 4
_SHOWN = 6


@dataclass(frozen=True)
class Wanted:
    """What a person says of the columns; None: to be found."""

    header: bool | None = None
    label: Column | None = None
    part: Column | None = None
    group: Column | None = None
    ignored: tuple[Column, ...] = ()
    n_pixels: int | None = None
    has_label: bool = True  # else the labels stand in another file


@dataclass(frozen=True)
class Columns:
    """The numbers of columns, from 0.

    Attributes:
        has_header: whether the first row names the columns.
        names: of all columns; empty where there is no header.
        n_fields: how many columns a row has.
        labels: the label's; several where labels are one-hot; none where another file has them.
        label_names: of the texts that name a numbered label.
        pixels: one a pixel, or the only one, where all pixels stand in one field.
        part: of `train`, `test`, …
        group: of what must stay in one part.
        notes: what was recognised.
    """

    has_header: bool
    names: tuple[str, ...]
    n_fields: int
    labels: tuple[int, ...]
    label_names: int | None
    pixels: tuple[int, ...]
    part: int | None
    group: int | None
    notes: tuple[str, ...]

    @property
    def pixel_names(self) -> tuple[str, ...]:
        """What the columns of pixels are called; empty where there is no header."""
        return tuple(self.names[k] for k in self.pixels) if self.names else ()

    def as_wanted(self, wanted: Wanted) -> Wanted:
        """What a second table is to be read by: this one's label, by its name or its place."""
        if wanted.label is not None or len(self.labels) != 1:
            return wanted
        at = self.labels[0]
        return replace(wanted, label=(self.names[at] if self.names else "") or at + 1)


def find_columns(
    where: str,
    head: Sequence[tuple[int, Sequence[str]]],
    spread: Sequence[Sequence[str]],
    wanted: Wanted,
) -> Columns:
    """The columns of a table.

    Args:
        where: the file, for messages.
        head: (line, fields) of its first rows.
        spread: fields of some rows from all over it.
        wanted: what a person says.

    Raises:
        DataError: no rows of images; no column, or several, could be the label; a column that a
            person names is not there.
    """
    if not head:
        raise DataError(f"{where}: empty")
    (line, first), rest = head[0], [fields for _, fields in head[1:]]
    if len(first) == 1:
        raise DataError(
            f"{where}:{line}: one field; a label and pixels, separated by commas, semicolons or "
            "tabs"
        )
    has_header = wanted.header
    if has_header is None:
        has_header = is_header(first, [*rest, *spread])
    if has_header and not rest:
        raise DataError(f"{where}: no images, only a header")
    n_fields = len(rest[0] if has_header else first)
    if n_fields < 2:
        raise DataError(f"{where}:{head[1][0]}: a label and no pixels")
    rows = [row for row in (*([] if has_header else [first]), *rest, *spread)
            if len(row) == n_fields]  # fmt: skip
    rows = rows[:: len(rows) * n_fields // _MOST_JUDGED + 1]
    names = column_names(first, n_fields, rows, f"{where}:{line}") if has_header else ()
    judge = _Judge(where, names, rows, wanted)
    if has_header and wanted.header is None and is_number(first[-1]):
        judge.names = ()
        judge.notes.append(
            "the first line names the columns, in numbers (header: false reads an image there)"
        )
    return judge.columns(has_header, n_fields)


@dataclass
class _Judge:
    """Decides column by column; `left` are those that are nothing yet."""

    where: str
    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    wanted: Wanted
    notes: list[str] = field(default_factory=list)

    def columns(self, has_header: bool, n_fields: int) -> Columns:
        self.values = [
            [value.strip() for value in column] for column in zip(*self.rows, strict=True)
        ]
        self.kinds = [_kind(column) for column in self.values]
        ignored = {self._at(each, "ignore_columns") for each in self.wanted.ignored}
        self.left = [k for k in range(n_fields) if k not in ignored and self.kinds[k] != "empty"]
        label = self._take(self.wanted.label, "label_column")
        part = self._take(self.wanted.part, "part_column")
        group = self._take(self.wanted.group, "group")
        if part is None:
            part = self._part()
        self._refuse_paths()
        self._leave_out([k for k in self.left if self.names and plain(self.names[k]) in ID_NAMES])
        labels: tuple[int, ...] = () if label is None else (label,)
        label_names: int | None = None
        if not labels and self.wanted.has_label:
            labels, label_names = self._named_label()
            labels = labels or self._label_by_content()
        self.left = [k for k in self.left if k not in labels]
        pixels = self._pixels()
        if len(labels) > 1:
            self.notes.insert(0, f"{len(labels)} columns are the labels, one for each class, from "
                f"{self._called(labels[0])} on")  # fmt: skip
        elif labels:
            self.notes.insert(0, f"the label is {self._called(labels[0])}")
        return Columns(
            has_header, self.names, n_fields, labels, label_names, pixels, part, group,
            tuple(self.notes),
        )  # fmt: skip

    # -- columns that are named --------------------------------------------------------------------

    def _take(self, given: Column | None, setting: str) -> int | None:
        if given is None:
            return None
        column = self._at(given, setting)
        if column not in self.left:
            raise DataError(f"{self.where}: {setting}: {self._called(column)} is empty or taken")
        self.left.remove(column)
        return column

    def _at(self, given: Column, setting: str) -> int:
        """The number of a column that a person names."""
        n = len(self.kinds)
        if isinstance(given, int):
            if given == 0 or abs(given) > n:
                raise DataError(
                    f"{self.where}: {setting}: {given}: columns are counted from 1 to {n} (-1 is "
                    "the last); a name is written in quotes"
                )
            return given - 1 if given > 0 else n + given
        if not self.names:
            raise DataError(
                f"{self.where}: {setting}: '{given}': the table has no names of columns; give the "
                "column's number from 1 (-1 is the last)"
            )
        fitting = [k for k, name in enumerate(self.names) if name == given.strip()]
        if len(fitting) != 1:
            what = "is the name of several columns" if fitting else "is no column"
            raise DataError(
                f"{self.where}: {setting}: '{given}' {what}{did_you_mean(given, self.names)}; "
                f"there are {self._some(range(n))}"
            )
        return fitting[0]

    def _part(self) -> int | None:
        """The column of texts that are all names of parts."""
        fitting = [
            k
            for k in self.left
            if self.kinds[k] == "text" and all(part_of(value) for value in set(self.values[k]))
        ]
        if len(fitting) != 1:
            return None
        self.left.remove(fitting[0])
        self.notes.append(f"parts are from {self._called(fitting[0])}")
        return fitting[0]

    def _refuse_paths(self) -> None:
        """Refuse a table that names images and holds no pixels."""
        n_numbers = sum(self.kinds[k] in ("number", "list") for k in self.left)
        for k in self.left:
            shares = [is_image_name(value) for value in self.values[k]]
            if (
                self.kinds[k] == "text"
                and n_numbers < _FEWEST_PIXELS
                and 2 * sum(shares) > len(shares)
            ):
                raise DataError(
                    f"{self.where}: {self._called(k)} names images, such as {self.values[k][0]}, "
                    f"and the table holds no pixels; say {self._as_labels()}"
                )

    def _as_labels(self) -> str:
        """The `data` entry that reads a table which names images."""
        return (
            f"data: {{name: folder, path: FOLDER, labels: {self.where}}}, with the folder of the "
            "images"
        )

    def _named_label(self) -> tuple[tuple[int, ...], int | None]:
        """The column that is called as labels are, and that of texts for its numbers."""
        named = [k for k in self.left if self.names and plain(self.names[k]) in LABEL_NAMES]
        numbers = [k for k in named if self.kinds[k] == "number"]
        texts = [k for k in named if self.kinds[k] == "text"]
        if len(named) == 2 and len(numbers) == len(texts) == 1:
            self.left = [k for k in self.left if k not in named]
            return (numbers[0],), texts[0]
        if len(named) > 1:
            self._refuse(named)
        return tuple(named), None

    # -- columns by their content ------------------------------------------------------------------

    def _label_by_content(self) -> tuple[int, ...]:
        if any(self.kinds[k] == "list" for k in self.left):
            candidates = [k for k in self.left if self.kinds[k] != "list" and self._likeness(k)]
            return self._only(candidates)
        texts = [k for k in self.left if self.kinds[k] == "text" and self._likeness(k)]
        numbers = [k for k in self.left if self.kinds[k] == "number"]
        others = self._without_pattern(numbers)
        likely = [k for k in others if self._likeness(k) >= LIKELY]
        if texts and not others and not self._fits(len(numbers)) and self._fits(len(numbers) - 1):
            likely = [numbers[0], numbers[-1]]  # one of them is no pixel
        if texts:
            return self._only([*texts, *likely])
        if others:
            return self._only(likely or others)
        if not self._fits(len(numbers) - 1):
            if self._fits(len(numbers) - 2) and (counted := self._counting(numbers)) is not None:
                self._leave_out([counted])
                numbers.remove(counted)
            elif one_hot := self._one_hot(numbers):
                return one_hot
            elif self._fits(len(numbers)):
                raise DataError(
                    f"{self.where}: {len(numbers)} columns of pixels, and none that could be the "
                    "label; name one with label_column, or a file of labels with labels_path"
                )
        return (self._first_or_last(numbers),)

    def _first_or_last(self, numbers: Sequence[int]) -> int:
        """Which of the two looks clearly more like labels than the other."""
        if not numbers:
            raise DataError(f"{self.where}: no column of labels and none of pixels")
        place = first_or_last([self.values[k] for k in numbers])
        if place is None:
            self._refuse([numbers[0], numbers[-1]])
        return numbers[place or 0]

    def _likeness(self, k: int) -> float:
        values = self.values[k]
        return likeness_of_text(values) if self.kinds[k] == "text" else likeness(values)

    def _without_pattern(self, columns: Sequence[int]) -> list[int]:
        """Columns that are not called as most are: `emotion` beside pixel0, pixel1, …"""
        if not self.names:
            return []
        patterns = {k: re.sub(r"\d+", "#", self.names[k]) for k in columns}
        most, n = Counter(patterns.values()).most_common(1)[0] if patterns else ("", 0)
        return [k for k in columns if patterns[k] != most] if 2 * n > len(columns) else []

    def _counting(self, numbers: Sequence[int]) -> int | None:
        """The first or last column, where it counts the rows."""
        return next((k for k in (numbers[0], numbers[-1]) if counts_rows(self.values[k])), None)

    def _one_hot(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """The last or first columns, where one of them is 1 and the others 0 in every row."""
        side = math.isqrt(len(numbers))
        n = len(numbers) - (self.wanted.n_pixels or side * side)
        for block in (numbers[-n:], numbers[:n]) if 2 <= n < len(numbers) else ():
            if are_one_hot([self.values[k] for k in block]):
                return tuple(block)
        return ()

    def _pixels(self) -> tuple[int, ...]:
        lists = [k for k in self.left if self.kinds[k] == "list"]
        if len(lists) == 1:
            self._leave_out([k for k in self.left if k != lists[0]])
            return (lists[0],)
        others = self._without_pattern(self.left)
        texts = [k for k in self.left if self.kinds[k] == "text"]
        self._leave_out([k for k in texts if k in others or not self.names])
        others = [k for k in others if k not in texts]
        if not self._fits(len(self.left)):
            if others and self._fits(len(self.left) - len(others)):
                self._leave_out(others)
            elif self._fits(len(self.left) - 1) and not self.names:
                counted = self._counting(self.left)
                self._leave_out([] if counted is None else [counted])
        if not self.left:
            raise DataError(
                f"{self.where}: a label and no pixels; a table that names images is read so: "
                f"{self._as_labels()}"
            )
        self._refuse_measurements()
        return tuple(self.left)

    def _refuse_measurements(self) -> None:
        if self.wanted.n_pixels is not None or any(self.kinds[k] != "number" for k in self.left):
            return
        names = [self.names[k] for k in self.left] if self.names else []
        columns = [self.values[k] for k in self.left]
        if sign := sign_of_measurements(names, columns):
            side = math.isqrt(len(columns))
            raise DataError(
                f"{self.where}: {sign}, so they are measurements, it seems, and no pixels of "
                "images; Headstart trains on images. If they are pixels, say shape: [HEIGHT, "
                f"WIDTH]{f', as [{side}, {side}]' if side * side == len(columns) else ''}"
            )

    # -- words -------------------------------------------------------------------------------------

    def _fits(self, n: int) -> bool:
        """Whether an image may have `n` values."""
        if self.wanted.n_pixels is not None:
            return n == self.wanted.n_pixels
        return n >= _FEWEST_PIXELS and (_is_square(n) or (n % 3 == 0 and _is_square(n // 3)))

    def _leave_out(self, columns: Sequence[int]) -> None:
        if columns:
            self.left = [k for k in self.left if k not in columns]
            self.notes.append(f"left out as neither label nor pixels: {self._some(columns)}")

    def _only(self, candidates: Sequence[int]) -> tuple[int, ...]:
        if len(candidates) != 1:
            self._refuse(candidates or self.left)
        return (candidates[0],)

    def _refuse(self, columns: Sequence[int]) -> None:
        first = columns[0]
        say = repr(self.names[first]) if self.names and self.names[first] else first + 1
        raise DataError(
            f"{self.where}: the label may be {self._some(columns, ' or ', counted=True)}; say "
            "which, as in "
            f"label_column: {say}, and name those that are no pixels: ignore_columns: [COLUMN, …]"
        )

    def _some(self, columns: Sequence[int], between: str = ", ", counted: bool = False) -> str:
        shown = between.join(
            f"{self._called(k)} ({len(set(self.values[k]))} values)" if counted else self._called(k)
            for k in columns[:_SHOWN]
        )
        return f"{shown}, …" if len(columns) > _SHOWN else shown

    def _called(self, k: int) -> str:
        """A column as a message names it."""
        if self.names and self.names[k]:
            return f"column '{self.names[k]}'"
        return f"column {k + 1}{' (the last)' if k + 1 == len(self.kinds) else ''}"


def part_of(value: str) -> str:
    """The part that a word such as `Training` means; empty where it means none."""
    return _PARTS.get(plain(value), "")


def numbers_in(field: str) -> list[str]:
    """The values of a field that holds several: `0 12 255`, `[0, 12, 255]`."""
    return field.strip().strip("[](){}").replace(",", " ").split()


def _kind(values: Sequence[str]) -> str:
    """empty, number, list (of numbers in one field) or text, by what most values are."""
    written = [value for value in values if value]
    if not written:
        return "empty"
    if 2 * sum(map(is_number, written)) >= len(written):
        return "number"
    few = [numbers_in(value) for value in written[:20]]
    if all(len(numbers) >= _FEWEST_PIXELS and is_number(numbers[0]) for numbers in few):
        return "list"
    return "text"


def _is_square(n: int) -> bool:
    return math.isqrt(n) ** 2 == n
