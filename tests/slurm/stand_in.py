"""Stands in for `python -m harness.sweep` in tests of batch scripts: same signals, same statuses.

Six trials of ten ticks each; a trial's result is a hash chained from tick to tick, so a trial that
goes on from a wrong state, or runs twice, ends with another result. Saves a state every tick, stops
on SIGUSR2, SIGTERM and SIGINT with status 75, and keeps what is finished. Then the report, which
takes STAND_IN_REPORT_S. A file `hurry` in the run folder makes ticks short, and the report. Each
start of a trial that STAND_IN_HOLD names waits after its first tick until it is told to stop, or
there is a hurry: a test meets it there on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

N_TRIALS = 6
N_TICKS = 10
STOPPED = 75


def expected_result(trial: int) -> str:
    """What an undisturbed run of a trial gives."""
    result = f"trial {trial}"
    for _ in range(N_TICKS):
        result = _tick(result)
    return result


def _tick(result: str) -> str:
    return hashlib.sha256(result.encode()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("sweep")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--only", default="")
    given, _ = parser.parse_known_args()
    stop = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    tick_s = float(os.environ.get("STAND_IN_TICK_S", "0.1"))
    held = os.environ.get("STAND_IN_HOLD", "").split()
    hurry = given.out / "hurry"
    with open(given.out / "calls.txt", "a") as calls:
        calls.write(" ".join(sys.argv[1:]) + "\n")
    if "STAND_IN_STATUS" in os.environ:
        return int(os.environ["STAND_IN_STATUS"])
    k, n = map(int, given.shard.split("/"))
    trials = range(N_TRIALS) if given.only in ("", "arms") else ()
    for trial in (t for t in trials if t % n == k - 1):
        folder = given.out / "trials" / str(trial)
        (folder / "state").mkdir(parents=True, exist_ok=True)
        if (folder / "trial.json").exists():
            continue
        state = folder / "state" / "state-1.pt"
        n_done, result, starts = 0, f"trial {trial}", 0
        if state.exists():
            n_done, result, starts = json.loads(state.read_text())
        with open(given.out / "starts.txt", "a") as log:
            log.write(f"{trial} {n_done}\n")
        for tick in range(n_done, N_TICKS):
            is_held = str(trial) in held and tick == n_done + 1
            while is_held and not (stop or hurry.exists()):
                time.sleep(0.02)
            if stop:
                return STOPPED
            _let_pass(tick_s, hurry)
            result = _tick(result)
            _write(state, [tick + 1, result, starts + 1])
        row = {"status": "done", "result": result, "attempts": starts + 1}
        _write(folder / "trial.json", row)
    if given.only in ("", "report"):
        _write_report(given.out, lambda: stop)
    return STOPPED if stop else 0


def _write(path: Path, content: object) -> None:
    """At once: a test may read it at any moment."""
    new = path.with_name(".new")
    new.write_text(json.dumps(content))
    os.replace(new, path)


def _let_pass(seconds: float, hurry: Path) -> None:
    """A tick: over at once, or soon, where there is a hurry."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not hurry.exists():
        time.sleep(min(left, 0.05))
    time.sleep(0.02 if hurry.exists() else 0)


def _write_report(out: Path, is_stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + float(os.environ.get("STAND_IN_REPORT_S", "0"))
    with open(out / "reports.txt", "a", buffering=1) as log:
        log.write("begun\n")
        while time.monotonic() < until and not (out / "hurry").exists():
            if is_stopped():
                return
            time.sleep(0.05)
        log.write("done\n")


if __name__ == "__main__":
    raise SystemExit(main())
