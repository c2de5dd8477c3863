"""The files that a set is read from → what they hold, without reading again what did not change.

In: files and folders. Out: a digest for each file. Its path, size, times and inode tell that a file
is as it was when it was read last; then one small file says what was read. A file that was replaced
by one of the same size and time has another inode, or another time of its status. What changed in
the last seconds is always read: a clock's tick may hide a second change.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.files.trees import MAX_FILE_BYTES, walk
from headstart.digests import check_sealed, is_sealed, write_sealed_json
from headstart.errors import DataError, HeadstartError
from headstart.files import read_mapping
from headstart.processes import n_cores

_PIECE = 16 << 20  # bytes of a large file that one thread reads
_TOGETHER = 64  # small files that a thread reads one after another
_WHATEVER = 1 << 62  # bytes: a file that was named is read whatever its size
_FRESH_S = 2.0
_MOST_REMEMBERED = 1000  # lists of files


@dataclass(frozen=True)
class _Stamp:
    """What the system says of a file. `may_be_read`: it is a plain file that decoders read."""

    path: str
    numbers: tuple[int, ...]  # bytes, times of content and of status in ns, inode
    may_be_read: bool

    @property
    def changed_ns(self) -> int:
        return max(self.numbers[1:3])


def content_of(sources: Sequence[Path], memory: Path) -> list[tuple[str, str]]:
    """(path, digest of the content) of each source file, and of all files in a folder.

    Args:
        sources: files, and folders of them.
        memory: the folder that keeps what was read before; need not be writable.

    Raises:
        DataError: a file cannot be looked at.
    """
    stamps = stamps_of(sources)
    key = _digest_of([(each.path, *each.numbers) for each in stamps])
    known = _remembered(memory / f"{key}.json", len(stamps))
    if known is None:
        known = _digests(stamps)
        if max((each.changed_ns for each in stamps), default=0) < time.time_ns() - _FRESH_S * 1e9:
            _remember(memory / f"{key}.json", known)
    return [(each.path, digest) for each, digest in zip(stamps, known, strict=True)]


def stamps_of(sources: Sequence[Path]) -> list[_Stamp]:
    """Of each source file, and of all files and folders in a folder; in a fixed order."""
    stamps = []
    for source in sources:
        is_folder = source.is_dir()
        if not is_folder:
            stamps.append(_stamp(str(source.absolute()), source.stat, _WHATEVER))
            continue
        entries = sorted(walk(source.absolute()), key=lambda entry: entry.path)
        stamps += [_stamp(entry.path, entry.stat, MAX_FILE_BYTES) for entry in entries]
    return stamps


def _stamp(path: str, ask: Callable[[], os.stat_result], most: int) -> _Stamp:
    """Of the link itself where it leads nowhere; whoever needs the file says so."""
    try:
        status = ask()
    except OSError as err:
        if not os.path.islink(path):
            raise DataError(f"{path}: cannot be read ({err.strerror}); mend or remove it") from err
        status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return _Stamp(path, (0, 0, 0, 0), False)
    numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return _Stamp(path, numbers, stat.S_ISREG(status.st_mode) and status.st_size <= most)


def _digests(stamps: Sequence[_Stamp]) -> list[str]:
    """Read on all cores: a large file in pieces, small ones one after another."""
    with ThreadPoolExecutor(n_cores()) as pool:
        starts = range(0, len(stamps), _TOGETHER)
        lists = pool.map(lambda at: [_digest(s) for s in stamps[at : at + _TOGETHER]], starts)
        digests = [digest for some in lists for digest in some]
        for place, each in enumerate(stamps):
            if each.may_be_read and each.numbers[0] > _PIECE:
                pieces = range(0, each.numbers[0], _PIECE)
                digests[place] = _digest_of(list(pool.map(partial(_piece, each.path), pieces)))
    return digests


def _digest(stamp: _Stamp) -> str:
    """Of a small file's content; of what the system says, where it is not read."""
    if not stamp.may_be_read:
        return _digest_of(stamp.numbers)
    return "" if stamp.numbers[0] > _PIECE else _piece(stamp.path, 0)


def _piece(path: str, at: int) -> str:
    """Of some bytes of a file; nothing where it cannot be read, which its decoder says."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
            file.seek(at)
            content = bytearray()
            while len(content) < _PIECE and (more := file.read(_PIECE - len(content))):
                content += more
    except OSError as err:
        return f"unreadable: {err.errno}"
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _remembered(path: Path, n: int) -> list[str] | None:
    """The digests of `n` files that did not change; None where they are not known."""
    kept = read_mapping(path)
    with suppress(ValueError):
        check_sealed(kept)
        digests = kept.get("digests", ())
        if is_sealed(kept) and isinstance(digests, list) and len(digests) == n:
            return [str(digest) for digest in digests]
    return None


def _remember(path: Path, digests: Sequence[str]) -> None:
    """A cache that may not be written, or is full, costs a second reading and no more."""
    with suppress(OSError, HeadstartError):
        path.parent.mkdir(parents=True, exist_ok=True)
        by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in by_age[: max(0, len(by_age) - _MOST_REMEMBERED)]:
            old.unlink(missing_ok=True)
        write_sealed_json(path, {"digests": list(digests)})


def _digest_of(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
