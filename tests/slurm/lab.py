"""A private SLURM of two nodes on this machine, for tests and for trying things by hand.

`python tests/slurm/lab.py up` starts it and prints what to export; `down` ends all of it. Each node
is a network namespace (with a host name of its own) in which a slurmd runs; they and the controller
are joined by a bridge with private addresses. Everything else lies in one temporary folder: the
configuration, munge's key and socket, logs, spool folders. Nothing outside is read or changed, so a
SLURM that this machine may belong to is left alone.

Needs root, Linux, and `apt-get install slurm-wlm munge iproute2`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged", "mungekey", "ip", "unshare")
DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "headstart-slurm-lab"
N_NODES = 2
CPUS_PER_NODE = 2
GPUS_PER_NODE = 2
NODE_DIES_AFTER_S = 30  # the controller calls a silent node down then


class LabError(Exception):
    """The lab cannot be brought up; the message says why."""


def missing() -> str | None:
    """Why no lab can run on this machine, or None where one can."""
    if not sys.platform.startswith("linux"):
        return "a SLURM lab needs Linux"
    if os.geteuid() != 0:
        return "a SLURM lab needs root (network namespaces)"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install slurm-wlm munge iproute2"
    if not any(Path("/sys/fs/cgroup").iterdir()):
        return "slurmd needs a mounted cgroup file system"
    return None


@dataclass(frozen=True)
class Node:
    """One node: its name in SLURM, its network namespace, its private address."""

    name: str
    namespace: str
    address: str


class Lab:
    """A SLURM cluster in one folder; `up`, `down`, and what a test does to it in between."""

    def __init__(self, folder: Path):
        self.folder = folder
        tag = f"{os.stat(folder).st_ino % 0xFFFF:04x}"  # two labs on one machine stay apart
        self.bridge = f"hs{tag}br"
        self.first_job_id = int(tag, 16) * 1000 + 1  # a job's id names its folder in /tmp
        subnet = f"10.{200 + int(tag[:2], 16) % 50}.{int(tag[2:], 16)}"
        self.address = f"{subnet}.1"
        self.nodes = tuple(
            Node(f"n{i}", f"hs{tag}n{i}", f"{subnet}.{10 + i}") for i in range(1, N_NODES + 1)
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to talk to this cluster and to no other."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    # -- up and down -----------------------------------------------------------------------

    def up(self) -> None:
        """Start everything and wait until both nodes are idle.

        Raises:
            LabError: something did not start; the message has the end of its log.
        """
        reason = missing()
        if reason:
            raise LabError(reason)
        try:
            self._make_network()
            self._start_munge()
            self._write_configuration()
            self._start("slurmctld", ["slurmctld", "-D", "-i"])
            for node in self.nodes:
                self.start_node(node.name)
            self._wait_until_idle()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End every process that this lab started and remove its network; twice is harmless."""
        for node in self.nodes:
            self.stop_node(node.name)
            for pid in self.processes(node.name):
                _kill(pid)
        for name in ("slurmctld", "munged"):
            self._stop(name)
        for node in self.nodes:
            _quietly("ip", "netns", "delete", node.namespace)
        _quietly("ip", "link", "delete", self.bridge)

    # -- what tests do ---------------------------------------------------------------------

    def run(self, *command: str, check: bool = True, timeout_s: float = 60) -> str:
        """Run a SLURM command against this cluster; returns its output."""
        for _ in range(3):
            done = subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=timeout_s
            )
            if "Socket timed out" not in done.stderr:  # as it is while a busy controller waits
                break
        if check and done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def job_state(self, job_id: str) -> str:
        """RUNNING, PENDING, COMPLETED …; finished jobs are known for some minutes."""
        text = self.run("scontrol", "show", "job", "-o", job_id)
        return text.split("JobState=")[1].split()[0]

    def wait_for(self, job_id: str, *states: str, timeout_s: float = 300) -> str:
        """Wait until a job is in one of `states` and no longer winds up; returns the state."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = self.job_state(job_id)
            if state in states:
                return state
            time.sleep(0.25)
        raise LabError(f"job {job_id} is {self.job_state(job_id)}, not {'/'.join(states)}")

    def end_soon(self, job_id: str) -> None:
        """Shorten a job's time limit: notice comes within half a minute, the end after that."""
        text = self.run("scontrol", "show", "job", "-o", job_id)
        hours, minutes, _ = text.split(" RunTime=")[1].split()[0].split(":")
        limit = int(hours) * 60 + int(minutes) + 2
        self.run("scontrol", "update", f"JobId={job_id}", f"TimeLimit={limit}")

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node, in its namespaces."""
        node = self._node(name)
        inside = (
            f"hostname {node.name} && mount --bind {self.folder}/hosts /etc/hosts && "
            f"exec slurmd -D -N {node.name}"
        )
        self._start(
            f"slurmd-{name}",
            ["ip", "netns", "exec", node.namespace,
             "unshare", "--uts", "--mount", "sh", "-c", inside],
        )  # fmt: skip

    def stop_node(self, name: str) -> None:
        """Kill a node's slurmd, as when it crashed: its jobs' processes go on."""
        self._stop(f"slurmd-{name}", signal.SIGKILL)

    def kill_node(self, name: str) -> None:
        """Kill a node: its slurmd and every process on it at once, as when the power fails.

        The controller is told, which would notice by itself some half a minute later, and looks at
        all of its jobs: SLURM 22.05 miscounts those of a node that dies again, and leaves them be.
        """
        pids = self.processes(name)
        for pid in pids:  # all of them, before anybody can act on the death of another
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop_node(name)
        for pid in pids:
            _kill(pid)
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=power")
        self.run("scontrol", "reconfigure")

    def revive_node(self, name: str) -> None:
        """Start the slurmd of a node that was killed, and wait until it is up."""
        self.start_node(name)

        def is_up() -> bool:
            self.run("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
            state = self.run("sinfo", "-h", "-N", "-n", name, "-p", "main", "-o", "%T", check=False)
            return state in ("idle", "mixed", "allocated")

        _wait(is_up, 300, lambda: self.log("slurmctld"))

    def processes(self, name: str) -> list[int]:
        """Ids of all processes in a node's network namespace."""
        text = subprocess.run(
            ["ip", "netns", "pids", self._node(name).namespace], capture_output=True, text=True
        ).stdout
        return [int(word) for word in text.split()]

    def log(self, name: str, n_lines: int = 20) -> str:
        """The end of a daemon's log."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-n_lines:])

    # -- parts -----------------------------------------------------------------------------

    def _node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _make_network(self) -> None:
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "address", "add", f"{self.address}/24", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")
        for node in self.nodes:
            outside, inside = f"{node.namespace}o", f"{node.namespace}i"
            enter = ("ip", "netns", "exec", node.namespace, "ip")
            _run("ip", "netns", "add", node.namespace)
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
            _run("ip", "link", "set", outside, "master", self.bridge, "up")
            _run("ip", "link", "set", inside, "netns", node.namespace)
            _run(*enter, "link", "set", inside, "name", "lab0")
            _run(*enter, "address", "add", f"{node.address}/24", "dev", "lab0")
            _run(*enter, "link", "set", "lab0", "up")
            _run(*enter, "link", "set", "lo", "up")
        lines = ["127.0.0.1 localhost", f"{self.address} {socket.gethostname()}"]
        lines += [f"{node.address} {node.name}" for node in self.nodes]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755, exist_ok=True)
        key = folder / "munge.key"
        _run("mungekey", "--create", "--force", f"--keyfile={key}")
        self._start(
            "munged",
            ["munged", "--foreground", "--force", "--num-threads=2", f"--key-file={key}",
             f"--socket={folder}/socket", f"--pid-file={folder}/munged.pid",
             f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"],
        )  # fmt: skip
        _wait(lambda: (folder / "socket").exists(), 60, lambda: self.log("munged"))

    def _write_configuration(self) -> None:
        for name in ("state", *(f"spool-{node.name}" for node in self.nodes)):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for number in range(GPUS_PER_NODE):  # SLURM counts devices, and does not open them
            device = self.folder / f"gpu{number}"
            device.unlink(missing_ok=True)
            os.mknod(device, stat.S_IFCHR | 0o600, os.stat(os.devnull).st_rdev)
        (self.folder / "gres.conf").write_text(
            f"AutoDetect=off\nName=gpu File={self.folder}/gpu[0-{GPUS_PER_NODE - 1}]\n"
        )
        port = _free_port()
        nodes = "\n".join(
            f"NodeName={node.name} NodeAddr={node.address} NodeHostname={node.name} "
            f"CPUs={CPUS_PER_NODE} Gres=gpu:{GPUS_PER_NODE} State=UNKNOWN"
            for node in self.nodes
        )
        (self.folder / "slurm.conf").write_text(
            f"""\
