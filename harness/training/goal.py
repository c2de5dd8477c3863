"""What a trial's outputs are held against, where labels are no classes without an order.

In: a data set's target and its training images. Out: a `Goal`: its losses of logits, what the
logits answer, and its `Score`. It stands alone so that a step knows labels as numbers of rows
alone, whatever the rows hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.base import Dataset
from datasets.target import Target
from harness.sweepfile.settings import Train
from harness.training.score import Score, class_counts, score_of
from harness.training.target_scores import scores_of_grades, scores_of_labels, scores_of_numbers
from headstart.errors import DataError
from headstart.metrics import WITHOUT_ACCURACY

Reduction = Literal["mean", "none"]
Losses = Callable[[Tensor, Tensor], Tensor]
Right = np.ndarray
"""What answers to images should be: int64 (images,), classes or places in their order; of several
labels float (images, labels) of 0 and 1; of numbers float (images, 1), in their unit."""
_OF_NUMBERS: dict[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
}


@dataclass(frozen=True)
class Goal:
    """What each label stands for.

    Attributes:
        kind: `labels`, `ordered` or `number`.
        table: float32 (values, outputs): what the outputs should be; numbers are standardised.
        mean, sd: of the training images' numbers, in the target's unit; the standard deviation
            divides by their count. Both say nothing of other kinds.
    """

    kind: str
    table: Tensor
    mean: float = 0.0
    sd: float = 1.0

    @classmethod
    def of(cls, dataset: Dataset, train: np.ndarray, device: torch.device) -> Goal | None:
        """Of a data set; None where it asks for classes. `train`: indices of its training images.

        Raises:
            DataError: all training images have one number, so there is nothing to learn.
        """
        target = dataset.target
        if target is None:
            return None
        table, mean, sd = target.table.astype(np.float64), 0.0, 1.0
        if target.kind == "number":
            numbers = table[dataset.labels[train], 0]
            mean, sd = float(numbers.mean()), float(numbers.std())
            if sd == 0:
                raise DataError(
                    f"data set '{dataset.name}' ({dataset.source}): all {len(train):,} training "
                    f"images have the number {mean:g}, so there is nothing to learn"
                )
            table = (table - mean) / sd
        return cls(target.kind, torch.from_numpy(table.astype(np.float32)).to(device), mean, sd)

    @classmethod
    def on_noise(cls, kind: str, n_outputs: int, device: torch.device | str) -> Goal | None:
        """One that a step on noise can be tried with; its labels are 0 … outputs − 1."""
        return cls(kind, torch.eye(n_outputs, device=device)) if kind else None

    @property
    def has_accuracy(self) -> bool:
        """Whether an answer is one class, right or wrong."""
        return self.kind not in WITHOUT_ACCURACY

    def on(self, device: torch.device | str) -> Goal:
        """The same with its table on a device."""
        return replace(self, table=self.table.to(device))

    def losses(self, settings: Train, reduction: Reduction) -> Losses | None:
        """Mean loss of a batch, or each image's, from logits and labels; None: one of classes."""
        if self.kind == "labels":
            return lambda logits, labels: _of_labels(
                logits, self.table[labels], settings.label_smoothing, reduction
            )
        if self.kind == "number":
            loss = _OF_NUMBERS[settings.loss]
            return lambda logits, labels: loss(
                logits[:, 0].float(), self.table[labels, 0], reduction=reduction
            )
        if settings.loss == "ordinal":
            return lambda logits, labels: ordinal(logits, labels, reduction)
        return None

    def answers(self, logits: Tensor) -> Tensor:
        """float64 (images, outputs): probabilities, or the number in its unit."""
        return answers_of(self.kind, logits, self.mean, self.sd)

    def right(self, labels: Tensor) -> Tensor:
        """float64 (images, outputs): what answers should be; of ordered classes the place."""
        return self.table[labels].double().mul(self.sd).add(self.mean)

    def score(self, loss: float, logits: Tensor, labels: Tensor) -> Score:
        """Of all images of a part; logits float32 (images, outputs) and labels on the CPU."""
        if self.kind == "ordered":
            return score_of_target(self.kind, loss, logits, labels)
        return score_of_target(self.kind, loss, self.answers(logits), self.right(labels))


