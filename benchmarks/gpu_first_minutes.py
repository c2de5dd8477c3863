"""The first ten minutes on a card: what breaks, whether bits repeat, where the time goes.

    python benchmarks/gpu_first_minutes.py [--device cpu] [--quick] [--limit S] [--out DIR]
                                           [--only PART …]

In: a machine with a card, and what training needs (no Ray, no network, no report). Out: a line a
measurement; DIR/minutes.json, written anew after each measurement; DIR/minutes.md, tables for
docs/gpu.md. The parts (`gpu_parts.py`) run in a process of their own, in the order of their worth,
each with seconds of its own at most. A part that fails, hangs, crashes or leaves the card unusable
costs only itself: the next one gets a new process.

Exit status: 0 where every part came to its end, 1 where one failed, 2 where there is no card.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.gpu_parts import PARTS, Card, run_part  # noqa: E402
from benchmarks.gpu_tables import tables  # noqa: E402

GRACE_S = 20.0  # a part looks at its clock between measurements; after this its process is killed
LEAST_S = 15.0  # with less than this left, no part begins
ON_A_CPU = 6  # times as long a part may take there, where it is tried out and nothing is measured
UNUSABLE = 3  # exit status of a process whose card no longer answers


@dataclass
class Minutes:
    """What was measured so far, by part and measurement, and what became of each part."""

    out: Path
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)  # part → `ok` or what went wrong
    seconds: dict[str, float] = field(default_factory=dict)

    def save(self) -> None:
        content = {"ended": self.ended, "seconds": self.seconds, "results": self.results}
        unfinished = self.out / ".minutes.json"
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
        unfinished.replace(self.out / "minutes.json")


def main(argv: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    names = [name for name in PARTS if given.only is None or name in given.only]
    if given.child:
        return run_here(given, names)
    if given.device == "cuda" and not _has_card():
        print("gpu_first_minutes: no GPU here; --device cpu --quick shows what it does")
        return 2
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    minutes = Minutes(out)
    left_out = run_in_processes(given, names, minutes)
    (out / "minutes.md").write_text(tables(minutes.results, minutes.ended), encoding="utf-8")
    failed = {name: end for name, end in minutes.ended.items() if end != "ok"}
    for name, end in failed.items():
        print(f"{name} FAILED: {end}")
    print(f"not reached: {', '.join(left_out) or 'none'}; tables: {out / 'minutes.md'}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="few measurements, short timings")
    parser.add_argument("--limit", type=float, default=570, metavar="S", help="seconds for all")
    parser.add_argument("--out", default="minutes", metavar="DIR")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), metavar="PART")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def _has_card() -> bool:
    """Asked of another process: this one must not hold memory of the card."""
    asked = [sys.executable, "-c", "import torch; raise SystemExit(not torch.cuda.is_available())"]
    return subprocess.run(asked, check=False).returncode == 0


# -- the process that measures ---------------------------------------------------------------


def run_here(given: argparse.Namespace, names: Sequence[str]) -> int:
    """The parts one after another in this process; each result is a line of JSON on stdout."""
    import torch

    torch.set_num_threads(1)
    ends_at = time.monotonic() + given.limit
    for name in names:
        most = PARTS[name].seconds * (1 if given.device == "cuda" else ON_A_CPU)
        seconds = min(most, ends_at - time.monotonic())
        if seconds < min(LEAST_S, most):
            break
        _tell("begin", name, seconds)
        card = Card(given.device, given.quick, time.monotonic() + seconds)
        end = "ok"
        try:
            for key, value in run_part(name, card):
                _tell("result", name, key, value)
        except Exception as err:
            end = f"{type(err).__name__}: {(str(err).splitlines() or [''])[0][:200]}"
        _tell("end", name, end)
        if "CUDA error" in end or not card.is_usable():
            _leave(UNUSABLE)
    _leave(0)
    return 0


def _tell(kind: str, *content: Any) -> None:
    print("#" + json.dumps([kind, *content], default=str), flush=True)


def _leave(status: int) -> None:
    """At once: after a compiler that failed, its helpers keep a process for minutes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# -- the process that watches ----------------------------------------------------------------


def run_in_processes(
    given: argparse.Namespace, names: Sequence[str], minutes: Minutes
) -> list[str]:
    """Run the parts; a new process after each that did not come to its end. Returns those left."""
    started = time.monotonic()
    left = list(names)
    with (minutes.out / "minutes.txt").open("w", encoding="utf-8") as log:
        while left and given.limit - (time.monotonic() - started) > LEAST_S:
            seconds = given.limit - (time.monotonic() - started)
            n_ended = len(minutes.ended)
            end = _Watch(given, left, seconds, minutes, log).run()
            left = [name for name in left if name not in minutes.ended]
            if end == "over":
                break
            if left and len(minutes.ended) == n_ended:  # it died before it began a part
                minutes.ended[left.pop(0)] = end
                minutes.save()
    return left


class _Watch:
    """One process that measures, its lines, and the moment at which it is killed."""

    def __init__(
        self, given: argparse.Namespace, names: Sequence[str], seconds: float,
        minutes: Minutes, log: TextIO,
    ):  # fmt: skip
        command = [sys.executable, __file__, "--child", "--device", given.device]
        command += ["--limit", str(seconds), *(["--quick"] if given.quick else [])]
        for name in names:
            command += ["--only", name]
        self.minutes, self.log, self.limit = minutes, log, given.limit
        # Compilers in this process, none beside it that would outlive it.
        environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.part = ""
        self.began = time.monotonic()
        self.kill_at = self.began + min(60.0, seconds) + GRACE_S  # torch is imported first

    def run(self) -> str:
        """`over`: all that it had time for came to an end; else what became of the process."""
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, self.kill_at - time.monotonic()))
            except queue.Empty:
                return self._killed()
            if line is None:
                return self._over()
            if line.startswith("#["):
                self._take(*json.loads(line[1:]))
            else:
                self._show(line.rstrip())

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _take(self, kind: str, name: str, *content: Any) -> None:
        if kind == "begin":
            self.part, self.began = name, time.monotonic()
            self.kill_at = self.began + content[0] + GRACE_S
            self._show(f"== {name}: {PARTS[name].title}")
        elif kind == "result":
            key, value = content
            self.minutes.results.setdefault(name, {})[key] = value
            self._show(f"   {key}: {_short(value)}")
        else:
            self._ended(content[0])
        self.minutes.save()

    def _ended(self, how: str) -> None:
        self.minutes.ended[self.part] = how
        self.minutes.seconds[self.part] = round(time.monotonic() - self.began, 1)
        self._show(f"   {self.part}: {how.splitlines()[0]}, {self.minutes.seconds[self.part]} s")
        self.part = ""
        self.kill_at = time.monotonic() + GRACE_S

    def _killed(self) -> str:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        how = f"did not end: killed after {time.monotonic() - self.began:.0f} s"
        if self.part:
            self._ended(how)
            self.minutes.save()
        return how

    def _over(self) -> str:
        status = self.process.wait()
        how = f"its process ended with status {status}"
        if self.part:
            self._ended(how)
            self.minutes.save()
        return "over" if status == 0 else how

    def _show(self, text: str) -> None:
        print(text, flush=True)
        self.log.write(text + "\n")
        self.log.flush()


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return str(value).replace("\n", " / ")[:400]


if __name__ == "__main__":
    sys.exit(main())
