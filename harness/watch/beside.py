"""The live page beside a sweep: a process of its own, which ends with the command.

In: a run folder and a port. Out: an address that answers while a block runs. The command listens
itself, so a port that is taken is said before anything runs; the process is given the socket. It
stands alone because a sweep must not load what serves.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.errors import InputError
from headstart.signals import deaf_children

LOOPBACK = "127.0.0.1"
END_WITHIN_S = 2.0


@contextmanager
def serving(run: Path, port: int) -> Iterator[str]:
    """Serve the live page of a run folder in this block; gives its address.

    The process ends when its standard input is closed, so also when this one is killed.

    Raises:
        InputError: the port is taken, or may not be used.
    """
    with listen(port) as listening:
        number = str(listening.fileno())
        with deaf_children():
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.watch", str(run), "--listening", number],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(listening.fileno(),),
                cwd=Path(__file__).parents[2],
            )
        address = address_of(listening)
    try:
        yield address
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 is any free one.

    Raises:
        InputError: the port is taken, or may not be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(64)
    except (OSError, OverflowError) as err:
        listening.close()
        reason = err.strerror if isinstance(err, OSError) else "0 to 65535 are ports"
        raise InputError(
            f"port {port}: cannot be used ({reason}); without it, a free one is taken"
        ) from err
    return listening


def address_of(listening: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
