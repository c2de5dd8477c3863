"""What do damaged and hostile files do to each reader? Inputs by the thousand, and what broke.

    python benchmarks/fuzz.py [--target NAME …] [--seed N] [--minutes M]     (by hand, not in CI)
    python benchmarks/fuzz.py --target NAME --repeat FILE

Each target (`fuzz_targets.py`) starts from valid files and is given changed ones
(`fuzz_mutations.py`). A reader may take an input or refuse it in one line for each mistake. Any
other exception, over ten seconds, over 1 GB of memory, and the death of the process are finds: the
input is saved with the command that repeats it, once for each place in the code. An input that
reaches lines of our code that none before it reached is changed further.

Inputs are read in a process of their own, which is started again when it dies or hangs; its address
space is limited, so that no input can take the machine down. The status is 1 where anything broke.
Atheris would guide changes by the edges of C code too, but has no wheel for every Python that we
run on, and most of our readers are Python.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing as mp
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fuzz_targets import TARGETS, Target, check  # noqa: E402

LIMIT_S = 10.0  # of computing
MOST_S = 600.0  # of waiting
START_S = 120.0  # imports, and making the samples
LIMIT_BYTES = 1 << 30  # of memory that an input takes
ADDRESS_BYTES = 8 << 30  # beyond that, memory is refused; not all that is asked for is touched
SLICE_S = 60.0  # of one target, before the next one's turn
MOST_IN_CORPUS = 500
_OURS = ("headstart", "harness", "models", "datasets", "analysis", "slurm")


@dataclass(frozen=True)
class Outcome:
    """What became of an input: `taken`, `refused`, or `broke` with the place and the reason."""

    kind: str
    place: str = ""
    reason: str = ""
    n_new_lines: int = 0


@dataclass
class Campaign:
    """The state of one target."""

    target: Target
    seed: int
    corpus: list[bytes]
    counts: Counter[str] = field(default_factory=Counter)
    finds: dict[str, Path] = field(default_factory=dict)
    spent_s: float = 0.0

    def next_input(self) -> bytes:
        """The samples themselves first, then changes of them; the seed and the number decide."""
        number = self.counts.total()
        if number < len(self.corpus) and self.counts.total() == self.counts["taken"]:
            return self.corpus[number]
        return self.target.make(Random(f"{self.seed} {self.target.name} {number}"), self.corpus)


class Reader:
    """A process that gives inputs to one target's reader."""

    def __init__(self, name: str):
        self.name = name
        self._process: Any = None

    def samples(self) -> list[bytes]:
        self._start()
        content = self._answer(START_S)
        assert isinstance(content, list), content
        return content

    def read(self, content: bytes) -> Outcome:
        """Waits until the input is read, the time is over, or the process has died."""
        if self._process is None:
            self.samples()
        self._connection.send_bytes(content)
        outcome = self._answer(LIMIT_S)
        assert isinstance(outcome, Outcome)
        return outcome

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _busy_s(self) -> float:
        """Time that the process has computed, which others on the machine do not lengthen."""
        with suppress(OSError):
            words = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        return time.monotonic()

    def _start(self) -> None:
        self._connection, theirs = mp.get_context("spawn").Pipe()
        self._process = mp.get_context("spawn").Process(
            target=serve, args=(self.name, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def _answer(self, limit_s: float) -> object:
        busy_until, until = self._busy_s() + limit_s, time.monotonic() + MOST_S
        try:
            while self._busy_s() < busy_until and time.monotonic() < until:
                if self._connection.poll(1.0):
                    return self._connection.recv()
            outcome = Outcome("broke", "hangs", f"over {limit_s:g} s")
        except EOFError:
            self._process.join()
            outcome = Outcome("broke", "dies", f"exit status {self._process.exitcode}")
        self.close()
        return outcome


def serve(name: str, connection: Connection) -> None:
    """The life of a reader's process: samples out, then an outcome for each input."""
    target = TARGETS[name]
    samples = list(target.samples())
    lines = Lines()
    for sample in samples:  # imports what the reader needs, outside of the limits
        read_once(target, sample, lines)
    address = _kilobytes("VmSize") * 1024 + ADDRESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (address, address))
    connection.send(samples)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries warn there of every damaged picture
    while True:
        connection.send(read_once(target, connection.recv_bytes(), lines))


def read_once(target: Target, content: bytes, lines: Lines) -> Outcome:
    """One input, in an empty folder, watched."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _kilobytes("VmRSS")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        with lines:
            refusal = check(target, content, folder)
    except Exception as err:
        outcome = Outcome("broke", _place(err), _reason(err))
    else:
        outcome = Outcome("taken" if refusal is None else "refused", reason=str(refusal or ""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    taken = (_kilobytes("VmHWM") - before) * 1024
    if taken > LIMIT_BYTES and outcome.kind != "broke":
        outcome = Outcome("broke", "memory", f"{taken / 2**20:,.0f} MB; {outcome.reason[:200]}")
    return Outcome(outcome.kind, outcome.place, outcome.reason, lines.n_new)


class Lines:
    """Counts lines of our own code that were never run before; a line's place is its name."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self._before = 0
        self._folders = tuple(f"{ROOT}/{name}/" for name in _OURS)

    @property
    def n_new(self) -> int:
        return len(self._seen) - self._before

    def __enter__(self) -> None:
        self._before = len(self._seen)
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._folders) else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def _kilobytes(what: str) -> int:
    """A figure of /proc/self/status; 0 where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    return 0


def _place(err: BaseException) -> str:
    """The exception's name, and the last lines of our code and of all code that it passed."""
    frames = traceback.extract_tb(err.__traceback__)
    ours = [f for f in frames if f.filename.startswith(tuple(f"{ROOT}/{n}/" for n in _OURS))]
    named = [f"{Path(f.filename).name}:{f.lineno}" for f in (*ours[-1:], *frames[-1:])]
    return " ".join([type(err).__name__, *dict.fromkeys(named)])


