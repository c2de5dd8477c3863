"""Folders, zip files and tar files read alike: a list of names, and the bytes of each.

In: a path that somebody else made. Out: names that are safe to show and compare, and contents no
longer than announced. Nothing is ever unpacked to the disk. An archive is checked before its
first file is read, because its names and sizes are a stranger's. Zip files are read where they are
stored or deflated, tar files where they are plain or packed with gzip: readers of bzip2, lzma and
xz take the memory that a file asks for.
"""

from __future__ import annotations

import errno
import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, cast

from datasets.files.places import FILES, Place, Reader, content_in_zip, place_in_zip, read_place
from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.output import is_text
from headstart.packed import BROKEN, SMALL_BYTES, read_member

MAX_FILE_BYTES = 256 << 20
MAX_TOTAL_BYTES = 16 << 30
MAX_RATIO = 200  # unpacked to packed; deflate reaches 1,032, images rarely 20
_SMALL_BYTES = 1 << 20  # below this a high ratio harms nobody
_HEADER_BYTES = 1 << 20  # of one file of a tar; a long name takes some hundred
_NAMES_BYTES = 256 << 20  # of all names in a tar
_MEMBER_BYTES = 16  # a file in a tar takes more, however well it is packed
_MOST_KEPT = 4  # times its size is kept of a tar; the quickest deflate packs half as well as gzip
_PEEKED_BYTES = 64 << 20
_PEEKED_MEMBERS = 200
_LONGEST_NAME = 1024
_DEEPEST = 100
_SHOWN = 3  # broken links that a message names
_OF_WINDOWS = 0  # where a zip file was made; some programs there write `\\` between folders
_MOST_AGAIN = 1000  # folders that links lead to a second time
_GZIP = b"\x1f\x8b"
_OTHER_PACKING = (b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x5d\x00\x00")
_ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")


@dataclass(frozen=True)
class Tree:
    """Files by name; `read(name)` gives a file's bytes and may be called from several threads.

    Names are relative, with forward slashes, sorted, hidden and system files left out. `folders`
    are the names of all folders, empty ones too. `place(name)` says where a file's bytes lie, for
    `reader` to read; None where they can only be read from the start of an archive.
    """

    where: Path
    names: tuple[str, ...]
    folders: frozenset[str]
    read: Callable[[str], bytes]
    place: Callable[[str], Place] | None = None
    reader: Reader = FILES

    def label(self, name: str) -> str:
        """`name` as a message shows it."""
        where = str(self.where)  # not joined by pathlib: it is asked of many small files
        return name if where == "." else os.path.join(where, name)


def is_archive(path: Path) -> bool:
    """Whether the name of `path` is that of an archive which `open_tree` can read."""
    return path.name.lower().endswith(_ARCHIVES)


def first_members(path: Path) -> list[str]:
    """Names of the first files in a tar file, of its first megabytes; fewer where it is damaged."""
    names: list[str] = []
    with (
        suppress(_SwellsError, tarfile.TarError, RecursionError, *BROKEN),
        open(path, "rb") as file,
    ):
        for member, _ in islice(_tar_members(file, _PEEKED_BYTES), _PEEKED_MEMBERS):
            names += [member.name] * member.isfile()
    return names


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files under a folder or in an archive.

    Raises:
        DataError: the archive is damaged or unsafe (absolute names, `..`, links, sizes over the
            limits of this module), or the folder cannot be read.
    """
    check_plain(path)
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
        DataError: a folder cannot be read or lies too deep, a name is no text, or links lead back
            to a folder or to others without end.
    """
    return _walk(folder, [], {})


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError as err:
        if err.errno != errno.ELOOP:
            raise
        return False


def _walk(
    folder: Path, way: Sequence[tuple[int, int]], seen: dict[tuple[int, int], int]
) -> Iterator[os.DirEntry[str]]:
    """`way`: the folders that this one lies in; `seen`: how often each folder was reached."""
    try:
        own = os.stat(folder)
        key = (own.st_dev, own.st_ino)
        seen[key] = seen.get(key, 0) + 1
        if len(way) > _DEEPEST:
            raise DataError(f"{folder.parents[_DEEPEST]}: holds folders over {_DEEPEST} deep")
        if key in way or sum(seen.values()) > len(seen) + _MOST_AGAIN:
            raise DataError(f"{folder}: links lead back to a folder again and again; remove them")
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                _check_text(folder, entry.name)
                yield entry
                if is_folder(entry):
                    yield from _walk(Path(entry.path), [*way, key], seen)
    except OSError as err:
        raise DataError(
            f"{err.filename or folder}: cannot be read: {err.strerror}; give yourself the "
            "permission to read it"
        ) from err


def _folder_tree(folder: Path) -> Tree:
    names: list[str] = []
    folders: list[str] = []
    broken: list[str] = []  # links that lead nowhere
    for entry in walk(folder):
        name = Path(entry.path).relative_to(folder).as_posix()
        (folders if is_folder(entry) else names).append(name)
        if entry.is_symlink() and not os.path.exists(entry.path):
            broken.append(name)

    def read(name: str) -> bytes:
        return _read_plain(folder / name, broken)

    def place(name: str) -> Place:
        n = os.stat(folder / name).st_size
        return Place((folder / name).absolute(), 0, n, n)

    return Tree(folder, tuple(sorted(names)), frozenset(folders), read, place)


def tree_of_files(paths: Sequence[Path]) -> Tree:
    """Files that a person named one by one, in the order given, under the paths as given."""

    def place(name: str) -> Place:
        n = os.stat(name).st_size
        return Place(Path(name).absolute(), 0, n, n)

    names = tuple(str(path) for path in paths)
    return Tree(Path(), names, frozenset(), lambda name: _read_plain(Path(name)), place)


def _read_plain(path: Path, broken: Sequence[str] = ()) -> bytes:
    """The content of a regular file; `broken` are links of its folder that lead nowhere."""
    try:  # a pipe would be waited for, and a device may have no end
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            kind = os.fstat(file.fileno())
            if not stat.S_ISREG(kind.st_mode):
                raise DataError(f"{path}: is no file but a pipe or a device; remove it")
            if kind.st_size > MAX_FILE_BYTES:
                limit = f"{MAX_FILE_BYTES >> 20} MB, the limit for one file"
                raise DataError(f"{path}: over {limit}")
            return file.read()
    except OSError as err:
        if path.is_symlink() and not os.path.exists(path):
            raise DataError(_broken_link(path, sorted(broken))) from err
        raise DataError(f"{path}: cannot be read: {err.strerror}") from err


def _broken_link(path: Path, broken: Sequence[str]) -> str:
    target = os.fsencode(os.readlink(path)).decode("utf-8", "backslashreplace")
    shown = ", ".join(broken[:_SHOWN]) + (" …" if len(broken) > _SHOWN else "")
    more = f"; {len(broken)} such links are in the folder: {shown}" if len(broken) > 1 else ""
    return f"{path}: a link that leads nowhere (to '{target}'){more}"


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except BROKEN as err:
        raise DataError(f"{path}: not a whole zip file: {err}; fetch it again") from err


def _zip_tree(path: Path, archive: zipfile.ZipFile) -> Tree:
    members = {info.filename: info for info in archive.infolist()}
    for name, info in members.items():
        _check_name(path, name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{path}: '{name}' is a link; links are refused, pack plain files")
        if info.flag_bits & 1:
            raise DataError(f"{path}: '{name}' is encrypted; pack it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{path}: '{name}' is not packed as zip files usually are (deflate); pack it again"
            )
        _check_size(path, name, info.file_size, info.compress_size)
    _check_total(path, {name: info.file_size for name, info in members.items()})
    stored: dict[str, str] = {}
    for info in archive.infolist():
        is_of_windows = info.create_system == _OF_WINDOWS
        name = _plain_name(info.filename.replace("\\", "/") if is_of_windows else info.filename)
        if name in stored and is_wanted(name) and not name.endswith("/"):
            raise DataError(
                f"{path}: holds two files '{name}', and which is meant is not known; pack it again"
            )
        stored[name] = info.filename

    def read(name: str) -> bytes:
        try:
            assert archive.fp is not None, "it is open"
            content = content_in_zip(archive.fp, members[stored[name]])
            if content is not None:
                return content
            return read_member(archive, stored[name], MAX_FILE_BYTES)
        except BROKEN as err:
            raise DataError(f"{path}: '{name}' cannot be unpacked: {err}") from err

    def place(name: str) -> Place:
        with open(path, "rb") as file:
            return place_in_zip(path.absolute(), file, members[stored[name]])

    names = sorted(name for name in stored if is_wanted(name) and not name.endswith("/"))
    return Tree(path, tuple(names), _folders(stored), read, place)


def _tar_tree(path: Path) -> Tree:
    """The files of a plain tar file where they lie; of one packed with gzip, all in memory.

    The latter can only be read from its start. Its files are kept packed, so that what takes
    little in the archive takes little here.
    """
    contents: dict[str, bytes] = {}  # deflated
    places: dict[str, Place] = {}
    below: list[str] = []
    try:
        with open(path, "rb") as packed:
            size, is_plain = path.stat().st_size, packed.read(2) != _GZIP
            packed.seek(0)
            n_left = min(MAX_TOTAL_BYTES, max(_SMALL_BYTES, MAX_RATIO * size))
            n_left = size if is_plain else n_left
            n_left_of_names = _NAMES_BYTES
            n_left_to_keep = SMALL_BYTES + _MOST_KEPT * size
            most_members = 10_000 + size // _MEMBER_BYTES
            for member, read in islice(_tar_members(packed, n_left), most_members + 1):
                _check_name(path, member.name)
                name = _plain_name(member.name)
                n_left_of_names -= len(member.name)
                below.append(f"{name}/" if name and member.isdir() else name)
                n_left -= member.size
                if min(n_left, n_left_of_names, most_members - len(below)) < 0:
                    raise _SwellsError
                if member.isdir():
                    continue
                if not member.isfile() or member.issparse():
                    raise DataError(
                        f"{path}: '{member.name}' is a link or a device; pack plain files"
                    )
                _check_size(path, member.name, member.size, member.size)
                if not is_wanted(name):
                    continue
                if is_plain:
                    at = member.offset_data
                    places[name] = Place(path.absolute(), at, member.size, member.size)
                    if at + member.size > size:
                        raise tarfile.ReadError("unexpected end of data")
                    continue
                contents[name] = zlib.compress(read(), level=1)
                n_left_to_keep -= len(contents[name])
                if n_left_to_keep < 0:
                    raise DataError(
                        f"{path}: takes over {_MOST_KEPT} times its size in memory; pack its files "
                        "as a zip file"
                    )
    except _SwellsError as err:
        limit = f"over {MAX_RATIO} times its size, which is the limit"
        raise DataError(f"{path}: unpacks to {limit}") from err
    except (*BROKEN, tarfile.TarError, RecursionError) as err:
        raise DataError(f"{path}: not a whole tar file: {err}; fetch it again") from err
    folders = _folders(below)
    if not is_plain:
        names = tuple(sorted(contents))
        return Tree(path, names, folders, lambda name: zlib.decompress(contents[name]))

    def read_there(name: str) -> bytes:
        return read_place(places[name], str(path / name))

    return Tree(path, tuple(sorted(places)), folders, read_there, places.__getitem__)


class _SwellsError(Exception):
    """A tar file unpacks to more than its size warrants."""


def _tar_members(
    packed: BinaryIO, most: int
) -> Iterator[tuple[tarfile.TarInfo, Callable[[], bytes]]]:
    """Each member, and what reads its content before the next one is asked for.

    Raises:
        _SwellsError: more than `most` bytes of content and as many of padding, or a header of
            more than a megabyte.
        one of BROKEN: it is damaged, or packed otherwise than with gzip.
    """
    start = packed.read(6)
    packed.seek(0)
    if start.startswith(_OTHER_PACKING):
        raise ValueError("it is packed with bzip2, xz or zstandard; gzip and plain tar are read")
    is_gzip = start.startswith(_GZIP)
    unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=packed)) if is_gzip else packed
    most = 2 * most + _HEADER_BYTES  # each file is padded to 512 bytes
    stream = _BoundedStream(unpacked, most, may_skip=not is_gzip)
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        member = archive.next()
        while member is not None:
            file = archive.extractfile(member) if member.isfile() else None
            stream.n_header = max(_HEADER_BYTES, member.size)
            yield member, file.read if file is not None else bytes
            archive.members = []  # tarfile would keep all of them
            stream.n_header = _HEADER_BYTES
            member = archive.next()


