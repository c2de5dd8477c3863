"""Where data is looked for, where caches go, and how "not there" is said.

In: what the caller gave and the environment. Out: paths. Reads no file's content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from datasets.base import Request
from headstart.caches import expanded
from headstart.errors import DataError, DataNotFoundError


def data_folder(given: Path | str | None = None) -> Path:
    """Where to look for files: `given`, else HEADSTART_DATA, else `data` in the working folder."""
    return expanded(given or os.environ.get("HEADSTART_DATA") or "data")


def downloads_folder(request: Request) -> Path:
    """Where downloads go: HEADSTART_DOWNLOADS, else `downloads` in the cache folder.

    A job may cache decoded arrays on a disk of its node that dies with it, and still needs what
    was fetched before on a machine with a network.
    """
    named = os.environ.get("HEADSTART_DOWNLOADS")
    return expanded(named) if named else request.cache_dir / "downloads"


def first_existing(candidates: Iterable[Path]) -> Path | None:
    """The first of `candidates` that is there.

    Raises:
        DataError: none is, but one of them cannot be looked at, or is a link that leads nowhere.
    """
    candidates = tuple(candidates)
    existing = next((path for path in candidates if os.path.exists(path)), None)
    if existing is None:
        for path in candidates:
            _check_absent(path)
    return existing


def _check_absent(path: Path) -> None:
    """Tell what is not there from what is there and cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return
    except OSError as err:
        raise DataError(f"{path}: cannot be looked at: {err.strerror}") from err
    try:
        os.stat(path)
    except OSError as err:
        where = os.readlink(path) if os.path.islink(path) else path
        raise DataError(
            f"{path}: a link to {where}, which cannot be opened: {err.strerror}"
        ) from err


def check_plain(path: Path, most: int | None = None) -> None:
    """Refuse what is neither a file nor a folder, before it is waited for or has no end.

    Raises:
        DataError: a pipe, a device or a socket; or a file of over `most` bytes.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return  # whoever opens it says why it cannot be read
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise DataError(f"{path}: is a pipe or a device; a file or a folder is expected")
    if most is not None and status.st_size > most:
        raise DataError(f"{path}: over {most >> 20} MB, the limit for one file")


def user_path(path: Path, data_dir: Path) -> Path:
    """A path from a sweep file: as given from the working folder, else from the data folder.

    Raises:
        DataNotFoundError: it is in neither.
        DataError: it is neither a file nor a folder.
    """
    path = expanded(path)
    existing = first_existing([path, data_dir / path])
    if existing is None:
        looked = [path] if path.is_absolute() else [path, data_dir / path]
        raise DataNotFoundError(
            f"{path}: no such file or folder (looked at {', '.join(str(p) for p in looked)}); "
            "give the path of your data, from the working folder or from the data folder",
            is_named=True,
        )
    check_plain(existing)
    return existing


def user_paths(paths: Iterable[Path | None], data_dir: Path) -> tuple[Path, ...]:
    """`user_path` of each path that is given: of one data set, all of which must be there.

    Raises:
        DataNotFoundError: none of them is there.
        DataError: some are, and some are not; or one is neither a file nor a folder.
    """
    there, missing = [], []
    for path in filter(None, paths):
        try:
            there.append(user_path(path, data_dir))
        except DataNotFoundError as err:
            missing.append(err)
    if missing and there:
        raise DataError("; ".join(map(str, missing))) from missing[0]
    if missing:
        raise missing[0]
    return tuple(there)


def not_found(name: str, request: Request, put: str) -> DataNotFoundError:
    """The error of a set that is not on this machine; `put` says what to put where."""
    return DataNotFoundError(
        f"data set '{name}' is not on this machine (looked in {request.data_dir} and "
        f"{request.cache_dir}): {put}",
        put,
    )
