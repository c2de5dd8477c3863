"""The seeds of a pack trained as one computation, where only a small tail of the network trains.

In: the trials of one unit. Out: their events and records, as the solo path gives them, with
`ran_as: heads`. Each trial keeps its own life (evaluations, selection, early stop, divergence,
states in the solo format); only the steps between two pauses are made together, so a trial that is
over leaves the rest going, and a pack can go on from the states of solo trials and the other way.

Seconds of training are the joint seconds divided by the number of trials that shared them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.joint.stacked import Joint, can_stack
from harness.runfolder.folder import TrialFolder
from harness.training.context import TrialContext
from harness.training.loop import Trainer, wait_for
from harness.training.network import build_network
from harness.training.trial import Trial
from harness.trials.events import Event, Failed, Started, failure
from harness.trials.frozen import reason_against
from harness.trials.spec import TrialSpec
from headstart.errors import ModelError
from models import finetune
from models.split import split_at

AUTO_SIZE = 32  # seeds in a pack where `pack: auto` leaves it to us


def can_batch(unit: Sequence[TrialSpec]) -> bool:
    """Whether a unit's trials can train as one: seeds of one condition with a tail that stacks."""
    first = unit[0].condition
    train = first.train
    return (
        len(unit) > 1
        and all(spec.condition == first for spec in unit)
        and reason_against(first) is None
        and train.precision == "float32"
        and train.schedule.name != "plateau"  # each seed's own rate, which one optimizer has not
        and _tail_stacks(unit[0])
    )


def _tail_stacks(spec: TrialSpec) -> bool:
    try:
        network, groups = build_network(spec)
        trainable = finetune.resolve_fine_tune(spec.condition.fine_tune, groups)
        if not trainable:
            return False
        n_frozen = [group.name for group in groups].index(trainable[0])
        if n_frozen == 0:
            return False
        finetune.freeze(network, groups, trainable)
        _, tail = split_at(network, groups, n_frozen)
    except ModelError:  # each trial says so for itself
        return False
    return can_stack(tail)


def run_pack(
    unit: Sequence[TrialSpec], folders: Mapping[str, TrialFolder], around: TrialContext
) -> Iterator[Event]:
    """All events of the unit's trials, trained together; one that fails leaves the rest going."""
    return run_jointly(unit, folders, around, Join("heads", Joint))


@dataclass(frozen=True)
class Join:
    """A way to make the steps of several trials as one.

    Attributes:
        ran_as: what the trials' rows say of it.
        joint: makes the steps, while its `with` block lasts.
        open: called once with the pack's trials, before their first evaluation.
    """

    ran_as: str
    joint: Callable[[Sequence[Trainer]], Joint]
    open: Callable[[Sequence[Trial]], None] = lambda trials: None


def run_jointly(
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    around: TrialContext,
    join: Join,
) -> Iterator[Event]:
    """All events of the unit's trials, their steps made by `join`."""
    pack = _Pack(join.ran_as)
    # Each trial saves its own state, so each does it as much more seldom as there are of them.
    around = replace(around, state_every_s=around.state_every_s * len(unit))
    for spec in unit:
        yield Started(spec.id)
        yield from pack.guarded(spec.id, pack.open(spec, folders[spec.id], around))
    join.open(pack.active())
    for trial in pack.active():
        yield from pack.guarded(trial.spec.id, trial.start())
    while active := pack.active():
        for trial in active:
            if trial.is_over:
                yield from pack.guarded(trial.spec.id, pack.end(trial))
        if cohort := next_cohort(pack.active()):
            try:
                _train_together(cohort, pack.active(), around, join)
            except Exception as err:  # nobody's own fault can be told apart here
                for trial in cohort:
                    yield pack.fail(trial.spec.id, err)
                continue
            for trial in cohort:
                yield from pack.guarded(trial.spec.id, trial.pause())


class _Pack:
    """The trials that still run, by id."""

    def __init__(self, ran_as: str) -> None:
        self.ran_as = ran_as
        self.trials: dict[str, Trial] = {}

    def active(self) -> list[Trial]:
        return list(self.trials.values())

    def open(self, spec: TrialSpec, folder: TrialFolder, around: TrialContext) -> Iterator[Event]:
        self.trials[spec.id] = Trial(spec, folder, around, ran_as=self.ran_as)
        yield from ()

    def end(self, trial: Trial) -> Iterator[Event]:
        yield trial.end()
        del self.trials[trial.spec.id]

    def guarded(self, trial_id: str, events: Iterator[Event]) -> Iterator[Event]:
        """The events of one trial; its own error ends it alone."""
        try:
            yield from events
        except Exception as err:
            yield self.fail(trial_id, err)

    def fail(self, trial_id: str, err: Exception) -> Failed:
        self.trials.pop(trial_id, None)
        return failure(trial_id, err)


def next_cohort(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that can make their next step together: the furthest behind, and those beside them."""
    going = [trial for trial in trials if not trial.is_over]
    if not going:
        return []
    first = min(going, key=lambda trial: trial.trainer.step_count)
    return [trial for trial in going if _place(trial) == _place(first)]


def _place(trial: Trial) -> tuple[int, int]:
    return trial.trainer.step_count, len(trial.trainer.part)


def _train_together(
    cohort: Sequence[Trial], trials: Sequence[Trial], around: TrialContext, join: Join
) -> None:
    """Steps until a pause is due for one of the cohort, or it meets trials further on."""
    here = cohort[0].trainer.step_count
    ahead = {t.trainer.step_count for t in trials if t.trainer.step_count > here}
    wait_for(cohort[0].device)
    started = around.now()
    with join.joint([trial.trainer for trial in cohort]) as joint:
        while True:
            joint.step()
            if cohort[0].trainer.step_count in ahead or any(t.is_pause_due() for t in cohort):
                break
    wait_for(cohort[0].device)
    share = (around.now() - started) / len(cohort)
    for trial in cohort:
        trial.clock.seconds["train"] += share