class _BoundedStream:
    """The bytes of a tar file, only forwards: all of them counted, and those of each header.

    tarfile reads a header's own data (a long name, a list of holes) as long as it says it is.
    """

    def __init__(self, file: IO[bytes], most: int, may_skip: bool):
        self._file = file
        self._may_skip = may_skip
        self._n_left = most
        self._at = 0
        self.n_header = _HEADER_BYTES  # may be read before this is set again

    def tell(self) -> int:
        return self._at

    def read(self, n: int = -1) -> bytes:
        self.n_header -= n
        if n < 0 or self.n_header < 0:
            raise _SwellsError
        return self._read(n)

    def seek(self, to: int) -> int:
        if to < self._at:
            raise OSError("it would be read backwards")
        if self._may_skip:  # the byte before the next header is read, so an early end is noticed
            self._n_left -= to - self._at
            self._at = self._file.seek(to)
        while self._at < to and self._read(min(_HEADER_BYTES, to - self._at)):
            pass
        return self._at

    def _read(self, n: int) -> bytes:
        self._n_left -= n
        if self._n_left < 0:
            raise _SwellsError
        content = self._file.read(n)
        self._at += len(content)
        return content


def _folders(names: Iterable[str]) -> frozenset[str]:
    """All folders that `names` lie in or are; a folder's own name ends with `/`."""
    return frozenset(all_above(name for name in names if is_wanted(name)))


