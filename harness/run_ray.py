"""Run a plan with Ray Tune over the CPUs and GPUs of one machine or of a cluster.

In and out as `run_local`: a `Queue` emptied. Tune's `Tuner` drives; a searcher hands it the queue's
ready units, so Tune never sees a trial before the one it starts from has finished, and retries are
the queue's. Workers are Tune's class Trainables with reused actors: a new process for every trial
would spend seven seconds on importing torch. A step of the Trainable is about a second of work; its
events travel in Tune's results.

Ray's dashboards, log files of trials and progress tables stay off: the run folder has the records
and `harness.progress` shows them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from harness.events import Event
from harness.queue import Queue, Unit
from harness.worker import Worker, WorkerSettings

STEP_S = 1.0


def run_ray(
    queue: Queue,
    settings: WorkerSettings,
    n_slots: int | None,
    tick: Callable[[], None] = lambda: None,
    address: str | None = None,
) -> None:
    """Run everything in the queue; returns when nothing is left or the queue was stopped.

    Args:
        queue: what to run; takes every event.
        settings: for the workers.
        n_slots: CPUs of a local Ray; None asks this machine. Not used with `address`.
        tick: called with every result and every look for a next unit.
        address: a running Ray cluster to join; None starts one of this machine's own.
    """
    if queue.finished:
        return
    with _cluster(address, n_slots), tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
        plan_ref = ray.put(queue.plan.by_id)
        resources = queue.plan.sweep.resources
        trainable = tune.with_resources(
            tune.with_parameters(TuneWorker, plan=plan_ref, settings=settings),
            {"cpu": resources.cpus, "gpu": resources.gpus},
        )
        searcher = QueueSearcher(queue, tick)
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, reuse_actors=True,
                metric="n_events", mode="max",
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                callbacks=[Listener(searcher)],
                verbose=0,
                log_to_file=False,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
            ),
        )  # fmt: skip
        tuner.fit()
        if searcher.error is not None:
            raise searcher.error


class TuneWorker(tune.Trainable):
    """A worker as Tune sees one: its trial is a unit, a step is about a second of it."""

    def setup(self, config: dict[str, Any], plan: Any = None, settings: Any = None) -> None:
        self.plan = ray.get(plan) if isinstance(plan, ray.ObjectRef) else plan
        self.worker = Worker(settings)
        self._take_up(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._take_up(new_config)
        return True

    def _take_up(self, config: dict[str, Any]) -> None:
        unit = [self.plan[trial_id] for trial_id in config["unit"]]
        self.events: Iterator[Event] = self.worker.run(unit, config["folders"])

    def step(self) -> dict[str, Any]:
        """Run on until a second has passed; the events since, and whether the unit is over."""
        seen: list[Event] = []
        until = time.monotonic() + STEP_S
        for event in self.events:
            seen.append(event)
            if time.monotonic() >= until:
                return {"events": seen, "n_events": len(seen), "done": False}
        return {"events": seen, "n_events": len(seen), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial's state is the run folder's business."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: a trial finds its last state in the run folder."""


class QueueSearcher(Searcher):
    """Hands Tune the queue's units as they become ready."""

    def __init__(self, queue: Queue, tick: Callable[[], None]):
        super().__init__(metric="n_events", mode="max")
        self.queue = queue
        self.tick = tick
        self.units: dict[str, Unit] = {}
        self.error: Exception | None = None

    def look(self) -> None:
        """Let the command look up; what it raises ends the run after Tune has ended its trials."""
        try:
            self.tick()
        except Exception as err:
            self.error = self.error or err
            self.queue.stop()

    def suggest(self, trial_id: str) -> Any:
        self.look()
        unit = self.queue.next_unit()
        if unit is None:
            return Searcher.FINISHED if self.queue.finished else None
        self.units[trial_id] = unit
        return {"unit": [trial.id for trial in unit], "folders": self.queue.folders(unit)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        unit = self.units.pop(trial_id, ())
        if error:
            self.queue.crashed(unit, "its worker process died, or its node did")
        else:
            self.queue.unit_over(unit)

    def take(self, events: list[Event]) -> None:
        """Let events take effect; a fatal one stops the queue and is raised after Tune's end."""
        for event in events:
            try:
                self.queue.take(event)
            except Exception as err:
                self.error = self.error or err
                self.queue.stop()

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes a copy of itself to its storage; nobody goes on from it."""
        return {**vars(self), "queue": None, "tick": None, "units": {}}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run folder is what a later command goes on from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Listener(tune.Callback):
    """Takes the events out of Tune's results."""

    def __init__(self, searcher: QueueSearcher):
        self.searcher = searcher

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        self.searcher.take(result.pop("events", []))
        self.searcher.look()

    def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:
        self.searcher.look()


@contextlib.contextmanager
def _cluster(address: str | None, n_slots: int | None) -> Iterator[None]:
    """A Ray of our own on this machine, or a running one; left as it was found."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled" if address is None else "token")
    ray.init(
        address=address or "local",
        num_cpus=None if address else n_slots,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
    )
    try:
        yield
    finally:
        ray.shutdown()
