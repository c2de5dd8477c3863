"""How long a run still takes: one estimate, which every view of it shows.

In: a plan, the state of its trials and their events with the time at which they came. Out: seconds,
and the words for them. What is left is counted in training steps, those of trials that run now
included; the seconds of a step are measured, arm by arm, in this command. It stands alone because
the console, `harness.status` and the live page must not have estimates of their own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.trials.events import (
    Ended,
    Event,
    Failed,
    GivenBack,
    Progress,
    Resumed,
    Started,
    Stopped,
)
from harness.trials.spec import Plan, TrialSpec

Arm = tuple[str, str]  # stage and name


@dataclass
class _Seen:
    """What this command saw of one attempt of a trial; times are the clock's, in seconds."""

    taken_up_at: float
    first_at: float | None = None  # its first sign of life after the set-up
    first_step: int = 0
    last_at: float = 0.0
    last_step: int = 0
    n_steps: int = 0
    over_at: float | None = None

    def moved(self, step: int, n_steps: int, now: float) -> None:
        if self.first_at is None:
            self.first_at, self.first_step = now, step
        self.last_at, self.last_step, self.n_steps = now, step, n_steps


@dataclass(frozen=True)
class _Rate:
    """Mean seconds of an arm's trials: until the first evaluation, a step, after the last one."""

    setup: float
    step: float
    closing: float


class TimeLeft:
    """Learns from the events of a run how fast it goes.

    Args:
        plan: all trials of the command.
        status: of each of them by id; the caller keeps it up to date.
    """

    def __init__(self, plan: Plan, status: Mapping[str, str]) -> None:
        self.plan, self.status = plan, status
        self._seen: dict[str, _Seen] = {}
        self._before: list[tuple[Arm, _Seen]] = []  # attempts that another one followed
        self._n_steps: dict[Arm, int] = {}

    def take(self, event: Event, now: float) -> None:
        """Note what an event says of the speed."""
        trial_id = event.trial_id
        seen = self._seen.get(trial_id)
        if isinstance(event, Started):
            if seen is not None:
                self._before.append((self._arm(trial_id), seen))
            self._seen[trial_id] = _Seen(now)
        elif seen is None:
            return
        elif isinstance(event, Resumed | Progress):
            seen.moved(event.step, event.n_steps, now)
            self._n_steps[self._arm(trial_id)] = event.n_steps
        elif isinstance(event, GivenBack):
            del self._seen[trial_id]
        elif isinstance(event, Ended | Stopped | Failed):
            seen.over_at = now

    def seconds(self, now: float) -> float | None:
        """Until every trial has ended, were all to go on as fast; None before a step was timed.

        The trials that are left share as many places as trials ran at once so far on average, or
        run now; no run ends before the longest of its trials.
        """
        rates = self._rates()
        if not rates:
            return None
        every = list(rates.values())
        usual = _Rate(
            *(sum(values) / len(every) for values in zip(*map(_parts, every), strict=True))
        )
        lefts = [
            self._left(trial, rates.get(self._arm(trial.id), usual), now)
            for trial in self.plan.by_id.values()
            if self.status[trial.id] in ("pending", "running")
        ]
        return max(sum(lefts) / self._at_once(now), *lefts) if lefts else 0.0

    def _arm(self, trial_id: str) -> Arm:
        trial = self.plan.by_id[trial_id]
        return trial.stage, trial.arm

    def _left(self, trial: TrialSpec, rate: _Rate, now: float) -> float:
        seen = self._seen.get(trial.id)
        if self.status[trial.id] == "running" and seen is not None:
            if seen.first_at is not None:
                steps = (seen.n_steps - seen.last_step) * rate.step
                return max(0.0, steps - (now - seen.last_at)) + rate.closing
            setup = max(0.0, rate.setup - (now - seen.taken_up_at))
        else:
            setup = rate.setup
        n_steps = self._n_steps.get(self._arm(trial.id))
        if n_steps is None:
            n_steps = planned_steps(trial)
        return setup + n_steps * rate.step + rate.closing

    def _rates(self) -> dict[Arm, _Rate]:
        """By arm, of those of which a step was timed, or a trial without steps ended."""
        by_arm: dict[Arm, list[_Seen]] = defaultdict(list)
        for arm, seen in (*self._before, *((self._arm(i), s) for i, s in self._seen.items())):
            if seen.first_at is not None:
                by_arm[arm].append(seen)
        rates = {}
        for arm, all_seen in by_arm.items():
            n_steps = sum(seen.last_step - seen.first_step for seen in all_seen)
            spent = sum(seen.last_at - (seen.first_at or 0.0) for seen in all_seen)
            ended = [s.over_at - s.last_at for s in all_seen if s.over_at is not None]
            if n_steps or ended:
                setups = [(s.first_at or 0.0) - s.taken_up_at for s in all_seen]
                rates[arm] = _Rate(_mean(setups), spent / n_steps if n_steps else 0.0, _mean(ended))
        return rates

    def _at_once(self, now: float) -> float:
        """How many trials ran at the same time, on average; never under what runs now."""
        every = [*(seen for _, seen in self._before), *self._seen.values()]
        busy = sum((now if s.over_at is None else s.over_at) - s.taken_up_at for s in every)
        elapsed = now - min(seen.taken_up_at for seen in every)
        n_running = sum(seen.over_at is None for seen in every)
        return max(1.0, float(n_running), busy / elapsed if elapsed > 0 else 0.0)


def planned_steps(trial: TrialSpec) -> int:
    """Training steps that the plan foresees; 0 where it does not know the number of images."""
    if not trial.data.n_train or trial.condition.fine_tune == "none":
        return 0
    if trial.condition.tuning.is_fitted:  # its fit counts as one
        return 1
    train = trial.condition.train.for_images(trial.data.n_train)
    return math.ceil(trial.data.n_train / train.batch_size) * train.epochs


def duration_text(seconds: float) -> str:
    """`12 s`, `3 min 07 s` or `4 h 51 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _parts(rate: _Rate) -> tuple[float, float, float]:
    return rate.setup, rate.step, rate.closing


def _mean(values: Iterable[float]) -> float:
    each = list(values)
    return sum(each) / len(each) if each else 0.0
