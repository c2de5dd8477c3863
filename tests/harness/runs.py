"""Running the command, as a user does or inside this process, and what makes two runs the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq

from harness.sweep import main
from headstart.digests import digest_of_file, write_sealed_json
from headstart.records import checked_bytes, trial_row

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "tests" / "faults" / "hooks"
# With `--state-every 0`: a trial has made a step and saved a state, and goes on.
AFTER_A_STATE = "harness.training.trial:Trial.train:2"


def command(sweep: Path, out: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "harness.sweep", str(sweep), "--out", str(out), "--no-report",
        "--state-every", "0.05", *options,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def held(function: str, folder: Path) -> dict[str, str]:
    """The variables of a command that waits in a call of `function`: `MODULE:NAME:N`, the N-th.

    The first of its processes that comes there writes the file `at`, and goes on with the file `go`
    of `folder`.
    """
    return {
        "PYTHONPATH": f"{HOOKS}{os.pathsep}{ROOT}",
        "HEADSTART_TEST_HOLD": function,
        "HEADSTART_TEST_AT": str(folder / "at"),
        "HEADSTART_TEST_GO": str(folder / "go"),
    }


def wait_until_held(process: subprocess.Popen[str], folder: Path) -> None:
    """Until it waits as `held` says; on a slow machine processes start for minutes."""
    deadline = time.monotonic() + 600
    while not (folder / "at").exists():
        said = process.communicate()[1] if process.poll() is not None else ""
        assert process.poll() is None, f"it ended before it came there: {said}"
        assert time.monotonic() < deadline, "it did not come there"
        time.sleep(0.02)


def run(
    sweep: Path, out: Path, *options: str, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(sweep, out, *options),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def run_here(
    sweep: Path, out: Path, *options: str, report: bool = False
) -> subprocess.CompletedProcess[str]:
    """The command inside this process, one trial after another: no process is started.

    A user's mistake is raised, as `main` raises it.
    """
    argv = [*command(sweep, out, *options)[3:], "--engine", "here"]
    if report:
        argv.remove("--no-report")
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        status = main(argv)
    return subprocess.CompletedProcess(argv, status, stdout.getvalue(), stderr.getvalue())


def fingerprints(out: Path) -> dict[str, str]:
    """A hash of each finished trial's weights, predictions and curve (without measured seconds)."""
    folders = sorted((out / "trials").iterdir())
    return {f.name: _fingerprint(f) for f in folders if (f / "model.safetensors").exists()}


def _fingerprint(folder: Path) -> str:
    row = trial_row(folder)
    assert row is not None
    run = folder.parents[1]
    kept_curve = checked_bytes(run, folder.name, "curve.parquet", row)
    assert kept_curve is not None
    curve = pq.read_table(io.BytesIO(kept_curve)).drop_columns(["train_time_s"])
    content = hashlib.blake2b()
    content.update((folder / "model.safetensors").read_bytes())
    content.update(checked_bytes(run, folder.name, "predictions.npz", row) or b"")
    content.update(json.dumps(curve.to_pylist()).encode())
    kept = ("status", "steps", "best_step", "test_accuracy", "final_val_accuracy")
    content.update(json.dumps({name: getattr(row, name) for name in kept}).encode())
    return content.hexdigest()


def wait_until_gone(pids: Iterable[int], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    for pid in pids:
        while is_running(pid):
            assert time.monotonic() < deadline, f"process {pid} is left: {title_of(pid)}"
            time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def title_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def sign_again(trial: Path) -> None:
    """Write the digests of a trial's files as they are now into its record, as its writer would."""
    path = trial / "trial.json"
    content = json.loads(path.read_text())
    digests = {name: digest_of_file(trial / name) for name in content["digests"]}
    write_sealed_json(path, {**content, "digests": digests})
