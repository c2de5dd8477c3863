"""A pack: trials that keep their own lives, while the steps between two pauses are made together.

In: the trials of one unit, and how to make their steps. Out: their events and records, as the solo
path gives them. Each trial evaluates, selects, stops early, diverges and saves states (in the solo
format) by itself, so a trial that is over leaves the rest going, and a pack can go on from the
states of solo trials and the other way.

Seconds of training are the joint seconds divided by the number of trials that shared them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from harness.joint.steps import JointSteps
from harness.runfolder.folder import TrialFolder
from harness.training.context import StopAsked, TrialContext
from harness.training.loop import wait_for
from harness.training.memory import explained, is_out_of_memory
from harness.training.trial import Trial
from harness.trials.events import Event, Failed, GivenBack, Started, Stopped, failure
from harness.trials.spec import TrialSpec


def run_pack(
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    context: TrialContext,
    steps: JointSteps,
) -> Iterator[Event]:
    """All events of the unit's trials; one that fails leaves the rest going.

    Where a GPU is too small for all of them, the first half goes on from its last states, and any
    worker may run the rest.
    """
    pack = _Pack(steps, {spec.id: spec for spec in unit})
    try:
        yield from _run_at_once(pack, folders, context)
        return
    except _TooLarge:
        pass
    pack.trials.clear()
    context.make_room()  # after the block: until then the error holds the trials
    left = list(pack.left.values())
    for spec in reversed(left[len(left) // 2 :]):
        yield GivenBack(spec.id)
    yield from run_pack(left[: len(left) // 2], folders, context, steps)


def _run_at_once(
    pack: _Pack, folders: Mapping[str, TrialFolder], context: TrialContext
) -> Iterator[Event]:
    """All events of a pack's trials.

    Raises:
        _TooLarge: a GPU has too little memory for what is left, which is several trials.
    """
    unit = list(pack.left.values())
    # Each trial saves a state of its own. So that a pack spends no more time on saving than one
    # trial does, each of K trials saves a K-th as often.
    context = replace(context, state_every_s=context.state_every_s * len(unit))
    for spec in unit:
        yield Started(spec.id)
        yield from pack.guarded(spec.id, pack.open(spec, folders[spec.id], context))
    yield from pack.together(pack.active(), partial(pack.steps.when_open, pack.active()))
    for trial in pack.active():
        yield from pack.guarded(trial.spec.id, trial.start())
    while active := pack.active():
        for trial in active:
            if trial.is_over:
                yield from pack.guarded(trial.spec.id, pack.end(trial))
        if cohort := _next_cohort(pack.active()):
            yield from pack.together(cohort, partial(_train_together, cohort, pack.active()))
            for trial in cohort:
                if trial.spec.id in pack.left:
                    yield from pack.guarded(trial.spec.id, trial.pause())


class _TooLarge(Exception):
    """A pack does not fit on its GPU; raised outside of `except`, so that it holds no trial."""


@dataclass
class _Pack:
    """The trials that still run, by id."""

    steps: JointSteps
    left: dict[str, TrialSpec]  # those that are not over: running, or not open yet
    trials: dict[str, Trial] = field(default_factory=dict)

    def active(self) -> list[Trial]:
        return list(self.trials.values())

    def open(self, spec: TrialSpec, folder: TrialFolder, context: TrialContext) -> Iterator[Event]:
        self.trials[spec.id] = Trial(spec, folder, context, self.steps)
        yield from ()

    def end(self, trial: Trial) -> Iterator[Event]:
        yield trial.end()
        self._leave(trial.spec.id)

    def guarded(self, trial_id: str, events: Iterator[Event]) -> Iterator[Event]:
        """The events of one trial; its own error ends it alone."""
        try:
            yield from events
            return
        except StopAsked:
            self._leave(trial_id)
            yield Stopped(trial_id, 0)
            return
        except Exception as err:
            if not self._is_too_large(err):
                yield self._fail(trial_id, err)
                return
        raise _TooLarge

    def together(self, trials: Sequence[Trial], work: Callable[[], None]) -> Iterator[Event]:
        """Work for several trials; where it fails, which of them is the cause cannot be said."""
        try:
            work()
            return
        except Exception as err:
            if not self._is_too_large(err):
                for trial in trials:
                    yield self._fail(trial.spec.id, err)
                return
        raise _TooLarge

    def _is_too_large(self, err: Exception) -> bool:
        return is_out_of_memory(err) and len(self.left) > 1

    def _fail(self, trial_id: str, err: Exception) -> Failed:
        return failure(trial_id, explained(err, self._leave(trial_id).condition.train))

    def _leave(self, trial_id: str) -> TrialSpec:
        self.trials.pop(trial_id, None)
        return self.left.pop(trial_id)


def _next_cohort(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that can make their next step together: the furthest behind, and those beside them."""
    going = [trial for trial in trials if not trial.is_over]
    if not going:
        return []
    first = min(going, key=lambda trial: trial.trainer.step_count).trainer
    place = (first.step_count, len(first.part))
    return [t for t in going if (t.trainer.step_count, len(t.trainer.part)) == place]


def _train_together(cohort: Sequence[Trial], trials: Sequence[Trial]) -> None:
    """Steps until a pause is due for one of the cohort, or it meets trials further on."""
    lead = cohort[0]
    begin = lead.trainer.step_count
    ahead = {t.trainer.step_count for t in trials if t.trainer.step_count > begin}

    def is_due() -> bool:
        return lead.trainer.step_count in ahead or any(t.is_evaluation_due() for t in cohort)

    wait_for(lead.device)
    started = lead.context.now()
    trainers = [trial.trainer for trial in cohort]
    lead.steps.make(trainers, is_due, lambda: any(t.wants_pause() for t in cohort))
    wait_for(lead.device)
    share = (lead.context.now() - started) / len(cohort)
    for trial in cohort:
        trial.clock.seconds["train"] += share
