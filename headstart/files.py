"""Atomic writes that last: a reader sees the old file or the new one, never a part of either.

In: a path and its new content. Out: the file, on the disk together with its name, or one error in
words. What is not whole yet has a temporary name, which says which process writes it, so that what
a dead command left can be told from what a living one is writing. Every package writes files; so
this stands in the leaf.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from headstart.errors import RunFolderError, StorageError
from headstart.foreign import open_record, read_limited
from headstart.processes import is_alive, process_started, this_machine

ABANDONED_AFTER_S = 86_400.0  # without a change: a temporary file that another machine wrote
FULL = {errno.ENOSPC, errno.EDQUOT}  # what a disk says that has no space left
_UNWRITABLE = {errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
# A file system that cannot flush a folder has nothing to flush.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_TEMPORARY = re.compile(
    r"\.(?P<name>.*)\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\w+)-[0-9a-f]{8}\.tmp",
    re.DOTALL,
)
_NAME_BYTES = 150  # of 255 that a file name may have


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; on success it replaces `path`.

    The file is flushed to the disk before the rename and its folder after it, so that a crash of
    the machine leaves the old content or the new. What dead commands left of the same file goes.

    Raises:
        StorageError: the disk is full, broken or may not be written; the temporary file is removed,
            `path` is as it was.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    try:
        with storage_errors(path):
            for dead in dead_temporaries(path.parent, path.name):
                remove(dead)
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def atomic_file(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """`open(path, mode)` whose content replaces `path` when the block ends without an error."""
    encoding = None if "b" in mode else "utf-8"
    with atomic_path(path) as temporary, open(temporary, mode, encoding=encoding) as file:
        yield file


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Give an error of the disk below `path` in words.

    Raises:
        StorageError: the disk is full, broken or may not be written.
    """
    try:
        yield
    except OSError as err:
        reason = os.strerror(err.errno or 0)
        if err.errno in FULL:
            raise StorageError(
                f"{path}: cannot be written: {reason}. Free some space and "
                "run the same command again: what is finished is kept"
            ) from err
        if err.errno in _UNWRITABLE:
            raise StorageError(f"{path}: cannot be written: {reason}") from err
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that they last.

    Raises:
        StorageError: the disk is full, broken or may not be written.
        FileExistsError: a file has that name.
    """
    with storage_errors(path):
        if path.is_dir():
            return
        missing = [path]
        while not (above := missing[-1].parent).is_dir() and above != missing[-1]:
            missing.append(above)
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush which names a folder holds, where the file system can do that."""
    try:
        opened = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:  # a folder that may be written and not listed; Windows
        return
    try:
        os.fsync(opened)
    except OSError as err:
        if err.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Flush all that a folder holds; for what was written file by file and gets its name then."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as written:
                os.fsync(written.fileno())
        sync_folder(Path(root))


def temporary_beside(path: Path) -> Path:
    """A name that nothing else has, for what shall have the name `path` once it is whole.

    It begins with `.`, like all temporary names of ours, and says which process writes: process ids
    alone are the same in several containers, and on several nodes.
    """
    pid = os.getpid()
    writer = f"{_short(this_machine())}-{pid}-{process_started(pid) or 0}"
    return path.with_name(f".{_shown_part(path.name)}.{writer}-{uuid.uuid4().hex[:8]}.tmp")


def _shown_part(name: str) -> str:
    """As much of a file's name as there is room for in its temporary name."""
    return name.lstrip(".").encode("utf-8", "ignore")[:_NAME_BYTES].decode("utf-8", "ignore")


def remove_dead_temporaries(folder: Path) -> None:
    """Remove what lies under a temporary name of ours in `folder` and whose writer is surely dead.

    Surely dead is a process of this machine that is gone. What another machine wrote goes when it
    has not changed for a day.
    """
    for path in dead_temporaries(folder):
        remove(path)


def dead_temporaries(folder: Path, name: str | None = None) -> list[Path]:
    """What lies under a temporary name of ours in `folder` and whose writer is surely dead.

    `name`: only what was to have this name.
    """
    written = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.glob(".*.tmp"))
    part = None if name is None else _shown_part(name)
    return [
        path
        for path, writer in written
        if writer is not None and part in (None, writer["name"]) and _is_dead(path, writer)
    ]


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all it holds; one that is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def age_s(path: Path) -> float:
    """Seconds since a file changed, by the clock of the file system that it lies on.

    Negative where its time lies ahead; 0 where it is gone.
    """
    probe = temporary_beside(path)
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _is_dead(path: Path, writer: re.Match[str]) -> bool:
    if writer["machine"] == _short(this_machine()):
        return not is_alive(int(writer["pid"]), writer["started"])
    with suppress(OSError):
        return age_s(path) > ABANDONED_AFTER_S
    return False


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def write_json(path: Path | str, content: object) -> None:
    """Write `content` as readable JSON, atomically."""
    with atomic_file(path) as file:
        json.dump(content, file, indent=1, allow_nan=True, default=str)
        file.write("\n")


def read_mapping(path: Path | str) -> dict[str, Any]:
    """A JSON mapping; empty where it is not there (yet), is being replaced, or is none.

    Links and pipes of a run folder are not followed and not waited for: they are none.
    """
    path = Path(path)
    try:
        with open_record(path) as file:
            content = json.loads(read_limited(file, path))
    except (OSError, ValueError, RecursionError, RunFolderError):
        return {}
    return content if isinstance(content, dict) else {}


def distinct_name(text: str, limit: int = 60) -> str:
    """`text` as a file name that no other text gives; letters of any script stay.

    It is the text itself where that can be a name, else what can stay of it and a hash of it all.
    """
    name = re.sub(r"[^\w.-]+", "-", text)[:limit].strip(".-")
    if text and name == text:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{name}-{digest}" if name else digest


def safe_name(text: str, limit: int = 80) -> str:
    """`text` as a file name: letters, digits, `.`, `_`, `-`; never empty, hidden or a path."""
    return (_SAFE_NAME.sub("-", text).strip(".-") or "unnamed")[:limit]
