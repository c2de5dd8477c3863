"""The training loop: what a step is, and an evaluation.

In: tensors on the device. Out: a trained network and its scores. It stands alone so that a trial, a
pack and a benchmark make the same steps. Accelerate decides on device and gradient handling; this
file decides what a step is. Every draw is a function of a stream and a position
(order: the epoch; augmentation, dropout: the step), so a run that continues from a saved state
draws what an undisturbed run draws.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from datasets import augment
from harness.seeds import derive_seed
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.average import Average
from harness.training.balance import balanced_order
from harness.training.batches import Augmentation, Batch, drawn_mix, own_share, upload
from harness.training.goal import Goal
from harness.training.loss_scale import LossScale
from harness.training.machine import CPU_PART, EVALUATION_BATCH
from harness.training.memory import halved_until_it_fits
from harness.training.optimizers import ParameterGroups, make_optimizer
from harness.training.own_parts import own_loss
from harness.training.process import in_precision
from harness.training.pull import PullToStart
from harness.training.ranks import ONE_RANK, Ranks
from harness.training.refit import Replay
from harness.training.schedules import ProbePhase, is_cost, make_schedule
from harness.training.score import Score, class_counts, right_sums, score_of, with_right
from harness.training.sixteen_bits import SIXTEEN_BITS
from harness.training.step_memory import StepMemory
from models.dropout import set_dropout_generator
from models.global_draws import seed_all
from models.linear_head import calls_of


@dataclass
class Clock:
    """Seconds by what they were spent on; a test passes a `now` of its own in."""

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


@dataclass(eq=False, repr=False)
class Trainer:
    """One network being trained: `step()` until `finished`, `evaluate()` when wanted."""

    network: nn.Module  # the part that trains; returns logits (N, classes)
    part: Part  # the training part
    settings: Train
    streams: Mapping[str, int]  # seeds by axis (`order`, `augment`, `dropout` are used)
    accelerator: Accelerator  # of this process
    normalise: Normalise | None  # for uint8 images; None when the inputs are features already
    # For the optimizer, each with its own `lr` where it differs; none: nothing trains, no steps.
    parameter_groups: ParameterGroups
    # Called with the epoch (0, 1, …) before its first step, and after a restore.
    before_epoch: Callable[[int], None] = lambda epoch: None
    ranks: Ranks = ONE_RANK  # they share the trial; each evaluates batches of its own
    # The network is shown at most so many of a batch of an evaluation; a full GPU halves it.
    images_at_once: int = EVALUATION_BATCH
    # Whether code of the user's own computes, which may draw from the global generators: they are
    # then seeded for each step and each batch of an evaluation.
    seeds_all: bool = False
    replay: Replay | None = None  # of a refit: it has the learning rates, and how many steps
    class_weights: Tensor | None = None  # float32 (classes,); None: all images count alike
    pull: PullToStart | None = None  # of weights to their start; None: they are free
    probe: ProbePhase | None = None  # of its first epochs; None: all are one training
    goal: Goal | None = None  # what labels stand for; None: each is a class
    # Makes of the network what computes the logits of steps; evaluations are made by the network.
    compiler: Callable[[nn.Module], Callable[[Tensor], Tensor]] | None = None

    def __post_init__(self) -> None:
        network, settings, self.device = self.network, self.settings, self.accelerator.device
        # An optimizer needs something to hold.
        groups = self.parameter_groups or [{"params": list(network.parameters())}]
        optimizer = make_optimizer(groups, settings)
        self.unprepared = network
        self.bare_optimizer = optimizer
        self.network = in_precision(network, settings.precision)
        self.forward = self.network if self.compiler is None else self.compiler(self.network)
        self.optimizer = self.accelerator.prepare(optimizer)
        self.steps_per_epoch = math.ceil(len(self.part) / settings.batch_size)
        self.n_steps = self.steps_per_epoch * settings.epochs if self.parameter_groups else 0
        if self.replay is None:
            self.schedule = make_schedule(
                optimizer, settings, self.steps_per_epoch, self.n_steps, self.probe
            )
        else:
            self.n_steps = min(self.n_steps, self.replay.n_steps(self.steps_per_epoch))
            self.schedule = self.replay.schedule(optimizer, self.steps_per_epoch)
        self.augmentation = Augmentation(
            settings,
            self.streams["augment"],
            len(self.part),
            self.device,
            None if self.normalise is None else self.normalise.size,
        )
        self.masks = torch.Generator(device=self.device)
        set_dropout_generator(network, self.masks)
        self.loss_of_batch = loss_function(settings, goal=self.goal)
        self.average = Average(network, settings.ema)
        self.loss_scale = LossScale(self.device) if settings.precision == "fp16" else None
        self.memory: StepMemory | None = None  # whoever wants to know it gives one
        self.step_count = 0
        self.loss_sum = torch.zeros((), device=self.device)
        self.loss_count = 0
        # How often each place of a batch was right, on this rank; NaN says that it is not known.
        # Their sum is taken when it is asked for: a launch less in every step.
        self.n_right = torch.zeros(self.whole_batch, dtype=torch.float64, device=self.device)
        self._order: Tensor | None = None
        self._order_on_host: np.ndarray | None = None  # where images are read ahead
        self._views: Tensor | None = None

    @property
    def finished(self) -> bool:
        return self.step_count >= self.n_steps

    @property
    def has_accuracy(self) -> bool:
        """Whether an output says one class, which is right or wrong."""
        return self.goal is None or self.goal.has_accuracy

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
        batch = self.choose_batch()
        if self.memory is None or self.step_count % self.steps_per_epoch:
            self.compute(batch)
        else:  # what trains changes from epoch to epoch alone
            with self.memory.watched(self.bare_optimizer):
                self.compute(batch)
        self.advance(len(batch))

    def compute(self, batch: Batch) -> None:
        """The device's part of a step; a CUDA graph records it (`graph.py`)."""
        inputs, labels = self.inputs_of(batch)
        others = None
        if batch.share is not None:
            inputs, others = batch.mixed(inputs), labels.roll(-1)
        if self.settings.accumulate == 1:
            loss = self._backward(inputs, labels, others, batch.share)
        else:
            loss = self._in_parts(inputs, labels, others, batch.share)
        self.move(loss, len(batch))

    def _in_parts(
        self, inputs: Tensor, labels: Tensor, others: Tensor | None, share: Tensor | None
    ) -> Tensor:
        """As `_backward`, part by part; the gradients are those of the whole batch's mean."""
        n = min(self.settings.accumulate, len(labels))
        loss, begin = torch.zeros((), device=self.device), 0
        for part in labels.tensor_split(n):
            rows = slice(begin, begin + len(part))
            other = None if others is None else others[rows]
            scale = len(part) / len(labels)
            loss = loss + self._backward(inputs[rows], part, other, share, scale, begin)
            begin += len(part)
        return loss

    def _backward(
        self,
        inputs: Tensor,
        labels: Tensor,
        others: Tensor | None,
        share: Tensor | None,
        scale: float = 1.0,
        begin: int = 0,
    ) -> Tensor:
        """Forward and backward; the mean loss of these images, times `scale`.

        Args:
            others: labels of the images that are mixed in; `share` says how much is the own.
            begin: place of the first image in the batch.
        """
        logits = self.forward(inputs)
        self.count_right(logits, labels, begin)
        loss = self.mean_loss(logits, labels)
        if share is not None and others is not None:
            loss = share * loss + (1 - share) * self.mean_loss(logits, others)
        if scale != 1.0:
            loss = loss * scale
        self.backward(loss)
        return loss.detach()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss () to those that there are; in fp16 they are scaled."""
        scale = self.loss_scale
        self.accelerator.backward(loss if scale is None else scale.scaled(loss))

    def mean_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What a step makes smaller: the mean loss, each image weighed by its class."""
        if self.class_weights is None:
            return self.loss_of_batch(logits, labels)
        losses = loss_function(self.settings, "none", self.goal)(logits, labels)
        return self.weighed(losses, labels).mean()

    def weighed(self, losses: Tensor, labels: Tensor) -> Tensor:
        """Each image's loss times the weight of its class."""
        return losses if self.class_weights is None else losses * self.class_weights[labels]

    def count_right(self, logits: Tensor, labels: Tensor, begin: int = 0) -> None:
        """Count which of this rank's rows of a batch, from place `begin` on, are right."""
        if not self.has_accuracy:
            return
        right = logits.detach().argmax(dim=1) == labels
        self.n_right[begin : begin + len(labels)] += right

    def update(self, loss: Tensor, n_images: int) -> None:
        """Move the weights by their gradients; `loss` is the mean over the batch."""
        self.move(loss, n_images)
        self.advance(n_images)

    def move(self, loss: Tensor, n_images: int) -> None:
        """The device's part of `update`.

        In fp16 a step whose gradients are not finite leaves the weights and the optimizer's state
        as they are; it counts as a step for all else.
        """
        if self.loss_scale is not None:
            self.loss_scale.unscale(self.bare_optimizer)
        if self.settings.clip_gradient_norm is not None:
            self.accelerator.clip_grad_norm_(
                self.network.parameters(), self.settings.clip_gradient_norm
            )
        if self.pull is not None:
            self.pull.add_to_gradients()
        self.average.begin()
        if self.loss_scale is None:
            self.optimizer.step()
        else:
            self.loss_scale.step(self.bare_optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        self.average.add(self.step_count)
        self.loss_sum += loss.detach().float() * n_images

    def advance(self, n_images: int) -> None:
        """The host's part of `update`: the learning rate of the next step, and the counts."""
        if isinstance(self.schedule, LambdaLR):
            self.schedule.step()
        self.loss_count += n_images
        self.step_count += 1

    def warm_up(self, n_steps: int = 3) -> None:
        """Make steps and take them back: each bit of the trainer is as before.

        At its first steps a GPU loads kernels, libraries choose, and memory is allocated; that is
        no time of training. The images are those of the step that comes next.
        """
        with self._taken_back():
            for _ in range(n_steps):
                self.compute(self.choose_batch())
        wait_for(self.device)

    def compile_ahead(self) -> None:
        """Have the compiler do its work for every size of batch; each bit of the trainer is as
        before.

        What trains later (gradual unfreezing) is compiled when it begins to.
        """
        with self._taken_back():
            batch = self.choose_batch()
            inputs, _ = self.inputs_of(batch)
            if batch.share is not None:
                inputs = batch.mixed(inputs)
            for n in self._sizes_computed():
                shape = (n, *inputs.shape[1:])
                images = torch.empty_strided(shape, inputs.stride(), dtype=inputs.dtype,
                                             device=inputs.device).zero_()  # fmt: skip
                self.backward(self.forward(images).float().sum())
                self.optimizer.zero_grad(set_to_none=True)
        wait_for(self.device)

    def _sizes_computed(self) -> list[int]:
        """How many images a forward pass of a step may have, whole batches first."""
        n, rest = divmod(len(self.part), self.whole_batch)
        batches = [self.whole_batch] * (n > 0) + [rest] * (rest > 0)
        parts = self.settings.accumulate
        sizes = [size for b in batches for size in (-(-b // min(parts, b)), b // min(parts, b))]
        return list(dict.fromkeys(sizes))

    def take_train_score(self) -> Score:
        """Loss and accuracy over the training images since the last call; NaN if there were none.

        They are of the steps as they were made: of images as augmentation changed them, under
        dropout, each by the weights that its step began with. All ranks call this.
        """
        self.gather_right()
        loss, right = torch.stack([self.loss_sum.double(), self.n_right.sum()]).tolist()
        n = self.loss_count
        self.loss_sum.zero_()
        self.n_right.zero_()
        self.loss_count = 0
        if not n:
            return Score(math.nan, math.nan)
        return Score(loss / n, right / n if self.has_accuracy else math.nan)

    def gather_right(self) -> None:
        """Let the first rank have counted for all; each rank counts its own rows alone."""
        self.ranks.sum_(self.n_right)
        if not self.ranks.is_first:
            self.n_right.zero_()

    def after_evaluation(self, score: Score) -> None:
        """Tell a plateau schedule how validation went."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            monitor = self.settings.schedule.monitor
            cost = score.cost(monitor)
            self.schedule.step(cost if is_cost(monitor) else -cost)

    def evaluate(self, part: Part, n_classes: int) -> Score:
        """The score on a part, in evaluation mode, in batches of fixed size.

        Each rank evaluates some of the batches; the sums are taken in the order of the batches, so
        that their bits are the same for any number of ranks. Right labels, where they are watched,
        are scored on the same predictions. With a `goal` all outputs are scored at once.
        """
        if self.goal is not None:
            return self.predict(part, n_classes)[0]
        n_batches = math.ceil(len(part) / EVALUATION_BATCH)
        n_right = 0 if part.right is None else 2 * n_batches
        shape = (n_batches + 3 * n_classes + n_right,)
        table = torch.zeros(shape, dtype=torch.float64, device=self.device)
        counts = table[n_batches : n_batches + 3 * n_classes].view(3, n_classes)
        watched = table[n_batches + 3 * n_classes :].view(-1, 2)
        for start, logits, labels in self._outputs(part):
            batch_loss = self.loss_of_batch(logits, labels).double() * len(labels)
            table[start // EVALUATION_BATCH] = batch_loss
            counts += class_counts(logits.argmax(dim=1), labels, n_classes)
            if part.right is not None:
                right = part.right[start : start + len(labels)]
                watched[start // EVALUATION_BATCH] = right_sums(logits, right)
        numbers = self.ranks.sum_(table).tolist()
        end = n_batches + 3 * n_classes
        by_kind = [numbers[k : k + n_classes] for k in range(n_batches, end, n_classes)]
        score = score_of(_in_order(numbers[:n_batches]) / len(part), len(part), by_kind)
        sums = [_in_order(numbers[end + k :: 2]) for k in (0, 1) if n_right]
        return with_right(score, sums, len(part))

    def predict(self, part: Part, n_classes: int) -> tuple[Score, Tensor]:
        """The score on a part, and its logits float32 (N, classes) on the CPU, in its order."""
        outputs = torch.zeros(len(part), n_classes, device=self.device)
        for start, logits, _ in self._outputs(part):
            outputs[start : start + len(logits)] = logits.float()
        logits, labels = self.ranks.sum_(outputs).cpu(), part.labels.cpu()
        if self.goal is not None:
            goal = self.goal.on("cpu")
            loss = loss_function(self.settings, goal=goal)(logits, labels)
            return goal.score(float(loss), logits, labels), logits
        counts = class_counts(logits.argmax(dim=1), labels, n_classes).tolist()
        return score_of(float(self.loss_of_batch(logits, labels)), len(part), counts), logits

    def features(self, layer: nn.Linear, part: Part) -> Tensor:
        """What a linear layer is given for each image of a part, in evaluation mode.

        float32 (N, features) on the CPU, in the part's order; all ranks call this.
        """
        table = torch.zeros(len(part), layer.in_features, device=self.device)
        with calls_of(layer) as calls:
            for start, logits, _ in self._outputs(part):
                given = torch.cat([inputs for inputs, _ in calls])
                n = len(logits)  # a full GPU may have tried a larger part of them before
                table[start : start + n] = given[-n:].float()
                calls.clear()
        return self.ranks.sum_(table).cpu()

    def take_fit(self, loss: Tensor, right: Tensor) -> None:
        """Count a fit to all training images as the one step of this trainer.

        Args:
            loss: float32 (), the mean over the training images.
            right: float64 (images,), which of them are right; the first rank counts them.
        """
        self.loss_sum += loss * len(self.part)
        if self.ranks.is_first:
            self.n_right += right
        self.loss_count += len(self.part)
        self.step_count += 1

    def state(self) -> dict[str, Any]:
        """All that the next steps depend on; plain tensors, numbers and strings."""
        return {
            "network": self.unprepared.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "step": self.step_count,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "n_right": self.n_right,
            **({"average": self.average.state()} if self.average.tensors else {}),
            **({} if self.loss_scale is None else {"loss_scale": self.loss_scale.state()}),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`: the next step has the bits of an undisturbed run."""
        self.unprepared.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.step_count = state["step"]
        self.loss_sum.copy_(state["loss_sum"])
        self.loss_count = state["loss_count"]
        self.n_right.zero_()
        if self.ranks.is_first and self.loss_count:  # a version before it counted nothing
            self.n_right.copy_(state.get("n_right", torch.tensor(math.nan)))
        self.average.restore(state.get("average", {}))
        if self.loss_scale is not None:
            self.loss_scale.restore(state["loss_scale"])
        self._order = None

    def go_back(self, step: int, loss_count: int) -> None:
        """Be at an earlier step again; the weights and the optimizer's state are those of it."""
        self.step_count, self.loss_count, self._order = step, loss_count, None

    @property
    def views(self) -> Tensor | None:
        """The fixed view, int64 (training images,), in which this epoch sees each image."""
        return self._views

    @property
    def whole_batch(self) -> int:
        """Images in a batch that is not an epoch's smaller last one."""
        return min(self.settings.batch_size, len(self.part))

    @property
    def begins_epoch(self) -> bool:
        """Whether the step that comes next is an epoch's first."""
        return self.step_count % self.steps_per_epoch == 0

    @property
    def next_size(self) -> int:
        """Images in the batch that comes next; the last of an epoch may be smaller."""
        begin = self.step_count % self.steps_per_epoch * self.settings.batch_size
        return min(self.settings.batch_size, len(self.part) - begin)

    def next_batch(
        self, out: Tensor | None = None, rows: slice | None = None
    ) -> tuple[Tensor, Tensor]:
        """Inputs, prepared, and labels of the step that comes next; seeds its dropout masks.

        Args:
            out: memory for the unprepared inputs.
            rows: which of the batch; they are changed (augmentation) as the whole batch's would be.
        """
        whole = self.choose_batch()
        return self.inputs_of(whole if rows is None else whole[rows], out)

    def choose_batch(self) -> Batch:
        """What the host decides of the step that comes next; seeds its dropout masks."""
        positions = self.next_positions()
        views = None if self._views is None else self._views[positions]
        mix, on_host = self._mix(), None
        if self._order_on_host is not None:
            on_host = self._order_on_host[self._places(self.step_count % self.steps_per_epoch)]
        if self.normalise is None or self.settings.augment.is_identity:
            return Batch(positions, views, on_host=on_host, **mix)
        height, width = self.part.shape[1:]
        draws = self.augmentation.at(self.step_count, (height, width))
        return Batch(positions, views, draws, on_host=on_host, **mix)

    def _mix(self) -> dict[str, Any]:
        """How the images of the step that comes next are mixed: fields of `Batch`, on the device.

        None without `mixup` and `cutmix`.
        """
        settings, stream, step = self.settings, self.streams["augment"], self.step_count
        if settings.cutmix:
            size = None if self.normalise is None else self.normalise.size
            height, width = size or self.part.shape[1:]
            drawn = drawn_mix(settings, stream, step, (height, width))
        elif settings.mixup:
            drawn = {"share": own_share(settings.mixup, stream, step)}
        else:
            return {}
        return {name: upload(value, self.device) for name, value in drawn.items()}

    def inputs_of(self, batch: Batch, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Inputs, as the network takes them, and labels; `out` is as in `next_batch`."""
        inputs = self.part.take(batch.positions, batch.views, out, batch.on_host)
        labels = self.part.labels[batch.positions]
        if batch.draws is None or self.normalise is None:
            return self._plain(inputs), labels
        changed = augment.apply(inputs.float().div_(255), batch.draws)
        return self.normalise.unit_images(changed), labels

    def next_positions(self) -> Tensor:
        """Places in the training part, int64 (batch,), of the next step; seeds its masks."""
        self.seed_masks()
        return self.enter_epoch()[self._places(self.step_count % self.steps_per_epoch)]

    def _places(self, step: int) -> slice:
        """Of the batch of a step (0, 1, …) of an epoch, in the epoch's order."""
        size = self.settings.batch_size
        return slice(step * size, (step + 1) * size)

    def enter_epoch(self) -> Tensor:
        """Be in the epoch of the step that comes next; its order, int64 (training images,)."""
        epoch, position = divmod(self.step_count, self.steps_per_epoch)
        if position == 0 or self._order is None:
            self.before_epoch(epoch)
            self.network.train()
            if position == 0 and self.probe is not None and epoch == self.probe.epochs:
                self.bare_optimizer.state.clear()  # a training of its own begins
            draws = self._epoch_draws("order", epoch)
            order = self._drawn_order(draws)
            self._order = upload(order, self.device)
            if self.part.source is not None:
                self._order_on_host = order.numpy()
                self.part.follow(self._batches_to_come(self._order_on_host, position))
            if self.part.n_views > 1:  # the fixed augmented view in which each image is seen
                draws = self._epoch_draws("augment", epoch)
                views = torch.randint(self.part.n_views, (len(self.part),), generator=draws)
                self._views = upload(views, self.device)
        return self._order

    def _drawn_order(self, draws: torch.Generator) -> Tensor:
        if self.settings.sampling == "balanced":
            return balanced_order(self.part.labels.cpu(), draws)
        return torch.randperm(len(self.part), generator=draws)

    def _batches_to_come(self, order: np.ndarray, step: int) -> Iterator[np.ndarray]:
        """This rank's positions of each batch, from a step of the epoch on."""
        for k in range(step, self.steps_per_epoch):
            batch = order[self._places(k)]
            yield batch[self.ranks.share(len(batch))]

    def seed_masks(self) -> None:
        """Let the dropout masks be those of the step that comes next."""
        seed = derive_seed(self.streams["dropout"], "step", self.step_count)
        self.masks.manual_seed(seed)
        if self.seeds_all:
            seed_all(seed, self.device)

    def forget_gradients(self) -> None:
        """After a step that broke off: no gradients, and a generator of masks that works."""
        self.optimizer.zero_grad(set_to_none=True)
        self.masks = torch.Generator(device=self.device)
        set_dropout_generator(self.unprepared, self.masks)
        self.seed_masks()

    def _epoch_draws(self, axis: str, epoch: int) -> torch.Generator:
        """On the CPU, so that what is drawn is the same on every device."""
        return torch.Generator().manual_seed(derive_seed(self.streams[axis], "epoch", epoch))

    @contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Undo whatever steps inside of the block do to tensors and generators."""
        tensors = [*self.network.parameters(), *self.network.buffers(), self.loss_sum, self.n_right]
        kept = [tensor.detach().clone() for tensor in tensors]
        states = {p: _cloned(state) for p, state in self.optimizer.state.items()}
        masks, average = self.masks.get_state(), _cloned(self.average.tensors)
        scale = None if self.loss_scale is None else self.loss_scale.state()
        try:
            yield
        finally:
            self.average.tensors = average
            with torch.no_grad():
                for tensor, value in zip(tensors, kept, strict=True):
                    tensor.copy_(value)
            self.optimizer.state.clear()
            self.optimizer.state.update(states)
            self.masks.set_state(masks)
            if self.loss_scale is not None and scale is not None:
                self.loss_scale.restore(scale)

    def _plain(self, inputs: Tensor) -> Tensor:
        """Inputs as the network takes them, without augmentation."""
        return inputs.float() if self.normalise is None else self.normalise.images(inputs)

    @torch.no_grad()
    def _outputs(self, part: Part) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Where each of this rank's batches begins, its logits and its labels."""
        self.network.eval()
        first, step = self.ranks.rank * EVALUATION_BATCH, self.ranks.n * EVALUATION_BATCH
        part.follow(self._shown_at_once(part, first))
        for start in range(first, len(part), step):
            stop = min(start + EVALUATION_BATCH, len(part))
            if self.seeds_all:
                axis = f"evaluation {self.step_count}"
                seed_all(derive_seed(self.streams["dropout"], axis, start), self.device)
            compute = partial(self._logits, part, start, stop)
            before = self.images_at_once
            logits, self.images_at_once = halved_until_it_fits(compute, before)
            if self.images_at_once < before:
                part.follow(self._shown_at_once(part, start + step))
            yield start, logits, part.labels[start:stop]
        self.network.train()

    def _logits(self, part: Part, start: int, stop: int, at_once: int) -> Tensor:
        """Logits of the images at `start` … `stop` - 1; the network is shown `at_once` of them."""
        precision = self.settings.precision
        network = both_ways(self.network) if self.settings.evaluate_mirrored else self.network
        outputs = []
        for begin, end in self._cut(start, stop, at_once):
            inputs = self._plain(part.between(begin, end))  # not of the whole batch: 0.6 GB at 224²
            outputs.append(forward_in_parts(network, inputs, precision, CPU_PART))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _cut(self, start: int, stop: int, at_once: int) -> Iterator[tuple[int, int]]:
        """Where the images that the network is shown at once begin and end."""
        begins = list(range(start, stop, at_once))
        if self.device.type == "cpu" and self.settings.precision not in SIXTEEN_BITS:
            # as `forward_in_parts` cuts a batch
            begins = [start + CPU_PART * k for k in range(max(1, (stop - start) // CPU_PART))]
        return pairwise([*begins, stop])

    def _shown_at_once(self, part: Part, first: int) -> Iterator[np.ndarray]:
        """Positions of all that this rank's evaluation reads, from batch `first` on."""
        for start in range(first, len(part), self.ranks.n * EVALUATION_BATCH):
            stop = min(start + EVALUATION_BATCH, len(part))
            for begin, end in self._cut(start, stop, self.images_at_once):
                yield np.arange(begin, end)


def _in_order(numbers: Sequence[float]) -> float:
    """Their sum, added one after another: the built-in `sum` rounds otherwise."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def both_ways(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The mean of a network's outputs for images (…, W) and for their mirror images."""
    return lambda images: (network(images) + network(images.flip(-1))) / 2


def forward_in_parts(
    network: Callable[[Tensor], Tensor], inputs: Tensor, precision: str, size: int
) -> Tensor:
    """The network's outputs for a batch: on a CPU part by part, which takes down to half the time.

    The parts change no bit (`benchmarks/evaluation.py` compares). In 16 bits they would, so there,
    as on a GPU, the batch stays whole.

    Args:
        network: in evaluation mode; no gradients are to be taken.
        inputs: (N, …) on its device.
        precision: in which it computes, as `train.precision`.
        size: images in a part.
    """
    if inputs.device.type != "cpu" or precision in SIXTEEN_BITS:
        outputs: Tensor = network(inputs)
        return outputs
    return torch.cat([network(part) for part in in_parts(inputs, size)])


def in_parts(inputs: Tensor, size: int) -> list[Tensor]:
    """Consecutive parts of `size` images; the last one also has a shorter rest."""
    n = max(1, len(inputs) // size)
    return list(inputs.tensor_split([size * i for i in range(1, n)]))


def loss_function(
    settings: Train, reduction: Literal["mean", "none"] = "mean", goal: Goal | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean loss of a batch, or each image's, from logits (N, outputs) and labels int64 (N,).

    `goal` says what labels stand for where they are no classes; `settings` are those of its kind
    (`Train.for_target`).

    `complementary` takes each label as one that the image does *not* have, drawn uniformly from
    the others: the forward loss of Yu et al. (ECCV 2018) with the uniform transition matrix,
    −log((1 − p_label) / (classes − 1)).
    """
    if settings.loss_code:
        return own_loss(settings)
    of_goal = None if goal is None else goal.losses(settings, reduction)
    if of_goal is not None:
        return of_goal
    if settings.loss == "binary_cross_entropy":
        return partial(_binary, smoothing=settings.label_smoothing, reduction=reduction)
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


def _binary(
    logits: Tensor, labels: Tensor, smoothing: float, reduction: Literal["mean", "none"]
) -> Tensor:
    """Each class by itself, is it or is it not: the mean over classes (Wightman et al. 2021)."""
    n = logits.shape[1]
    targets = F.one_hot(labels, n).to(logits.dtype) * (1 - smoothing) + smoothing / n
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return losses.mean() if reduction == "mean" else losses


def _cloned(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of what an optimizer keeps of one parameter; one of the user's may keep anything."""
    return {
        key: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for key, value in state.items()
    }


def wait_for(device: torch.device | None) -> None:
    """Wait until a GPU has finished its work; other devices have finished already."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
