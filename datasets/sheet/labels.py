"""Which digit stands where on a photograph: by row, by column, one for all, or spelled out.

In: labels as a person writes them, in an option, a sweep or a labels file. Out: frozen `Labels`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from headstart.errors import DataError, did_you_mean

Kind = Literal["class", "rows", "columns", "text"]
_KINDS: tuple[Kind, ...] = ("class", "rows", "columns", "text")
_WHAT = "any characters, but no spaces"
FROM_NAME = "name"
SKIP = "-"  # the label of a row that holds no digits of the set, such as a heading
PER_ROW = "per_row"
_MOST_NAMED = 40  # rows or labels that a message names
HELP = (
    "a labels file has one line for each photo: 'sheet.jpg: 1234567890' (a character for each "
    "row, - for a row to skip), 'threes.jpg: 3' (one class), 'sheet.jpg: {columns: 0123456789}' or "
    "'sheet.jpg: {text: [31415, 92653]}' (every digit, row by row); per_row: 12 beside rows, "
    "columns or class says how many digits each row holds"
)


@dataclass(frozen=True)
class Labels:
    """What a photograph shows.

    `kind` and `text`: `class`: one character for all digits; `rows` or `columns`: one character
    for each of them, from the top or the left; `text`: for each row all of its characters.
    `SKIP` stands for a row (column) whose marks are no digits of the set. `per_row`: digits that
    each row holds, as far as the user said so; `likely`: as many as the counts of the parts need.
    """

    kind: Kind
    text: tuple[str, ...]
    per_row: int | None = None
    likely: int | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The labels of those rows (columns) that hold digits."""
        return tuple(line for line in self.text if line != SKIP)

    @property
    def has_digits(self) -> bool:
        """Whether any label is a digit, so that shapes can say something."""
        return bool(set("".join(self.lines)) & set("0123456789"))

    @property
    def n_lines(self) -> int | None:
        """How many rows (columns, where labels go by column) hold digits; None = any number."""
        return None if self.kind == "class" else len(self.lines)

    @property
    def n_expected(self) -> int | None:
        """How many digits there should be in all; None where nothing says it."""
        per_line = self.expected(self.n_lines) if self.n_lines else (None,)
        return None if None in per_line else sum(n or 0 for n in per_line)

    def expected(self, n_lines: int) -> tuple[int | None, ...]:
        """How many digits each of so many rows should hold; None where nothing says it."""
        if self.kind == "text" and n_lines == self.n_lines:
            return tuple(len(line) for line in self.lines)
        return (self.per_row,) * n_lines

    def of_lines(self, counts: Sequence[int]) -> tuple[str, ...] | None:
        """The labels of each row of so many digits; None where the rows do not fit."""
        if self.kind == "class":
            return tuple(self.text[0] * n for n in counts)
        if len(counts) != len(self.lines):
            return None
        if self.kind != "text":
            return tuple(label * n for label, n in zip(self.lines, counts, strict=True))
        fits = all(len(line) == n for line, n in zip(self.lines, counts, strict=True))
        return self.lines if fits else None

    def expectation(self) -> str:
        """What the labels ask for, in words."""
        if self.kind == "class":
            return f"{self.things} of class {self.text[0]}"
        n = len(self.lines)
        if self.kind == "text":
            return f"{n_of(n, 'row')} of {', '.join(few([str(len(line)) for line in self.lines]))}"
        return f"{n_of(n, self.kind.removesuffix('s'))} labelled {' '.join(few(self.lines))}"

    @property
    def things(self) -> str:
        """What the sheet shows: digits, or characters where other labels are among them."""
        return "digits" if set("".join(self.lines)) <= set("0123456789") else "characters"


def n_of(n: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n} {noun}{'s' * (n != 1)}"


def few(items: Sequence[str]) -> list[str]:
    """The items for a message that fits a few lines: the first ones, and a sign for the rest."""
    return [*items[:_MOST_NAMED], *(["…"] if len(items) > _MOST_NAMED else [])]


def _as_characters(text: str) -> str | None:
    """The text with each accent joined to its letter; None where one is no character to write."""
    composed = unicodedata.normalize("NFC", text)
    is_written = [unicodedata.category(character)[0] in "LNPS" for character in composed]
    return composed if composed and all(is_written) else None


