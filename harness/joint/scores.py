"""The evaluations of a pack's trials as one computation: the solo scores, to rounding.

In: trainers at the same step, the part of the data that each is scored on, and their networks as
one. Out: a score for each trainer. Alone, each trainer launches an evaluation of its own, and the
host reads two numbers of each; together they launch one, and the host reads one table. It stands
alone because both ways of joint steps are evaluated in this way.

Batches are bounded: an evaluation shows each network at most as many images as a training step
does, or all networks together as many as a solo evaluation shows one. So it takes less memory than
what a pack has taken before. Where it does not fit nevertheless, batches are halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.joint.batches import prepared, shared_rows
from harness.joint.steps import Network
from harness.training.arrays import Part
from harness.training.loop import Trainer, both_ways, loss_function
from harness.training.machine import EVALUATION_BATCH, MOST_PIXELS
from harness.training.memory import halved_until_it_fits
from harness.training.score import Score, class_counts, right_sums, score_of, with_right

AsOne = Callable[[Sequence[Trainer]], Network]
LOGITS_BYTES = 1_000_000_000  # of all images' outputs that lie on the device at once


def evaluate(
    trainers: Sequence[Trainer], parts: Sequence[Part], as_one: AsOne, n_classes: int
) -> list[tuple[Score, Score]]:
    """Each trainer's score on its part, and what `take_train_score` gives.

    Args:
        trainers: of equal settings.
        parts: one for each; they may be of several lengths, and share images or not.
        as_one: the trainers' networks as one.
        n_classes: of the data.
    """
    results: dict[int, tuple[Score, Score]] = {}
    for places in _of_equal_length(parts):
        group = _Group([trainers[k] for k in places], [parts[k] for k in places], as_one)
        results.update(zip(places, group.evaluate(n_classes), strict=True))
    torch._foreach_zero_([trainer.loss_sum for trainer in trainers])
    torch._foreach_zero_([trainer.n_right for trainer in trainers])
    for trainer in trainers:
        trainer.loss_count = 0
    return [results[k] for k in range(len(trainers))]


def predict(
    trainers: Sequence[Trainer], parts: Sequence[Part], as_one: AsOne, n_classes: int
) -> list[tuple[Score, Tensor]]:
    """Each trainer's score on its part, and its logits float32 (N, classes) on the CPU."""
    results: dict[int, tuple[Score, Tensor]] = {}
    for same in _of_equal_length(parts):
        most = max(1, LOGITS_BYTES // (4 * n_classes * len(parts[same[0]])))
        for begin in range(0, len(same), most):
            places = same[begin : begin + most]
            group = _Group([trainers[k] for k in places], [parts[k] for k in places], as_one)
            results.update(zip(places, group.predict(n_classes), strict=True))
    return [results[k] for k in range(len(trainers))]


def _of_equal_length(parts: Sequence[Part]) -> list[list[int]]:
    """Places of parts that have the same number of images, and inputs of the same shape."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, part in enumerate(parts):
        key = (len(part), part.right is not None, *part.shape)
        groups.setdefault(key, []).append(k)
    return list(groups.values())


@dataclass(eq=False, repr=False)
class _Group:
    """Trainers whose parts have equally many images."""

    trainers: Sequence[Trainer]
    parts: Sequence[Part]
    as_one: AsOne

    def __post_init__(self) -> None:
        self.lead, self.part = self.trainers[0], self.parts[0]
        self.rows = shared_rows(self.parts)
        self.labels = torch.stack([part.labels for part in self.parts])
        right = [part.right for part in self.parts if part.right is not None]
        self.right = torch.stack(right) if len(right) == len(self.parts) else None

    def evaluate(self, n_classes: int) -> list[tuple[Score, Score]]:
        sums = self._at_a_size_that_fits(lambda size: self._sums(size, n_classes))
        losses = torch.stack([trainer.loss_sum for trainer in self.trainers])
        right = torch.stack([trainer.n_right for trainer in self.trainers]).sum(dim=1)
        table = torch.cat([losses[:, None].double(), right[:, None], sums], dim=1)
        results = []
        for trainer, row in zip(self.trainers, table.tolist(), strict=True):  # one copy to the host
            train_loss, train_right, loss = row[:3]
            n, end = len(self.part), 3 + 3 * n_classes
            counts = [row[k : k + n_classes] for k in range(3, end, n_classes)]
            n_trained = trainer.loss_count
            trained = Score(_mean(train_loss, n_trained), _mean(train_right, n_trained))
            score = with_right(score_of(loss / n, n, counts), row[end:], n)
            results.append((score, trained))
        return results

    def predict(self, n_classes: int) -> list[tuple[Score, Tensor]]:
        outputs = self._at_a_size_that_fits(lambda size: self._all_outputs(size, n_classes)).cpu()
        loss_of = loss_function(self.lead.settings)
        results = []
        for logits, part in zip(outputs, self.parts, strict=True):
            labels = part.labels.cpu()
            counts = class_counts(logits.argmax(dim=1), labels, n_classes).tolist()
            score = score_of(float(loss_of(logits, labels)), len(part), counts)
            results.append((score, logits.clone()))  # else all logits live as long as the last
        return results

    def _at_a_size_that_fits(self, compute: Callable[[int], Tensor]) -> Tensor:
        result, _ = halved_until_it_fits(compute, images_of_each(self.lead, self.part, self.n))
        return result

    @property
    def n(self) -> int:
        return len(self.trainers)

    def _sums(self, size: int, n_classes: int) -> Tensor:
        """Sums of losses, and the counts of each class: float64 (K, 1 + 3 × classes).

        Where right labels are watched, the two sums of `right_sums` follow.
        """
        losses_of = loss_function(self.lead.settings, "none")
        end = 1 + 3 * n_classes
        shape = (self.n, end if self.right is None else end + 2)
        sums = torch.zeros(shape, dtype=torch.float64, device=self.lead.device)
        for start, logits in self._outputs(size):
            labels = self.labels[:, start : start + logits.shape[1]]
            losses = losses_of(logits.flatten(0, 1), labels.flatten()).view(labels.shape)
            sums[:, 0] += losses.sum(dim=1, dtype=torch.float64)
            sums[:, 1:end] += class_counts(logits.argmax(dim=2), labels, n_classes).flatten(1)
            if self.right is not None:
                sums[:, end:] += right_sums(logits, self.right[:, start : start + logits.shape[1]])
        return sums

    def _all_outputs(self, size: int, n_classes: int) -> Tensor:
        shape = (self.n, len(self.part), n_classes)
        outputs = torch.zeros(shape, device=self.lead.device)
        for start, logits in self._outputs(size):
            outputs[:, start : start + logits.shape[1]] = logits
        return outputs

    @torch.no_grad()
    def _outputs(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """Where each batch begins, and its logits float32 (K, batch, classes)."""
        with _evaluation_mode(self.lead):
            network = self.as_one(self.trainers)
            network = both_ways(network) if self.lead.settings.evaluate_mirrored else network
            for part in self.parts:
                part.follow(np.split(np.arange(len(part)), range(size, len(part), size)))
            for start in range(0, len(self.part), size):
                stop = min(start + size, len(self.part))
                yield start, network(prepared(self._inputs(start, stop), self.lead.normalise))

    def _inputs(self, start: int, stop: int) -> Tensor:
        """A copy of each part's images, (K, batch, …)."""
        if self.rows is not None:
            return self.part.at(self.rows[:, start:stop])
        return torch.stack([part.between(start, stop) for part in self.parts])


def images_of_each(trainer: Trainer, part: Part, n: int) -> int:
    """How many images each of `n` networks is shown at once; see the head of this file.

    A function of the pack and of the images alone.
    """
    of_all = MOST_PIXELS // values_of_image(trainer, part)
    return max(1, min(EVALUATION_BATCH, max(trainer.settings.batch_size, of_all // n)))


def values_of_image(trainer: Trainer, part: Part) -> int:
    """Pixels of an image, or numbers of its features."""
    shape = part.shape
    return math.prod(shape if trainer.normalise is None else shape[-2:])


@contextmanager
def _evaluation_mode(lead: Trainer) -> Iterator[None]:
    """Of networks as one the first one's mode counts."""
    lead.network.eval()
    try:
        yield
    finally:
        lead.network.train()


def _mean(total: float, n: int) -> float:
    return total / n if n else math.nan
