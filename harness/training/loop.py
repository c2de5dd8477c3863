"""The training loop: tensors on the device in, a trained network and its learning curve out.

It stands alone so that a trial, a pack and a benchmark run the same steps. Accelerate decides on
device, mixed precision, gradient handling and processes; this file decides what a step is. Every
draw is a function of a stream and a position (order: the epoch; augmentation, dropout: the step),
so a run that goes on from a saved state draws what an undisturbed run draws.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from datasets import augment
from harness.seeds import derive_seed
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.optimizers import make_optimizer
from models.dropout import set_dropout_generator

EVALUATION_BATCH = 1000
CPU_PART = 100  # images; what a network keeps of many more is fresh memory in every layer


@dataclass(frozen=True)
class Score:
    """A network on one part of the data: mean loss, fraction right, and (asked for) logits."""

    loss: float
    accuracy: float


@dataclass
class Clock:
    """Seconds by what they were spent on; `now` is passed in so that a test can turn it."""

    now: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("train", "eval", "setup", "prefix", "state"), 0.0)
    )

    @contextmanager
    def timing(self, what: str, device: torch.device | None = None) -> Iterator[None]:
        """Add the block's time to `what`; waits for a GPU at both ends, so none is missed."""
        wait_for(device)
        started = self.now()
        try:
            yield
        finally:
            wait_for(device)
            self.seconds[what] += self.now() - started


