"""A command that is disturbed: started in a session of its own, struck, and run again to the end.

In: a sweep's text and a fault. Out: what the command said, the bits of its run folder, and all that
it left behind. All tests of faults need the same folders, the same moments and the same comparison,
so this stands alone. Whatever is random comes from a generator that the test makes from its id.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from harness.runfolder.running import NAME as RUNNING
from headstart.digests import digest_of_file
from runs import HOOKS, ROOT, fingerprints, is_running, title_of

MARK = "HEADSTART_TEST_MARK"  # in the environment of every process of a command
PATIENCE_S = 120.0  # for what must happen; no verdict depends on how long it takes
GONE_WITHIN_S = 120.0  # workers look for their command now and then, Ray's after 30 s at most

_DATA = "{{name: glyphs, count: {count}, seed: {seed}, train: {train}, validation: 40{test}}}"
_ARMS = _DATA.format(count=300, seed=1, train=160, test=", test: 60")
_STAGE = _DATA.format(count=200, seed=2, train=120, test="")

TINY = f"""\
name: tiny
question: Do faults change results?
model: {{name: lenet5}}
data: {_ARMS}
train: {{learning_rate: 1.0e-3, batch_size: 16, epochs: 8, evaluate_every: {{steps: 5}}}}
pretrain:
  drawn: {{data: {_STAGE}, train: {{epochs: 4, augment: {{rotate: 15}}}}}}
arms:
  scratch: {{}}
  pretrained: {{initialize: drawn}}
seeds: 2
compare: [{{treatment: pretrained, control: scratch}}]
measure: {{targets: [0.3, 0.5], equivalence: 0.01}}
resources: {{gpus: 0}}
"""
# Tails behind one frozen front, trained together and kept in an archive.
PACKED = TINY.replace("{initialize: drawn}", "{initialize: drawn, fine_tune: last_layer}").replace(
    "{gpus: 0}", "{gpus: 0, pack: 2}"
)
# The settings of one arm are searched first.
SEARCHED = TINY.replace("  scratch: {}", "  scratch: {search: none}").replace(
    "seeds: 2\n",
    "search: {learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, samples: 3, rungs: [1, 2]}\n"
    "seeds: 2\n",
)
_HEAD = "  head: {initialize: drawn, fine_tune: last_layer}\n"
# A frozen front whose features fill many chunks.
FEATURES = (
    TINY.replace(_ARMS, _ARMS.replace("300", "1500").replace("160", "1300"))
    .replace("  scratch: {}\n  pretrained: {initialize: drawn}\n", _HEAD)
    .replace("seeds: 2\ncompare: [{treatment: pretrained, control: scratch}]", "seeds: 1")
)
# Network, optimizer and loss are of the user's own file; all of them draw, and two keep a state.
OWN = TINY.replace("{name: lenet5}", "{name: 'own_parts.py:Net'}").replace(
    "train: {learning_rate: 1.0e-3,",
    "train: {optimizer: 'own_parts.py:Signs', loss: 'own_parts.py:noisy', "
    "augment: {rotate: 10}, learning_rate: 1.0e-3,",
)
OWN_CODE = """
import random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2)
        self.fc = nn.Linear(4 * 13 * 13, n_classes)

    def forward(self, x):
        x = F.max_pool2d(self.norm(self.conv(x)).relu(), 2)
        x = F.dropout(self.drop(x.view(len(x), -1)), 0.3, self.training)
        return self.fc(x + 0.01 * torch.rand(1) * np.random.rand())

class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 0.1)
                p.sub_(group["lr"] * mean.sign() * torch.rand(1))

def noisy(logits, labels):
    return F.cross_entropy(logits + 0.1 * torch.randn_like(logits) * random.random(), labels)
