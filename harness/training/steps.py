"""How the steps of trials are made: alone, beside other trials, or by several processes.

In: the trainers of trials that are at the same step. Out: the same trainers some steps further.
It stands alone because trials differ in this alone, whichever way they run. Who runs a `Trial`
hands its `Steps` in, and the trial knows no more of them than this interface:

- `SoloSteps` (here): one trial, one process.
- `GraphSteps` (`graph.py`): the same, replayed from a CUDA graph.
- `HEADS` (`joint/heads.py`): the tails of several trials as one computation.
- `FUSED` (`joint/fused.py`): the whole networks of several trials as one program.
- `SharedSteps` (`teams/data_parallel.py`): one trial, several processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from harness.training.loop import Trainer
from harness.training.network import Prepared
from harness.training.ranks import ONE_RANK, Ranks
from harness.trials.spec import TrialSpec
from headstart.errors import InputError

Asked = Callable[[], bool]  # a question that is asked after every step


class Steps(ABC):
    """A way to make steps.

    Attributes:
        ran_as: what a trial's row says of it.
        ranks: the processes that share each trial.
        notes: for the trial's record.
        probe_l2: the L2 that was chosen, where a step fits the head.
    """

    ran_as: str
    notes: Sequence[str] = ()
    probe_l2: float | None = None
    ranks: Ranks = ONE_RANK

    @abstractmethod
    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        """Make one step of every trainer, and further ones until there is a reason to pause.

        Args:
            trainers: of equal settings, at the same step.
            is_due: whether something must happen after this step; the same in all ranks.
            wants_pause: whether this process wants to save or to stop.
        """

    def warm_up(self, trainer: Trainer) -> None:
        """Let a GPU do what it does at the first steps alone, before the clock starts."""
        return  # joint steps are warmed up together; shared ones are not

    def end(self) -> None:
        """Give back what is kept on the device between steps; the trial makes no more."""
        return  # most keep nothing

    def fitted(self, spec: TrialSpec, prepared: Prepared) -> Prepared:
        """The network, changed where that is needed to make its steps in this way.

        Raises:
            InputError: they cannot be made in this way.
        """
        if reason := spec.condition.train.reason_against_workers(self.ranks.n):
            raise InputError(reason)
        if self.ranks.n > 1 and getattr(prepared.network, "draws", False):
            raise InputError(draws_apart(spec))
        return prepared

    def name_after(self, before: str) -> str:
        """What the row says of a trial whose steps until now were made as `before` says.

        Steps that were made beside other trials stay in the weights, so they stay in the row.
        """
        if before == "solo":
            return self.ran_as
        return before if self.ran_as in ("solo", *before.split("+")) else f"{before}+{self.ran_as}"


def draws_apart(spec: TrialSpec) -> str:
    """Why processes cannot share a trial whose network draws from the global generators."""
    return (
        f"{spec.condition.model.shown} draws from global random generators, which processes that "
        "share a trial cannot do alike: set resources.workers: 1"
    )


class SoloSteps(Steps):
    """One trial by itself."""

    ran_as = "solo"

    def warm_up(self, trainer: Trainer) -> None:
        if trainer.finished:
            return
        if trainer.compiler is not None:
            trainer.compile_ahead()
        if trainer.device.type == "cuda":
            trainer.warm_up()

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        (trainer,) = trainers
        trainer.step()
        while not (is_due() or wants_pause()):
            trainer.step()


SOLO = SoloSteps()
