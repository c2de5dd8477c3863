"""Getting answers to audit: a run or a file that has them, or networks asked for them.

In: what a person wants audited: a run folder, a file of answers, a data set. Out: where the files
of answers lie. It stands alone because the analysis has no torch: where networks must be trained
or asked, this starts `python -m harness.reference` as a process of its own and reads the files that
it leaves.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from headstart.errors import InputError, RunFolderError
from headstart.files import safe_name
from headstart.packed import BROKEN

GRACE_S = 30  # that a process has to save what it computed


def answers_for(
    what: str,
    reference: str | None = None,
    arm: str | None = None,
    networks: int | None = None,
    data: str | None = None,
    open_named: bool = False,
    base: Path = Path("runs"),
    code: Sequence[str] = (),
    images: int | None = None,
) -> tuple[Path | None, int]:
    """A run folder with answers or a file of them, and 0; None and an exit status where it failed.

    Args:
        what: a run folder (asked now, if nobody asked it before), a file of answers, or a data set:
            a name, a folder, a file or an entry as in a sweep file.
        reference: a run whose labels are trusted; its networks answer for the data set `what`.
            None: networks are trained on the labels in doubt, into `base`/audit-NAME.
        arm, networks, images, data, open_named, code: as `harness.reference` takes them.

    Raises:
        InputError: `reference` with a run; a number of networks or images below 1.
    """
    for flag, number in (("--networks", networks), ("--images", images)):
        if number is not None and number < 1:
            raise InputError(f"{flag} {number}: a whole number from 1 is expected")
    options = ["--open-named"] if open_named else []
    for flag, value in (
        ("--arm", arm), ("--networks", networks), ("--images", images), ("--data", data),
    ):  # fmt: skip
        options += [] if value is None else [flag, str(value)]
    options += [word for place in code for word in ("--code", place)]
    path = Path(what)
    if is_answers(path) or is_run(path):
        if reference is not None:
            raise InputError(f"--reference audits a data set; {what} is a run")
        asked = is_answers(path) or any((path / "audit").glob("*.npz"))
        return _done(path, 0 if asked and arm is None else _ask(what, *options))
    run = base / f"audit-{_short(what)}"
    if reference is None:
        return _done(run, _ask(str(run), "--train", what, *options))
    if not is_run(Path(reference)):
        raise RunFolderError(f"--reference {reference}: is no run folder (it has no sweep.yaml)")
    by = safe_name(
        Path(os.path.realpath(reference)).name
    )  # beside `run`: networks may train there later
    out = run.with_name(f"{run.name}-by-{by}") / f"{safe_name(arm or 'best')}.npz"
    return _done(out, _ask(reference, "--on", what, "--out", str(out), *options))


def is_run(path: Path) -> bool:
    """Whether this is a folder that a sweep ran into."""
    return (path / "sweep.yaml").is_file() and (path / "trials").is_dir()


def is_answers(path: Path) -> bool:
    """Whether this is a file that `harness.reference` wrote; somebody's arrays are not."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    with suppress(*BROKEN), zipfile.ZipFile(path) as file:
        return {"about.npy", "probabilities.npy"} <= set(file.namelist())
    return False


def _ask(run: str, *options: str) -> int:
    """Exit status of the process; what it has to say stands on its own standard error."""
    command: Sequence[str] = [sys.executable, "-m", "harness.reference", run, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:  # a terminal tells both, and the other one saves what it has
            status = _stopped(process)
    return status if status >= 0 else 128 - status  # ended by a signal, as a shell says it


def _stopped(process: subprocess.Popen[bytes]) -> int:
    """Wait for it to end by itself, then ask it to; 130, the status of an interrupted command."""
    try:
        process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.terminate()
        process.wait()
    print("stopped; the same command goes on where it was", file=sys.stderr)
    return 128 + signal.SIGINT


def _done(where: Path, status: int) -> tuple[Path | None, int]:
    return (None if status else where), status


def _short(what: str) -> str:
    """A folder's name for a data set; told apart by a hash where it is more than a name."""
    if safe_name(what) == what:
        return what
    digest = hashlib.blake2b(what.encode(), digest_size=4).hexdigest()
    return f"{safe_name(what, 40)}-{digest}"