def one_class(label: str, where: str) -> Labels:
    """All digits of a photo are of one class."""
    character = _as_characters(label)
    if character is None or len(character) != 1 or character == SKIP:
        raise DataError(f"{where}: '{label}' is not one digit, letter or sign")
    return Labels("class", (character,))


def by_row(labels: str, where: str) -> Labels:
    """One character for each row."""
    return Labels("rows", _one_a_line(labels, where, "rows"))


def by_column(labels: str, where: str) -> Labels:
    """One character for each column."""
    return Labels("columns", _one_a_line(labels, where, "columns"))


def class_in_name(photo: Path) -> Labels:
    """The class that the photo's name ends in: `threes_3.jpg` is a photo of threes.

    Raises:
        DataError: the name does not end in a single digit.
    """
    match = re.search(r"(?<![0-9])([0-9])$", photo.stem)
    if not match:
        raise DataError(
            f"{photo}: the name does not end in one digit, as 'source_3.jpg' does; rename it, or "
            "give --label DIGIT or --labels-file"
        )
    return Labels("class", (match.group(1),))


def _one_a_line(labels: str, where: str, kind: Kind) -> tuple[str, ...]:
    characters = _as_characters(labels)
    if characters is None or not characters.strip(SKIP):
        raise DataError(
            f"{where}: '{labels}' must be one character for each of the {kind} ({_WHAT}); "
            f"{SKIP} skips one"
        )
    return tuple(characters)


def parse_labels(value: object, where: str) -> Labels:
    """The labels of one photo as a labels file has them: text, or {rows|columns|class|text: …}.

    Raises:
        DataError: neither.
    """
    if isinstance(value, str):
        return one_class(value, where) if len(value) == 1 else by_row(value, where)
    if isinstance(value, dict) and PER_ROW in value:
        per_row = whole_number(value[PER_ROW], f"{where}: {PER_ROW}")
        rest = {key: text for key, text in value.items() if key != PER_ROW}
        return with_per_row(parse_labels(rest, where), per_row, f"{where}: {PER_ROW}")
    if not isinstance(value, dict) or len(value) != 1:
        raise DataError(f"{where}: labels must be text or a mapping with one key; {HELP}")
    ((kind, text),) = value.items()
    if kind not in _KINDS:
        raise DataError(
            f"{where}: '{kind}' is not one of {', '.join(_KINDS)}{did_you_mean(kind, _KINDS)}"
        )
    if kind == "text":
        lines = text if isinstance(text, list) else str(text).split()
        rows = [_as_characters(line) if isinstance(line, str) else None for line in lines]
        if not all(rows):
            raise DataError(f"{where}: text must be rows of {_WHAT}, e.g. [31415, 92653]")
        if all(row == SKIP for row in rows):
            raise DataError(f"{where}: text must name a row that holds digits, not {SKIP} alone")
        return Labels("text", tuple(row for row in rows if row))
    if not isinstance(text, str):
        raise DataError(f"{where}: {kind} must be text, e.g. {{{kind}: 1234567890}}")
    parsers = {"class": one_class, "rows": by_row, "columns": by_column}
    return parsers[kind](text, where)


def with_per_row(labels: Labels, per_row: int, where: str) -> Labels:
    """The labels, of rows (columns) that hold so many digits.

    Raises:
        DataError: the labels spell every row out, so that there is nothing to add.
    """
    if labels.kind == "text":
        raise DataError(f"{where}: text already says how many digits each row holds")
    return replace(labels, per_row=per_row)


def whole_number(value: object, where: str) -> int:
    """A number of digits, 1 or more, from YAML or a command line.

    Raises:
        DataError: it is none.
    """
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise DataError(f"{where}: '{text}' is not a whole number, 1 or more")
    return int(text)


def likely_counts(labels: Sequence[Labels], needed: int) -> list[Labels]:
    """The labels of a data set's photos, with how many digits a row is likely to hold.

    Where each class has one row in all photos it holds at least as many digits as the data set
    needs of a class, and likely no more.
    """
    rows = [label for each in labels for label in each.lines]
    alone = len(set(rows)) == len(rows) and all(each.kind in ("rows", "columns") for each in labels)
    return [replace(each, likely=needed) if alone else each for each in labels]
