"""`run_sweep`: a sweep from a notebook, a script or another program, as the command line runs it.

In: a sweep file and what the command line takes. Out: the run, read; or one of the project's
errors. It stands alone because the caller's process is not ours: the command runs in one of its
own, so that no handler of signals, no stream and no imported package of the caller changes, trials
start whatever the caller's `__main__` is, and any thread may call.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from harness import engines
from headstart import errors
from headstart.cli import as_line, path_error, run_command
from headstart.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INPUT,
    EngineError,
    HeadstartError,
    InputError,
    SpecError,
)
from headstart.signals import end_at_once

if TYPE_CHECKING:
    from analysis.notebook import Run

Place = str | os.PathLike[str]
_ROOT = Path(__file__).resolve().parents[1]
END_WITHIN_S = 10.0  # from the end of a command to the end of its pipe
_CHILD = "from harness.notebook import child; child()"


def run_sweep(
    sweep: Place,
    profile: str | None = None,
    *,
    out: Place | None = None,
    data: Place | None = None,
    engine: str = "ray",
    slots: int | None = None,
    reuse: Sequence[Place] = (),
    code: Sequence[Place] = (),
    report: bool = True,
    settings: Mapping[str, object] | None = None,
    **sets: object,
) -> Run:
    """Run a sweep file, or what is missing of it, and return the run as `analysis.load` reads it.

    What the command prints is printed here, line by line. Ctrl-C (the notebook's “interrupt”)
    raises KeyboardInterrupt once the trials have saved their states; the same call goes on from
    there. Trials that failed are in the run, and a printed line says how many.

    Args:
        sweep: the sweep file. profile: one of its profiles.
        out: the run folder; `runs/NAME` by default. data: where data sets lie.
        engine: `ray`, `local` or `here`. slots: trials at once on this machine.
        reuse: run folders whose finished trials of the same ids are taken.
        code: where code of your own lies that a run folder's `sweep.yaml` names.
        report: whether to write the report, too.
        settings: keys of the sweep file to override, as `{"train.epochs": 2}`, with their values
            as Python has them; a mapping replaces the whole of a key. sets: the same for keys
            without a dot, as `seeds=3`.

    Raises:
        InputError: what was given is wrong (SpecError, DataError … say what of it); nothing ran.
        EngineError, StorageError: what runs trials broke down, or the disk is full.
        KeyboardInterrupt: it was interrupted; what has ended is kept.
    """
    if engine not in engines.NAMES:
        allowed = ", ".join(engines.NAMES)
        raise InputError(f"run_sweep: engine: {engine!r} is not one of {allowed}")
    if settings is not None and not isinstance(settings, Mapping):
        text = 'no mapping, as {"train.epochs": 2}'
        raise InputError(f"run_sweep: settings: {settings!r} is {text}")
    arguments = [_text(sweep, "sweep")]
    given: dict[str, object] = {
        "profile": profile,
        "out": out,
        "data": data,
        "engine": engine,
        "slots": slots,
    }
    for name, value in given.items():
        if value is not None:
            arguments.append(f"--{name}={_text(value, name)}")
    for name, places in (("reuse", reuse), ("code", code)):
        for place in places if isinstance(places, list | tuple) else [places]:
            arguments.append(f"--{name}={_text(place, name)}")
    for key, value in {**(settings or {}), **sets}.items():
        arguments.append(f"--set={key}={_value(key, value)}")
    folder = _run(arguments if report else [*arguments, "--no-report"])
    from analysis.notebook import load

    return load(folder)


def _text(value: object, name: str) -> str:
    """A path, a name or a number as an argument of the command line."""
    text = str(value) if isinstance(value, int) else None
    if isinstance(value, str | os.PathLike):
        text = os.fsdecode(value)
    if not text or (name == "sweep" and text.startswith("-")):
        raise InputError(f"run_sweep: {name}: {value!r} is no path or name")
    return os.path.expanduser(text)


def _value(key: str, value: object) -> str:
    """A value as `--set` takes it: JSON, which YAML reads as the same value."""

    def plain(other: Any) -> object:
        if isinstance(other, os.PathLike):
            return os.fspath(other)
        if hasattr(other, "tolist"):  # numpy
            return other.tolist()
        raise InputError(f"run_sweep: {key}: {other!r} is no value that a sweep file can hold")

    try:
        return json.dumps(value, ensure_ascii=False, default=plain, allow_nan=False)
    except ValueError as err:
        raise InputError(f"run_sweep: {key}: {err}") from None


def _run(arguments: Sequence[str]) -> Path:
    """Run the command to its end; returns the run folder.

    Raises:
        HeadstartError, KeyboardInterrupt: as `run_sweep`.
    """
    heard: dict[str, Any] = {}
    with _started(arguments) as (process, pipe):
        hears = threading.Thread(target=_hear, args=(pipe, heard), daemon=True)
        hears.start()  # beside the lines: a long message would fill the pipe and wait for ever
        interrupted, last = _relay(process)
        hears.join(END_WITHIN_S)
    if interrupted:
        raise KeyboardInterrupt
    if "error" in heard:
        raise _error(*heard["error"])
    if process.returncode == EXIT_INPUT:
        raise InputError(last)
    if heard.get("status") not in (EXIT_DONE, EXIT_FAILED):
        raise EngineError(last or f"the sweep ended with status {process.returncode}")
    return Path(heard["folder"])


def _hear(pipe: Connection, heard: dict[str, Any]) -> None:
    """Note what the command tells until it ends."""
    with suppress(EOFError, OSError):
        while True:
            heard.update(pipe.recv())


@contextmanager
def _started(arguments: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], Connection]]:
    """The command in a process of its own, and the end of a pipe to it; ends the process."""
    ours, its_end = Pipe()
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    path = os.environ.get("PYTHONPATH")
    environment |= {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{path}" if path else str(_ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    with ours:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(its_end.fileno()), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace", env=environment, pass_fds=(its_end.fileno(),),
        )  # fmt: skip
        its_end.close()
        try:
            yield process, ours
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _relay(process: subprocess.Popen[str]) -> tuple[bool, str]:
    """Print what the command says until it ends: whether it was interrupted, and its last line."""
    assert process.stdout is not None
    interrupted, last = False, ""
    while True:
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                last = line.strip() or last
            process.wait()
            return interrupted, last
        except KeyboardInterrupt:  # a second one ends the patience with trials, as in a terminal
            interrupted = True
            process.send_signal(signal.SIGINT)


def _error(kind: str, message: str) -> HeadstartError:
    """The error that the command raised."""
    if kind == SpecError.__name__:
        return SpecError(message.split("\n"))
    known = getattr(errors, kind, HeadstartError)
    error = known(message)
    assert isinstance(error, HeadstartError)
    return error


def child() -> NoReturn:
    """The life of the command's process: tells the caller its run folder, or its error."""
    end_at_once()  # if a signal comes while the imports below take their time
    pipe = Connection(int(sys.argv.pop(1)))
    threading.Thread(target=_end_with_caller, args=(pipe,), daemon=True).start()

    def main(argv: Sequence[str]) -> int:
        os.set_inheritable(pipe.fileno(), False)
        sys.orig_argv = [sys.executable, "-m", "harness.sweep", *argv]  # what the run records
        from harness.sweep import main as sweep  # imports numpy and all that plans

        try:
            status = sweep(argv, lambda folder: pipe.send({"folder": str(folder)}))
        except (HeadstartError, OSError) as err:
            error = err if isinstance(err, HeadstartError) else path_error(err, as_line(err))
            pipe.send({"error": (type(error).__name__, str(error))})
            return error.exit_status
        pipe.send({"status": status})
        return status

    run_command(main)
    raise AssertionError  # run_command ends the process


def _end_with_caller(pipe: Connection) -> None:
    """Ask this process to end when the caller's is gone: its notebook was closed or restarted."""
    with suppress(EOFError, OSError):
        pipe.poll(None)
        pipe.recv()
    os.kill(os.getpid(), signal.SIGTERM)
