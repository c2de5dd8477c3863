"""What a running trial tells its engine; plain data that crosses processes and machines."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from headstart.errors import HeadstartError, InputError, StorageError
from headstart.files import FULL
from headstart.rows import EvaluationRow, TrialRow


@dataclass(frozen=True)
class Started:
    """A worker took the trial up."""

    trial_id: str


@dataclass(frozen=True)
class GivenBack:
    """A worker leaves a trial of its unit to others: it takes on fewer at once."""

    trial_id: str


@dataclass(frozen=True)
class NotDeterministic:
    """A trial begins with operations that have no deterministic kernel on its GPU."""

    trial_id: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Resumed:
    """A trial goes on from a saved state: what it had evaluated before, by step."""

    trial_id: str
    step: int  # that it goes on from
    n_steps: int
    curve: tuple[EvaluationRow, ...]


@dataclass(frozen=True)
class Progress:
    """A trial moved on: sent at every evaluation."""

    trial_id: str
    n_steps: int
    images_per_s: float
    evaluation: EvaluationRow

    @property
    def step(self) -> int:
        return self.evaluation.step


@dataclass(frozen=True)
class Ended:
    """A trial ended (`done` or `diverged`); `row` is its `trial.json`, written but not moved up."""

    trial_id: str
    row: TrialRow


@dataclass(frozen=True)
class Stopped:
    """A trial saved its state and stopped, because it was asked to."""

    trial_id: str
    step: int


@dataclass(frozen=True)
class Failed:
    """A trial raised an error; `retry` where another attempt may go better."""

    trial_id: str
    error: str
    retry: bool
    fatal: bool = False  # the whole sweep must stop (a full disk)


def failure(trial_id: str, err: Exception) -> Failed:
    """What an error of a trial means: bad input fails again, a full disk ends the sweep."""
    if isinstance(err, OSError) and err.errno in FULL:
        return Failed(trial_id, str(err), retry=False, fatal=True)
    if isinstance(err, HeadstartError):
        fatal = isinstance(err, StorageError)
        return Failed(trial_id, str(err), not (fatal or isinstance(err, InputError)), fatal)
    text = "".join(traceback.format_exception(err, limit=-8))
    return Failed(trial_id, text, retry=True)


Event = Started | GivenBack | NotDeterministic | Resumed | Progress | Ended | Stopped | Failed
