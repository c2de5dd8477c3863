"""The zip file of a publication: written in the same bytes each time, read as a stranger's.

In: a folder, or a file that anybody may have made. Out: the file, or its members. What a member is
called, how many there are and what they unpack to is looked at before anything is unpacked;
`digests.json` holds the SHA-256 of every other member. It stands alone because it knows nothing of
runs and reports.
"""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headstart.archives import DAMAGES
from headstart.digests import digest_of_file, digest_of_open
from headstart.errors import InputError
from headstart.files import atomic_path
from headstart.foreign import open_plain
from headstart.packed import SMALL_BYTES, check_member, most_unpacked, read_member

DIGESTS = "digests.json"
ABOUT = "publication.json"
KIND = "headstart publication"
FORMAT = 1
FIRST = ("README.txt", ABOUT, DIGESTS)
MOST_MEMBERS = 50_000
LONGEST_NAME = 240
DEEPEST = 8
MAX_MEMBER = 8 << 30
MAX_TOTAL = 64 << 30
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip file can say: the date of every member


def write_container(folder: Path, path: Path) -> int:
    """Write all files of a folder to a new zip file at `path`; returns how many.

    The same files give the same bytes.

    Raises:
        StorageError: the disk is full or cannot be written; what was there is as it was.
    """
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    digests = {name: digest_of_file(folder / name) for name in sorted(names) if name != DIGESTS}
    text = json.dumps(digests, indent=1, ensure_ascii=False) + "\n"
    (folder / DIGESTS).write_text(text, encoding="utf-8")
    order = [*FIRST, *(name for name in sorted(digests) if name not in FIRST)]
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in order:
            info = zipfile.ZipInfo(name, _EARLIEST)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            info.file_size = (folder / name).stat().st_size
            with open(folder / name, "rb") as file, archive.open(info, "w") as member:
                shutil.copyfileobj(file, member, 1 << 20)
    return len(order)


def is_container(path: Path) -> bool:
    """Whether a file is one that `write_container` may have written, by what it says of itself."""
    try:
        with open_container(path):
            return True
    except InputError:
        return False


@dataclass(frozen=True)
class Container:
    """An open publication: its members' names, what it says of itself, its digests.

    All methods raise InputError where a member is damaged.
    """

    path: Path
    archive: zipfile.ZipFile
    names: tuple[str, ...]
    about: Mapping[str, object]
    digests: Mapping[str, str]

    def changed(self) -> Iterator[str]:
        """A line for each member that is not what was published."""
        for name in self.names:
            if name == DIGESTS:
                continue
            if name not in self.digests:
                yield f"{name}: was added"
            elif self._digest(name) != self.digests[name]:
                yield f"{name}: is not what was published (its SHA-256 is another one)"
        for name in sorted(set(self.digests) - set(self.names)):
            yield f"{name}: is missing"

    def unpack(self, folder: Path, *below: str) -> None:
        """Write the members whose names begin with one of `below` into a new folder."""
        for name in self.names:
            if name.startswith(below):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    _in_words(self.path),
                    self.archive.open(name) as member,
                    open(target, "xb") as file,
                ):
                    shutil.copyfileobj(member, file, 1 << 20)

    def read(self, name: str, most: int) -> bytes:
        """One member, of at most `most` bytes."""
        with _in_words(self.path):
            return read_member(self.archive, name, most)

    def _digest(self, name: str) -> str:
        with _in_words(self.path), self.archive.open(name) as member:
            return digest_of_open(member)  # type: ignore[arg-type]


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """A publication to read.

    Raises:
        InputError: it is none, is damaged, or has members that are not used.
    """
    try:
        file = open_plain(path)
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file; give a .zip that `publish` wrote") from err
    with file:
        with _in_words(path):
            archive = zipfile.ZipFile(file)
            container = _checked(path, archive)
        with archive:
            yield container


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What is wrong with a zip file as one line."""
    try:
        yield
    except DAMAGES as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise InputError(f"{path}: cannot be read as a publication ({reason})") from err


def _checked(path: Path, archive: zipfile.ZipFile) -> Container:
    size = path.stat().st_size
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it has {len(members):,} members; at most {MOST_MEMBERS:,} are read")
    names = [info.filename for info in members]
    if ABOUT not in names or DIGESTS not in names:
        raise ValueError(f"it has no {ABOUT} and {DIGESTS}, which `publish` writes")
    _check_names(names)
    for info in members:
        mode = info.external_attr >> 16
        if info.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise ValueError(f"{info.filename!a:.80} is a folder, a link or a device")
        check_member(info, MAX_MEMBER)
    total, packed = (
        sum(getattr(i, key) for i in members) for key in ("file_size", "compress_size")
    )
    if packed > size:
        raise ValueError("its members overlap")
    if total > min(MAX_TOTAL, most_unpacked(size)):
        raise ValueError(f"it unpacks to {total:,} bytes from {size:,}, too many")
    about = _mapping(archive, ABOUT)
    if about.get("kind") != KIND:
        raise ValueError(f"its {ABOUT} does not say that it is a publication")
    if about.get("format") != FORMAT:
        raise ValueError(f"it is of format {about.get('format')!a:.20}; {FORMAT} is read")
    digests = {str(name): str(digest) for name, digest in _mapping(archive, DIGESTS).items()}
    return Container(path, archive, tuple(names), about, digests)


def _check_names(names: list[str]) -> None:
    for name in names:
        parts = name.split("/")
        is_odd = not name.isprintable() or len(name) > LONGEST_NAME or len(parts) > DEEPEST
        is_odd |= any(part.strip(" .") == "" or part[0] == " " for part in parts)
        if is_odd or set(name) & set('\\:*?"<>|'):
            raise ValueError(f"the name {name!a:.80} is not used as a path")
    known = {name.casefold() for name in names}
    if len(known) < len(names):
        raise ValueError("two members have one name")
    if any("/".join(n.split("/")[:k]) in known for n in known for k in range(1, n.count("/") + 1)):
        raise ValueError("a member has the name of a folder of another one")


def _mapping(archive: zipfile.ZipFile, name: str) -> dict[str, object]:
    content = json.loads(read_member(archive, name, SMALL_BYTES))
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds no mapping")
    return content