def score_of_target(kind: str, loss: float, answers: Tensor, right: Tensor) -> Score:
    """The score of answers (images, outputs) on the CPU: probabilities, or numbers in their unit.

    Args:
        right: as `Right` says.
    """
    if kind == "ordered":
        given, n_grades = answers.argmax(dim=1), answers.shape[1]
        score = score_of(loss, len(right), class_counts(given, right, n_grades).tolist())
        return replace(score, of_target=scores_of_grades(given.numpy(), right.numpy(), n_grades))
    said, wanted = answers.double().numpy(), right.double().numpy()
    if kind == "number":
        return Score(loss, math.nan, of_target=scores_of_numbers(said[:, 0], wanted[:, 0]))
    scores = scores_of_labels(said, wanted)
    return Score(loss, math.nan, macro_f1=scores.pop("macro_f1"), of_target=scores)


def loss_of_target(
    kind: str, settings: Train, logits: Tensor, right: Tensor, scale: tuple[float, float]
) -> float:
    """The mean loss of logits (images, outputs) with a target; `settings` are those of its kind.

    Args:
        right: as `Right` says.
        scale: mean and standard deviation by which numbers were standardised.
    """
    if kind == "ordered" and settings.loss == "ordinal":
        return float(ordinal(logits, right, "mean"))
    mean, sd = scale
    rows = torch.arange(len(right))
    losses = Goal(kind, ((right.double() - mean) / sd).float(), mean, sd).losses(settings, "mean")
    assert losses is not None, "other losses of ordered classes are those of classes"
    return float(losses(logits, rows))


def answers_of(kind: str, logits: Tensor, mean: float, sd: float) -> Tensor:
    """float64: probabilities (images, outputs), or numbers (images, 1) in their unit."""
    if kind == "labels":
        return logits.double().sigmoid()
    if kind == "number":
        return logits.double().mul(sd).add(mean)
    return logits.double().softmax(dim=-1)


def target_scale(target: Target | None, goal: Goal | None) -> dict[str, object] | None:
    """What a record keeps, so that outputs can be read later; None where they are classes."""
    if target is None or goal is None:
        return None
    kept: dict[str, object] = {"kind": target.kind, "unit": target.unit}
    return {**kept, "mean": goal.mean, "sd": goal.sd} if target.kind == "number" else kept


def ordinal(logits: Tensor, labels: Tensor, reduction: Reduction) -> Tensor:
    """The mean over the K − 1 thresholds of the cross-entropy of "is the class above it?".

    These are the binary tasks of Li and Lin (2006) and Niu et al. (2016). Their probabilities are
    sums of one softmax over the K classes, so they fall from threshold to threshold by
    construction, which Cao et al. (2020, CORAL) reach by shared weights.

    Args:
        logits: (images, K). labels: int64 (images,), places in the order.
    """
    log_p = F.log_softmax(logits.float(), dim=1)
    below = torch.logcumsumexp(log_p, dim=1)[:, :-1]  # log P(class ≤ k), k = 0 … K − 2
    above = torch.logcumsumexp(log_p.flip(1), dim=1).flip(1)[:, 1:]  # log P(class > k)
    thresholds = torch.arange(logits.shape[1] - 1, device=logits.device)
    losses = -torch.where(labels[:, None] > thresholds, above, below).mean(dim=1)
    return losses.mean() if reduction == "mean" else losses


def _of_labels(logits: Tensor, targets: Tensor, smoothing: float, reduction: Reduction) -> Tensor:
    """Each label by itself, is it there or not: the mean over labels of the cross-entropy."""
    targets = targets * (1 - smoothing) + smoothing / 2 if smoothing else targets
    losses = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return losses.mean() if reduction == "mean" else losses.mean(dim=1)
