"""One command at a time in a run folder or at one set of the cache, without file locks.

In: the path of a lock file. Out: a hold on it, or the name of the command that has it. The file is
linked into place, which is atomic on local and network file systems; where there are no links
(exFAT, many FUSE drives, some SMB shares) it is made under its name, and written after that. It
names its host, process and generation, and is rewritten every few seconds. The lock of a dead
process of this machine is recognised at once. The lock of another machine is recognised by its age:
the file system's own clock says when it was rewritten last, so clocks of machines may differ.

filelock's `SoftFileLease` (4.2.11) does the same for a process of this machine, but has to watch
the lock of a node that is gone for all of `STALE_AFTER_S` before it may take it, where the age of
the file says so at once. It also takes the lock of a living command of our earlier versions after
two seconds, because it cannot read that file.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from headstart.errors import LockedError, StorageError
from headstart.files import age_s, storage_errors, temporary_beside, write_json
from headstart.processes import is_alive, process_started, this_machine

HEARTBEAT_S = 10.0
STALE_AFTER_S = 90.0
LOST_AFTER = 2  # heartbeats in a row that do not find the lock
WRITTEN_AFTER_S = 2.0  # a lock without content: its command writes it now, or died before it could
MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class Holder:
    """What a lock file says of the command that holds it; empty where it cannot be read."""

    host: str = ""
    machine: str = ""  # where process ids mean the same
    pid: int = 0
    process_started: str = ""
    generation: str = ""
    started_at: str = ""
    heartbeat_at: str = ""

    def shows_life(self, now: float) -> bool:
        """Whether its command still runs, as far as a look tells; `now` is the clock's time.

        Of another machine it is told by the last heartbeat, as its own clock had it.
        """
        if self.machine == this_machine():
            return is_alive(self.pid, self.process_started)
        try:
            beat = datetime.fromisoformat(self.heartbeat_at).timestamp()
        except (ValueError, OverflowError):
            return False
        return now - beat <= STALE_AFTER_S


def holders(run: Path) -> list[Holder]:
    """The commands that hold the locks of a run folder, one a shard."""
    read = [_read(path) for path in sorted(run.glob(".lock-*.json"))]
    return [holder for holder in read if holder is not None]


class Lock:
    """A hold from `acquire` to `release`; `lost` is set when another command took it over.

    `held`: what a message says of the command that holds it.
    """

    def __init__(
        self, path: Path, generation: str, held: str = "another command works in this run folder"
    ):
        self.path = path
        self.held = held
        self.generation = generation
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._self = Holder(
            host=socket.gethostname(),
            machine=this_machine(),
            pid=os.getpid(),
            process_started=process_started(os.getpid()) or "",
            generation=generation,
            started_at=_now(),
        )

    def acquire(self) -> None:
        """Take the lock; remove one whose command is dead.

        Raises:
            LockedError: another command holds it (the message names its host and process), or
                something else than a lock has its name.
            StorageError: the folder may not be written, or its disk is full.
        """
        with storage_errors(self.path.parent):
            for _ in range(5):
                if self._place():
                    self._thread = threading.Thread(target=self._beat, daemon=True)
                    self._thread.start()
                    return
                self._remove_if_stale()
        raise LockedError(f"{self.path}: other commands are taking this run folder right now")

    def release(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._is_ours():
            with suppress(OSError):
                self.path.unlink()

    def _place(self) -> bool:
        """Put the lock there; whether it is ours now."""
        new = temporary_beside(self.path)
        try:
            self._write(new)
            os.link(new, self.path)
        except FileExistsError:
            return self._is_ours()  # a network may answer so to its own second attempt
        except OSError:  # the file system has no links
            return self._place_without_links()
        finally:
            new.unlink(missing_ok=True)
        return True

    def _place_without_links(self) -> bool:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return False
        try:
            self._write(self.path)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        return True

    def _is_ours(self) -> bool:
        holder = _read(self.path)
        return holder is not None and holder.generation == self.generation

    def _write(self, path: Path) -> None:
        write_json(path, asdict(replace(self._self, heartbeat_at=_now())))

    def _beat(self) -> None:
        n_missed = 0
        while not self._stop.wait(HEARTBEAT_S):
            if self._is_ours():
                n_missed = 0
                self._renew()
                continue
            n_missed += 1  # once may be a network's error, or a look of `_remove_stale`
            if n_missed == LOST_AFTER:
                self.lost.set()
                return

    def _remove_if_stale(self) -> None:
        """Remove the lock of a dead command.

        Raises:
            LockedError: its command lives, or this cannot be told.
        """
        if not _is_file(self.path):
            raise LockedError(f"{self.path}: is no file, so it is no lock of ours; remove it")
        holder = _read(self.path)
        if holder is None or holder.generation == self.generation:
            return  # its command released it just now
        if self._is_stale(holder):
            self._remove_stale(holder)
            return
        raise LockedError(
            f"{self.path.parent}: {self.held} (process "
            f"{holder.pid} on {holder.host}, since {holder.started_at}); wait for it or "
            f"stop it{self._from_the_future()}"
        )

    def _from_the_future(self) -> str:
        """What to do about a lock that never grows old, because a clock went wrong."""
        ahead_s = -age_s(self.path)
        if ahead_s <= STALE_AFTER_S:
            return ""
        return (
            f" (the lock's time lies {ahead_s:,.0f} s ahead of the clock of this file system; if "
            f"that command is gone, remove {self.path})"
        )

    def _renew(self) -> None:
        """Write the lock again; on a full disk its time alone, which takes no space."""
        try:
            self._write(self.path)
        except (OSError, StorageError):  # must not end the run from this thread
            with suppress(OSError):
                os.utime(self.path)

    def _is_stale(self, holder: Holder) -> bool:
        if holder.machine == self._self.machine:
            return not is_alive(holder.pid, holder.process_started)
        if self.path.exists() and not self.path.stat().st_size:
            time.sleep(WRITTEN_AFTER_S)
            return _read(self.path) == holder
        return age_s(self.path) > STALE_AFTER_S

    def _remove_stale(self, seen: Holder) -> None:
        """Move the stale lock away; put back a lock that somebody renewed in between."""
        aside = temporary_beside(self.path)
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            moved = _read(aside)
            if moved is not None and moved.generation != seen.generation:
                _put_back(aside, self.path)
            aside.unlink(missing_ok=True)


def _put_back(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path)
    except FileExistsError:
        return
    except OSError:  # no links here
        if not path.exists():
            os.rename(aside, path)


def _is_file(path: Path) -> bool:
    """Whether a plain file lies there, or nothing does; no link, folder or pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _read(path: Path) -> Holder | None:
    """None where no lock lies there; a file that is being replaced, or is damaged, says nothing."""
    try:
        if not _is_file(path):  # reading a pipe would wait for ever
            return Holder()
        with open(path, encoding="utf-8") as file:
            content = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return Holder()
    return _holder(content) if isinstance(content, dict) else Holder()


def _holder(content: dict[str, object]) -> Holder:
    known = {f.name: content[f.name] for f in fields(Holder) if f.name in content}
    if any(type(value) is not type(getattr(Holder(), name)) for name, value in known.items()):
        return Holder()
    return Holder(**known)  # type: ignore[arg-type]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
