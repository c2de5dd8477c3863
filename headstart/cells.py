"""Cells of CSV files: a text that somebody chose never becomes a formula of a spreadsheet.

In: names of arms, classes and files, as users and strangers give them. Out: cells. A spreadsheet
computes a cell that begins with `=`, `+`, `-` or `@`, or that begins so after a separator of its
own language, and a formula may fetch addresses and start programs. An apostrophe before it makes it
a text. Numbers stay numbers, those that are written as texts too. It stands in this package because
the harness and the analysis both write CSV files; results.xlsx needs none of it, as its cells have
types.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.files import atomic_file

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# Tab and carriage return are left out by some programs before they look; wide forms are read alike.
_SIGN = "[=+@＝＋－＠-]"
_FORMULA = re.compile(  # no part may begin at every letter of a long text and run to its end
    f"(^[\t\r\n]|^[ \t\r\n]*{_SIGN}|(?<=[;,\t\r\n|]) *{_SIGN})"
)


def harmless(value: object) -> object:
    """A text with an apostrophe wherever a spreadsheet would compute it; anything else as it is."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"'\1", value)


def write_frame(path: Path, frame: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a table as CSV, atomically: all columns, texts and headings made harmless."""
    safe = frame.rename(columns=harmless)
    for k, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            safe.isetitem(k, frame.iloc[:, k].map(harmless))
    with atomic_file(path) as file:
        safe.to_csv(file, index=False, lineterminator="\n", float_format=float_format)
