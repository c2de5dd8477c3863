"""What a command finds around it: no home, no temporary folder, no shared memory, an odd locale.

Results are those of an undisturbed run, the status is right, and nothing shows a stack trace.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from small_sweep import SMALL

from runs import command, environment, fingerprints

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


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("surroundings") / "sweep.yaml"
    text = SMALL.replace("epochs: 3", "epochs: 1").replace("seeds: 2", "seeds: 1")
    path.write_text(text.replace("scratch", '"de zéro – 中"'), "utf-8")
    return path


@pytest.fixture(scope="module")
def undisturbed(sweep: Path) -> dict[str, str]:
    done = _shell("{}", sweep, sweep.parent / "undisturbed")
    assert done.returncode == 0, done.stderr
    return fingerprints(sweep.parent / "undisturbed")


def _shell(line: str, sweep: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A shell line in which `{}` stands for the command."""
    started = shlex.join(command(sweep, out, "--engine", "local", "--slots", "2"))
    return subprocess.run(
        ["bash", "-c", line.replace("{}", started)], cwd=sweep.parent, env=environment(),
        capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_results_do_not_depend_on_what_is_around(what, sweep, undisturbed, tmp_path):
    done = _shell(ODD[what], sweep, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-500:]
    assert "Traceback" not in done.stderr
    assert fingerprints(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("what", MOUNTED)
def test_results_do_not_depend_on_mounts_and_users(what, sweep, undisturbed, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    started = shlex.join(command(sweep, tmp_path / "run", "--engine", "local", "--slots", "2"))
    line = f"unshare --mount bash -c {shlex.quote(MOUNTED[what].replace('{}', started))}"
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
