"""A folder of this command's own for what is temporary on this machine, and the end of leftovers.

In: the folder for temporary files. Out: a folder below it with a short name, which only this user
can enter; it is gone when the command ends. The owner holds a lock on a file in it. So a folder
whose lock is free belonged to a command that was killed: the next command ends the processes that
this one left, and removes the folder.

It stands alone because Ray and the processes of a team both need a place whose name is short: the
name of a socket may have 107 bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from headstart.errors import StorageError

PREFIX = "hs-run-"  # short: it may lie below the folder of a SLURM job
MOST_LETTERS = 38  # of the folder's name: Ray appends 69 for its sockets
SESSION = "session"  # the file that names the processes' session
LOCK = "lock"
YOUNG_S = 2.0  # an empty folder may be one that is made just now


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder; remove it in the end, with what commands before left that were killed."""
    parent = _parent()
    _remove_leftovers(parent)
    folder, lock = _make(parent)
    try:
        with lock:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(parent: Path) -> tuple[Path, IO[str]]:
    """A new folder and its lock, held."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # mode 0700
            lock = open(folder / LOCK, "w", encoding="utf-8")  # noqa: SIM115 (the caller closes it)
        except OSError as err:
            message = f"{parent}: no temporary folder can be made ({err.strerror})"
            raise StorageError(message) from err
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():  # else another command took it for a leftover, and removed it
            return folder, lock
        lock.close()


def note_session(folder: Path, session: int) -> None:
    """Write down which session of processes uses the folder, for the command after this one."""
    (folder / SESSION).write_text(str(session), "utf-8")


def end_session(session: int, within_s: float = 5.0) -> None:
    """End all processes of a session at once, and wait until they are gone.

    Its first process may have ended already: the system gives its number to no other while the
    session has members.
    """
    until = time.monotonic() + within_s
    while (members := session_members(session)) and time.monotonic() < until:
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def session_members(session: int) -> dict[int, str]:
    """The name of each living process of a session, this one left out."""
    if not Path("/proc/self/stat").exists():  # not Linux: whether its group of processes lives
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, 0)
            return {-session: ""}
        return {}
    members = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError, IndexError):
                start, end = Path(entry.path, "stat").read_text("utf-8", "replace").rsplit(")", 1)
                state, _, _, its_session = end.split()[:4]
                if state not in "ZX" and int(its_session) == session:
                    members[int(entry.name)] = start.split("(", 1)[1]
    return members


def _parent() -> Path:
    """The folder for temporary files; where its name is too long for sockets, `/tmp`."""
    usual = _usual()
    if len(os.fsencode(usual / f"{PREFIX}12345678")) <= MOST_LETTERS:
        return usual
    print(
        f"Sockets of Ray and of workers go to a folder below /tmp: the name of {usual} is too long "
        "for them",
        file=sys.stderr,
    )
    return Path("/tmp")


def _usual() -> Path:
    """As Python chooses it, which would write a file to try each: a kill could leave that."""
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    for folder in (tempfile.tempdir, *named, "/tmp"):
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder).absolute()
    return Path(tempfile.gettempdir()).absolute()


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = _free_lock(folder)
            if lock is not None:
                with lock:
                    _end_left_processes(folder)
                    shutil.rmtree(folder, ignore_errors=True)


def _free_lock(folder: Path) -> IO[str] | None:
    """The lock of a folder whose command is dead, held; None where it lives, or may."""
    if not any(folder.iterdir()) and time.time() - folder.stat().st_mtime > YOUNG_S:
        folder.rmdir()
        return None
    lock = open(folder / LOCK, "r+", encoding="utf-8")  # noqa: SIM115 (the caller closes it)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _end_left_processes(folder: Path) -> None:
    """End what is left of the session, if its number is not another one's by now."""
    with suppress(OSError, ValueError):
        session = int((folder / SESSION).read_text("utf-8", "replace"))
        if any(_names(pid, folder) for pid in session_members(session)):
            end_session(session)


def _names(pid: int, folder: Path) -> bool:
    mark = os.fsencode(folder)
    with suppress(OSError):
        place = Path(f"/proc/{pid}")
        return mark in (place / "cmdline").read_bytes() or mark in (place / "environ").read_bytes()
    return False