class Trainer:
    """One network being trained: `step()` until `finished`, `evaluate()` when wanted.

    Args:
        network: the part that trains; takes what `prepare` gives, returns logits (N, classes).
        train: the training part.
        settings: how to train.
        streams: seeds by axis (`order`, `augment`, `dropout` are used).
        accelerator: of this process.
        normalise: for uint8 images; None when the inputs are features already.
        parameter_groups: optimizer groups, each with its own `lr` where it differs; none where
            nothing trains, and there are then no steps.
        before_epoch: called with the epoch (0, 1, …) before its first step, and after a restore.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Part,
        settings: Train,
        streams: Mapping[str, int],
        accelerator: Accelerator,
        normalise: Normalise | None,
        parameter_groups: list[dict[str, Any]],
        before_epoch: Callable[[int], None] = lambda epoch: None,
    ):
        self.settings = settings
        self.part = train
        self.streams = streams
        self.accelerator = accelerator
        self.device = accelerator.device
        self.normalise = normalise
        self.before_epoch = before_epoch
        trains = bool(parameter_groups)
        if not trains:  # an optimizer needs something to hold
            parameter_groups = [{"params": list(network.parameters())}]
        optimizer = make_optimizer(parameter_groups, settings)
        self.unprepared = network  # as `unwrap_model` gives it, which imports PyTorch's compiler
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        self.n_steps = self.steps_per_epoch * settings.epochs if trains else 0
        self.schedule = make_schedule(optimizer, settings, self.steps_per_epoch, self.n_steps)
        self.draws = torch.Generator(device=self.device)
        self.masks = torch.Generator(device=self.device)
        set_dropout_generator(network, self.masks)
        self.loss_of_batch = loss_function(settings)
        self.step_count = 0
        self.loss_sum = torch.zeros((), device=self.device)
        self.loss_count = 0
        self._order: Tensor | None = None
        self._views: Tensor | None = None

    @property
    def finished(self) -> bool:
        return self.step_count >= self.n_steps

    @property
    def epoch(self) -> float:
        return self.step_count / self.steps_per_epoch

    @property
    def samples(self) -> int:
        """Images trained on so far; the last batch of an epoch may be smaller."""
        whole, rest = divmod(self.step_count, self.steps_per_epoch)
        return whole * len(self.part) + rest * self.settings.batch_size

    @property
    def learning_rate(self) -> float:
        """Of the group nearest the head, in the step that comes next."""
        return float(self.optimizer.param_groups[-1]["lr"])

    def step(self) -> None:
        """One batch: forward, loss, gradients, update. Nothing is read back from the device."""
        inputs, labels = self.next_batch()
        loss = self.loss_of_batch(self.network(inputs), labels)  # Accelerate casts in the forward
        self.accelerator.backward(loss)
        self._update(loss, len(labels))

    def _update(self, loss: Tensor, n_images: int) -> None:
        """Step by the gradients that are there; `loss` is the mean over the batch."""
        if self.settings.clip_gradient_norm is not None:
            self.accelerator.clip_grad_norm_(
                self.network.parameters(), self.settings.clip_gradient_norm
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if isinstance(self.schedule, LambdaLR):
            self.schedule.step()
        self.count_step(loss.detach().float(), n_images)

    def count_step(self, loss: Tensor, n_images: int) -> None:
        """Enter one step, made here or by a pack, with the mean loss of its batch."""
        self.loss_sum += loss * n_images
        self.loss_count += n_images
        self.step_count += 1

    def take_train_loss(self) -> float:
        """Mean loss over the images since the last call; NaN where there were none."""
        mean = float(self.loss_sum) / self.loss_count if self.loss_count else math.nan
        self.loss_sum.zero_()
        self.loss_count = 0
        return mean

    def after_evaluation(self, score: Score) -> None:
        """Tell a plateau schedule how validation went."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            watched = score.loss if self.settings.schedule.monitor == "val_loss" else score.accuracy
            self.schedule.step(watched)

    def evaluate(self, part: Part) -> Score:
        """Mean loss and accuracy on a part, in evaluation mode, in batches of fixed size."""
        loss = torch.zeros((), device=self.device, dtype=torch.float64)
        right = torch.zeros((), device=self.device, dtype=torch.int64)
        for logits, labels in self._outputs(part):
            loss += self.loss_of_batch(logits, labels).double() * len(labels)
            right += (logits.argmax(dim=1) == labels).sum()
        return Score(float(loss) / len(part), int(right) / len(part))

    def predict(self, part: Part) -> tuple[Score, Tensor]:
        """The score on a part, and its logits float32 (N, classes) on the CPU, in its order."""
        logits, labels = self._logits(part), part.labels.cpu()
        right = int((logits.argmax(dim=1) == labels).sum())
        return Score(float(self.loss_of_batch(logits, labels)), right / len(part)), logits

    def _logits(self, part: Part) -> Tensor:
        return torch.cat([logits.float().cpu() for logits, _ in self._outputs(part)])

    def state(self) -> dict[str, Any]:
        """All that the next steps depend on; plain tensors, numbers and strings."""
        return {
            "network": self.unprepared.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "step": self.step_count,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`; the next step is bit for bit the one that would have come."""
        self.unprepared.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.step_count = state["step"]
        self.loss_sum.copy_(state["loss_sum"])
        self.loss_count = state["loss_count"]
        self._order = None

    @property
    def next_size(self) -> int:
        """Images in the batch that comes next; the last of an epoch may be smaller."""
        begin = self.step_count % self.steps_per_epoch * self.settings.batch_size
        return min(self.settings.batch_size, len(self.part) - begin)

    def next_batch(self, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Inputs, prepared, and labels of the step that comes next; seeds its dropout masks.

        Args:
            out: memory for the unprepared inputs.
        """
        return self._batch(self.next_positions(), out)

    def next_positions(self) -> Tensor:
        """Places in the training part, int64 (batch,), of the next step; seeds its masks."""
        position = self.step_count % self.steps_per_epoch
        size = self.settings.batch_size
        self.seed_masks()
        return self.enter_epoch()[position * size : (position + 1) * size]

    def enter_epoch(self) -> Tensor:
        """Be in the epoch of the step that comes next; its order, int64 (training images,)."""
        epoch, position = divmod(self.step_count, self.steps_per_epoch)
        if position == 0 or self._order is None:
            self.before_epoch(epoch)
            self.network.train()
            self._order = self._order_of(epoch)
            self._views = self._views_of(epoch)
        return self._order

    def seed_masks(self) -> None:
        """Let the dropout masks be those of the step that comes next."""
        self.masks.manual_seed(derive_seed(self.streams["dropout"], "step", self.step_count))

    def _batch(self, rows: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Inputs, prepared, and labels of the training images at `rows`."""
        views = None if self._views is None else self._views[rows]
        return self._prepare(self.part.take(rows, views, out), True), self.part.labels[rows]

    def _order_of(self, epoch: int) -> Tensor:
        """A permutation of the training part, drawn on the CPU: the same on every device."""
        generator = torch.Generator().manual_seed(
            derive_seed(self.streams["order"], "epoch", epoch)
        )
        return torch.randperm(len(self.part), generator=generator).to(self.device)

    def _views_of(self, epoch: int) -> Tensor | None:
        """The fixed augmented view in which each image is seen; None where there is but one."""
        if self.part.n_views == 1:
            return None
        generator = torch.Generator().manual_seed(
            derive_seed(self.streams["augment"], "epoch", epoch)
        )
        drawn = torch.randint(self.part.n_views, (len(self.part),), generator=generator)
        return drawn.to(self.device)

    def _prepare(self, inputs: Tensor, training: bool) -> Tensor:
        if self.normalise is None:
            return inputs.float()
        settings = self.settings.augment
        if not training or settings.is_identity:
            return self.normalise.images(inputs)
        self.draws.manual_seed(derive_seed(self.streams["augment"], "step", self.step_count))
        drawn = self._draws(len(inputs), (inputs.shape[2], inputs.shape[3]))
        return self.normalise.unit_images(augment.apply(inputs.float().div_(255), drawn))

    def _draws(self, n: int, image_size: tuple[int, int]) -> augment.Draws:
        """The changes of the batch's `n` images."""
        return augment.draw(self.settings.augment, n, image_size, self.draws)

    def _starts(self, part: Part) -> Iterable[int]:
        """Where the batches of an evaluation begin."""
        return range(0, len(part), EVALUATION_BATCH)

    @torch.no_grad()
    def _outputs(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        self.network.eval()
        for start in self._starts(part):
            inputs = part.between(start, start + EVALUATION_BATCH)
            inputs = self._prepare(inputs, False)
            precision = self.accelerator.mixed_precision
            logits = forward_in_parts(self.network, inputs, precision, CPU_PART)
            yield logits, part.labels[start : start + EVALUATION_BATCH]
        self.network.train()


def forward_in_parts(network: nn.Module, inputs: Tensor, mixed_precision: str, size: int) -> Tensor:
    """What the network makes of a batch: on a CPU in parts, in as little as half of the time.

    No bit changes by it (`benchmarks/evaluation.py` compares). In bf16 some would: there, as on a
    GPU, the batch stays whole.

    Args:
        network: in evaluation mode; no gradients are to be taken.
        inputs: (N, …) on its device.
        mixed_precision: of its Accelerator; `no` or `bf16`.
        size: images in a part.

    Returns:
        (N, …) as the network gives it.
    """
    if inputs.device.type != "cpu" or mixed_precision != "no":
        return network(inputs)
    return torch.cat([network(part) for part in in_parts(inputs, size)])


def in_parts(inputs: Tensor, size: int) -> list[Tensor]:
    """Consecutive parts of `size` images; a shorter rest goes to the last one."""
    n = max(1, len(inputs) // size)
    return list(inputs.tensor_split([size * i for i in range(1, n)]))


def make_schedule(
    optimizer: Optimizer, settings: Train, steps_per_epoch: int, n_steps: int
) -> LambdaLR | ReduceLROnPlateau | None:
    """The sweep's learning-rate schedule; None where the rate stays as it is."""
    schedule = settings.schedule
    if schedule.name == "plateau":
        return ReduceLROnPlateau(
            optimizer,
            mode="min" if schedule.monitor == "val_loss" else "max",
            factor=schedule.factor,
            patience=schedule.patience,
            min_lr=schedule.minimum,
        )
    if schedule.name == "none" and not schedule.warmup_steps:
        return None

    def factor(step: int) -> float:
        if step < schedule.warmup_steps:
            return (step + 1) / (schedule.warmup_steps + 1)
        if schedule.name == "cosine":
            done = (step - schedule.warmup_steps) / max(1, n_steps - schedule.warmup_steps)
            low = schedule.final_fraction
            return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        if schedule.name == "step":
            return float(schedule.factor ** (step // (steps_per_epoch * schedule.every)))
        return 1.0

    return LambdaLR(optimizer, factor)


def loss_function(
    settings: Train, reduction: Literal["mean", "none"] = "mean"
) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean loss of a batch, or each image's, from logits (N, classes) and labels int64 (N,).

    `complementary` takes each label as one that the image does *not* have, drawn uniformly from
    the others: the forward loss of Yu et al. (ECCV 2018) with the uniform transition matrix,
    −log((1 − p_label) / (classes − 1)).
    """
    if settings.loss == "cross_entropy":
        return lambda logits, labels: F.cross_entropy(
            logits, labels, label_smoothing=settings.label_smoothing, reduction=reduction
        )

    def complementary(logits: Tensor, labels: Tensor) -> Tensor:
        log_p = F.log_softmax(logits.float(), dim=1)
        others = log_p.masked_fill(F.one_hot(labels, log_p.shape[1]).bool(), -math.inf)
        losses = math.log(log_p.shape[1] - 1) - others.logsumexp(dim=1)
        return losses.mean() if reduction == "mean" else losses

    return complementary


def wait_for(device: torch.device | None) -> None:
    """Let the work that a GPU was given come to its end; nothing to wait for elsewhere."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
