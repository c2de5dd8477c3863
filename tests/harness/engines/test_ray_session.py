"""Ray as the command's own: nobody else reaches it, and it ends with the command.

Slow are those that start Ray and its workers, which import torch.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path

import pytest
from disturbed import kill_all
from fake_card import name_of

from harness.engines.queue import Queue
from harness.engines.ray_messages import Broken, Given, Over, Reported, Wanted
from harness.engines.ray_session import _sentence, _Server, _Session
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.runfolder.provenance import collect
from harness.runfolder.running import NAME as RUNNING
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Started, Stopped
from harness.trials.rows import failed_row
from harness.trials.spec import Plan
from headstart.errors import EngineError
from runs import ROOT, command, environment, title_of, wait_until_gone

LISTENS = "0A"  # the state in /proc/net/tcp


class Played(_Session):
    """A session whose messages a test writes; it has no process."""

    def last_words(self) -> str:
        return "exit status -9"


@pytest.fixture
def played(make_queue):
    """(server, the session's end of the pipe) over a queue of one trial."""
    pipe, its_end = Pipe()
    queue = make_queue()
    yield _Server(queue, Played(None, 0, pipe, Path()), 1, lambda n_gpus: None), its_end
    pipe.close()
    its_end.close()


@pytest.fixture
def make_queue(write_sweep, tmp_path):
    folders = ExitStack()

    def make_queue() -> Queue:
        sweep = load_sweep(write_sweep(("seeds: 2", "seeds: 1")))
        trials = make_plan(sweep, DataCatalogue()).trials
        plan = Plan(sweep, tuple(t for t in trials if t.stage == "pretrain")[:1])
        folder = folders.enter_context(RunFolder(tmp_path / "run"))
        folder.begin("", collect(()), plan)
        return Queue(plan, folder, {}, lambda spec, error: failed_row(spec, sweep.name, error))

    with folders:
        yield make_queue


def test_a_unit_is_given_once_and_is_over_when_it_ended(played):
    server, session = played
    for tune_id in ("a", "b"):
        session.send(Wanted(tune_id, 1))
    server.serve(1)
    (trial,) = server.queue.plan.trials
    given = session.recv()
    assert given.config["unit"] == [trial.id]
    assert list(given.config["folders"]) == [trial.id]
    assert session.recv() == Given(None, is_over=False)
    session.send(Reported([Started(trial.id), Stopped(trial.id, 0)]))
    session.send(Over("a", crashed=False))
    server.queue.stop()
    server.serve(1)
    assert server.queue.finished


def test_a_crashed_worker_gives_its_trial_back(played):
    server, session = played
    session.send(Wanted("a", 1))
    session.send(Over("a", crashed=True))
    session.send(Wanted("b", 1))
    server.serve(1)
    first, second = session.recv(), session.recv()
    assert first.config["unit"] == second.config["unit"]
    assert list(server.queue.failures.values()) == [1]


def test_an_ended_session_is_one_line(played):
    server, session = played
    session.send(Wanted("a", 1))
    server.serve(1)
    session.close()
    with pytest.raises(EngineError, match=r"^Ray ended \(exit status -9\); what has ended is kept"):
        server.serve(1)


def test_a_session_that_ends_after_a_request_to_stop_is_no_error(played):
    server, session = played
    session.send(Wanted("a", 1))
    server.serve(1)
    assert not server.queue.finished
    server.queue.stop()
    session.close()
    server.serve(1)
    assert server.queue.finished


def test_what_ray_says_is_one_sentence(played):
    server, session = played
    session.send(Broken("no token was found"))
    with pytest.raises(EngineError, match=r"^Ray failed: no token was found; what has ended"):
        server.serve(1)
    log = "[2026-11-29 00:51:58,244 E 3 4] rpc_client.h:204: Failed to connect. It may be killed."
    assert _sentence(log) == "Failed to connect"


@pytest.fixture
def tmp():
    """A folder for temporary files, which must be empty in the end; its name is short enough."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        yield Path(folder)
        wait_until_empty(Path(folder), 120)


@pytest.fixture
def start(write_sweep, tmp_path, tmp):
    """Start a long sweep on Ray; its process, once a trial has saved a state."""
    processes = []

    def start(*options: str) -> subprocess.Popen[str]:
        # the stage too: a state of a trial that ends in between would be gone
        sweep = write_sweep(
            ("epochs: 3", "epochs: 4000"), ("epochs: 2", "epochs: 4000"), ("seeds: 2", "seeds: 1")
        )
        process = subprocess.Popen(
            command(sweep, tmp_path / "run", *options),
            cwd=ROOT, env={**environment(), "TMPDIR": str(tmp)}, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        deadline = time.monotonic() + 240
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


def last_lines(process: subprocess.Popen[str]) -> list[str]:
    """What a command said beside its data, what it trains on, what it needs and its progress."""
    assert process.stderr is not None
    others = ("[", "small: trains on ", "data: ", "Needs about: ", "  ")
    return [line for line in process.stderr.read().splitlines() if not line.startswith(others)]


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
        with suppress(OSError):  # some of Ray's end soon
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    sockets.add(os.readlink(fd))
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENS and f"socket:[{rest[5]}]" in sockets:
                addresses.append(as_text(local))
    return addresses


def content_of(path: Path) -> bytes:
    """Nothing where the process or file is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def as_text(local: str) -> str:
    """`127.0.0.1:80` of `0100007F:0050`; an IPv4 address inside of IPv6 as IPv4."""
    number, port = local.split(":")
    words = [struct.pack("=I", int(number[i : i + 8], 16)) for i in range(0, len(number), 8)]
    content = b"".join(words).removeprefix(bytes(10) + b"\xff\xff")
    family = socket.AF_INET if len(content) == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(family, content)}:{int(port, 16)}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, ()), (signal.SIGHUP, ("--set", "resources.workers=2"))]
)
def test_nobody_else_reaches_it_and_a_signal_is_status_75(start, tmp, tmp_path, number, options):
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
        for shown in ("cmdline", "environ"):
            assert secret not in content_of(Path(f"/proc/{pid}/{shown}")), title_of(pid)
    readable = [p for p in folder.rglob("*") if p.is_file() and p != token]
    assert [p for p in readable if secret in content_of(p)] == []
    process.send_signal(number)
    assert_stops(process, names, number, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_the_death_of_rays_own_processes_is_one_line_and_soon(start, tmp_path, victim):
    process = start("--slots", "1")
    names = descendants(process.pid)
    (pid,) = [pid for pid, name in names.items() if name == victim]
    os.kill(pid, signal.SIGKILL)
    assert process.wait(240) == 1
    assert last_lines(process) == [
        f"Ray's {victim} died; what has ended is kept, and the same command goes on from the last "
        "states"
    ]
    wait_until_gone(names, 60)
    assert list(tmp_path.glob("run/trials/*/state/*/state-*.pt")), "its last state is kept"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("number", "reach"), [(signal.SIGTERM, "group"), (signal.SIGHUP, "all")])
