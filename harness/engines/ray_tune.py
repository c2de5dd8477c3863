"""Run a plan with Ray Tune over the CPUs and GPUs of one machine or of a cluster.

In and out as `local.py`: a `Queue`, emptied. Tune's `Tuner` drives. A searcher hands it the queue's
ready units, so Tune never sees a trial before the one it starts from has finished, and the queue
decides on retries. Workers are Tune's class Trainables with reused actors: a new process for every
trial would spend seconds on importing torch. A step of the Trainable is about a second of work. Its
events travel in Tune's results.

Where several ranks share a trial, the Trainable takes no CPU and watches over one actor in each
bundle of its placement group (`RayTeam`); docs/workers.md says why that is not Ray Train.

Tune takes seconds to import, and every worker imports this module. So `_adapters` makes what needs
Tune's classes, once the cluster runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from harness.engines.queue import Queue, Unit
from harness.engines.worker import Worker
from harness.sweepfile.settings import Resources
from harness.teams.rank import RankRunner
from harness.teams.team import Message, Team
from harness.training.context import WorkerSettings
from harness.trials.events import Event

if TYPE_CHECKING:
    from ray import tune
    from ray.tune.search import Searcher

STEP_S = 1.0  # of a Trainable


def run_ray(
    queue: Queue,
    settings: WorkerSettings,
    n_cpus: int,
    tick: Callable[[], None] = lambda: None,
    address: str | None = None,
) -> None:
    """Run everything in the queue, as `run_local` does.

    Tune waits without end for GPUs that do not exist. On this machine `slots.trials_at_once`
    refuses them; a cluster may yet get nodes that have them.

    Args:
        n_cpus: CPUs of a local Ray; not used with `address`.
        tick: called with every result and every look for a next unit.
        address: a running Ray cluster to join; None starts one of this machine's own.
    """
    if queue.finished:
        return
    feed = Feed(queue, tick)
    with _cluster(address, n_cpus), tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
        _tuner(feed, settings, scratch).fit()
    if feed.error is not None:
        raise feed.error


class RankActor:
    """A rank, as an actor."""

    def __init__(self, settings: WorkerSettings, rank: int):
        own_address: Callable[[], str] = ray.util.get_node_ip_address
        self.runner = RankRunner(settings, rank, own_address())

    def call(self, method: str, *arguments: object) -> Iterator[object]:
        yield from self.runner.call(method, *arguments)


class RayTeam(Team):
    """Actors in the bundles of the placement group in which this process runs, one in each.

    Where an actor died, its node may be gone. So the Trainable ends with its placement group, and
    Tune looks for another place for the trial.
    """

    keeps_place = False

    def __init__(self, settings: WorkerSettings, resources: Resources):
        self.settings = settings
        self.resources = resources
        self.n = settings.n_workers
        self.actors: list[Any] = []
        self.calls: dict[ray.ObjectRefGenerator, int] = {}

    def start(self) -> None:
        place = ray.util.get_current_placement_group()
        assert place is not None, "Tune runs every Trainable in its trial's placement group"
        for rank in range(self.n):
            options = {
                "num_cpus": self.resources.cpus,
                "num_gpus": self.resources.gpus,
                "scheduling_strategy": PlacementGroupSchedulingStrategy(place, rank),
            }
            self.actors.append(ray.remote(RankActor).options(**options).remote(self.settings, rank))

    def call(self, rank: int, method: str, *arguments: object) -> None:
        remote = self.actors[rank].call.options(num_returns="streaming")
        self.calls[remote.remote(method, *arguments)] = rank

    def receive(self, timeout_s: float) -> list[Message]:
        if not self.calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self.calls), timeout=timeout_s)
        return [self._message(stream) for stream in ready]

    def _message(self, stream: ray.ObjectRefGenerator) -> Message:
        rank = self.calls[stream]
        try:
            return Message(rank, "item", ray.get(next(stream)))
        except StopIteration:
            del self.calls[stream]
            return Message(rank, "over")
        except RayError as err:
            del self.calls[stream]
            return Message(rank, "died", str(err).strip().splitlines()[0])

    def end(self) -> None:
        for actor in self.actors:
            ray.kill(actor)
        self.actors, self.calls, self.is_open = [], {}, False


@dataclass
class Feed:
    """Hands Tune the queue's units, and the queue what Tune's workers report."""

    queue: Queue
    tick: Callable[[], None]
    units: dict[str, Unit] = field(default_factory=dict)
    error: Exception | None = None

    def look(self) -> None:
        """Call `tick`; an error that it raises ends the run, after Tune has ended its trials."""
        with self._kept():
            self.tick()

    def next_config(self, tune_id: str) -> dict[str, object] | None:
        """A unit's ids, and where each trial writes, for a Tune trial; None while none is ready."""
        self.look()
        unit = self.queue.next_unit()
        if unit is None:
            return None
        self.units[tune_id] = unit
        return {"unit": [trial.id for trial in unit], "folders": self.queue.folders(unit)}

    def ended(self, tune_id: str, crashed: bool) -> None:
        unit = self.units.pop(tune_id, ())
        if crashed:
            self.queue.crashed(unit, "its worker process died, or its node did")
        else:
            self.queue.unit_over(unit)

    def take(self, events: list[Event]) -> None:
        for event in events:
            with self._kept():
                self.queue.take(event)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep an error until Tune has ended: inside of Tune it would be wrapped or lost."""
        try:
            yield
        except Exception as err:
            self.error = self.error or err
            self.queue.stop()


def _tuner(feed: Feed, settings: WorkerSettings, scratch: str) -> tune.Tuner:
    from ray import tune

    worker, searcher, listener = _adapters(feed)
    resources = feed.queue.plan.sweep.resources
    # Tune starts one worker after another where a searcher is used; let all start at once.
    has: Callable[[], dict[str, float]] = ray.cluster_resources
    n_at_once = max(1, int(has().get("CPU", 1) // resources.cpus_per_trial))
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(n_at_once)
    plan = feed.queue.plan.by_id
    return tune.Tuner(
        tune.with_resources(
            tune.with_parameters(worker, plan=plan, settings=settings), _request(resources)
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            metric="n_events",
            mode="max",
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            callbacks=[listener],
            verbose=0,
            log_to_file=False,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )


def _request(resources: Resources) -> dict[str, float] | tune.PlacementGroupFactory:
    """What Tune asks of the cluster for a trial; its ranks on one node where they fit there."""
    from ray import tune

    if resources.workers == 1:
        return {"cpu": resources.cpus, "gpu": resources.gpus}
    worker = {"CPU": resources.cpus, "GPU": resources.gpus}
    return tune.PlacementGroupFactory([{}, *[worker] * resources.workers], strategy="PACK")


def _adapters(feed: Feed) -> tuple[type[tune.Trainable], Searcher, tune.Callback]:
    """A worker as a Trainable, whose trial is our unit; `feed` as a searcher and as a callback.

    Tune saves and restores nothing: a later command continues from the run folder.
    """
    from ray import tune
    from ray.tune.search import Searcher

    resources = feed.queue.plan.sweep.resources

    class TuneWorker(tune.Trainable):
        def setup(self, config: Any, plan: Any = None, settings: Any = None) -> None:
            team = RayTeam(settings, resources) if settings.n_workers > 1 else None
            self.plan, self.worker = plan, Worker(settings, team)
            self.reset_config(config)

        def reset_config(self, new_config: Any) -> bool:
            unit = [self.plan[trial_id] for trial_id in new_config["unit"]]
            self.events = self.worker.run(unit, new_config["folders"])
            return True

        def step(self) -> dict[str, object]:
            """Run on until a second has passed; the events since, and whether the unit is over."""
            seen: list[Event] = []
            until = time.monotonic() + STEP_S
            for event in self.events:
                seen.append(event)
                if time.monotonic() >= until:
                    return {"events": seen, "n_events": len(seen), "done": False}
            return {"events": seen, "n_events": len(seen), "done": True}

        def cleanup(self) -> None:
            self.worker.close()

    class QueueSearcher(Searcher):
        def __init__(self) -> None:
            super().__init__(metric="n_events", mode="max")

        def suggest(self, trial_id: str) -> Any:
            config = feed.next_config(trial_id)
            return Searcher.FINISHED if config is None and feed.queue.finished else config

        def on_trial_complete(
            self, trial_id: str, result: object = None, error: bool = False
        ) -> None:
            feed.ended(trial_id, crashed=error)

        def save(self, checkpoint_path: str) -> None: ...

        def restore(self, checkpoint_path: str) -> None: ...

        def __reduce__(self) -> tuple[type, tuple[()]]:  # of Tune's copy of itself, not read
            return object, ()

    class Listener(tune.Callback):
        def on_trial_result(
            self, iteration: int, trials: object, trial: object, result: Any, **_: object
        ) -> None:
            feed.take(result.pop("events", []))
            feed.look()

        def on_step_end(self, iteration: int, trials: object, **_: object) -> None:
            feed.look()

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()

    return TuneWorker, QueueSearcher(), Listener()


@contextlib.contextmanager
def _cluster(address: str | None, n_cpus: int) -> Iterator[None]:
    """A Ray of our own on this machine, ended at the end; or a running one, which runs on."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled" if address is None else "token")
    ray.init(
        address=address or "local",
        num_cpus=None if address else n_cpus,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
    )
    try:
        yield
    finally:
        ray.shutdown()
