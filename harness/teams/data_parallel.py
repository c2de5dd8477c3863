"""One trial in several processes: each computes its rows of every batch, and all take one step.

In: a trainer in each process, and the `Ranks` that share the trial. Out: the trainers some steps
further. The batch, its order, its augmentation and its dropout masks are those of the solo trial:
each rank draws them for the whole batch and takes its rows. Gradients of the mean loss over the
whole batch are summed over all ranks, so the step is the solo trial's but for the order in which
sums are taken.

The sums are taken while the backward pass runs (`gradient_sum.py`), not by
`DistributedDataParallel`: that fixes at its start which parameters train (gradual unfreezing
changes them) and averages with equal weights (the last batch of an epoch may not divide). With the
gradients travel the loss, the first rank's wish to pause, and running statistics of batch norm
where each rank has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.teams.batch_norm import SharedBatchNorm, batch_norms, synchronise
from harness.teams.gradient_sum import GradientSum
from harness.training.loop import Trainer, loss_function
from harness.training.network import Prepared
from harness.training.ranks import Ranks
from harness.training.steps import Asked, Steps
from harness.trials.spec import TrialSpec
from models.dropout import SeededDropout

STEPS_BETWEEN_LOOKS = 16  # on a GPU, where reading the wish to pause waits for the step


class SharedSteps(Steps):
    """Steps of one trial that the ranks of a group share."""

    def __init__(self, ranks: Ranks, bucket_bytes: float | None = None):
        self.ranks = ranks
        self.bucket_bytes = bucket_bytes  # None: the usual
        self.ran_as = f"workers-{ranks.n}"
        self._shared: _SharedTrainer | None = None

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        (trainer,) = trainers
        if self._shared is None or self._shared.trainer is not trainer:
            self._shared = _SharedTrainer(trainer, self.ranks, wants_pause, self.bucket_bytes)
        shared = self._shared
        shared.is_pause_agreed = False
        shared.step()
        while not (is_due() or shared.is_pause_agreed):
            shared.step()

    def fitted(self, spec: TrialSpec, prepared: Prepared) -> Prepared:
        """The network, whose batch norm takes its statistics over all ranks, unless each has own.

        Raises:
            InputError: batch norm that cannot be shared.
        """
        prepared = super().fitted(spec, prepared)
        if spec.condition.train.batch_norm_parts == 1:
            synchronise(prepared.network, self.ranks)
            prepared.before_epoch(0)  # new modules: hold again what is frozen
        return prepared

    def name_after(self, before: str) -> str:
        """Each way in which steps were made, in order: all of them stay in weights and seconds."""
        return before if self.ran_as in before.split("+") else f"{before}+{self.ran_as}"


@dataclass
class _SharedTrainer:
    """A trainer whose steps all ranks make together."""

    trainer: Trainer
    ranks: Ranks
    wants_pause: Asked
    bucket_bytes: float | None
    is_pause_agreed: bool = False  # the first rank's wish, which all know after a step

    def __post_init__(self) -> None:
        trainer, settings = self.trainer, self.trainer.settings
        self.losses_of = loss_function(settings, "none", trainer.goal)
        modules = list(trainer.network.modules())
        self.dropouts = [m for m in modules if isinstance(m, SeededDropout)]
        self.synchronised = [m for m in modules if isinstance(m, SharedBatchNorm)]
        norms = batch_norms(trainer.network) if settings.batch_norm_parts > 1 else []
        self.running = [
            (norm, statistic)
            for norm in norms
            for statistic in (norm.running_mean, norm.running_var)
            if statistic is not None
        ]
        parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]
        n_extra = sum(statistic.numel() for _, statistic in self.running) + 2
        self.gradients = GradientSum(parameters, self.ranks, n_extra, self.bucket_bytes)
        self.looks_every = 1 if trainer.device.type == "cpu" else STEPS_BETWEEN_LOOKS

    def step(self) -> None:
        """One batch, of which this rank computes its rows; the update is the same for all."""
        trainer, n = self.trainer, self.trainer.next_size
        rows, weight = self._share(n)
        for dropout in self.dropouts:
            dropout.rows = (rows, n)
        for norm in self.synchronised:
            norm.n_rows = n
        inputs, labels = trainer.next_batch(rows=rows)
        logits = trainer.network(inputs)
        if weight:
            trainer.count_right(logits, labels)
        losses = trainer.weighed(self.losses_of(logits, labels), labels)
        loss = losses.sum() * (weight / n)
        self.gradients.begin(self._extra(loss.detach().float()))
        trainer.backward(loss)
        trainer.update(self._take_extra(self.gradients.finish()), n)

    def _share(self, n: int) -> tuple[slice, float]:
        """This rank's rows of a batch of `n` images, and the weight of their loss.

        Where there are fewer images than ranks, a rank without any computes the first image with
        weight 0, so that all have gradients of the same parameters; but where batch norm trains
        over all ranks, which would count that image, an empty batch.
        """
        rows = self.ranks.share(n)
        if rows.start < rows.stop or any(norm.training for norm in self.synchronised):
            return rows, 1.0
        return slice(0, 1), 0.0

    def _extra(self, loss: Tensor) -> Tensor:
        """What travels with the gradients: this rank's running statistics, loss and wish."""
        wish = float(self.ranks.is_first and self.wants_pause())
        numbers = torch.stack([loss, torch.full_like(loss, wish)])
        return torch.cat([*[statistic for _, statistic in self.running], numbers])

    def _take_extra(self, sums: Tensor) -> Tensor:
        """Running statistics become the mean of the ranks'; returns the mean loss of the batch."""
        pieces = sums[:-2].split([statistic.numel() for _, statistic in self.running])
        for (norm, statistic), piece in zip(self.running, pieces, strict=True):
            if norm.training:  # else it is frozen
                statistic.copy_(piece / self.ranks.n)
        if (self.trainer.step_count + 1) % self.looks_every == 0:
            self.is_pause_agreed = float(sums[-1]) > 0
        return sums[-2]