def test_a_signal_is_status_75_whomever_it_reaches(start, tmp_path, number, reach):
    """Those to the command alone are with the test of who reaches it."""
    process = start("--slots", "1")
    names = descendants(process.pid)
    if reach == "group":  # as a terminal and `timeout` do
        os.killpg(process.pid, number)
    else:  # as systemd does
        kill_all((process.pid, *names), number)
    assert_stops(process, names, number, tmp_path / "run")


def assert_stops(
    process: subprocess.Popen[str], names: dict[int, str], number: int, run: Path
) -> None:
    """Soon after a signal, with one line; its last states alone are kept.

    That ten seconds are enough is with the signals of `tests/faults/`, which know how slow this
    machine is now.
    """
    assert process.wait(240) == 75
    lines = last_lines(process)
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"Stopped by {signal.Signals(number).name}: ")
    wait_until_gone(names, 60)
    assert list(run.glob("trials/*/state/*/state-*.pt"))
    hidden = [path.name for path in run.glob(".*")]
    assert not [name for name in hidden if not name.startswith(RUNNING)]  # how far trials had come


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_command_that_is_killed_takes_ray_along(start, tmp):
    process = start("--slots", "1")
    names = descendants(process.pid)
    process.kill()
    wait_until_gone(names, 60)
    wait_until_empty(tmp, 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_killed_session_leaves_is_removed_by_the_next_command(
    start, tmp, tmp_path, write_sweep
):
    """Command and session killed at once, as a container's end does."""
    process = start("--slots", "1")
    names = descendants(process.pid)
    kill_all((*names, process.pid))
    wait_until_gone(names, 60)
    assert list(tmp.iterdir()), "else there is nothing to remove"
    again = subprocess.run(
        command(write_sweep(), tmp_path / "other", "--engine", "local"),
        cwd=ROOT, env={**environment(), "TMPDIR": str(tmp)}, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert again.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("resources", "visible", "cards", "shared"),
    [("{gpus: 1, pack: 1}", (2, 0), [[0], [2]], 1), ("{gpus: 0.5}", (1,), [[1], [1]], 2)],
)
def test_ray_is_told_of_the_cards_that_pytorch_sees_and_each_worker_sees_its_own(
    card, write_sweep, tmp_path, resources, visible, cards, shared
):
    """Ray's own libraries see none of them, and its trials would wait without end.

    Slow: it starts Ray and workers that import torch.
    """
    sweep = write_sweep(
        ("epochs: 3", "epochs: 20"), ("seeds: 2", f"seeds: 2\nresources: {resources}")
    )
    run = command(sweep, tmp_path / "run", "--engine", "ray", "--only", "pretrain", "--slots", "2")
    names = ",".join(name_of(device) for device in visible)
    done = card.run(run, gpus=3, memory_gb=6, status=None, CUDA_VISIBLE_DEVICES=names)
    rows = [json.loads(p.read_text()) for p in tmp_path.glob("run/trials/*/trial.json")]
    assert len(rows) == 2, done.stderr  # done, or diverged: the stand-in computes nothing
    for row in rows:
        assert row["device"] == "Stand-in for an H100", row
        assert (row["gpu_share"], row["gpu_workers"]) == (1 / shared, shared)
        assert row["gpu_sharing"] == ("alone" if shared == 1 else "in turns")
        assert row["cuda"]
        assert row["cudnn"]
    trained = [process.cards for process in done.processes if process.launches > 100]
    assert sorted(trained) == cards, done.processes