def all_above(names: Iterable[str]) -> set[str]:
    """All folders that these relative names lie in, each as a relative name."""
    nearest = {name[: name.rfind("/") + 1] for name in names}
    return {folder for name in nearest for folder in folders_above(name)}


def folders_above(name: str) -> list[str]:
    """The folders that a relative name lies in, each as a relative name, the upper ones first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _plain_name(name: str) -> str:
    """`name` without the `./` that `tar -c .` puts before each."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return "" if name == "." else name


def is_wanted(name: str) -> bool:
    """Whether a relative name is neither hidden nor of what macOS adds to archives."""
    if not name or name.startswith(".") or "/." in name:
        return False
    return "__MACOSX" not in name or "__MACOSX" not in name.split("/")


def _check_text(where: Path, name: str) -> None:
    if not is_text(name):
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(
            f"{where}: the name '{shown}' is not UTF-8 text; rename it, or unpack the archive that "
            "it came from anew with the encoding that it was packed with"
        )


def _check_name(path: Path, name: str) -> None:
    _check_text(path, name)
    if len(name) > _LONGEST_NAME:
        raise DataError(f"{path}: '{name[:40]}…' is a name of {len(name):,} characters")
    slashed = name.replace("\\", "/")
    parts = slashed.split("/")  # not by pathlib, which takes longer than reading small files
    first = next((part for part in parts if part not in ("", ".")), "")
    if slashed.startswith("/") or ".." in parts or ":" in first:
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
    most = max(MAX_TOTAL_BYTES, 2 * path.stat().st_size)  # packed images hardly grow
    if sum(sizes.values()) > most:
        raise DataError(f"{path}: unpacks to {sum(sizes.values()):,} bytes; the limit is {most:,}")
