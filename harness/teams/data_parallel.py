"""One trial in several processes: each computes its rows of every batch, and all take one step.

In: a trainer in each process, and the `Ranks` that share the trial. Out: the trainers some steps
further. The batch, its order, its augmentation and its dropout masks are those of the solo trial:
each rank draws them for the whole batch and takes its rows. Gradients of the mean loss over the
whole batch are summed over all ranks, so the step is the solo trial's but for the order in which
sums are taken.

The sum is one message a step instead of `DistributedDataParallel`, which fixes at its start which
parameters train (gradual unfreezing changes them) and averages with equal weights (the last batch
of an epoch may not divide). The message also carries the loss and the first rank's wish to pause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.teams.rules import reason_on_cpus
from harness.training.loop import Trainer, loss_function
from harness.training.network import Prepared
from harness.training.ranks import Ranks
from harness.training.steps import Asked, Steps
from harness.trials.spec import TrialSpec
from headstart.errors import InputError
from models.dropout import SeededDropout

STEPS_BETWEEN_LOOKS = 16  # on a GPU, where reading the wish to pause waits for the step


class SharedSteps(Steps):
    """Steps of one trial that the ranks of a group share."""

    def __init__(self, ranks: Ranks):
        self.ranks = ranks
        self.ran_as = f"workers-{ranks.n}"

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        (trainer,) = trainers
        shared = _SharedTrainer(trainer, self.ranks, wants_pause)
        shared.step()
        while not (is_due() or shared.is_pause_agreed):
            shared.step()

    def fitted(self, spec: TrialSpec, prepared: Prepared) -> Prepared:
        """The network, whose batch norm on GPUs takes its statistics over all ranks.

        Raises:
            InputError: batch norm that trains, on CPUs. The plan was checked for it, but a search
                may have chosen another network since.
        """
        device = next(prepared.network.parameters()).device
        if device.type == "cpu":
            reason = reason_on_cpus(spec, self.ranks.n, prepared.network, prepared.groups)
            if reason is not None:
                raise InputError(reason)
        else:
            convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
            convert(prepared.network)
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
    is_pause_agreed: bool = False  # the first rank's wish, which all know after a step

    def __post_init__(self) -> None:
        self.losses_of = loss_function(self.trainer.settings, "none")
        modules = list(self.trainer.network.modules())
        self.dropouts = [m for m in modules if isinstance(m, SeededDropout)]
        self.has_batch_norm = any(isinstance(m, nn.SyncBatchNorm) for m in modules)
        self.looks_every = 1 if self.trainer.device.type == "cpu" else STEPS_BETWEEN_LOOKS

    def step(self) -> None:
        """One batch, of which this rank computes its rows; the update is the same for all."""
        trainer, n = self.trainer, self.trainer.next_size
        rows, weight = self._share(n)
        for dropout in self.dropouts:
            dropout.rows = (rows, n)
        inputs, labels = trainer.next_batch(rows=rows)
        losses = self.losses_of(trainer.network(inputs), labels)
        loss = losses.sum() * (weight / n)
        trainer.accelerator.backward(loss)
        trainer.update(self._sum_gradients(loss.detach().float()), n)

    def _share(self, n: int) -> tuple[slice, float]:
        """This rank's rows of a batch of `n` images, and the weight of their loss.

        Where there are fewer images than ranks, a rank without any computes the first image with
        weight 0, so that all have gradients of the same parameters; but with batch norm, which
        would count that image, an empty batch.
        """
        rows = self.ranks.share(n)
        if rows.start == rows.stop and not self.has_batch_norm:
            return slice(0, 1), 0.0
        return rows, 1.0

    def _sum_gradients(self, loss: Tensor) -> Tensor:
        """Give each parameter the gradient of the whole batch; returns the mean loss over it."""
        groups = self.trainer.optimizer.param_groups
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        wish = float(self.ranks.is_first and self.wants_pause())
        extra = torch.stack([loss, torch.full_like(loss, wish)])
        flat = torch.cat([*[gradient.reshape(-1) for gradient in gradients], extra])
        self.ranks.sum_(flat)
        pieces = torch.split(flat[:-2], [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
        if (self.trainer.step_count + 1) % self.looks_every == 0:
            self.is_pause_agreed = bool(flat[-1] > 0)
        return flat[-2]
