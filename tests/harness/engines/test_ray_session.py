"""Ray as the command's own: nobody else reaches it, and it ends with the command.

All slow: each test starts Ray and its workers, which import torch.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from runs import ROOT, command, environment, is_running, title_of, wait_until_gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LISTENS = "0A"  # the state in /proc/net/tcp


@pytest.fixture
def tmp():
    """A folder for temporary files, which must be empty in the end; its name is short enough."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        yield Path(folder)
        wait_until_empty(Path(folder), 10)


@pytest.fixture
def start(write_sweep, tmp_path, tmp):
    """Start a long sweep on Ray; its process, once a trial has saved a state."""
    processes = []

    def start(*options: str) -> subprocess.Popen[str]:
        sweep = write_sweep(("epochs: 3", "epochs: 4000"), ("seeds: 2", "seeds: 1"))
        process = subprocess.Popen(
            command(sweep, tmp_path / "run", *options),
            cwd=ROOT, env={**environment(), "TMPDIR": str(tmp)}, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("run/trials/*/state/*/state-*.pt")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_until_empty(folder: Path, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while left := list(folder.iterdir()):
        assert time.monotonic() < deadline, f"something temporary is left: {left}"
        time.sleep(0.1)


def descendants(pid: int) -> dict[int, str]:
    """The name of each process that descends from one."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                begin, end = (entry / "stat").read_text().rsplit(")", 1)
            except OSError:
                continue
            child = (int(entry.name), begin.split("(", 1)[1])
            children.setdefault(int(end.split()[1]), []).append(child)
    names, frontier = {}, [pid]
    while frontier:
        new = [child for parent in frontier for child in children.get(parent, ())]
        names.update(new)
        frontier = [child for child, _ in new]
    return names


def listening_addresses(pids: set[int]) -> list[str]:
    """`address:port` of every TCP socket at which one of the processes listens."""
    sockets = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(os.readlink(fd))
            except OSError:
                continue
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENS and f"socket:[{rest[5]}]" in sockets:
                addresses.append(as_text(local))
    return addresses


def as_text(local: str) -> str:
    """`127.0.0.1:80` of `0100007F:0050`; an IPv4 address inside of IPv6 as IPv4."""
    number, port = local.split(":")
    words = [struct.pack("=I", int(number[i : i + 8], 16)) for i in range(0, len(number), 8)]
    content = b"".join(words).removeprefix(bytes(10) + b"\xff\xff")
    family = socket.AF_INET if len(content) == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(family, content)}:{int(port, 16)}"


@pytest.mark.parametrize("options", [(), ("--set", "resources.workers=2")])
def test_nobody_else_reaches_it(start, tmp, options):
    process = start(*options)
    names = descendants(process.pid)
    assert {"gcs_server", "raylet"} <= set(names.values())
    addresses = listening_addresses({process.pid, *names})
    assert len(addresses) >= 4, addresses
    assert [a for a in addresses if not a.startswith("127.0.0.1:")] == []
    (folder,) = tmp.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.glob("r/session_*/sockets/*")), "Ray's own lies in the closed folder"
    (token,) = folder.glob("token")
    assert token.stat().st_mode & 0o777 == 0o600
    secret = token.read_bytes()
    assert len(secret) == 64
    for pid in (process.pid, *names):
        if is_running(pid):
            for shown in ("cmdline", "environ"):
                assert secret not in Path(f"/proc/{pid}/{shown}").read_bytes(), title_of(pid)
    readable = [p for p in folder.rglob("*") if p.is_file() and p != token]
    assert [p for p in readable if secret in p.read_bytes()] == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 75
    wait_until_gone(names, 1)


@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_the_death_of_rays_own_processes_is_one_line_and_soon(start, tmp_path, victim):
    process = start()
    names = descendants(process.pid)
    (pid,) = [pid for pid, name in names.items() if name == victim]
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    assert process.wait(60) == 1
    assert time.monotonic() - killed < 15
    lines = [line for line in process.stderr.read().splitlines() if not line.startswith("[")]
    assert lines == [
        f"Ray's {victim} died; what has ended is kept, and the same command goes on from the last "
        "states"
    ]
    wait_until_gone(names, 1)
    assert list(tmp_path.glob("run/trials/*/state/*/state-*.pt")), "its last state is kept"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("reach", ["command", "group", "all"])
def test_a_signal_is_status_75_whomever_it_reaches(start, tmp_path, number, reach):
    process = start()
    names = descendants(process.pid)
    asked = time.monotonic()
    if reach == "group":  # as a terminal and `timeout` do
        os.killpg(process.pid, number)
    for pid in {"command": [process.pid], "all": [process.pid, *names]}.get(reach, ()):
        os.kill(pid, number)  # to all: as systemd does
    assert process.wait(30) == 75
    assert time.monotonic() - asked < 10
    lines = [line for line in process.stderr.read().splitlines() if not line.startswith("[")]
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"Stopped by {signal.Signals(number).name}: ")
    wait_until_gone(names, 1)
    assert not list((tmp_path / "run").glob(".*"))


def test_a_command_that_is_killed_takes_ray_along(start, tmp):
    process = start()
    names = descendants(process.pid)
    process.kill()
    wait_until_gone(names, 10)
    wait_until_empty(tmp, 5)


def test_what_a_killed_session_leaves_is_removed_by_the_next_command(
    start, tmp, tmp_path, write_sweep
):
    """Command and session killed at once, as a container's end does."""
    process = start()
    names = descendants(process.pid)
    for pid in (*names, process.pid):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    wait_until_gone(names, 5)
    assert list(tmp.iterdir()), "else there is nothing to remove"
    again = subprocess.run(
        command(write_sweep(), tmp_path / "other", "--engine", "local"),
        cwd=ROOT, env={**environment(), "TMPDIR": str(tmp)}, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert again.returncode == 0
