"""CSV text → rows of fields, with the line of each: what data sets and label tables share.

In: the bytes of a file. Out: its text, what separates the fields, and the rows. It stands alone
because two readers need the same rules: `datasets.sets.csv`, which reads pixels, and
`harness.evaluate`, which reads lists of file names.
"""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.output import is_text
from headstart.packed import BROKEN, most_unpacked, read_pieces

MAX_BYTES = 4 << 30
SEPARATORS = (",", ";", "\t")


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a file; `.gz` is unpacked.

    Raises:
        DataError: it cannot be read, or holds more than `limit` bytes, or more than a packed file
            of its size may.
    """
    check_plain(path)
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
        reader = csv.reader(lines, delimiter=_separator(lines), skipinitialspace=True)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as err:
        raise DataError(f"{where}:{line}: cannot be read as a row of fields: {err}") from err


def _separator(lines: Sequence[str]) -> str:
    """Which of comma, semicolon and tab makes most fields of the first line that is not blank."""
    first = next((line for line in lines if line.strip()), "")
    n_fields = {each: len(next(csv.reader([first], delimiter=each))) for each in SEPARATORS}
    return max(SEPARATORS, key=lambda each: n_fields[each])
