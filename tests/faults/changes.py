"""Counts a command's changes to the file system, and kills it at one of them.

In: calls of the process in which it stands. Out: their names, or the death of the process. A change
is a call that makes, moves, removes or flushes a file or folder. The command is killed before the
call; where a file is opened to be written it is killed after it, so that an empty file lies there.
"""

from __future__ import annotations

import builtins
import io
import os
import signal

CHANGES = ("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "fsync")


class Changes:
    """Counts this process's changes to the file system, and kills it at one of them."""

    def __init__(self, kill_at: int):
        self.kill_at = kill_at
        self.made: list[str] = []
        self.pid = os.getpid()  # workers that are forked from it are not counted

    def note(self, name: str, what: object) -> None:
        if os.getpid() != self.pid:
            return
        self.made.append(f"{name} {_name_of(what)}")
        if len(self.made) == self.kill_at:
            self.before_kill()
            os.kill(os.getpid(), signal.SIGKILL)

    def before_kill(self) -> None:
        """The last that the command does."""

    def count_all(self) -> None:
        for name in CHANGES:
            setattr(os, name, self._before(name, getattr(os, name)))
        os.open = self._os_open(os.open)
        builtins.open = io.open = self._open(builtins.open)

    def _before(self, name, function):
        def counted(*arguments, **named):
            has_target = name in ("rename", "replace", "link")
            self.note(name, arguments[1] if has_target else arguments[0])
            return function(*arguments, **named)

        return counted

    def _os_open(self, function):
        def counted(path, flags, *arguments, **named):
            opened = function(path, flags, *arguments, **named)
            if flags & os.O_CREAT:
                self.note("open", path)
            return opened

        return counted

    def _open(self, function):
        def counted(file, mode="r", *arguments, **named):
            opened = function(file, mode, *arguments, **named)
            if set(mode) & set("wxa") and file != os.devnull:
                self.note("open", file)
            return opened

        return counted


def _name_of(what: object) -> str:
    if isinstance(what, int):
        return os.readlink(f"/proc/self/fd/{what}")
    return os.fspath(what)
