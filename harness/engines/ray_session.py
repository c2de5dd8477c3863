"""Run a plan with Ray: the command's side. It starts Ray in a session of processes, and serves it.

In and out as `local.py`: a `Queue`, emptied. The command itself never loads Ray. It starts one
process, in which `ray_tune.py` starts Ray, drives Tune, asks over a pipe for units to run and sends
the events of their trials. So Ray cannot replace the command's handlers of signals, print on its
terminal or take it along when it dies. The session is deaf to the signals that are meant for the
command, and its end is the end of all that Ray started: the command ends the session, or the
session itself when its command is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.engines.queue import Queue, Unit
from harness.engines.ray_environment import keep_to_this_machine, set_ray_environment
from harness.engines.ray_messages import Broken, Given, Job, Message, Over, Ready, Reported, Wanted
from harness.training.context import WorkerSettings
from headstart.errors import EngineError
from headstart.scratch import end_session, note_session, scratch_folder, session_members
from headstart.signals import deaf_children

TICK_S = 0.5
LOOK_S = 1.0  # between looks whether Ray's own processes live
LEAVE_WITHIN_S = 5.0  # a cluster that runs on
HEADS = {"gcs_server", "raylet"}  # the processes without which Ray is nothing
OUTPUT = "output"  # what the session would print
KEPT = "what has ended is kept, and the same command goes on from the last states"


def run_ray(
    queue: Queue,
    settings: WorkerSettings,
    n_cpus: int,
    tick: Callable[[], None] = lambda: None,
    address: str | None = None,
    n_gpus: int = 0,
    n_places: int = 1,
    on_ready: Callable[[int], None] = lambda n_gpus: None,
) -> None:
    """Run everything in the queue, as `run_local` does.

    Tune waits without end for GPUs that do not exist. On this machine `slots.trials_at_once`
    refuses them; a cluster may yet get nodes that have them.

    Args:
        n_cpus, n_gpus: of a local Ray; not used with `address`.
        n_places: trials that will run at once when all nodes have joined, where that is known.
        on_ready: called with the number of GPUs that Ray has, before the first unit is given.
        tick: called about twice a second, and after every message of the session.
        address: a running Ray cluster to join; None starts one of this machine's own.

    Raises:
        EngineError: Ray did not start, or died.
    """
    if queue.finished:
        return
    plan = queue.plan
    with scratch_folder() as folder:
        resources = plan.sweep.resources if address else queue.resources
        job = Job(plan.by_id, settings, resources, n_cpus, n_gpus, address, folder)
        with _session(job) as session:
            server = _Server(queue, session, n_places, on_ready)
            while not queue.finished:
                server.serve(TICK_S)
                tick()
            if address is not None:
                server.see_off()


@contextmanager
def _session(job: Job) -> Iterator[_Session]:
    """Start the session's first process; end them all."""
    context = multiprocessing.get_context("spawn")
    pipe, its_end = context.Pipe()
    process = context.Process(target=_begin, args=(its_end, job), name="ray", daemon=True)
    try:
        with deaf_children():
            process.start()
        its_end.close()
        assert process.pid is not None
        note_session(job.folder, process.pid)
        yield _Session(process, process.pid, pipe, job.folder)
    finally:
        pipe.close()
        if process.pid is not None:
            process.kill()
            end_session(process.pid)
            process.join()


@dataclass(frozen=True)
class _Session:
    process: BaseProcess
    number: int  # of its first process, and so of the session
    pipe: Connection
    folder: Path

    def heads(self) -> dict[int, str]:
        """Ray's own processes that live."""
        members = session_members(self.number)
        return {pid: name for pid, name in members.items() if name in HEADS}

    def last_words(self) -> str:
        """How its first process ended, and the last thing that the session printed."""
        self.process.join(1.0)
        words = f"exit status {self.process.exitcode}"
        with suppress(OSError):
            text = (self.folder / OUTPUT).read_text("utf-8", "replace").strip()
            if text:
                words += f": {_sentence(text.splitlines()[-1])}"
        return words