"""
SWEEPS = {"tiny": TINY, "packed": PACKED, "searched": SEARCHED, "features": FEATURES, "own": OWN}

_OF_THE_MOMENT = {"attempts", "finished_at", "host", "images_per_s"}  # and what ends in _s


@dataclass
class Place:
    """The folders of one test: run folder, cache, temporary folder; nothing else is written to."""

    root: Path
    sweep: Path = field(init=False)
    out: Path = field(init=False)
    cache: Path = field(init=False)
    temporary: Path = field(init=False)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    sessions: set[int] = field(default_factory=set)  # of its processes, as far as they were seen

    def __post_init__(self) -> None:
        self.sweep, self.out = self.root / "sweep.yaml", self.root / "run"
        self.cache = self.root / "cache"
        # Ray's sockets lie below it, and their names may have 107 bytes.
        self.temporary = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
        # Other programs use the machine's own: root gives each command a /dev/shm of its own.
        self.shared = self.root / "shm" if os.geteuid() == 0 else Path("/dev/shm")
        self.shared.mkdir(exist_ok=True)
        self.shared_before = set(os.listdir(self.shared))

    def write(self, text: str) -> None:
        self.sweep.write_text(text, encoding="utf-8")
        if "own_parts.py" in text:
            self.sweep.with_name("own_parts.py").write_text(OWN_CODE, encoding="utf-8")

    def remove(self) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "PYTHONPATH": f"{HOOKS}{os.pathsep}{ROOT}",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.temporary),
            "HEADSTART_CACHE": str(self.cache),
            MARK: self.mark,
        }
        return {**os.environ, **own, **more}

    def start(
        self,
        *options: str,
        engine: str = "here",
        report: bool = False,
        inside: Sequence[str] = (),
        **environment: str,
    ) -> Disturbed:
        """The command of `sweep` on `out`, begun; the environment can be added to.

        `inside` is a program that starts the command, in a container for example.
        """
        argv = [
            *inside, sys.executable, "-m", "harness.sweep", str(self.sweep), "--out", str(self.out),
            "--engine", engine, "--state-every", "0.05", *options,
        ]  # fmt: skip
        return self.start_any(argv if report else [*argv, "--no-report"], **environment)

    def start_any(self, argv: Iterable[str], **environment: str) -> Disturbed:
        said = self.root / f"said-{uuid.uuid4().hex[:8]}.txt"
        with open(said, "wb") as file:
            process = subprocess.Popen(
                self._with_own_shared_memory(argv), cwd=ROOT, env=self.environment(**environment),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                preexec_fn=_hear_signals,
            )  # fmt: skip
        return Disturbed(self, process, said)

    def _with_own_shared_memory(self, argv: Iterable[str]) -> list[str]:
        """The program in a mount namespace of its own; its process id stays that of the first."""
        if self.shared == Path("/dev/shm"):
            return list(argv)
        script = 'mount --bind "$0" /dev/shm && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self.shared), *argv]

    def run(
        self,
        *options: str,
        engine: str = "here",
        report: bool = False,
        inside: Sequence[str] = (),
        **environment: str,
    ) -> Disturbed:
        """The command, run to its end."""
        command = self.start(*options, engine=engine, report=report, inside=inside, **environment)
        command.wait()
        return command

    def processes(self) -> list[int]:
        """All living processes of this place's commands, orphans included.

        Some of Ray's write their title over their environment; their session tells them.
        """
        wanted = f"{MARK}={self.mark}".encode()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        marked = {pid for pid in pids if wanted in _environment_of(pid)}
        self.sessions |= {_session_of(pid) for pid in marked} - {os.getsid(0), 0}
        return [
            pid
            for pid in pids
            if (pid in marked or _session_of(pid) in self.sessions) and is_running(pid)
        ]

    def left(self) -> list[str]:
        """What is left of commands that ended: processes, temporary files, shared memory."""
        wait_for(lambda: not self.processes(), GONE_WITHIN_S, must=False)
        wait_for(lambda: not self._shared(), GONE_WITHIN_S, must=False)
        return [
            *(f"process {pid}: {title_of(pid)}" for pid in self.processes()),
            *self.left_on_disk(),
            *(f"/dev/shm/{name}" for name in self._shared()),
        ]

    def left_on_disk(self) -> list[str]:
        """Temporary files, and what is kept of trials that have not ended."""
        hidden = [
            path
            for folder in (self.out, self.cache)
            for path in folder.rglob("*")
            if path.name.startswith(".") or path.name.endswith(".tmp")
        ]
        # Who has a decoded set open: an empty file, gone at a process's end, which a fork lacks.
        hidden = [p for p in hidden if not (p.parent.name == "decoded" and _is_empty_mark(p))]
        states = list(self.out.glob("trials/*/state"))
        # PyTorch imports its compiler for an optimizer of the user's own, which makes this folder.
        compiler = "torchinductor_"
        kept = sorted(p for p in self.temporary.iterdir() if not p.name.startswith(compiler))
        return [str(path) for path in (*hidden, *states, *kept)]

    def _shared(self) -> list[str]:
        return sorted(set(os.listdir(self.shared)) - self.shared_before)


def _is_empty_mark(path: Path) -> bool:
    return path.suffix == ".tmp" and path.is_file() and path.stat().st_size == 0


def stays(path: str) -> bool:
    """Whether a stopped command leaves it for the next: states, how far its trials had come, and
    the blocks of a set that were decoded, with the lock that names the process that is gone."""
    if path.endswith("/state") or Path(path).name.startswith(RUNNING):
        return True
    return Path(path).parent.name == "decoded" and Path(path).suffix in (".partial", ".lock")


@dataclass
class Disturbed:
    """One command that was started."""

    place: Place
    process: subprocess.Popen[bytes]
    _said: Path

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace")

    @property
    def status(self) -> int | None:
        return self.process.poll()

    def wait(self, timeout_s: float = 2 * PATIENCE_S) -> int:
        """The exit status; minus the signal's number where one killed it."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as err:
            kill_all(self.place.processes())
            message = f"the command did not end in {timeout_s:.0f} s:\n{self.said}"
            raise AssertionError(message) from err

    def wait_for(self, condition: Callable[[], object]) -> bool:
        """Until the condition holds; False where the command ended before that."""
        wait_for(lambda: condition() or self.status is not None, PATIENCE_S)
        return self.status is None

    def workers(self) -> list[int]:
        """The processes that train: Ray's with our Trainable, or those of the local engine."""
        titles = {pid: title_of(pid) for pid in self.place.processes()}
        if self.named("raylet"):
            return [pid for pid, title in titles.items() if "Trainable" in title]
        return [pid for pid, title in titles.items() if "spawn_main" in title]

    def named(self, program: str) -> list[int]:
        """Processes of this command that run a program, as `raylet` or `gcs_server`."""
        pids = self.place.processes()
        return [pid for pid in pids if Path(title_of(pid).split(" ")[0]).name == program]


