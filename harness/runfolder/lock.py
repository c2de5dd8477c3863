"""One command at a time in a run folder (for each shard), without file locks.

In: the path of a lock file. Out: a hold on it, or the name of the command that has it. The file is
linked into place, which is atomic on local and network file systems. It names its host, process and
generation, and is rewritten every few seconds. The lock of a dead process of this machine is
recognised at once. The lock of another machine is recognised by its age: the file system's own
clock says when it was rewritten last, so clocks of machines may differ.

filelock's `SoftFileLease` (4.2.11) does the same for a process of this machine, but has to watch
the lock of a node that is gone for all of `STALE_AFTER_S` before it may take it, where the age of
the file says so at once. It also takes the lock of a living command of our earlier versions after
two seconds, because it cannot read that file.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from headstart.errors import LockedError
from headstart.files import write_json

HEARTBEAT_S = 10.0
STALE_AFTER_S = 90.0
LOST_AFTER = 2  # heartbeats in a row that do not find the lock


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


def holders(run: Path) -> list[Holder]:
    """The commands that hold the locks of a run folder, one a shard."""
    read = [_read(path) for path in sorted(run.glob(".lock-*.json"))]
    return [holder for holder in read if holder is not None]


class Lock:
    """A hold from `acquire` to `release`; `lost` is set when another command took it over."""

    def __init__(self, path: Path, generation: str):
        self.path = path
        self.generation = generation
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._self = Holder(
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            process_started=_process_started(os.getpid()) or "",
            generation=generation,
            started_at=_now(),
        )

    def acquire(self) -> None:
        """Take the lock; remove one whose command is dead.

        Raises:
            LockedError: another command holds it; the message names its host and process.
        """
        for _ in range(5):
            if self._link():
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()
                return
            holder = _read(self.path)
            if holder is None:
                continue  # its command released it just now
            if not self._is_stale(holder):
                raise LockedError(
                    f"{self.path.parent}: another command works in this run folder (process "
                    f"{holder.pid} on {holder.host}, since {holder.started_at}); wait for it or "
                    "stop it"
                )
            self._remove_stale(holder)
        raise LockedError(f"{self.path}: other commands are taking this run folder right now")

    def release(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        holder = _read(self.path)
        if holder is not None and holder.generation == self.generation:
            with suppress(FileNotFoundError):
                self.path.unlink()

    def _link(self) -> bool:
        new = self.path.with_name(f"{self.path.name}.{self.generation}.tmp")
        self._write(new)
        try:
            os.link(new, self.path)
        except FileExistsError:
            return False
        finally:
            new.unlink(missing_ok=True)
        return True

    def _write(self, path: Path) -> None:
        write_json(path, asdict(replace(self._self, heartbeat_at=_now())))

    def _beat(self) -> None:
        n_missed = 0
        while not self._stop.wait(HEARTBEAT_S):
            holder = _read(self.path)
            if holder is not None and holder.generation == self.generation:
                n_missed = 0
                with suppress(OSError):  # a full disk must not end the run from this thread
                    self._write(self.path)
                continue
            n_missed += 1  # once may be a network's error, or a look of `_remove_stale`
            if n_missed == LOST_AFTER:
                self.lost.set()
                return

    def _is_stale(self, holder: Holder) -> bool:
        if holder.machine == self._self.machine:
            started = _process_started(holder.pid)
            return started is None or started != holder.process_started
        return _age_s(self.path) > STALE_AFTER_S

    def _remove_stale(self, seen: Holder) -> None:
        """Move the stale lock away; put back a lock that somebody renewed in between."""
        aside = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex[:8]}.stale")
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            moved = _read(aside)
            if moved is not None and moved.generation != seen.generation:
                with suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink(missing_ok=True)


def _read(path: Path) -> Holder | None:
    """None where no lock lies there; a file that is being replaced, or is damaged, says nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Holder()
    known = {f.name for f in fields(Holder)}
    is_mapping = isinstance(content, dict)
    return Holder(**{k: v for k, v in content.items() if k in known}) if is_mapping else Holder()


def _machine() -> str:
    """Names the place where process ids mean the same: this boot and process namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return f"{socket.gethostname()} {uuid.getnode()}"


def _process_started(pid: int) -> str | None:
    """When a process of this machine began, in clock ticks since boot; None for a dead one.

    With the process id it names a process for good: ids are used again, start times are not.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError, IndexError):
        if Path("/proc/self/stat").exists():
            return None
        return _alive_without_proc(pid)
    return None if words[0] in "ZX" else words[19]


def _alive_without_proc(pid: int) -> str | None:
    """macOS and others without /proc say only whether a process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


def _age_s(path: Path) -> float:
    """Seconds since a file changed, by the clock of the file system that it lies on."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.probe")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
