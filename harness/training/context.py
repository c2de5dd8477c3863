"""What a process gives the trials that it runs; nothing of it decides a result.

In: the settings that all workers of a command share. Out: a `TrialContext` for `run_trial`. It
stands alone so that workers, ranks and tests make the same context.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.sweepfile.settings import Save, Settled
from harness.training.machine import keep_freed_memory
from harness.trials.catalogue import DataCatalogue
from headstart.caches import cache_folder
from headstart.files import storage_errors

if TYPE_CHECKING:
    from harness.training.feature_store import FeatureStore
    from harness.training.shared_images import SharedImages

POLL_S = 0.25


class StopAsked(Exception):
    """Work that saves no state is given up, because the command asks its workers to stop."""


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker of a command is given; picklable."""

    sweep: str
    save: Save
    data_dir: Path | None
    stop_file: Path
    device: str = "cpu"
    state_every_s: float = 2.0
    n_workers: int = 1  # ranks that share a trial
    gpu_share: float = 1.0  # of its GPU, for this worker; its memory too
    pack: int | Literal["auto"] = 1  # trials computed together; auto: measured
    fuse: Literal["auto", "always", "never"] = "auto"
    graph: Literal["always", "never"] = "never"  # steps of a trial by itself as a CUDA graph
    also_watch: Literal["right_labels"] | None = None  # `measure.also_watch`
    n_at_once: int | None = None  # workers that may meet on a GPU, where the command knows it
    started_from: frozenset[str] = frozenset()  # trials whose weights others of the plan need

    @property
    def gpu_workers(self) -> int:
        """Workers that share a GPU at most, this one included."""
        by_share = int(1 / self.gpu_share + 1e-9)
        return by_share if self.n_at_once is None else min(by_share, self.n_at_once)

    def with_resources(self, resources: Settled) -> WorkerSettings:
        """The same for workers that get these resources."""
        return replace(
            self,
            device=resources.device,
            n_workers=resources.workers,
            gpu_share=resources.gpus or 1.0,
            pack=resources.pack,
            fuse=resources.fuse,
            graph=resources.graph,
        )


class StopFile:
    """A file that says `run` until a command writes `stop`; read at most every `POLL_S` seconds.

    The file exists from the start, and every look opens it. So a network file system fetches its
    present content; of a file that did not exist it would remember just that.
    """

    def __init__(self, path: Path):
        self.path = path
        self._next_look = 0.0
        self._is_set = False

    def create(self) -> None:
        with storage_errors(self.path):
            self.path.write_text("run", "utf-8")

    def request(self) -> None:
        try:
            self.path.write_text("stop", "utf-8")
        except OSError:  # a full disk; workers take its absence for the same request
            self.path.unlink(missing_ok=True)

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_set and now >= self._next_look:
            self._next_look = now + POLL_S
            try:
                self._is_set = self.path.read_text("utf-8", "replace") == "stop"
            except OSError:
                self._is_set = True  # the run folder is gone, or its command has ended
        return self._is_set


def _feature_store() -> FeatureStore:
    """The store in this machine's cache folder."""
    from harness.training.feature_store import FeatureStore  # torch: only where trials run

    return FeatureStore(cache_folder() / "features")


def _shared_images() -> SharedImages:
    from harness.training.shared_images import SharedImages  # torch: only where trials run

    return SharedImages()


@dataclass(frozen=True)
class TrialContext:
    """What the process gives a trial."""

    catalogue: DataCatalogue
    device: str = "cpu"  # or `cuda`
    features: FeatureStore = field(default_factory=_feature_store)
    images: SharedImages = field(default_factory=_shared_images)
    save: Save = field(default_factory=Save)
    should_stop: Callable[[], bool] = lambda: False
    state_every_s: float = 2.0
    now: Callable[[], float] = time.perf_counter
    sweep: str = ""
    gpu_share: float = 1.0  # where the device is a GPU
    gpu_workers: int = 1
    notes: tuple[str, ...] = ()  # for the record
    also_watch: Literal["right_labels"] | None = None
    is_graph: bool = False  # steps of a trial by itself as a CUDA graph
    started_from: frozenset[str] = frozenset()  # trials whose weights others of the plan need

    def make_room(self) -> None:
        """Free what is kept on a GPU for trials to come, and let other processes have it."""
        from harness.training.memory import give_back  # torch: only where trials run

        self.features.drop()
        self.images.drop()
        give_back()


class ProcessContext:
    """What one process keeps open between trials: data sets, features, the stop file."""

    def __init__(self, settings: WorkerSettings):
        self.settings = settings
        self.should_stop = StopFile(settings.stop_file)

    @cached_property
    def for_trial(self) -> TrialContext:
        """What this process gives each trial; made for the first one, with torch.

        Raises:
            InputError: its share of a GPU is too small to compute there.
        """
        if self.settings.device == "cuda":
            from harness.training.memory import keep_to_share  # torch: only where trials run

            keep_to_share(self.settings.gpu_share)
        else:
            keep_freed_memory()
        return TrialContext(
            catalogue=DataCatalogue(self.settings.data_dir, allow_download=False),
            device=self.settings.device,
            save=self.settings.save,
            should_stop=self.should_stop,
            state_every_s=self.settings.state_every_s,
            sweep=self.settings.sweep,
            gpu_share=self.settings.gpu_share,
            gpu_workers=self.settings.gpu_workers,
            also_watch=self.settings.also_watch,
            is_graph=self.settings.graph == "always",
            started_from=self.settings.started_from,
        )