def _hear_signals() -> None:
    """As in a terminal: `nohup` and `&` make what they start deaf to some."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def kill_all(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_for(condition: Callable[[], object], timeout_s: float, must: bool = True) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            assert not must, f"did not happen in {timeout_s:.0f} s"
            return
        time.sleep(0.01)


def bits(out: Path) -> dict[str, str]:
    """All that must be equal: weights, predictions, curves and tables, without what is measured."""
    content = {f"bits of {trial}": digest for trial, digest in fingerprints(out).items()}
    for path in out.glob("trials/**/*.safetensors"):  # checkpoints too
        content[str(path.relative_to(out))] = digest_of_file(path)
    for name in ("trials.parquet", "curves.parquet"):
        table = pq.read_table(out / name)
        kept = [c for c in table.column_names if not (c.endswith("_s") or c in _OF_THE_MOMENT)]
        for row in table.select(kept).to_pylist():
            place = f"{name}, {row['trial_id']}, step {row.get('step', '-')}"
            assert f"{place}, arm" not in content, f"{place} stands there twice"
            # As text, since NaN is not equal to itself.
            content |= {f"{place}, {key}": repr(value) for key, value in row.items()}
    return content


def differences(out: Path, expected: Mapping[str, str]) -> list[str]:
    """Where a run folder is not as expected; empty where all bits are equal."""
    actual = bits(out)
    names = sorted(actual.keys() | expected.keys())
    differing = [name for name in names if actual.get(name) != expected.get(name)]
    return [f"{name}: {actual.get(name)}, not {expected.get(name)}" for name in differing]


def began(place: Place) -> bool:
    """The command holds the run folder."""
    return (place.out / "trials").is_dir()


def trains(place: Place) -> bool:
    """A trial has saved a state."""
    return any(place.out.glob("trials/*/state/*/state-*.pt"))


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
