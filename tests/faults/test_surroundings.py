"""What a command finds around it: no home, no temporary folder, no shared memory, an odd locale.

Results are those of an undisturbed run, the status is right, and nothing shows a stack trace.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from faults import is_whole
from small_sweep import SMALL

from runs import command, environment, fingerprints, run_here

pytestmark = pytest.mark.slow  # a command for each case, of about ten seconds

ODD = {
    "no home": "unset HOME; {}",
    "a home that is not there": "export HOME=/dev/null/home; {}",
    "a temporary folder that is not there": "export TMPDIR=/dev/null/tmp; {}",
    "a locale without UTF-8": "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0; {}",
    "a mask": "umask 077; {}",
    "64 open files": "ulimit -n 64; {}",
    "an unknown time zone": "export TZ=No/Where; {}",
    "another order of hashes": "export PYTHONHASHSEED=7; {}",
    "closed descriptors": "{} >&- 2>&- <&-",
    "a reader that goes away": "set -o pipefail; {} 2>&1 | head -1",
    "an error stream on a full disk": "{} 2>/dev/full",
}
MOUNTED = {
    "no shared memory": "umount /dev/shm; {}",
    "little shared memory": "mount -t tmpfs -o size=1m tmpfs /dev/shm; {}",
    "read-only shared memory": "mount -t tmpfs -o ro tmpfs /dev/shm; {}",
    "a user without a name": "exec unshare --user --map-user=4242 --map-group=4242 {}",
}
# What touches different things comes together in the sample: one command shows all of it.
ODD_CASES = [
    ("no home", "a mask", "an unknown time zone", "another order of hashes"),
    ("a home that is not there", "a locale without UTF-8", "64 open files"),
    ("a temporary folder that is not there",),
    ("closed descriptors",),
    ("a reader that goes away",),
    ("an error stream on a full disk",),
]
MOUNTED_CASES = [
    ("no shared memory",),
    ("little shared memory",),
    ("read-only shared memory", "a user without a name"),
]


def cases(whole: dict[str, str], sample: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Which lines come together; in whole, each by itself."""
    assert [name for case in sample for name in case if name not in whole] == []
    assert len({name for case in sample for name in case}) == len(whole), "a line is left out"
    return [(name,) for name in whole] if is_whole() else sample


def nested(lines: list[str]) -> str:
    """One line of several, each around the next."""
    return functools.reduce(lambda outer, inner: outer.replace("{}", inner), lines)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("surroundings") / "sweep.yaml"
    text = SMALL.replace("epochs: 3", "epochs: 1").replace("seeds: 2", "seeds: 1")
    path.write_text(text.replace("scratch", '"de zéro – 中"'), "utf-8")
    return path


@pytest.fixture(scope="module")
def undisturbed(sweep: Path) -> dict[str, str]:
    assert run_here(sweep, sweep.parent / "undisturbed").returncode == 0
    return fingerprints(sweep.parent / "undisturbed")


def _shell(line: str, sweep: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A shell line in which `{}` stands for the command."""
    started = shlex.join(command(sweep, out, "--engine", "local", "--slots", "2"))
    return subprocess.run(
        ["bash", "-c", line.replace("{}", started)], cwd=sweep.parent, env=environment(),
        capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("what", cases(ODD, ODD_CASES), ids=", ".join)
def test_results_do_not_depend_on_what_is_around(what, sweep, undisturbed, tmp_path):
    done = _shell(nested([ODD[name] for name in what]), sweep, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-500:]
    assert "Traceback" not in done.stderr
    assert fingerprints(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("what", cases(MOUNTED, MOUNTED_CASES), ids=", ".join)
def test_results_do_not_depend_on_mounts_and_users(what, sweep, undisturbed, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    started = shlex.join(command(sweep, tmp_path / "run", "--engine", "local", "--slots", "2"))
    mounted = nested([*(MOUNTED[name] for name in what), started])
    line = f"unshare --mount bash -c {shlex.quote(mounted)}"
    done = _shell(line, sweep, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-500:]
    assert "Traceback" not in done.stderr
    assert fingerprints(tmp_path / "run") == undisturbed


def test_a_full_disk_below_the_output_leaves_the_results(sweep, undisturbed, tmp_path):
    """Without a report nothing is printed, so here it is the table of `harness.status`."""
    done = _shell("{} >/dev/full", sweep, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-500:]
    assert fingerprints(tmp_path / "run") == undisturbed
    status = shlex.join([*command(sweep, tmp_path)[:2], "harness.status", str(tmp_path / "run")])
    done = _shell(f"{status} >/dev/full", sweep, tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr == "standard output took not all: No space left on device\n"
