"""Folders, zip files and tar files read alike: a list of names, and the bytes of each.

In: a path that somebody else made. Out: names that are safe to show and compare, and contents no
longer than announced. Nothing is ever unpacked to the disk. An archive is checked before its
first file is read, because its names and sizes are a stranger's.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headstart.errors import DataError

MAX_FILE_BYTES = 256 << 20
MAX_TOTAL_BYTES = 16 << 30
MAX_RATIO = 200  # unpacked to packed; deflate reaches 1,032, images rarely 20
_SMALL_BYTES = 1 << 20  # below this a high ratio harms nobody
_ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")


@dataclass(frozen=True)
class Tree:
    """Files by name; `read(name)` gives a file's bytes and may be called from several threads.

    Names are relative, with forward slashes, sorted, hidden and system files left out. `folders`
    are the names of all folders, empty ones too.
    """

    where: Path
    names: tuple[str, ...]
    folders: frozenset[str]
    read: Callable[[str], bytes]

    def label(self, name: str) -> str:
        """`name` as a message shows it."""
        return str(self.where / name)


def is_archive(path: Path) -> bool:
    """Whether the name of `path` is that of an archive which `open_tree` can read."""
    return path.name.lower().endswith(_ARCHIVES)


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files under a folder or in an archive.

    Raises:
        DataError: the archive is damaged or unsafe (absolute names, `..`, links, sizes over the
            limits of this module), or the folder cannot be read.
    """
    if path.is_dir():
        yield _folder_tree(path)
    elif path.name.lower().endswith(".zip"):
        with _open_zip(path) as archive:
            yield _zip_tree(path, archive)
    else:
        yield _tar_tree(path)


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files and folders below `folder`, hidden ones left out, in no particular order.

    Raises:
        DataError: a folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                yield entry
                if entry.is_dir():
                    yield from walk(Path(entry.path))
    except OSError as err:
        raise DataError(
            f"{err.filename or folder}: cannot be read: {err.strerror}; give yourself the "
            "permission to read it"
        ) from err


def _folder_tree(folder: Path) -> Tree:
    below = [(Path(e.path).relative_to(folder).as_posix(), e.is_dir()) for e in walk(folder)]
    names = sorted(name for name, is_folder in below if not is_folder)
    folders = frozenset(name for name, is_folder in below if is_folder)

    def read(name: str) -> bytes:
        path = folder / name
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise DataError(f"{path}: over {MAX_FILE_BYTES >> 20} MB, the limit for one file")
            return path.read_bytes()
        except OSError as err:
            raise DataError(f"{path}: cannot be read: {err.strerror}") from err

    return Tree(folder, tuple(names), folders, read)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as err:
        raise DataError(f"{path}: not a whole zip file: {err}; fetch it again") from err


def _zip_tree(path: Path, archive: zipfile.ZipFile) -> Tree:
    members = {info.filename: info for info in archive.infolist()}
    for name, info in members.items():
        _check_name(path, name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{path}: '{name}' is a link; links are refused, pack plain files")
        if info.flag_bits & 1:
            raise DataError(f"{path}: '{name}' is encrypted; pack it without a password")
        _check_size(path, name, info.file_size, info.compress_size)
    _check_total(path, {name: info.file_size for name, info in members.items()})

    def read(name: str) -> bytes:
        try:
            return archive.read(members[name])
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as err:
            raise DataError(f"{path}: '{name}' cannot be unpacked: {err}") from err

    names = sorted(name for name in members if _is_wanted(name) and not name.endswith("/"))
    return Tree(path, tuple(names), _folders(members), read)


def _tar_tree(path: Path) -> Tree:
    """All of a tar file's contents in memory: a compressed tar can only be read from its start."""
    contents: dict[str, bytes] = {}
    below: list[str] = []
    n_left = min(MAX_TOTAL_BYTES, max(_SMALL_BYTES, MAX_RATIO * path.stat().st_size))
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                _check_name(path, member.name)
                below.append(f"{member.name}/" if member.isdir() else member.name)
                if member.isdir():
                    continue
                if not member.isfile():
                    raise DataError(
                        f"{path}: '{member.name}' is a link or a device; pack plain files"
                    )
                _check_size(path, member.name, member.size, member.size)
                n_left -= member.size
                if n_left < 0:
                    raise DataError(
                        f"{path}: unpacks to over {MAX_RATIO} times its size, which is the limit"
                    )
                file = archive.extractfile(member)
                if file is not None and _is_wanted(member.name):
                    contents[member.name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as err:
        raise DataError(f"{path}: not a whole tar file: {err}; fetch it again") from err
    return Tree(path, tuple(sorted(contents)), _folders(below), contents.__getitem__)


def _folders(names: Iterable[str]) -> frozenset[str]:
    """All folders that `names` lie in or are; a folder's own name ends with `/`."""
    parents = (parent for name in names if _is_wanted(name) for parent in _parents(name))
    return frozenset(parents)


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _is_wanted(name: str) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _check_name(path: Path, name: str) -> None:
    slashed = PurePosixPath(name.replace("\\", "/"))
    if (
        slashed.is_absolute()
        or ".." in slashed.parts
        or (slashed.parts and ":" in slashed.parts[0])
    ):
        raise DataError(
            f"{path}: '{name}' would unpack outside its folder; pack it again with relative names"
        )


def _check_size(path: Path, name: str, size: int, packed: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{path}: '{name}' unpacks to {size:,} bytes; the limit for one file is "
            f"{MAX_FILE_BYTES:,}"
        )
    if size > _SMALL_BYTES and size > MAX_RATIO * packed:
        raise DataError(
            f"{path}: '{name}' unpacks to {size // max(1, packed)} times its size; the limit is "
            f"{MAX_RATIO} times"
        )


def _check_total(path: Path, sizes: Mapping[str, int]) -> None:
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise DataError(
            f"{path}: unpacks to {sum(sizes.values()):,} bytes; the limit is {MAX_TOTAL_BYTES:,}"
        )