@dataclass
class _Server:
    """Answers the session from the queue, and tells the queue what the session reports."""

    queue: Queue
    session: _Session
    n_places: int
    on_ready: Callable[[int], None]
    units: dict[str, Unit] = field(default_factory=dict)  # by the name that Tune gave the trial
    heads: dict[int, str] = field(default_factory=dict)
    next_look: float = 0.0

    def serve(self, within_s: float) -> None:
        """Take the messages that have come; wait for a first one for at most `within_s`.

        Raises:
            EngineError: Ray died. After a request to stop this is no error: it may have been asked
                to end as well, and every state is kept.
        """
        try:
            self._take_messages(within_s)
            self._look_after_heads()
        except EngineError:
            if not self.queue.stopping:
                raise
            self.queue.running.clear()

    def see_off(self) -> None:
        """Let the session say goodbye to a cluster that runs on, which then frees its workers."""
        until = time.monotonic() + LEAVE_WITHIN_S
        with suppress(EngineError):
            while self.session.process.is_alive() and time.monotonic() < until:
                self._take_messages(TICK_S)

    def _take_messages(self, within_s: float) -> None:
        pipe = self.session.pipe
        try:
            while pipe.poll(within_s):
                self._take(pipe.recv())
                within_s = 0.0
        except (EOFError, OSError) as err:
            raise EngineError(f"Ray ended ({self.session.last_words()}); {KEPT}") from err

    def _take(self, message: Message) -> None:
        match message:
            case Ready(n_gpus):
                self.heads = self.session.heads()
                self.on_ready(n_gpus)
            case Wanted(tune_id, n_places):
                self.session.pipe.send(self._given(tune_id, n_places))
            case Reported(events):
                for event in events:
                    self.queue.take(event)
            case Over(tune_id, crashed):
                unit = self.units.pop(tune_id, ())
                if crashed:
                    self.queue.crashed(unit, "its worker process died, or its node did")
                else:
                    self.queue.unit_over(unit)
            case Broken(error):
                raise EngineError(f"Ray failed: {error}; {KEPT}")

    def _given(self, tune_id: str, n_places: int) -> Given:
        """A unit, or none where all GPUs have one: a trial that Tune holds cannot be shared out."""
        is_full = self.queue.resources.gpus > 0 and len(self.units) >= max(1, n_places)
        n_free = max(self.n_places, n_places) - len(self.units)
        unit = None if is_full else self.queue.next_unit(n_free)
        if unit is None:
            return Given(None, self.queue.finished)
        self.units[tune_id] = unit
        folders = self.queue.folders(unit)
        return Given({"unit": [trial.id for trial in unit], "folders": folders})

    def _look_after_heads(self) -> None:
        """See at once that Ray's own processes died; Ray would try to reach them for long."""
        if self.heads and time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + LOOK_S
            dead = [name for pid, name in self.heads.items() if pid not in self.session.heads()]
            if dead:
                raise EngineError(f"Ray's {dead[0]} died; {KEPT}")


def _begin(pipe: Connection, job: Job) -> None:
    """The life of the session's first process."""
    os.setsid()
    output = os.open(job.folder / OUTPUT, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    threading.Thread(target=_end_with_command, args=(job.folder,), daemon=True).start()
    set_ray_environment()
    if job.address is None:
        keep_to_this_machine(job.folder)
    from harness.engines.ray_tune import drive  # Ray takes seconds to import, and reads settings

    try:
        drive(pipe, job)
    except Exception as err:
        text = str(err).strip() or type(err).__name__
        with suppress(OSError):
            pipe.send(Broken(_sentence(text.splitlines()[0])))


def _sentence(line: str) -> str:
    """The first sentence of a line of Ray's, without the time and the place in Ray that said it."""
    return re.sub(r"^\[[^]]*\] \S+: ", "", line).split(". ")[0]


def _end_with_command(folder: Path) -> None:
    """When the command is gone, in whatever way, end the session and remove its folder."""
    command = multiprocessing.parent_process()
    assert command is not None
    command.join()  # waits for a pipe to close, which the system does however the command ends
    end_session(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