def _reason(err: BaseException) -> str:
    return " ".join(str(err).split())[:300]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--target", action="append", choices=TARGETS, metavar="NAME",
                        help=f"one or more of {', '.join(TARGETS)}; all by default")  # fmt: skip
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument("--minutes", type=float, default=60.0, help="of all targets together")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="read this input only")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz", help="for what broke")
    given = parser.parse_args(argv)
    names = given.target or list(TARGETS)
    if given.repeat:
        return _repeat(TARGETS[names[0]], given.repeat)
    seed = given.seed if given.seed is not None else int(time.time())
    print(f"seed {seed}, {given.minutes:g} min, {len(names)} targets", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:  # what readers leave lies in it
        os.environ.update(OMP_NUM_THREADS="1", TMPDIR=folder, HEADSTART_CACHE=f"{folder}/cache")
        return _fuzz(names, seed, given.minutes * 60, given.out)


def _repeat(target: Target, file: Path) -> int:
    """Read one input here, with the traceback of what escapes; for a debugger too."""
    with tempfile.TemporaryDirectory() as folder:
        refusal = check(target, file.read_bytes(), Path(folder))
    print("taken" if refusal is None else f"refused: {refusal}")
    return 0


def _fuzz(names: Sequence[str], seed: int, seconds: float, out: Path) -> int:
    share = seconds / len(names)
    campaigns: dict[str, Campaign] = {}
    while any(name not in campaigns or campaigns[name].spent_s < share for name in names):
        for name in names:
            if name not in campaigns or campaigns[name].spent_s < share:
                _take_turn(name, seed, campaigns, out, share)
    print()
    for name, campaign in campaigns.items():
        counts = campaign.counts
        of_each = ", ".join(f"{counts[kind]:6} {kind}" for kind in ("taken", "refused", "broke"))
        print(
            f"{name:16} {counts.total():7} inputs: {of_each} in {len(campaign.finds)} places; "
            f"{len(campaign.corpus)} in the corpus; {campaign.spent_s:.0f} s"
        )
    n_broke = sum(campaign.counts["broke"] for campaign in campaigns.values())
    n_inputs = sum(campaign.counts.total() for campaign in campaigns.values())
    print(f"{n_inputs} inputs, {n_broke} broke (seed {seed})")
    return 1 if n_broke else 0


def _take_turn(
    name: str, seed: int, campaigns: dict[str, Campaign], out: Path, share: float
) -> None:
    """Some seconds of one target; only one reader's process lives at a time."""
    reader = Reader(name)
    started = time.monotonic()
    try:
        samples = reader.samples()
        campaign = campaigns.setdefault(name, Campaign(TARGETS[name], seed, samples))
        until = time.monotonic() + min(SLICE_S, share)
        while time.monotonic() < until:
            content = campaign.next_input()
            _note(campaign, content, reader.read(content), out)
    finally:
        reader.close()
    campaigns[name].spent_s += time.monotonic() - started


def _note(campaign: Campaign, content: bytes, outcome: Outcome, out: Path) -> None:
    campaign.counts[outcome.kind] += 1
    if outcome.n_new_lines and len(campaign.corpus) < MOST_IN_CORPUS:
        campaign.corpus.append(content)
    if outcome.kind != "broke" or outcome.place in campaign.finds:
        return
    out.mkdir(parents=True, exist_ok=True)
    name = campaign.target.name
    file = out / f"{name}-{hashlib.sha256(outcome.place.encode()).hexdigest()[:8]}"
    file.write_bytes(content)
    campaign.finds[outcome.place] = file
    print(f"{name}: {outcome.place}: {outcome.reason}", flush=True)
    print(f"    python benchmarks/fuzz.py --target {name} --repeat {file}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
