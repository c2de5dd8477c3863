"""What the trainers of a pack are shown: all batches of a step, taken by few operations.

In: trainers or parts of the same length. Out: inputs (K, batch, …) and labels (K, batch). A GPU
waits for each launch, and K seeds that take their own batches would launch K times as much. It
stands alone because steps of both kinds and evaluations take their images in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer

GATHER_BYTES = 64_000_000  # of features that are gathered at once on a GPU


def shared_rows(parts: Sequence[Part]) -> Tensor | None:
    """Each part's rows int64 (K, images) of the one table that they share; None if they do not."""
    rows = [p.rows for p in parts if p.rows is not None and p.inputs is parts[0].inputs]
    return torch.stack(rows) if len(rows) == len(parts) else None


def prepared(inputs: Tensor, normalise: Normalise | None) -> Tensor:
    """Inputs (K, batch, …) as the networks take them; features need no normalising."""
    if normalise is None:
        return inputs.float()
    return torch.unflatten(normalise.images(inputs.flatten(0, 1)), 0, inputs.shape[:2])


class FeatureBatches:
    """The batches of trainers of tails, step after step.

    On a GPU one operation gathers the features of several steps, as many as `GATHER_BYTES` hold. On
    a CPU it gathers those of one step, into memory that stays in the caches. Seeds with fronts of
    their own have tables of their own: there each seed's features are an operation.

    Args:
        trainers: at the same step, with equally many training images.
        draws_masks: whether a step draws dropout masks, which are seeded then.
    """

    def __init__(self, trainers: Sequence[Trainer], draws_masks: bool):
        self.trainers, self.lead = trainers, trainers[0]
        self.masked = trainers if draws_masks else ()
        parts = [trainer.part for trainer in trainers]
        self.tables = [part.inputs for part in parts]
        self.is_shared = all(table is self.tables[0] for table in self.tables)
        self.rows = torch.stack([_rows(part) for part in parts])
        self.answers = torch.stack([part.labels for part in parts])
        self.size = self.lead.settings.batch_size
        step_bytes = len(trainers) * self.size * self.tables[0][0].nbytes
        on_gpu = self.lead.device.type == "cuda"
        self.n_at_once = max(1, GATHER_BYTES // step_bytes) if on_gpu else 1
        self.memory = self.tables[0].new_empty(0)
        self.epoch: int | None = None  # that `orders` are of

    def next(self) -> tuple[Tensor, Tensor]:
        """Inputs (K, batch, …), which may be written over, and labels int64 (K, batch)."""
        epoch, step = divmod(self.lead.step_count, self.lead.steps_per_epoch)
        if epoch != self.epoch:
            self._enter(epoch)
        for trainer in self.masked:
            trainer.seed_masks()
        if not 0 <= step - self.begin < len(self.inputs):
            self._gather(step)
        place = step - self.begin
        return self.inputs[place].float(), self.labels[place]

    def _enter(self, epoch: int) -> None:
        self.epoch = epoch
        self.orders = torch.stack([trainer.enter_epoch() for trainer in self.trainers])
        views = [trainer.views for trainer in self.trainers]
        self.views = (
            torch.stack([v for v in views if v is not None]) if views[0] is not None else None
        )
        self.begin, self.inputs, self.labels = 0, self.memory[:0], self.memory[:0]

    def _gather(self, step: int) -> None:
        """The batches of this step and of some that follow: (steps, K, batch, …)."""
        n_images = self.orders.shape[1]
        n_whole = n_images // self.size
        n, size = min(self.n_at_once, n_whole - step), self.size
        if step >= n_whole:  # the last batch of an epoch may be smaller
            n, size = 1, n_images - step * self.size
        begin = step * self.size
        positions = self.orders[:, begin : begin + n * size]
        rows = self.rows.gather(1, positions)
        if self.views is not None:
            rows = rows + self.views.gather(1, positions) * self._rows_of_a_view()
        self.begin = step
        self.labels = _by_step(self.answers.gather(1, positions), n)
        self.inputs = self._features(rows, n)

    def _features(self, rows: Tensor, n: int) -> Tensor:
        """Rows (K, n × batch) → features (n, K, batch, …)."""
        table = self.tables[0]
        shape = (*rows.shape, *table.shape[1:])
        if self.memory.numel() < math.prod(shape):
            self.memory = table.new_empty(math.prod(shape))
        memory = self.memory[: math.prod(shape)].view(shape)
        if self.is_shared:
            rows = _by_step(rows, n)
            torch.index_select(table, 0, rows.flatten(), out=memory.flatten(0, 1))
            return memory.view(*rows.shape, *table.shape[1:])
        for own, of_seed, out in zip(self.tables, rows, memory, strict=True):
            torch.index_select(own, 0, of_seed, out=out)
        return _by_step(memory, n)

    def _rows_of_a_view(self) -> int:
        return len(self.tables[0]) // self.lead.part.n_views


def _rows(part: Part) -> Tensor:
    return torch.arange(len(part)).to(part.labels.device) if part.rows is None else part.rows


def _by_step(values: Tensor, n: int) -> Tensor:
    """(K, n × batch, …) → (n, K, batch, …)."""
    return torch.unflatten(values, 1, (n, -1)).transpose(0, 1).contiguous()
