"""What a rank does: one of the processes that share a trial.

In: calls, in the order open, join, run, run, …. Out: the items of each call: the meeting place
(from the first rank alone), or the events of a trial. It stands alone because engines only carry
calls and items (`LocalTeam` by pipes, Ray by actors). The first call imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.runfolder.folder import TrialFolder
from harness.teams.team import LostContact
from harness.training.context import ProcessContext, WorkerSettings
from harness.trials.events import Event, Failed, failure
from harness.trials.spec import TrialSpec

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from harness.teams.collective import Group

# A launcher may have set these; Accelerate would take them for its own and join what is not there.
LAUNCHER_VARIABLES = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE",
)  # fmt: skip


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of a trial meet."""

    host: str
    port: int


@dataclass
class RankRunner:
    """A rank's side of its worker's calls."""

    settings: WorkerSettings
    rank: int  # 0 … n_workers - 1; the events of rank 0 are the trial's
    host: str  # an address of this machine that the others reach

    def __post_init__(self) -> None:
        self.process = ProcessContext(self.settings)
        self.store: Store | None = None
        self.group: Group | None = None
        self._methods: dict[str, Callable[..., Iterator[object]]] = {
            "open": self._open,
            "join": self._join,
            "run": self._run,
        }

    def call(self, method: str, *arguments: object) -> Iterator[object]:
        """The items of one call; the last one is `Failed` or `LostContact` after an error."""
        from harness.teams.collective import LostContactError

        try:
            yield from self._methods[method](*arguments)
        except LostContactError as err:
            yield LostContact(str(err))
        except Exception as err:
            yield failure("", err)

    def _open(self) -> Iterator[Meeting]:
        """Import torch: the time limit for meeting begins when all ranks have done so."""
        from harness.teams.collective import open_meeting

        if self.rank == 0:
            self.store, port = open_meeting(self.host, self.settings.n_workers)
            yield Meeting(self.host, port)

    def _join(self, meeting: Meeting) -> Iterator[object]:
        from harness.teams.collective import meet
        from harness.training.process import make_accelerator

        for name in LAUNCHER_VARIABLES:
            os.environ.pop(name, None)
        device = make_accelerator("float32", self.settings.device).device
        n = self.settings.n_workers
        self.group = meet(meeting.host, meeting.port, self.rank, n, device, self.store)
        yield from ()

    def _run(self, spec: TrialSpec, folder: TrialFolder) -> Iterator[Event]:
        from harness.teams.data_parallel import SharedSteps
        from harness.training.memory import clean_up, explained, is_out_of_memory
        from harness.training.trial import run_trial

        assert self.group is not None
        context = self.process.for_trial
        try:
            for event in run_trial(spec, folder, context, SharedSteps(self.group)):
                if self.rank == 0 or isinstance(event, Failed):
                    yield event
            clean_up(context.device)
            return
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            reason = explained(err, spec.condition.train)
        context.make_room()  # after the block: until then the error holds all that the trial had
        raise reason
