"""NVIDIA's Multi-Process Service (MPS) on one node of a job, for workers that share its GPUs.

In: the job's folder on this node. Out: the service runs, and the variables by which processes find
it; at the end it is told to quit. Without it a GPU runs kernels of one process at a time, in turns.
It stands alone because a batch script starts it (`python -m slurm.mps start FOLDER` prints lines to
evaluate), and on further nodes the step that keeps Ray does.

A service that was started with CUDA_VISIBLE_DEVICES=2,3 shows its processes the GPUs 0 and 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, InputError

CONTROL = "nvidia-cuda-mps-control"
VISIBLE = "CUDA_VISIBLE_DEVICES"
WITHIN_S = 30.0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m slurm.mps", description=__doc__)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("folder", type=to_path, help="the job's folder on this node")
    given = parser.parse_args(argv)
    if given.what == "stop":
        stop(given.folder)
        return EXIT_DONE
    for name, value in start(given.folder).items():
        print(f"export {name}={shlex.quote(value)}")
    return EXIT_DONE


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """The service while the block runs; this process and those that it starts find it."""
    os.environ.update(start(folder))
    try:
        yield
    finally:
        stop(folder)


def start(folder: Path) -> dict[str, str]:
    """Start the service for the GPUs that are visible; the variables of processes that use it.

    Raises:
        InputError: it is not installed, or does not start.
    """
    for place in _places(folder).values():
        Path(place).mkdir(mode=0o700, exist_ok=True)
    try:
        done = _control(folder, "-d")
    except (OSError, subprocess.TimeoutExpired) as err:
        raise InputError(f"setting mps: {CONTROL} cannot be run ({err})") from err
    if done.returncode:
        said = done.stdout.strip() or f"status {done.returncode}"
        raise InputError(f"setting mps: {CONTROL} -d: {said}")
    visible = os.environ.get(VISIBLE, "")
    names = [name.strip() for name in visible.split(",")]
    if all(name.isdigit() for name in names):
        visible = ",".join(map(str, range(len(names))))
    return _places(folder) | ({VISIBLE: visible} if visible else {})


def stop(folder: Path) -> None:
    """Tell the service to quit; SLURM ends what does not, with the job."""
    try:
        _control(folder, commands="quit\n")
    except (OSError, subprocess.TimeoutExpired) as err:
        print(f"MPS was not told to quit: {err}", flush=True)


def _places(folder: Path) -> dict[str, str]:
    return {
        "CUDA_MPS_PIPE_DIRECTORY": str(folder / "mps"),
        "CUDA_MPS_LOG_DIRECTORY": str(folder / "mps-log"),
    }


def _control(folder: Path, *options: str, commands: str = "") -> subprocess.CompletedProcess[str]:
    """Its answers go through a file: the service may keep a pipe open for as long as it runs."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        done = subprocess.run(
            [CONTROL, *options], env={**os.environ, **_places(folder)}, input=commands,
            stdout=said, stderr=subprocess.STDOUT, encoding="utf-8", timeout=WITHIN_S, check=False,
        )  # fmt: skip
        said.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, said.read())


if __name__ == "__main__":
    run_command(main)
