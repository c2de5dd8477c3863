"""One trial in several processes: each computes its rows of every batch, and all take one step.

In: what a solo trial gets, and a `Group`. Out: its record, written by the first process. The batch,
its order, its augmentation and its dropout masks are those of the solo trial: each process draws
them for the whole batch and takes its rows. Gradients of the mean loss over the whole batch are
summed over all, so the step is the solo trial's but for the order in which sums are taken.

The sum is one message a step instead of `DistributedDataParallel`, which fixes at its start which
parameters train (gradual unfreezing changes them) and averages with equal weights (the last batch
of an epoch may not divide). The message also carries the loss and the request for a pause.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from datasets import augment
from datasets.base import Dataset
from datasets.split import Split
from harness.runfolder.folder import TrialFolder
from harness.teams.collective import Group
from harness.teams.rules import reason_on_cpus
from harness.training.arrays import Part
from harness.training.context import TrialContext
from harness.training.features import CachedFront
from harness.training.loop import EVALUATION_BATCH, Score, Trainer, loss_function
from harness.training.network import Prepared
from harness.training.trial import Trial
from harness.trials.events import Event, Progress
from harness.trials.spec import TrialSpec
from headstart.errors import InputError
from headstart.rows import TrialRow
from models.dropout import SeededDropout

STEPS_BETWEEN_LOOKS = 16  # on a GPU, where reading the request for a pause waits for the step


def run_shared_trial(
    spec: TrialSpec, folder: TrialFolder, around: TrialContext, group: Group
) -> Iterator[Event]:
    """As `run_trial`, called by every process of the group; the events of the first count.

    Raises:
        LostContactError: another process of the group is gone.
        HeadstartError: as `run_trial`.
    """
    trial = SharedTrial(spec, folder, around, group)
    yield from trial.start()
    while not trial.is_over:
        trial.train()
        yield from trial.pause()
    yield trial.end()


class SharedTrainer(Trainer):
    """A `Trainer` that computes the rows of one process and steps by the gradients of all.

    Args:
        group: the processes.
        n_classes: outputs of the network.
        parts: as `Trainer` takes them.
    """

    def __init__(self, group: Group, n_classes: int, *parts: Any):
        super().__init__(*parts)
        self.group = group
        self.n_classes = n_classes
        self.losses_of = loss_function(self.settings, "none")
        self.asks_for_pause = lambda: False
        self.is_pause_asked = False  # the first process's word, known to all after a step
        modules = list(self.network.modules())
        self._dropouts = [m for m in modules if isinstance(m, SeededDropout)]
        self._has_batch_norm = any(isinstance(m, nn.SyncBatchNorm) for m in modules)
        self._rows, self._n_rows, self._weight = slice(0, 0), 0, 1.0

    def step(self) -> None:
        """One batch, of which this process computes its rows; the update is the same for all."""
        n = self.next_size
        inputs, labels = self.next_batch()
        losses = self.losses_of(self.network(inputs), labels)
        loss = losses.sum() * (self._weight / n)
        self.accelerator.backward(loss)
        self._update(self._sum_gradients(loss.detach().float()), n)

    def _sum_gradients(self, loss: Tensor) -> Tensor:
        """Give each parameter the gradient of the whole batch; returns the mean loss over it."""
        held = [p for g in self.optimizer.param_groups for p in g["params"] if p.grad is not None]
        asked = self.group.is_first and self.asks_for_pause()
        extra = torch.stack([loss, torch.full_like(loss, float(asked))])
        flat = torch.cat([*[p.grad.reshape(-1) for p in held], extra])
        self.group.sum_(flat)
        pieces = flat[:-2].split([p.numel() for p in held])
        for parameter, piece in zip(held, pieces, strict=True):
            parameter.grad.copy_(piece.view_as(parameter))
        every = 1 if self.device.type == "cpu" else STEPS_BETWEEN_LOOKS
        if (self.step_count + 1) % every == 0:
            self.is_pause_asked = bool(flat[-1] > 0)
        return flat[-2]

    def _batch(self, rows: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """This process's rows of the batch `rows`.

        Where there are fewer images than processes, one without any computes the first image with
        weight 0, so that all have gradients of the same parameters; but with batch norm, which
        would count that image, an empty batch.
        """
        self._n_rows, self._rows, self._weight = len(rows), self.group.share(len(rows)), 1.0
        if self._rows.start == self._rows.stop and not self._has_batch_norm:
            self._rows, self._weight = slice(0, 1), 0.0
        for dropout in self._dropouts:
            dropout.rows = (self._rows, self._n_rows)
        return super()._batch(rows[self._rows], out)

    def _draws(self, n: int, image_size: tuple[int, int]) -> augment.Draws:
        return super()._draws(self._n_rows, image_size)[self._rows]

    def evaluate(self, part: Part) -> Score:
        """The solo trainer's score: each batch by one process, summed in the solo order."""
        shape = (math.ceil(len(part) / EVALUATION_BATCH), 2)
        table = torch.zeros(shape, dtype=torch.float64, device=self.device)
        for start, (logits, labels) in zip(self._starts(part), self._outputs(part), strict=True):
            row = table[start // EVALUATION_BATCH]
            row[0] = self.loss_of_batch(logits, labels).double() * len(labels)
            row[1] = (logits.argmax(dim=1) == labels).sum()
        rows = self.group.sum_(table).tolist()
        loss, right = 0.0, 0.0
        for batch_loss, batch_right in rows:
            loss, right = loss + batch_loss, right + batch_right
        return Score(loss / len(part), int(right) / len(part))

    def _logits(self, part: Part) -> Tensor:
        found = torch.zeros(len(part), self.n_classes, device=self.device)
        for start, (logits, labels) in zip(self._starts(part), self._outputs(part), strict=True):
            found[start : start + len(labels)] = logits.float()
        return self.group.sum_(found).cpu()

    def _starts(self, part: Part) -> Iterable[int]:
        first = self.group.rank * EVALUATION_BATCH
        return range(first, len(part), self.group.n * EVALUATION_BATCH)


class SharedTrial(Trial):
    """A `Trial` as one of several processes has it; only the first one writes."""

    trainer: SharedTrainer

    def __init__(self, spec: TrialSpec, folder: TrialFolder, around: TrialContext, group: Group):
        self.group = group
        self.n_workers = group.n
        mine = folder if group.is_first else _Unwritten(folder.path, folder.generation)
        super().__init__(spec, mine, around, ran_as=f"workers-{group.n}")
        self.trainer.asks_for_pause = self._wants_pause
        group.copy_first(self.network.state_dict().values())

    def _prepare_network(self) -> Prepared:
        prepared = super()._prepare_network()
        if self.device.type == "cpu":
            # Looked at when the plan was made; a search may have chosen another network since.
            reason = reason_on_cpus(self.spec, self.group.n, prepared.network, prepared.groups)
            if reason is not None:
                raise InputError(reason)
        else:
            nn.SyncBatchNorm.convert_sync_batchnorm(prepared.network)
            prepared.before_epoch(0)  # new modules: hold again what is frozen
        return prepared

    def _compute_front(
        self, dataset: Dataset, split: Split, accelerator: Accelerator
    ) -> CachedFront | None:
        with self.group.first_before_others():  # who then open the tables that it computed
            return super()._compute_front(dataset, split, accelerator)

    def _make_trainer(self, *parts: Any) -> SharedTrainer:
        return SharedTrainer(self.group, len(self.spec.data.class_names), *parts)

    def is_pause_due(self) -> bool:
        return self._is_evaluation_due() or self.trainer.is_pause_asked

    def pause(self) -> Iterator[Progress]:
        """As the solo trial's; whether to save and to stop is the first process's word."""
        if self._is_evaluation_due():
            yield self._evaluate()
        stops = self.group.is_first and self.around.should_stop()
        saves = self.group.is_first and self._wants_pause()
        self.stopped, saves = self.group.word_of_first(stops, stops or saves)
        self.trainer.is_pause_asked = False
        if saves:
            self._save_state()

    def _wants_pause(self) -> bool:
        return self.around.should_stop() or self.around.now() >= self.next_state_at

    def _save_state(self) -> None:
        if self.group.is_first:
            super()._save_state()

    def _state(self) -> Path | io.BytesIO | None:
        """The first process's state: a folder of another machine may not show it yet."""
        path = self.folder.state_file()
        content = self.group.bytes_of_first(path.read_bytes() if path else b"")
        return io.BytesIO(content) if content else None

    def _go_on_from(self, ran_as: str) -> None:
        """Steps made in other ways stay in the weights and the seconds: say all of them."""
        if self.ran_as not in ran_as.split("+"):
            self.ran_as = f"{ran_as}+{self.ran_as}"
        else:
            self.ran_as = ran_as

    def _save_checkpoint(self, step: int) -> None:
        if self.group.is_first:
            super()._save_checkpoint(step)

    def _finish(self) -> TrialRow:
        if self.group.is_first:
            return super()._finish()
        if not self.diverged and len(self.parts.test):  # the first one waits for our part of it
            self.trained.load_state_dict(self.record.best_weights)
            self.trainer.predict(self.parts.test)
        return TrialRow()  # the first process has the row


@dataclass(frozen=True)
class _Unwritten(TrialFolder):
    """The trial's folder for a process that writes nothing there."""

    def begin(self) -> int:
        return 0

    def state_file(self) -> None:
        return None
