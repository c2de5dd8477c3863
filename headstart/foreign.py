"""Files and names of a run folder that anybody may have made: checked before they are used.

In: a run folder, and a name from a record, an archive or a table. Out: an open file, or one line
that says what is wrong. A run folder may come from a stranger, so a name must be plain, a link is
never followed (neither at the end of a path nor on its way), and only regular files are opened: a
pipe would be waited for without end. Every folder on the way is opened by itself and the next name
is looked up in it, so nobody can put a link there between the look and the reading.

It stands alone because all readers of run folders share these rules, and no rule is theirs.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import IO

from headstart.errors import RunFolderError

MOST_PARTS = 8  # folders deep: trials/ID/state/GENERATION/result/checkpoints/NAME, and one more
LONGEST_PART = 100
MAX_RECORD_BYTES = (
    256 << 20
)  # of a file that is read as a whole; plan.json of 200,000 trials: 30 MB
MAX_COPIED_BYTES = 64 << 30
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_SHOWN = 60


def is_plain(name: object) -> bool:
    """Whether it is a plain file name, or a relative path of plain names (see `checked_name`)."""
    parts = name.split("/") if isinstance(name, str) else []
    return 0 < len(parts) <= MOST_PARTS and all(
        len(part) <= LONGEST_PART and _PART.fullmatch(part) and not _RESERVED.fullmatch(part)
        for part in parts
    )


def checked_name(name: object, where: Path | str) -> str:
    """`name`, where it is a plain file name or a relative path of plain names.

    Plain are letters, digits and `_ . + = -` in ASCII, at most 100, the first no `.`, `+`, `=` or
    `-`, the last no `.`, and none of the names that Windows keeps for devices.

    Raises:
        RunFolderError: any other name; `where` says what it stands in.
    """
    if not isinstance(name, str) or not is_plain(name):
        raise RunFolderError(
            f"{where}: the name {_shown(name)} is not used as a path: letters, digits and _ . + = "
            "- are allowed, at most 100, and / between folders"
        )
    return name


def open_inside(run: Path, name: str) -> BufferedReader:
    """Open the regular file `RUN/NAME` to read; the run folder itself may be a link.

    Raises:
        FileNotFoundError: it is not there.
        RunFolderError: the name is not plain (`checked_name`), a link is on the way, or it is no
            regular file.
    """
    *folders, last = checked_name(name, run).split("/")
    way = Path(run)
    at = _opened(way, str(run), os.O_DIRECTORY, None, may_be_link=True)
    try:
        for part in folders:
            way /= part
            below = _opened(way, part, os.O_DIRECTORY, at)
            os.close(at)
            at = below
        return _regular(way / last, _opened(way / last, last, os.O_NONBLOCK, at))
    finally:
        os.close(at)


def open_record(path: Path) -> BufferedReader:
    """Open a JSON file of a run folder, given by its whole path; raises as `open_inside` does.

    A `trial.json` is guarded from the folder `trials` on, any other file by itself: above that the
    path is the user's, who may have links and odd names on it.
    """
    if path.name == "trial.json" and "trials" in path.parts:
        start = len(path.parts) - 1 - path.parts[::-1].index("trials")
        return open_below(Path(*path.parts[:start]), "/".join(path.parts[start:]))
    return open_plain(path)


def open_below(run: Path, name: str) -> BufferedReader:
    """`open_inside` where the name is plain; `open_plain` where it cannot be of a run folder."""
    return open_inside(run, name) if is_plain(name) else open_plain(run / name)


def open_plain(path: Path) -> BufferedReader:
    """Open a regular file to read, whose folder is trusted and which is no link.

    Raises:
        FileNotFoundError: it is not there.
        RunFolderError: it is a link or no regular file.
    """
    return _regular(path, _opened(path, str(path), os.O_NONBLOCK, None))


def is_inside(run: Path, name: str) -> bool:
    """Whether the regular file `RUN/NAME` is there; raises as `open_inside` does."""
    with suppress(FileNotFoundError):
        open_inside(run, name).close()
        return True
    return False


def read_inside(run: Path, name: str, limit: int = MAX_RECORD_BYTES) -> bytes:
    """The content of `RUN/NAME`; raises as `open_inside` does, and where it is over `limit`."""
    with open_inside(run, name) as file:
        return read_limited(file, run / name, limit)


def read_limited(file: IO[bytes], path: Path, limit: int = MAX_RECORD_BYTES) -> bytes:
    """The content of an open file of at most `limit` bytes.

    Raises:
        RunFolderError: it is longer.
    """
    n_bytes = os.fstat(file.fileno()).st_size
    if n_bytes > limit:
        raise RunFolderError(f"{path}: has {n_bytes:,} bytes; at most {limit:,} are read")
    return file.read(n_bytes)


def copy_inside(run: Path, name: str, target: Path) -> None:
    """Copy `RUN/NAME` to the new file `target`; raises as `open_inside` does."""
    with open_inside(run, name) as source, open(target, "wb") as copy:
        refuse_huge(source, run / name)
        shutil.copyfileobj(source, copy, 1 << 20)


def refuse_huge(file: IO[bytes], path: Path) -> None:
    """Raise RunFolderError where an open file is too long to be copied or hashed."""
    n_bytes = os.fstat(file.fileno()).st_size
    if n_bytes > MAX_COPIED_BYTES:
        raise RunFolderError(f"{path}: has {n_bytes:,} bytes, too many to be copied")


def own_folder(run: Path, *names: str) -> Path:
    """The folder `RUN/NAME/NAME…` to write to; it is made where it is not there.

    Raises:
        RunFolderError: one of them is a link: what is written would land somewhere else.
    """
    folder = Path(run)
    for name in names:
        folder /= name
        if folder.is_symlink():
            raise _link(folder)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def refuse_links(folder: Path, deep: bool = False) -> None:
    """Raise RunFolderError where a folder has a link in it, or (`deep`) at any depth below it."""
    if folder.is_symlink():
        raise _link(folder)
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise _link(Path(entry.path))
            if deep and entry.is_dir(follow_symlinks=False):
                refuse_links(Path(entry.path), deep)


def _opened(
    path: Path, name: str, flags: int, folder: int | None, may_be_link: bool = False
) -> int:
    flags |= os.O_RDONLY | (0 if may_be_link else os.O_NOFOLLOW)
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as err:
        if err.errno == errno.ESTALE:  # another node replaced it just now: the caller asks again
            raise
        if not may_be_link and (path.is_symlink() or err.errno == errno.ELOOP):
            raise _link(path) from err
        if err.errno == errno.ENOTDIR:  # a file where a folder belongs: nothing lies in it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from err
        raise RunFolderError(f"{path}: cannot be opened: {err.strerror}") from err


def _regular(path: Path, descriptor: int) -> BufferedReader:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
    raise RunFolderError(f"{path}: is {kind}; a file is expected there")


def _link(path: Path) -> RunFolderError:
    return RunFolderError(
        f"{path}: is a link, and links in a run folder are not followed; put what it points to in "
        "its place"
    )


def _shown(name: object) -> str:
    text = ascii(name)  # no control character reaches the terminal
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
