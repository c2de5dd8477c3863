"""Atomic writes: a reader sees the old file or the new one, never a part of either."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from headstart.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it replaces `path`.

    The file is flushed to the disk before the rename, so that a crash of the machine leaves the
    old content or the new. The temporary name begins with `.`, like all temporary names of ours.

    Raises:
        StorageError: the disk is full; the temporary file is removed, `path` is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as err:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(err, OSError) and err.errno in _FULL:
            raise StorageError(
                f"{path}: cannot be written: {os.strerror(err.errno or 0)}. Free some space and "
                "run the same command again: what is finished is kept"
            ) from err
        raise


@contextmanager
def atomic_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """`open(path, mode)` whose content replaces `path` when the block ends without an error."""
    encoding = None if "b" in mode else "utf-8"
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding) as file:
        yield file


def write_json(path: Path | str, content: object) -> None:
    """Write `content` as readable JSON, atomically."""
    with atomic_file(path) as file:
        json.dump(content, file, indent=1, allow_nan=True, default=str)
        file.write("\n")


def read_mapping(path: Path | str) -> dict[str, Any]:
    """A JSON mapping; empty where it is not there (yet), is being replaced, or is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def safe_name(text: str, limit: int = 80) -> str:
    """`text` as a file name: letters, digits, `.`, `_`, `-`; never empty, hidden or a path."""
    return (_SAFE_NAME.sub("-", text).strip(".-") or "unnamed")[:limit]
