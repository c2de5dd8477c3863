"""What a node needs before a sweep starts on it: a lock that is free, a cache that finds downloads.

In: the run folder and the shard, in a job. Out: nothing; it returns when the sweep may start. A
batch script calls it once, on its own node; `slurm.ray_node` prepares the caches of the others.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.cli import run_command, to_path
from headstart.files import read_mapping

STALE_AFTER_S = 100.0  # the harness takes a lock over whose heartbeat is 90 s old
POLL_S = 5.0


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m slurm.prepare", description=__doc__)
    parser.add_argument("run", type=to_path, metavar="RUN", help="the run folder")
    parser.add_argument("--shard", default="1/1", metavar="K/N")
    given = parser.parse_args(argv)
    prepare_cache()
    wait_for_lock(given.run / f".lock-{given.shard.replace('/', '-of-')}.json")


def prepare_cache() -> None:
    """Let a node-local cache find what was fetched into the shared one: data and weights."""
    cache, downloads = os.environ.get("HEADSTART_CACHE"), os.environ.get("HEADSTART_DOWNLOADS")
    if not cache or not downloads or Path(cache, "downloads") == Path(downloads):
        return
    Path(cache).mkdir(parents=True, exist_ok=True)
    for shared in (Path(downloads), Path(downloads).with_name("weights")):
        shared.mkdir(parents=True, exist_ok=True)
        link = Path(cache, "downloads" if shared == Path(downloads) else "weights")
        if not link.is_symlink():
            link.symlink_to(shared, target_is_directory=True)


def wait_for_lock(
    path: Path,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait while the lock may belong to this job's last start, killed on another node.

    Its heartbeat has then stopped, but for a while that cannot be seen. A lock whose heartbeat goes
    on belongs to somebody else: the harness refuses it with a message of its own, so nothing is
    waited for. A lock of this machine is judged by the harness at once.
    """
    seen = read_mapping(path)
    if not seen or seen.get("host") == socket.gethostname():
        return
    print(f"waiting until the lock of {seen.get('host')} is free or stale: {path}", flush=True)
    until = clock() + STALE_AFTER_S
    while clock() < until:
        sleep(POLL_S)
        now = read_mapping(path)
        if not now or now.get("heartbeat_at") != seen.get("heartbeat_at"):
            return


if __name__ == "__main__":
    run_command(main)
