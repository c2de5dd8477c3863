"""A pack: trials that keep their own lives, while the steps between two pauses are made together.

In: the trials of one unit, and how to make their steps. Out: their events and records, as the solo
path gives them. Each trial evaluates, selects, stops early, diverges and saves states (in the solo
format) by itself, so a trial that is over leaves the rest going, and a pack can go on from the
states of solo trials and the other way.

Seconds of training are the joint seconds divided by the number of trials that shared them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from torch import Tensor

from harness.joint import scores
from harness.joint.steps import JointSteps
from harness.runfolder.folder import TrialFolder
from harness.training.context import StopAsked, TrialContext
from harness.training.loop import wait_for
from harness.training.memory import explained, give_back, is_out_of_memory
from harness.training.score import Score
from harness.training.step_memory import begin_peak
from harness.training.trial import Measured, Trial
from harness.trials.events import Event, Failed, GivenBack, Started, Stopped, failure
from harness.trials.spec import TrialSpec

Tested = tuple[Score, Tensor]
Result = TypeVar("Result")


def run_pack(
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    context: TrialContext,
    steps: JointSteps,
) -> Iterator[Event]:
    """All events of the unit's trials; one that fails leaves the rest going.

    Where a GPU is too small for all of them, a part goes on from where it is. The others' states
    are saved, and any worker may run them.
    """
    # Each trial saves a state of its own. So that a pack spends no more time on saving than one
    # trial does, each of K trials saves a K-th as often.
    context = replace(context, state_every_s=context.state_every_s * len(unit))
    pack = Pack(steps, context)
    for spec in unit:
        yield Started(spec.id)
        yield from pack.guarded(spec, pack.open(spec, folders[spec.id]))
    yield from pack.give_back()
    yield from pack.warm_up(_next_cohort(pack.active()))
    anew = [trial for trial in pack.active() if not trial.record.curve]
    yield from pack.go_on(anew, anew, Trial.start)
    del anew
    while pack.trials:
        yield from pack.give_back()
        yield from pack.end([trial for trial in pack.active() if trial.is_over])
        yield from pack.train(_next_cohort(pack.active()))
    yield from pack.give_back()


@dataclass(eq=False, repr=False)
class Pack:
    """Trials that train together, from their first evaluation to the record of the last one."""

    steps: JointSteps
    context: TrialContext
    trials: dict[str, Trial] = field(default_factory=dict)  # those that still run, by id
    left_out: list[TrialSpec] = field(default_factory=list)  # for want of memory

    def active(self) -> list[Trial]:
        return list(self.trials.values())

    def open(self, spec: TrialSpec, folder: TrialFolder) -> Iterator[Event]:
        if self.left_out:  # there was no room for the one before it
            self.left_out.append(spec)
        else:
            self.trials[spec.id] = Trial(spec, folder, self.context, self.steps)
        yield from ()

    def give_back(self) -> Iterator[Event]:
        """Hand out what does not fit; called where nothing refers to those trials any more."""
        if self.left_out:
            self.context.make_room()
            for spec in reversed(self.left_out):  # the last one is the next to be handed out
                yield GivenBack(spec.id)
            self.left_out.clear()

    def warm_up(self, cohort: list[Trial]) -> Iterator[Event]:
        """Let a GPU do what it does at the first steps alone, before the clock starts."""
        if cohort and cohort[0].device.type == "cuda":
            yield from self.together(cohort, partial(_warm_up_together, cohort, self.steps))

    def train(self, cohort: list[Trial]) -> Iterator[Event]:
        """Steps until a pause, and the pause."""
        if not cohort:
            return
        n_left_out = len(self.left_out)  # before: those that could not end
        yield from self.together(cohort, partial(_train_together, cohort, self.active()))
        going = [trial for trial in cohort if trial.spec.id in self.trials]
        # Else the steps were taken back.
        if len(going) == len(cohort) and len(self.left_out) == n_left_out:
            due = [trial for trial in going if trial.is_evaluation_due()]
            yield from self.go_on(going, due, Trial.pause)

    def go_on(
        self,
        trials: Sequence[Trial],
        due: Sequence[Trial],
        what: Callable[[Trial, Measured | None], Iterator[Event]],
    ) -> Iterator[Event]:
        """What each trial does at its start or at a pause; for some an evaluation is due."""
        measured = yield from self.as_one(due, self.measure)
        for trial in trials:
            if trial.spec.id in self.trials:
                yield from self.guarded(trial.spec, what(trial, measured.get(trial.spec.id)))

    def measure(self, trials: Sequence[Trial]) -> list[Measured]:
        """The evaluation that is due for each of several trials."""
        assert self.steps.as_one is not None
        started = self.context.now()
        parts, n_classes = [t.parts.validation for t in trials], trials[0].n_classes
        results = scores.evaluate([t.trainer for t in trials], parts, self.steps.as_one, n_classes)
        share = (self.context.now() - started) / len(trials)
        return [Measured(score, trained, share) for score, trained in results]

    def end(self, trials: Sequence[Trial]) -> Iterator[Event]:
        """The last events of trials that are over."""
        to_test = [trial for trial in trials if trial.will_be_tested]
        tested = yield from self.as_one(to_test, self.test)
        for trial in trials:
            if trial.spec.id in self.trials:
                yield from self.guarded(trial.spec, self.end_one(trial, tested.get(trial.spec.id)))

    def end_one(self, trial: Trial, tested: Tested | None) -> Iterator[Event]:
        yield trial.end(tested)
        del self.trials[trial.spec.id]

    def test(self, trials: Sequence[Trial]) -> list[Tested]:
        """Score and logits of each trial's selected weights on its test part."""
        assert self.steps.as_one is not None
        started = self.context.now()
        for trial in trials:
            trial.be_selected()
        parts, n_classes = [t.parts.test for t in trials], trials[0].n_classes
        results = scores.predict([t.trainer for t in trials], parts, self.steps.as_one, n_classes)
        for trial in trials:
            trial.clock.seconds["eval"] += (self.context.now() - started) / len(trials)
        return results

    def as_one(
        self, trials: Sequence[Trial], compute: Callable[[Sequence[Trial]], list[Result]]
    ) -> Generator[Event, None, dict[str, Result]]:
        """What is computed of several trials as one, by id; nothing where each does it alone.

        Each does it alone on a CPU, and where memory is too small for all together.
        """
        if len(trials) < 2 or self.context.device not in self.steps.evaluates_on:
            return {}
        results: list[Result] = []

        def work() -> None:
            with suppress_out_of_memory():
                results.extend(compute(trials))

        yield from self.together(trials, work)
        return dict(zip([trial.spec.id for trial in trials], results, strict=False))

    def guarded(self, spec: TrialSpec, events: Iterator[Event]) -> Iterator[Event]:
        """The events of one trial; its own error ends it alone. Where memory is too small beside
        others, it is left out, and goes on from its last state."""
        try:
            yield from events
        except StopAsked:
            self.trials.pop(spec.id, None)
            yield Stopped(spec.id, 0)
        except Exception as err:
            if is_out_of_memory(err) and self.trials.keys() - {spec.id}:
                self.trials.pop(spec.id, None)
                self.left_out.append(spec)
            else:
                yield self.fail(spec, err)

    def together(self, trials: Sequence[Trial], work: Callable[[], None]) -> Iterator[Event]:
        """Work for several trials; where it fails, which of them is the cause cannot be said."""
        is_too_large, failed = False, []
        try:
            work()
        except Exception as err:
            is_too_large = is_out_of_memory(err) and len(self.trials) > 1
            failed = [] if is_too_large else [self.fail(t.spec, err) for t in trials]
        yield from failed
        if is_too_large:
            yield from self.halve()

    def halve(self) -> Iterator[Event]:
        """Let the later half of the trials save their states and be left out."""
        going = self.active()
        for trial in going[(len(going) + 1) // 2 :]:
            yield from self.guarded(trial.spec, self.leave_out(trial))

    def leave_out(self, trial: Trial) -> Iterator[Event]:
        if trial.record.curve:  # else it has not begun
            trial.save_state()
        del self.trials[trial.spec.id]
        self.left_out.append(trial.spec)
        yield from ()

    def fail(self, spec: TrialSpec, err: Exception) -> Failed:
        self.trials.pop(spec.id, None)
        return failure(spec.id, explained(err, spec.condition.train))


@contextmanager
def suppress_out_of_memory() -> Iterator[None]:
    try:
        yield
        return
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
    give_back()


def _next_cohort(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that can make their next step together: the furthest behind, and those beside them."""
    going = [trial for trial in trials if not trial.is_over]
    if not going:
        return []
    first = min(going, key=lambda trial: trial.trainer.step_count).trainer
    place = (first.step_count, len(first.part))
    return [t for t in going if (t.trainer.step_count, len(t.trainer.part)) == place]


def _warm_up_together(cohort: Sequence[Trial], steps: JointSteps) -> None:
    """Steps that are taken back; their seconds are set-up, an equal part for each trial."""
    lead = cohort[0]
    started = lead.context.now()
    steps.warm_up_together([trial.trainer for trial in cohort])
    wait_for(lead.device)
    for trial in cohort:
        trial.clock.seconds["setup"] += (lead.context.now() - started) / len(cohort)


def _train_together(cohort: Sequence[Trial], trials: Sequence[Trial]) -> None:
    """Steps until a pause is due for one of the cohort, or it meets trials further on.

    The trials of a cohort are of one condition and at one step, so what is due for the first is
    due for all; a large pack waits for each question that the host asks.
    """
    lead = cohort[0]
    begin = lead.trainer.step_count
    ahead = {t.trainer.step_count for t in trials if t.trainer.step_count > begin}
    first_state_at = min(trial.next_state_at for trial in cohort)

    def is_due() -> bool:
        return lead.trainer.step_count in ahead or lead.is_pause_due()

    def wants_pause() -> bool:
        return lead.context.should_stop() or lead.context.now() >= first_state_at

    wait_for(lead.device)
    begin_peak(lead.device)
    started = lead.context.now()
    lead.steps.make([trial.trainer for trial in cohort], is_due, wants_pause)
    wait_for(lead.device)
    share = (lead.context.now() - started) / len(cohort)
    for trial in cohort:
        trial.clock.seconds["train"] += share
        trial.note_memory(len(trials))
