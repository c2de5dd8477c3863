"""How every command line of ours ends: one message for a user's mistake, never a traceback."""

from __future__ import annotations

import argparse
import errno
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_STOPPED,
    HeadstartError,
    InputError,
    StorageError,
)
from headstart.output import is_text, make_output_steady, on_one_line

# What a path that was given can be the reason for; any other error of the system is the machine's.
_OF_THE_PATH = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.ENXIO,
}  # fmt: skip


def run_command(main: Callable[[Sequence[str]], int | None]) -> None:
    """Run `main(argv)` and exit with its status, or with that of the error it raises.

    A reader of the output that goes away (`… | head`) changes no status. Output that a full disk
    did not take is said, and status 0 becomes 1.
    """
    _use_utf8_names()
    output = make_output_steady()
    status = status_of(main, sys.argv[1:])
    sys.stdout.flush()
    if output.lost:
        print(f"standard output took not all: {output.lost}", file=sys.stderr)
        status = status or EXIT_FAILED
    if status == EXIT_STOPPED:  # soon: Python takes seconds to take large packages apart
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)


def status_of(main: Callable[[Sequence[str]], int | None], arguments: Sequence[str]) -> int:
    """The exit status of `main(arguments)`; what ended it is said on `sys.stderr`."""
    try:
        _check_surroundings(arguments)
        return main(arguments) or EXIT_DONE
    except HeadstartError as err:
        print(err, file=sys.stderr)
        return err.exit_status
    except SystemExit as err:  # argparse: `--help`, or an argument that it refuses
        return err.code if isinstance(err.code, int) else EXIT_DONE
    except MemoryError as err:
        print(f"there is not enough memory: {on_one_line(str(err))}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as err:
        if err.filename is None and err.errno != errno.ENOSPC:
            raise
        print(as_line(err), file=sys.stderr)
        return EXIT_INPUT if err.errno in _OF_THE_PATH else EXIT_FAILED


def _use_utf8_names() -> None:
    """Start anew where this locale's file names are not UTF-8: there no file could be called é.

    The console keeps the locale's encoding.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.utf8_mode:
        return
    console = getattr(sys.stdout, "encoding", None) or "ascii"
    environment = {**os.environ, "PYTHONUTF8": "1"}
    environment.setdefault("PYTHONIOENCODING", console)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def as_line(err: OSError) -> str:
    """An error of the system as a user reads it: which file, and why."""
    names = [os.fsdecode(name) for name in (err.filename, err.filename2) if name is not None]
    return on_one_line(": ".join([*names, os.strerror(err.errno or errno.EIO)]))


def _check_surroundings(arguments: Sequence[str]) -> None:
    """Raises InputError: what records and pages cannot hold, before anything is computed."""
    try:
        folder = os.getcwd()
    except OSError as err:
        raise InputError(f"the working folder is gone ({err.strerror}); go to another one") from err
    ours = {name: value for name, value in os.environ.items() if name.startswith("HEADSTART_")}
    named = {f"argument {n}": text for n, text in enumerate(arguments, 1)}
    for what, text in {"the working folder": folder, **ours, **named}.items():
        if not is_text(text):
            raise InputError(f"{what}: {text!r} is not UTF-8 text; rename what it names")


@functools.cache
def say_once(text: str) -> None:
    """Print a note on standard error; a note that was printed before is not printed again."""
    print(text, file=sys.stderr)


def path_error(err: OSError, text: str) -> HeadstartError:
    """`text` as the user's mistake, or as the disk's, whichever an error of the system is."""
    return InputError(text) if err.errno in _OF_THE_PATH else StorageError(text)


def to_path(text: str) -> Path:
    """A path of a command line; an empty one, as of `--out "$UNSET"`, is no working folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def few(texts: Sequence[str], most: int = 4, separator: str = ", ") -> str:
    """The first of the texts, each of a length that a person reads, and how many more there are."""
    shown = separator.join(text[:200] for text in texts[:most])
    return f"{shown} and {len(texts) - most:,} more" if len(texts) > most else shown
