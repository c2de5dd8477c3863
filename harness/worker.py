"""What a worker does with a unit of trials, wherever it runs: the same for both engines.

In: the trials of one unit and where to write them. Out: events, errors among them: a trial that
fails spares the rest of its unit. The stop request reaches a worker through a small file in the
run folder, because workers may be on other machines and must not act on signals themselves.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.events import Event, Failed, Started, Stopped, failure
from harness.plan import DataCatalogue, TrialSpec
from harness.settings import Save
from harness.store import TrialFolder

if TYPE_CHECKING:
    from harness.feature_store import FeatureStore
    from harness.team import Team
    from harness.trial import Surroundings

POLL_S = 0.25


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker of a command is given; picklable."""

    sweep: str
    device: str
    save: Save
    data_dir: Path | None
    stop_file: Path
    state_every_s: float = 2.0
    n_workers: int = 1  # processes that share a trial
    pack: int | Literal["auto"] = 1  # trials at once; auto: measured
    fuse: Literal["auto", "always", "never"] = "auto"


class StopFile:
    """A file that says `run` until somebody writes `stop`; read at most every `POLL_S` seconds.

    The file exists from the start and is opened at every look, so that a network file system
    fetches its present content instead of remembering that there was none.
    """

    def __init__(self, path: Path):
        self.path = path
        self._next_look = 0.0
        self._is_set = False

    def create(self) -> None:
        self.path.write_text("run")

    def request(self) -> None:
        self.path.write_text("stop")

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_set and now >= self._next_look:
            self._next_look = now + POLL_S
            try:
                self._is_set = self.path.read_text() == "stop"
            except OSError:
                self._is_set = True  # the run folder is gone, or its command has ended
        return self._is_set


class Worker:
    """Runs units one after another in this process; keeps data and features open between them.

    Args:
        settings: what to run them with.
        team: the processes that share trials, where the settings ask for several and a unit comes;
            this process then only watches over them.
    """

    def __init__(self, settings: WorkerSettings, team: Team | None = None):
        self.settings = settings
        self.team = team
        self.catalogue = DataCatalogue(settings.data_dir, allow_download=False)
        self.should_stop = StopFile(settings.stop_file)
        self.features: FeatureStore | None = None  # opened with torch, by the first unit

    def run(self, unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder]) -> Iterator[Event]:
        """All events of the unit's trials; ends after a trial that stopped or a full disk."""
        for event in self._events(unit, folders):
            yield event
            if isinstance(event, Failed) and event.fatal:
                return

    def close(self) -> None:
        """End the processes that share trials, if there are any."""
        if self.team is not None:
            self.team.end()

    def _events(
        self, unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder]
    ) -> Iterator[Event]:
        if self.team is not None:
            from harness.team import run_together

            return run_together(self.team, unit, folders, self.should_stop)
        from harness import fused, heads  # torch: 4 s, so only where trials run

        around = self.surroundings()
        if heads.can_batch(unit):
            size = heads.AUTO_SIZE if self.settings.pack == "auto" else len(unit)
            return fused.in_packs(unit, folders, around, size, heads.run_pack)
        if len(unit) == 1:
            return _run_in_turn(unit, folders, around)
        reason = fused.reason_against(unit, self.settings.device, self.settings.fuse)
        if reason is not None:
            around = replace(around, notes=(f"not fused: {reason}",))
            return _run_in_turn(unit, folders, around)
        return fused.run_packs(unit, folders, around, self.settings.pack)

    def surroundings(self) -> Surroundings:
        """What this process gives a trial."""
        from harness.feature_store import feature_store
        from harness.trial import Surroundings

        self.features = self.features or feature_store()
        return Surroundings(
            catalogue=self.catalogue,
            features=self.features,
            device=self.settings.device,
            save=self.settings.save,
            should_stop=self.should_stop,
            state_every_s=self.settings.state_every_s,
            sweep=self.settings.sweep,
        )


def _run_in_turn(
    unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder], around: Surroundings
) -> Iterator[Event]:
    from harness.trial import run_trial

    for spec in unit:
        yield Started(spec.id)
        try:
            for event in run_trial(spec, folders[spec.id], around):
                yield event
                if isinstance(event, Stopped):
                    return
        except Exception as err:  # the trial's own failure must spare the other trials
            yield failure(spec.id, err)
