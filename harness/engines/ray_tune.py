"""Run a plan with Ray Tune over the CPUs and GPUs of one machine or of a cluster: Ray's side.

In: a `Job`, and units over a pipe from the command (`ray_session.py`). Out: events over the same
pipe. Tune's `Tuner` drives. A searcher hands it the queue's ready units, so Tune never sees a trial
before the one it starts from has finished, and the queue decides on retries. Workers are Tune's
class Trainables with reused actors: a new process for every trial would spend seconds on importing
torch. A step of the Trainable is about a second of work. Its events travel in Tune's results.

Where several ranks share a trial, the Trainable takes no CPU and watches over one actor in each
bundle of its placement group (`RayTeam`); docs/workers.md says why that is not Ray Train.

Tune takes seconds to import, and every worker imports this module. So `_adapters` makes what needs
Tune's classes, once the cluster runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from harness.engines.ray_messages import Given, Job, Message, Over, Ready, Reported, Wanted
from harness.engines.worker import Worker
from harness.sweepfile.settings import Settled
from harness.teams.rank import RankRunner
from harness.teams.team import Message as RankMessage
from harness.teams.team import Team
from harness.training.context import WorkerSettings
from harness.trials.events import Event

if TYPE_CHECKING:
    from ray import tune
    from ray.tune.search import Searcher

STEP_S = 1.0  # of a Trainable


def drive(pipe: Connection, job: Job) -> None:
    """Start Ray or join it, and run units until the command says that there will be none."""
    with _cluster(job):
        n_gpus = int(_resources_now().get("GPU", 0))
        resources = job.resources.settled(n_gpus)
        feed = Feed(pipe, resources)
        feed.tell(Ready(n_gpus))
        _tuner(feed, job).fit()


def _resources_now() -> dict[str, float]:
    """What the nodes that have joined so far have together: CPU, GPU and others."""
    has: Callable[[], dict[str, float]] = ray.cluster_resources
    return has()


def _places_now(resources: Settled) -> int:
    """Trials that the nodes which have joined so far run at once."""
    has = _resources_now()
    by_cpus = has.get("CPU", 1) // resources.cpus_per_trial
    if resources.gpus:
        return int(min(by_cpus, has.get("GPU", 0) / resources.gpus_per_trial))
    return int(by_cpus)


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

    def __init__(self, settings: WorkerSettings, resources: Settled):
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

    def receive(self, timeout_s: float) -> list[RankMessage]:
        if not self.calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self.calls), timeout=timeout_s)
        return [self._message(stream) for stream in ready]

    def _message(self, stream: ray.ObjectRefGenerator) -> RankMessage:
        rank = self.calls[stream]
        try:
            return RankMessage(rank, "item", ray.get(next(stream)))
        except StopIteration:
            del self.calls[stream]
            return RankMessage(rank, "over")
        except RayError as err:
            del self.calls[stream]
            return RankMessage(rank, "died", str(err).strip().splitlines()[0])

    def end(self) -> None:
        for actor in self.actors:
            ray.kill(actor)
        self.actors, self.calls, self.is_open = [], {}, False


@dataclass
class Feed:
    """Hands Tune the command's units, and the command what Tune's workers report."""

    pipe: Connection
    resources: Settled  # of a trial

    def tell(self, message: Message) -> None:
        self.pipe.send(message)

    def next_unit(self, tune_id: str) -> Given:
        """What a Tune trial is to run."""
        self.tell(Wanted(tune_id, _places_now(self.resources)))
        given = self.pipe.recv()
        assert isinstance(given, Given)
        return given


def _tuner(feed: Feed, job: Job) -> tune.Tuner:
    from ray import tune

    resources, settings = feed.resources, job.settings.with_resources(feed.resources)
    worker, searcher, listener = _adapters(feed)
    # Tune starts one worker after another where a searcher is used; let all start at once.
    n_at_once = max(1, int(_resources_now().get("CPU", 1) // resources.cpus_per_trial))
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(n_at_once)
    has_parameters = tune.with_parameters(worker, plan=job.trials, settings=settings)
    return tune.Tuner(
        tune.with_resources(has_parameters, _request(resources)),
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
            storage_path=str(job.folder),
            callbacks=[listener],
            verbose=0,
            log_to_file=False,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )


def _request(resources: Settled) -> dict[str, float] | tune.PlacementGroupFactory:
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

    resources = feed.resources

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
            given = feed.next_unit(trial_id)
            return Searcher.FINISHED if given.is_over else given.config

        def on_trial_complete(
            self, trial_id: str, result: object = None, error: bool = False
        ) -> None:
            feed.tell(Over(trial_id, crashed=error))

        def save(self, checkpoint_path: str) -> None: ...

        def restore(self, checkpoint_path: str) -> None: ...

        def __reduce__(self) -> tuple[type, tuple[()]]:  # of Tune's copy of itself, not read
            return object, ()

    class Listener(tune.Callback):
        def on_trial_result(
            self, iteration: int, trials: object, trial: object, result: Any, **_: object
        ) -> None:
            feed.tell(Reported(result.pop("events", [])))

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()

    return TuneWorker, QueueSearcher(), Listener()


@contextlib.contextmanager
def _cluster(job: Job) -> Iterator[None]:
    """A Ray of our own on this machine; or a running one, which runs on."""
    is_own = job.address is None
    ray.init(
        address=job.address or "local",
        num_cpus=job.n_cpus if is_own else None,
        num_gpus=job.n_gpus if is_own else None,
        include_dashboard=False if is_own else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
        _temp_dir=str(job.folder / "r") if is_own else None,  # Ray lets everybody write there
    )
    try:
        yield
    finally:
        ray.shutdown()
