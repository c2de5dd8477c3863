"""The command line of the live page: it serves a run folder until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from harness.watch.beside import address_of, listen
from harness.watch.follow import Follower
from harness.watch.pace import at_lowest_priority
from harness.watch.server import Live, Server
from headstart.cli import run_command, to_path
from headstart.records import check_run_folder


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.watch",
        description="Serve a page that follows a run while it goes on, for a browser of this "
        "machine alone. Ctrl-C ends it. It reads the run folder and writes nothing; to look at it "
        "counts as no look at the results.",
    )
    parser.add_argument("folder", type=to_path, metavar="RUN", help="the run folder")
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="of 127.0.0.1 (default: a free one)"
    )
    # A sweep that is watched listens itself, and closes the pipe when it ends.
    parser.add_argument("--listening", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    check_run_folder(given.folder)
    if given.listening is None:
        listening = listen(given.port)
        print(f"{address_of(listening)} follows {given.folder}; Ctrl-C ends it", flush=True)
    else:
        listening = socket.socket(fileno=given.listening)
        threading.Thread(target=_end_with_command, daemon=True).start()
    live = Live(Follower(given.folder))
    at_lowest_priority()
    Server(listening, live).serve_forever(poll_interval=1.0)
    return 0


def _end_with_command() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    run_command(main)
