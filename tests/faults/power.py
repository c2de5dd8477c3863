"""A power cut: what a command changed on the disk and did not flush may be lost.

In: the calls of a command that is killed. Out: its folders as a disk may show them afterwards.

`Journal` runs in the command. It logs each change of a name and each flush, and keeps a second link
to what is replaced or removed. `cut` runs in the test. It takes back the changes of names that no
flush of their folder covers, from the last one to a random one of them; a disk's journal keeps the
order of changes, so those before a flushed one last. Then it spoils the content of each file that
was not flushed after it was written last.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from changes import Changes

_LINK = os.link  # the real ones, before a command's calls are watched
_OPEN = os.open


@dataclass(frozen=True)
class Change:
    """One change of a name: `path` is the name that came or went, `other` what it was before."""

    kind: str  # create, mkdir, rename, link, unlink, rmdir, or flush (of the folder `path`)
    path: str
    other: str = ""  # of a rename: the earlier name
    kept: str = ""  # a second link to the file that was replaced or removed


class Journal(Changes):
    """Counts as `Changes` does, and writes down what a power cut could take back."""

    def __init__(self, kill_at: int, folders: Sequence[str], graveyard: str):
        super().__init__(kill_at)
        self.folders = tuple(f"{folder}/" for folder in folders)
        self.graveyard = Path(graveyard)
        self.graveyard.mkdir()
        self.changes: list[Change] = []
        self.flushed: dict[int, tuple[int, int]] = {}  # inode → size, time of change in ns
        self.opening: Change | None = None

    def before_kill(self) -> None:
        changes = [*self.changes, *([self.opening] if self.opening else [])]
        text = json.dumps([[vars(c) for c in changes], list(self.flushed.items())])
        file = _OPEN(self.graveyard / "journal.json", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(file, text.encode())

    def _before(self, name: str, function: Callable) -> Callable:
        counted = super()._before(name, function)

        def written_down(*arguments, **named):
            change = self._change(name, arguments, named)
            result = counted(*arguments, **named)
            if name == "fsync":
                self._flush(arguments[0])
            elif change is not None:
                self.changes.append(change)
            return result

        return written_down

    def _os_open(self, function: Callable) -> Callable:
        return self._creating(super()._os_open(function))

    def _open(self, function: Callable) -> Callable:
        return self._creating(super()._open(function))

    def _creating(self, counted: Callable) -> Callable:
        def written_down(path, *arguments, **named):
            full = _full(path, named.get("dir_fd")) if not isinstance(path, int) else ""
            is_new = full.startswith(self.folders) and not os.path.lexists(full)
            self.opening = Change("create", full) if is_new else None
            opened = counted(path, *arguments, **named)
            if self.opening is not None:
                self.changes.append(self.opening)
                self.opening = None
            return opened

        return written_down

    def _change(self, name: str, arguments: tuple, named: dict) -> Change | None:
        """The change that a call is about to make; None outside of the command's folders."""
        if name == "fsync":
            return None
        first = _full(arguments[0], named.get("dir_fd", named.get("src_dir_fd")))
        if name in ("rename", "replace", "link"):
            path = _full(arguments[1], named.get("dst_dir_fd"))
            kind = "link" if name == "link" else "rename"
            change = Change(kind, path, first, "" if kind == "link" else self._keep(path))
        elif name in ("unlink", "remove"):
            change = Change("unlink", first, kept=self._keep(first))
        else:
            change = Change(name, first)
        return change if change.path.startswith(self.folders) else None

    def _keep(self, path: str) -> str:
        if not path.startswith(self.folders) or not os.path.isfile(path):
            return ""
        kept = self.graveyard / f"{len(self.changes)}-{len(os.listdir(self.graveyard))}"
        _LINK(path, kept)
        return str(kept)

    def _flush(self, file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        if os.path.isdir(path):
            self.changes.append(Change("flush", path))
        else:
            status = os.fstat(file)
            self.flushed[status.st_ino] = (status.st_size, status.st_mtime_ns)


def cut(graveyard: Path, folders: Sequence[Path], rng: random.Random) -> str:
    """Let the folders look as after a power cut; says what was lost."""
    logged, flushed = json.loads((graveyard / "journal.json").read_text())
    changes = [Change(**each) for each in logged]
    lasts = _n_lasting(changes)
    # Half of the time all is lost that may be.
    kept = lasts if rng.random() < 0.5 else rng.randint(lasts, len(changes))
    for change in reversed(changes[kept:]):
        _take_back(change)
    known = {inode: tuple(status) for inode, status in flushed}
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    spoiled = [path for path in files if known.get(path.stat().st_ino) != _status(path)]
    for path in spoiled:
        _spoil(path, rng)
    return f"{len(changes) - kept} of {len(changes)} names and {len(spoiled)} contents lost"


def _n_lasting(changes: Sequence[Change]) -> int:
    """How many of the first changes last: up to the last one whose folder was flushed after it."""
    flushed: set[str] = set()
    for n in range(len(changes), 0, -1):
        change = changes[n - 1]
        if change.kind == "flush":
            flushed.add(change.path)
        elif os.path.dirname(change.path) in flushed:
            return n
    return 0


def _take_back(change: Change) -> None:
    if change.kind == "rename":
        os.rename(change.path, change.other)
    elif change.kind == "mkdir":
        os.rmdir(change.path)
    elif change.kind == "rmdir":
        os.mkdir(change.path)
    elif change.kind in ("create", "link"):
        os.unlink(change.path)
    if change.kept:
        os.link(change.kept, change.path)


def _spoil(path: Path, rng: random.Random) -> None:
    """What is found of content that was not flushed: nothing, zeros, or its beginning."""
    size = path.stat().st_size
    content = path.read_bytes()
    left = rng.choice([b"", bytes(size), content[: rng.randint(0, size)]])
    path.write_bytes(left)


def _status(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _full(path: object, folder: int | None = None) -> str:
    name = os.fsdecode(os.fspath(path))
    if folder is not None:
        name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
    return os.path.abspath(name)
