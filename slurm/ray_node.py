"""Ray on one node of a job: started, watched, and ended with everything it started.

In: the job's private folder, where the batch script wrote the token and the round. Out: on the head
the address for the others, on every node a heartbeat file; Ray itself. It runs as a step of the job
and stays in front of Ray's processes, so that their end is its own doing and never that of
`ray stop`, which would end other people's Ray too.

Ray is given the address at which SLURM itself knows the node (or that of the interface asked for),
ports derived from the job's id and tried first (all others are the kernel's choice), a folder of
its own below the job's, and the job's token.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from harness.training.cards import cards_here
from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, EXIT_FAILED, InputError
from headstart.files import atomic_file, write_json
from slurm import mps
from slurm.address import address_of_node, derive_ports, is_free
from slurm.batch_node import Job, start_guard
from slurm.prepare import prepare_cache

READY_WITHIN_S = 300.0  # Python itself takes a while where many nodes read it from one disk
MAX_HEAD_STARTS = 3  # a port may be taken between our look and Ray's; Ray gives a busy node 30 s
POLL_S = 1.0
HEARTBEAT_S = 10.0
MAX_TEMP_DIR = 40  # characters: Ray appends 67 for its sockets, and a socket's path has at most 107
OBJECT_STORE_BYTES = 512 * 1024**2  # holds the plan; trials read their data from files
OUTPUT = "ray-start.out"
STARTED = "Ray runtime started"  # in what `ray start` prints
RAY = (sys.executable, "-m", "ray.scripts.scripts")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m slurm.ray_node", description=__doc__)
    parser.add_argument("role", choices=("head", "worker"))
    parser.add_argument("folder", type=to_path, help="the job's private folder")
    parser.add_argument("--round", required=True)
    parser.add_argument("--tmp", type=to_path, required=True, help="the job's folder on this node")
    parser.add_argument("--head", default="", help="the node of the batch script")
    parser.add_argument(
        "--all-nodes", action="store_true", help="the sweep cannot run on fewer nodes than asked"
    )
    parser.add_argument("--interface", help="network interface that carries Ray's traffic")
    parser.add_argument("--mps", action="store_true", help="workers share GPUs: start MPS")
    given = parser.parse_args(argv)
    job = Job(given.folder, given.round, given.tmp)
    node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
    host = address_of_node(node, given.interface)
    _own_folder(job.tmp)
    prepare_cache()
    if given.role == "worker":
        start_guard(job, node, given.head, given.all_nodes)
    with (
        mps.running(job.tmp) if given.mps else nullcontext(),
        RayProcess(job, node, count_gpus()) as process,
    ):
        if given.role == "head":
            return _run_head(process, job, host)
        return _run_worker(process, job, host)


def count_gpus() -> int:
    """GPUs of this node for Ray: those that PyTorch can use, which Ray's own look may not see.

    SLURM's number alone would do where it counts GPUs (it does not on every site), and would give
    trials to a node on which none of them could compute.

    Raises:
        InputError: SLURM reserved GPUs and PyTorch can use none: the sweep goes on without the
            node, and its log says why.
    """
    return len(cards_here())


def _run_head(process: RayProcess, job: Job, host: str) -> int:
    """Start the head on the first of the job's ports that are free, tell the others, watch."""
    ports = (p for p in derive_ports(os.environ.get("SLURM_JOB_ID", "0")) if is_free(host, p))
    for _, port, client_port in zip(range(MAX_HEAD_STARTS), ports, ports, strict=False):
        process.start(["--head", f"--port={port}", f"--ray-client-server-port={client_port}",
                       "--include-dashboard=false"], host)  # fmt: skip
        if _wait_until_ready(process, job):
            process.is_head = True
            job.alive_file.touch()
            with atomic_file(job.address_file) as file:
                file.write(f"{host}:{port}\n")
            return process.watch()
        if job.is_over():
            return EXIT_DONE
        process.complain()
        process.end()
    return EXIT_FAILED


def _wait_until_ready(process: RayProcess, job: Job) -> bool:
    """Whether Ray says within `READY_WITHIN_S` that all of it runs; False as soon as it has ended.

    An open port, or `ray health-check`, would say so while the node itself is still starting, and
    may yet fail to.
    """
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and process.is_running() and not job.is_over():
        if STARTED in process.output():
            return True
        time.sleep(POLL_S)
    return False


def _run_worker(process: RayProcess, job: Job, host: str) -> int:
    """Join the head, whose address is there before this starts; the script starts it again.

    It waits for the head's next sign of life before it ends: where the script is gone, with its
    node, this step is what keeps the guard on this node alive.
    """
    address = _read_address(job)
    if address is None:
        return EXIT_DONE
    process.start([f"--address={address}"], host)
    status = process.watch()
    last_beat = job.head_beat()
    while not (job.is_over() or process.is_told_to_end or job.head_beat() != last_beat):
        time.sleep(POLL_S)
    return status


def _read_address(job: Job) -> str | None:
    """The head's address; waits for a listing of the shared folder that lags behind."""
    while not job.is_over():
        with suppress(OSError):
            if text := job.address_file.read_text("utf-8", "replace").strip():
                return text
        time.sleep(POLL_S)
    return None


