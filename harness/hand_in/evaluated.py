"""The networks that are handed in: the four evaluations of Assignment 4, of one seed.

In: a plan. Out: the trials in the assignment's order, or one line that says what stands against it.
It stands alone because a sweep is refused by it before any trial runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.sweepfile.settings import Condition
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import InputError
from headstart.four_evaluations import titles

WANTED = "an arm with fine_tune: none, one with last_layer and one with last_N (such as last_2)"


@dataclass(frozen=True)
class Evaluated:
    """One evaluation. `number`: `1` … `4`, or `4a`, `4b` where several numbers of layers ran."""

    number: str
    title: str
    trial: TrialSpec

    @property
    def key(self) -> str:
        """The name of its function in the code and of its weights."""
        if self.trial.stage == "pretrain":
            return "pretrained"
        word = str(self.trial.condition.fine_tune)
        return {"none": "not_tuned", "last_1": "last_layer"}.get(word, word)

    @property
    def is_tuned(self) -> bool:
        return self.trial.stage == "arm" and self.trial.condition.fine_tune != "none"


def evaluations_of(plan: Plan, seed: int) -> list[Evaluated]:
    """The evaluations of a seed, in the assignment's order.

    Raises:
        InputError: the sweep has no such arms, or they do not start alike.
    """
    arms = {t.arm: t for t in plan.trials if t.stage == "arm" and t.seed == seed}
    if not arms:
        seeds = sorted({t.seed for t in plan.trials if t.stage == "arm"})
        raise _refused(f"seed {seed} is none of the sweep's ({_few(seeds)})")
    groups = [_arms(arms, pattern) for pattern in ("none", "last_layer|last_1", r"last_[2-9]\d*")]
    if not all(groups):
        raise _refused(f"the four evaluations of Assignment 4 need {WANTED}, each with "
                       "initialize: STAGE")  # fmt: skip
    (first, *_), *_ = groups
    for trial in (trial for group in groups for trial in group):
        if (trial.parent, trial.condition.head) != (first.parent, first.condition.head):
            raise _refused(f"{trial.arm} and {first.arm} do not start from the same network")
        if trial.data.fingerprint != first.data.fingerprint:
            raise _refused(f"{trial.arm} and {first.arm} have other images")
    stage = plan.by_id[str(first.parent)]
    numbered = enumerate(([stage], *groups))
    return [each for k, group in numbered for each in _of(k, group, stage.data.choice.shown)]


def _arms(arms: dict[str, TrialSpec], pattern: str) -> list[TrialSpec]:
    """Those that start from a stage and train so; each number of layers once."""
    chosen = {
        str(trial.condition.fine_tune): trial
        for trial in reversed(arms.values())
        if trial.condition.start.kind == "stage"
        and re.fullmatch(pattern, str(trial.condition.fine_tune))
    }
    return sorted(chosen.values(), key=lambda trial: _n_layers(trial.condition))


def _n_layers(condition: Condition) -> int:
    return int(re.sub(r"\D", "", str(condition.fine_tune)) or 1)


def _of(k: int, group: list[TrialSpec], pretrained_on: str) -> Iterator[Evaluated]:
    for j, trial in enumerate(group):
        letter = chr(ord("a") + j) if len(group) > 1 else ""
        title = titles(pretrained_on, _n_layers(trial.condition))[k]
        yield Evaluated(f"{k + 1}{letter}", title, trial)


def _few(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + " …" * (len(seeds) > 5)


def _refused(text: str) -> InputError:
    return InputError(f"deliver.hand_in: {text}")
