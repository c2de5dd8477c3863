"""What the command and its session of Ray say to each other over a pipe.

The session asks for units and reports what became of them; the command answers `Wanted` with
`Given`, and nothing else. It stands alone because the command must not import ray, and the session
must not import the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.sweepfile.settings import Resources
from harness.training.context import WorkerSettings
from harness.trials.events import Event
from harness.trials.spec import TrialSpec


@dataclass(frozen=True)
class Job:
    """What a session is started with."""

    trials: Mapping[str, TrialSpec]  # all that it may be given, by their ids
    settings: WorkerSettings
    resources: Resources  # of a trial; `auto` is decided by what the cluster has
    n_cpus: int  # of a Ray of this machine
    n_gpus: int  # of a Ray of this machine, which may see fewer than PyTorch does
    address: str | None  # of a running Ray to join; None: one of this machine is started
    folder: Path  # for everything temporary


@dataclass(frozen=True)
class Ready:
    """Ray runs, with this many GPUs so far."""

    n_gpus: int


@dataclass(frozen=True)
class Wanted:
    """Tune asks for a unit, under a name of its own; `n_places` trials run at once so far."""

    tune_id: str
    n_places: int


@dataclass(frozen=True)
class Given:
    """A unit's ids and where each trial writes; None while none is ready."""

    config: dict[str, object] | None
    is_over: bool = False  # there will be none any more


@dataclass(frozen=True)
class Reported:
    """Events of the trials of a unit."""

    events: list[Event]


@dataclass(frozen=True)
class Over:
    """A worker is through with a unit, or died."""

    tune_id: str
    crashed: bool


@dataclass(frozen=True)
class Broken:
    """Ray could not start, or Tune raised an error."""

    error: str


Message = Ready | Wanted | Reported | Over | Broken
