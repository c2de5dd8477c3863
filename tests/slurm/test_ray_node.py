"""Ray on a node: its address, ports and folders, and the end of everything it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fakes import FakeSlurm

from harness.training.cards import Cards
from headstart.errors import InputError
from slurm import ray_node
from slurm.address import FIRST_PORT, LAST_PORT, address_of_node, derive_ports, is_free
from slurm.batch_node import Job
from slurm.ray_node import MAX_TEMP_DIR, _own_folder, _short_folder

ROOT = Path(__file__).resolve().parents[2]


def test_ports_are_a_jobs_own_and_below_the_kernels() -> None:
    one, other = list(derive_ports("1001")), list(derive_ports("1002"))
    assert one == list(derive_ports("1001"))
    assert not set(one) & set(other)
    assert all(FIRST_PORT <= port <= LAST_PORT for port in one + other)


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not is_free("127.0.0.1", server.getsockname()[1])
    assert is_free("127.0.0.1", 0)
    assert not is_free("192.0.2.77", 0)  # a documentation address: not of this machine


def test_the_address_is_that_of_the_interface_asked_for() -> None:
    assert address_of_node("n1", "lo") == "127.0.0.1"
    with pytest.raises(InputError, match=r"interface: 'ib0' has no IPv4 address"):
        address_of_node("n1", "ib0")


def test_an_address_that_is_not_this_nodes_is_refused(slurm: FakeSlurm) -> None:
    slurm.answer("scontrol", "NodeName=n1 Arch=x86_64 NodeAddr=192.0.2.77 NodeHostName=n1\n")
    with pytest.raises(InputError, match=r"n1: SLURM's address '192.0.2.77'.*set `interface`"):
        address_of_node("n1", None)
    slurm.answer("scontrol", "NodeName=n1 NodeAddr=localhost\n")
    with pytest.raises(InputError, match="not one at which others reach"):
        address_of_node("n1", None)


def test_folders_for_sockets_stay_short() -> None:
    short = _short_folder(Path("/tmp/hs-7"), "7", "n1")
    assert short.parent == Path("/tmp/hs-7")
    long = _short_folder(Path("/scratch/users/somebody/with/a/long/path/hs-123"), "123", "gpu-007")
    assert long == Path("/tmp/hs-123-gpu-007")
    assert len(str(long)) <= MAX_TEMP_DIR


def test_a_folder_that_somebody_else_laid_out_is_refused(tmp_path: Path) -> None:
    _own_folder(tmp_path / "own")
    _own_folder(tmp_path / "own")
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to("own")
    with pytest.raises(InputError, match="is not this user's own folder"):
        _own_folder(tmp_path / "link")
    with pytest.raises(InputError, match=r"cannot be made .*set `scratch`"):
        _own_folder(tmp_path / "no" / "scratch")


def test_a_round_is_over_when_another_begins_or_the_folder_goes(tmp_path: Path) -> None:
    job = Job(tmp_path, "1", tmp_path)
    assert job.is_over()
    (tmp_path / "round").write_text("1\n")
    assert not job.is_over()
    (tmp_path / "round").write_text("2\n")
    assert job.is_over()


STARTER = """\
import os, subprocess, sys, time
from pathlib import Path
from slurm.batch_node import Job
from slurm.ray_node import RayProcess
job = Job(Path(sys.argv[1]), "1", Path(sys.argv[1]))
with RayProcess(job, "n1") as process:
    # a daemon that leaves its parent, its group and its session, and ignores SIGTERM
    daemon = "trap '' TERM; echo $$ > $0/daemon; while :; do sleep 1; done"
    process.process = subprocess.Popen(
        ["bash", "-c", 'setsid bash -c "$1" "$0" & sleep 100', sys.argv[1], daemon])
    (job.folder / "up").touch()
    process.watch()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["round", "signal"])
def test_nothing_that_was_started_is_left(tmp_path: Path, how: str) -> None:
    """Slow: Ray's part is played by processes that end after some seconds."""
    (tmp_path / "round").write_text("1\n")
    node = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT)
    daemon = tmp_path / "daemon"
    while not daemon.exists() or not daemon.read_text().strip():
        assert node.poll() is None
        time.sleep(0.05)
    pid = int(daemon.read_text())
    if how == "round":
        (tmp_path / "round").write_text("end\n")
    else:
        node.send_signal(signal.SIGTERM)
    assert node.wait(timeout=240) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ray_is_told_of_the_gpus_that_pytorch_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM's own number is not: a site may not count them, or a node's driver may be too old."""
    started: list[list[str]] = []
    monkeypatch.setattr(ray_node, "cards_here", lambda: Cards(("H100", "H100")))
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "8")
    assert ray_node.count_gpus() == 2
    monkeypatch.setattr(ray_node.subprocess, "Popen", lambda command, **_: started.append(command))
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        job = Job(Path(folder), "1", Path(folder))
        ray_node.RayProcess(job, "n1", ray_node.count_gpus()).start([], "127.0.0.1")
        ray_node.RayProcess(job, "n1").start([], "127.0.0.1")
    assert ["--num-gpus=2" in command for command in started] == [True, False]
    assert "--num-gpus=0" in started[1]