ClusterName=lab
SlurmctldHost={socket.gethostname()}({self.address})
SlurmctldPort={port}
SlurmdPort={port + 1}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/socket
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool-%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
MpiDefault=none
InactiveLimit=0
KillWait=10
MinJobAge=600
FirstJobId={self.first_job_id}
SlurmctldTimeout=30
SlurmdTimeout={NODE_DIES_AFTER_S}
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=60 PriorityTier=1 GraceTime=120
PartitionName=urgent Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""
        )

    def _wait_until_idle(self) -> None:
        def all_idle() -> bool:
            states = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False).split()
            return states == ["idle"] * N_NODES

        names = ["slurmctld", *(f"slurmd-{node.name}" for node in self.nodes)]
        _wait(all_idle, 240, lambda: "\n".join(self.log(name) for name in names))

    def _start(self, name: str, command: Sequence[str]) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        (self.folder / f"{name}.started").write_text(str(process.pid))

    def _stop(self, name: str, number: int = signal.SIGTERM) -> None:
        path = self.folder / f"{name}.started"
        if not path.exists():
            return
        pid = int(path.read_text())
        if self._is_ours(pid):
            _kill(pid, number)
        path.unlink()

    def _is_ours(self, pid: int) -> bool:
        """Whether a process still is the daemon that was started: process ids are used again."""
        with suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            return f"SLURM_CONF={self.folder}/slurm.conf".encode() in environment.split(b"\0")
        return False


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal and wait until the process is gone; after 10 s it is killed."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + 10
    while _is_alive(pid):
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait(condition, timeout_s: float, explain) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"not ready after {timeout_s:g} s:\n{explain()}")
        time.sleep(0.1)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")


def _quietly(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _free_port() -> int:
    """A port below the kernel's own range that is free, and the one after it."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as one, socket.socket() as two, suppress(OSError):
            one.bind(("", port))
            two.bind(("", port + 1))
            return port
    raise LabError("no free port for slurmctld")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="A private two-node SLURM on this machine.")
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    given = parser.parse_args(argv)
    if given.action != "up" and not given.folder.is_dir():
        print(f"no lab in {given.folder}")
        return 1
    given.folder.mkdir(exist_ok=True)
    lab = Lab(given.folder)
    try:
        if given.action == "up":
            lab.down()
            lab.up()
            print(f"export SLURM_CONF={lab.folder}/slurm.conf")
        elif given.action == "status":
            print(lab.run("sinfo", "-N", "-l"))
            print(lab.run("squeue", "-a"))
        else:
            lab.down()
            shutil.rmtree(given.folder)
    except LabError as err:
        print(err, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
