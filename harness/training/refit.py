"""What a refit repeats: the epochs and the learning rates of the arm's trial, on more images.

In: the record and the curve of the trial that validation looked at. Out: a `Replay`: how many steps
the refit makes, and the learning rate of each. It stands alone because only a refit knows its rates
before it begins.

A refit trains for as many *epochs* as the trial until the step whose weights it kept, so it
makes more steps, as it has more images. Goodfellow, Bengio and Courville (2016, section 7.8) name
both ways and no rule between them. Epochs it is, because each image is then seen as often as in the
trial, and what goes by epochs (gradual unfreezing, `step` schedules) falls where it fell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from harness.sweepfile.settings import Monitor, Train
from harness.training.schedules import ProbePhase, make_schedule
from headstart.errors import RunFolderError
from headstart.records import trial_curve, trial_row
from headstart.rows import TrialRow

Rates = list[list[float]]  # of each step, of each group of the optimizer


@dataclass(frozen=True)
class Replay:
    """The course of a trial until the step whose weights it kept.

    Attributes:
        settings: how it trained, with the epochs that it had.
        steps_per_epoch: of it.
        best_step: the step whose weights it kept: validation chose it, or it is the last.
        scores: of each evaluation, by its step: the validation scores that a schedule may watch.
        probe: its first epochs, where they were a training of their own.
        probe_l2: that validation chose, where its head was fitted.
    """

    settings: Train
    steps_per_epoch: int
    best_step: int
    scores: dict[int, dict[str, float]]
    probe: ProbePhase | None = None
    probe_l2: float | None = None

    @classmethod
    def of(
        cls, course: bytes, settings: Train, steps_per_epoch: int, probe: ProbePhase | None = None
    ) -> Replay:
        """From what `read_course` gives."""
        content = json.loads(course)
        scores = dict(content["scores"])
        best_step, probe_l2 = content["best_step"], content["probe_l2"]
        return cls(settings, steps_per_epoch, best_step, scores, probe, probe_l2)

    def n_steps(self, steps_per_epoch: int) -> int:
        """Steps of a refit that makes so many in an epoch: as many epochs, a begun step whole."""
        return -(-self.best_step * steps_per_epoch // self.steps_per_epoch)

    def schedule(self, optimizer: Optimizer, steps_per_epoch: int) -> LambdaLR:
        """The rates of the trial, each at the same place of its epoch."""
        rates = self.rates([float(group["lr"]) for group in optimizer.param_groups])

        def rate(group: int, step: int) -> float:
            place = step * self.steps_per_epoch // steps_per_epoch
            return rates[min(place, len(rates) - 1)][group]

        return _Rates(optimizer, [partial(rate, k) for k in range(len(optimizer.param_groups))])

    def rates(self, first: list[float]) -> Rates:
        """The learning rate of every step of the trial, for groups that begin with `first`.

        The trial's own schedule is walked through, with what validation told it.
        """
        groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in first]
        walker = SGD(groups, lr=first[0])
        n_steps = self.steps_per_epoch * self.settings.epochs
        schedule = make_schedule(walker, self.settings, self.steps_per_epoch, n_steps, self.probe)
        rates = []
        for step in range(max(1, self.best_step)):
            if isinstance(schedule, ReduceLROnPlateau) and step in self.scores:
                schedule.step(self.scores[step][self.settings.schedule.monitor])
            rates.append([float(group["lr"]) for group in walker.param_groups])
            if isinstance(schedule, LambdaLR):
                walker.step()  # PyTorch warns of a schedule that moves before its optimizer
                schedule.step()
        return rates


class _Rates(LambdaLR):
    """A schedule whose functions give the rates themselves, and no factors of a first rate."""

    def get_lr(self) -> list[float | torch.Tensor]:
        return [rate(self.last_epoch) for rate in self.lr_lambdas]


def read_course(run: Path, trial_id: str) -> bytes:
    """What a refit needs of the trial that it repeats, for all ranks of the refit.

    Raises:
        RunFolderError: the trial has no record of a finished training, or it is damaged.
    """
    row = _refitted(run, trial_id)
    points = trial_curve(run, trial_id, row)
    scores = [
        (point.step, {name: getattr(point, name) for name in get_args(Monitor)}) for point in points
    ]
    course = {"best_step": row.best_step, "scores": scores, "probe_l2": row.probe_l2}
    return json.dumps(course).encode()


def chosen_before(run: Path, trial_id: str) -> tuple[str, ...]:
    """The layer groups that the trial chose to train (`fine_tune: surgical`).

    Raises:
        RunFolderError: as of `read_course`.
    """
    return _refitted(run, trial_id).chosen_layers


def _refitted(run: Path, trial_id: str) -> TrialRow:
    folder = run / "trials" / trial_id
    row = trial_row(folder)
    if row is None or row.status != "done" or row.best_step is None:
        raise RunFolderError(f"{folder}: has no finished trial to refit")
    return row