class RayProcess:
    """`ray start --block` and all that descends from it.

    This process becomes the parent of orphans among its descendants, so that none is overlooked.
    """

    def __init__(self, job: Job, node: str, n_gpus: int = 0):
        self.job = job
        self.node = node
        self.n_gpus = n_gpus
        self.temp_dir = _short_folder(job.tmp, os.environ.get("SLURM_JOB_ID", "0"), node)
        self.process: subprocess.Popen[bytes] | None = None
        self.is_head = False
        self.is_told_to_end = False

    def __enter__(self) -> RayProcess:
        _adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self.is_told_to_end or self.job.is_over():
            shutil.rmtree(self.job.tmp / "cache", ignore_errors=True)
            with suppress(OSError):
                self.job.tmp.rmdir()

    def start(self, arguments: Sequence[str], host: str) -> None:
        shutil.rmtree(self.temp_dir, ignore_errors=True)
        _own_folder(self.temp_dir)
        command = [
            *RAY, "start", "--block", *arguments,
            f"--node-ip-address={host}",
            f"--temp-dir={self.temp_dir}",
            f"--num-cpus={os.environ.get('SLURM_CPUS_ON_NODE', '1')}",
            f"--num-gpus={self.n_gpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            "--dashboard-agent-listen-port=0",
            "--include-log-monitor=false",
            "--disable-usage-stats",
            "--log-style=record",
        ]  # fmt: skip
        with open(self.temp_dir / OUTPUT, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None and not self.is_told_to_end

    def watch(self) -> int:
        """Stay until the round is over, Ray ends, or SLURM ends the step."""
        next_beat = 0.0
        while self.is_running():
            if self.job.is_over():
                return EXIT_DONE
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + HEARTBEAT_S
                with suppress(OSError):  # the folder went away: seen at the next look
                    if self.is_head:
                        self.job.alive_file.touch()
                    write_json(self.job.folder / f"node-{self.node}.json", self._health())
            time.sleep(POLL_S)
        if self.is_told_to_end or self.job.is_over():
            return EXIT_DONE
        self.complain()
        return EXIT_FAILED

    def output(self) -> str:
        """What `ray start` has printed so far."""
        try:
            return (self.temp_dir / OUTPUT).read_text("utf-8", "replace")
        except OSError:
            return ""

    def complain(self) -> None:
        """Show what Ray said before it ended; while all is well its many lines stay unseen."""
        said = self.output().splitlines()[-20:]
        print(f"Ray on {self.node} ended; its last lines:", *said, sep="\n  ", flush=True)

    def end(self) -> None:
        """End Ray and every process that it left, and remove its folder."""
        for number, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            until = time.monotonic() + patience_s
            for pid in _descendants():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while time.monotonic() < until and _descendants():
                _reap()
                time.sleep(0.1)
        _reap()
        shutil.rmtree(self.temp_dir, ignore_errors=True)

    def _health(self) -> dict[str, object]:
        load, _, _ = os.getloadavg()
        return {"node": self.node, "load": load, "at": time.time(), "every_s": HEARTBEAT_S}

    def _on_signal(self, number: int, frame: object) -> None:
        self.is_told_to_end = True


def _short_folder(tmp: Path, job_id: str, node: str) -> Path:
    """A folder for Ray whose sockets' paths stay within the system's limit."""
    name = f"ray-{os.environ.get('SLURM_NODEID', '0')}-{node}"
    for folder in (tmp / name, tmp / name[:6], Path("/tmp", f"hs-{job_id}-{node}")):
        if len(str(folder)) <= MAX_TEMP_DIR:
            return folder
    raise InputError(f"scratch: {tmp}: Ray's sockets need a path of at most {MAX_TEMP_DIR} letters")


def _own_folder(path: Path) -> None:
    """Make a folder that only this user can enter, or see that it is one.

    Raises:
        InputError: something of somebody else's has this name, as anybody could arrange in /tmp,
            or the node has no such place.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise InputError(f"{path}: cannot be made ({err.strerror}); set `scratch`") from err
    if path.is_symlink() or path.lstat().st_uid != os.getuid():
        raise InputError(f"{path}: is not this user's own folder; remove it, or set `scratch`")


def _adopt_orphans() -> None:
    """Become the reaper of all descendants (Linux: PR_SET_CHILD_SUBREAPER)."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _descendants() -> list[int]:
    """Ids of the processes that descend from this one and still run."""
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    descendants, frontier = [], [os.getpid()]
    while frontier:
        frontier = [pid for parent in frontier for pid in children.get(parent, ())]
        descendants += frontier
    return descendants


def _processes() -> Iterator[tuple[int, int]]:
    """(id, parent's id) of every process that is not a zombie."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                state, parent = (
                    (folder / "stat").read_text("utf-8", "replace").rsplit(")", 1)[1].split()[:2]
                )
                if state not in "ZX":
                    yield int(folder.name), int(parent)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    run_command(main)
