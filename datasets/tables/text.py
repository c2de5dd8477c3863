"""CSV text → rows of fields, with the line of each: what data sets and label tables share.

In: the bytes of a file. Out: its text, what separates the fields, and the rows. It stands alone
because two readers need the same rules: `datasets.sets.csv`, which reads pixels, and
`harness.evaluate`, which reads lists of file names.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, cast

from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.output import is_text
from headstart.packed import BROKEN, most_unpacked, read_member, read_pieces

MAX_BYTES = 4 << 30
SEPARATORS = (",", ";", "\t")
BLANKS = " "
_FEWEST_NUMBERS = 5  # between blanks in a line; fewer may be words of one field


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file; `.gz`, and the one file of a `.zip`, are unpacked.

    Raises:
        DataError: it cannot be read, or holds more than `limit` bytes, or more than a packed file
            of its size may; a zip file that holds several files.
    """
    check_plain(path)
    if path.suffix.lower() == ".zip":
        return _only_member(path, limit)
    is_packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if is_packed else open(path, "rb") as file:
            limit = min(limit, most_unpacked(path.stat().st_size)) if is_packed else limit
            content = read_pieces(cast("IO[bytes]", file), limit + 1)
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read: {err}") from err
    if len(content) > limit:
        raise DataError(f"{path}: holds over {limit:,} bytes, more than any table that is read")
    return content


def _only_member(path: Path, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
            if len(names) != 1:
                raise DataError(
                    f"{path}: holds {len(names)} files; a table is packed alone, or unpack it"
                )
            return read_member(archive, names[0], limit)
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read: {err}") from err


def decode(content: bytes, where: str, encoding: str = "utf-8") -> str:
    """The text of a table; a byte order mark (UTF-8, UTF-16) decides before `encoding` does.

    Raises:
        DataError: it is no text in this encoding.
    """
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError) as err:  # LookupError: rot13 and such are no text's
        raise DataError(f"{where}: cannot be read as text: {err}") from err
    if not is_text(text):  # as utf-7 and unicode_escape may give
        raise DataError(f"{where}: cannot be read as text: it has half characters")
    return text


def rows(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, fields) of every row that is not blank; a field may end in spaces.

    Raises:
        DataError: a field is longer than 131,072 characters: a quote that nothing closes, or no
            table.
    """
    lines = text.splitlines(keepends=True)
    line = 1
    try:
        separator = _separator(lines)
        if separator == BLANKS:
            yield from ((n, row.split()) for n, row in enumerate(lines, 1) if row.strip())
            return
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as err:
        raise DataError(f"{where}:{line}: cannot be read as a row of fields: {err}") from err


def sample(
    text: str, where: str, n: int, n_spread: int
) -> tuple[list[tuple[int, list[str]]], list[list[str]]]:
    """The first `n` rows as `rows` gives them, and `n_spread` lines from all over the table.

    Raises:
        DataError: as `rows` does.
    """
    end = _after_lines(text, 0, n + 1)
    head = list(islice(rows(text[:end], where), n))
    starts = sorted(
        {_after_lines(text, len(text) * k // n_spread, 1) for k in range(n_spread)} | {end}
    )
    lines = [text[start : _after_lines(text, start, 1)].strip() for start in starts if start >= end]
    separator = _separator(text[:end].splitlines(keepends=True)) if head else BLANKS
    spread = []
    for line in lines:  # a line within quotes is none that can be read alone
        if line and line.count('"') % 2 == 0:
            with suppress(csv.Error):  # `rows` says where it is
                spread.append(_fields(line, separator))
    return head, spread


def _fields(line: str, separator: str) -> list[str]:
    if separator == BLANKS:
        return line.split()
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True))


def _after_lines(text: str, start: int, n: int) -> int:
    """Where the line begins that is `n` lines after the one at `start`."""
    for _ in range(n):
        newline = text.find("\n", start)
        if newline < 0:
            return len(text)
        start = newline + 1
    return start


def _separator(lines: Sequence[str]) -> str:
    """Which of comma, semicolon and tab makes most fields of the first line that is not blank.

    Blanks, where there is none of these and the line is numbers.
    """
    first = next((line for line in lines if line.strip()), "")
    n_fields = {each: len(next(csv.reader([first], delimiter=each))) for each in SEPARATORS}
    if max(n_fields.values()) == 1 and _is_numbers(first.split()):
        return BLANKS
    return max(SEPARATORS, key=lambda each: n_fields[each])


def _is_numbers(words: Sequence[str]) -> bool:
    try:
        return len(words) >= _FEWEST_NUMBERS and bool([float(word) for word in words])
    except ValueError:
        return False
