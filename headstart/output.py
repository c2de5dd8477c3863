"""Standard output and error of every command: what cannot be shown neither ends nor changes a run.

In: the file descriptors that the command was started with. Out: `sys.stdout` and `sys.stderr` that
take any text. A console whose encoding lacks a character gets its escape (`\\u2013`). Standard
output shows an escape for what a terminal would obey, since names may be a stranger's; standard
error has the display of progress, and our own messages. A reader that goes away (`… | head`), a
full disk and a closed descriptor lose what is shown and nothing else. It stands alone because every
command has it and no command should know of it.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import shutil
import sys
from contextlib import suppress
from typing import Any, TextIO

# Control characters but line ends and tabs, and those that turn the direction of reading.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

LEAST_WIDTH = 40  # a narrower terminal cuts lines itself


class _Steady(io.FileIO):
    """A file descriptor that is written to; once it takes no more, what follows is dropped.

    `lost` is why, in words; empty where all was taken, or nobody reads any more.
    """

    lost = ""

    def write(self, content: Any, /) -> int:
        while True:
            try:
                n_written = super().write(content)
            except OSError as err:
                if err.errno != errno.EPIPE:
                    self.lost = self.lost or os.strerror(err.errno or errno.EIO)
                self._drop_the_rest()
                return len(content)
            if n_written is not None:
                return n_written
            select.select([], [self], [])  # the other end set it non-blocking

    def _drop_the_rest(self) -> None:
        """Also of what further processes write there."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


class _Shown(io.TextIOWrapper):
    """Text in which a control character is its escape; line ends and tabs are themselves."""

    def write(self, text: str, /) -> int:
        super().write(_OBEYED.sub(lambda match: repr(match[0])[1:-1], text))
        return len(text)


def make_output_steady() -> _Steady:
    """Replace `sys.stdout` and `sys.stderr`; what lies below `sys.stdout`.

    Descriptors 0, 1 and 2 that were closed (`>&-`) lead nowhere from now on: else the next file
    that is opened would take such a number, and every message would be written into it.
    """
    for _ in range(3):
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
    below, sys.stdout = _steady(sys.stdout, 1)
    _, sys.stderr = _steady(sys.stderr, 2)
    return below


def _steady(stream: TextIO | None, descriptor: int) -> tuple[_Steady, TextIO]:
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    below = _Steady(descriptor, "wb", closefd=False)
    is_seen_at_once = descriptor == 2 or below.isatty()
    kind = _Shown if descriptor == 1 else io.TextIOWrapper
    return below, kind(
        io.BufferedWriter(below),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=is_seen_at_once,
        write_through=bool(getattr(stream, "write_through", False)),
    )


def on_one_line(text: str) -> str:
    """`text` without line ends and control characters, which are shown as escapes."""
    return "".join(
        c if c.isprintable() or c == "\xa0" else c.encode("unicode_escape").decode() for c in text
    )


def is_text(name: str) -> bool:
    """Whether a file's name (an argument, a variable) is UTF-8, as tables and pages need it."""
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)


def say_in_terminal(line: str) -> None:
    """Show a line at once where a person watches standard error; a log does without it."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def terminal_width(stream: TextIO | None) -> int | None:
    """Columns of the terminal that a standard stream is; None where it is none."""
    if stream is None or not stream.isatty():
        return None
    return max(LEAST_WIDTH, shutil.get_terminal_size().columns)
