"""Steps as one CUDA graph: the same kernels, without the launching of each.

In: trainers on a GPU at the same step. Out: the same trainers some steps further. `CapturedSteps`:
each trainer's step is one branch of the graph on a stream of its own; with one trainer it is a
captured solo step. A branch makes the kernels of `Trainer.step` on the trainer's own tensors, so
with deterministic kernels and a cuBLAS workspace for each stream (`training/process.py`) it
promises the solo run's bits. `CapturedFused`: the step of a fused pack, few large kernels and one
launch.

It has never run, since no GPU was at hand. So no trial uses it. The benchmark and the GPU tests
use it, and their results decide. It stands alone so that it can be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.joint.fused import FusedJoint
from harness.training.loop import Trainer
from headstart.errors import InputError

WARM_UP = 3  # passes without an update, so that libraries choose and allocate before the capture


_new_stream: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream


def reason_against(trainer: Trainer) -> str | None:
    """Why a trainer's step cannot be captured; None where it can."""
    settings = trainer.settings
    if trainer.device.type != "cuda":
        return "needs a GPU"
    if settings.precision == "bf16":
        return "bf16 casts weights anew in each step, which a graph would cast once"
    if trainer.normalise is not None and not settings.augment.is_identity:
        return "augmentation draws on the host in each step"
    if trainer.part.n_views > 1:
        return "fixed views are drawn on the host"
    if isinstance(trainer.schedule, LambdaLR):
        return "a schedule changes the learning rate, which a graph has as a constant"
    return None


class CapturedSteps:
    """The steps of several trainers, replayed from one CUDA graph.

    Only whole batches are replayed; the last batch of an epoch, where it is smaller, is a solo
    step, and so is the first of all, because an optimizer that made its state inside of a graph
    would make it anew in each replay. The optimizers become `capturable` (their count of steps
    lives on the device) and stay so.

    Args:
        trainers: of equal settings, on one GPU, at the same step.

    Raises:
        InputError: a step that cannot be captured; the message has the reason.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        for trainer in trainers:
            reason = reason_against(trainer)
            if reason is not None:
                raise InputError(f"steps cannot be captured in a CUDA graph: {reason}")
        self.trainers = trainers
        self.size = trainers[0].settings.batch_size
        device = trainers[0].device
        self.positions = [
            torch.zeros(self.size, dtype=torch.int64, device=device) for _ in trainers
        ]
        self.optimizers = [
            _capturable(getattr(trainer.optimizer, "optimizer", trainer.optimizer))
            for trainer in trainers
        ]
        self.streams = [_new_stream(device) for _ in trainers]
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """One step of every trainer."""
        is_first = any(not optimizer.state for optimizer in self.optimizers)
        if is_first or self.trainers[0].next_size < self.size:
            for trainer in self.trainers:
                trainer.step()
            return
        for trainer, memory in zip(self.trainers, self.positions, strict=True):
            memory.copy_(trainer.next_positions())
        if self.graph is None:
            self._warm_up()
            self._capture()
        assert self.graph is not None
        self.graph.replay()
        for trainer in self.trainers:
            trainer.loss_count += self.size
            trainer.step_count += 1

    def _warm_up(self) -> None:
        """Forward and backward on side streams, with nothing kept of them."""
        buffers = [
            {name: b.clone() for name, b in t.network.named_buffers()} for t in self.trainers
        ]
        for trainer, stream, memory in zip(
            self.trainers, self.streams, self.positions, strict=True
        ):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    torch.autograd.backward(_loss(trainer, memory))
                    trainer.network.zero_grad(set_to_none=True)
            torch.cuda.current_stream().wait_stream(stream)
        for trainer, kept in zip(self.trainers, buffers, strict=True):
            for name, buffer in kept.items():
                trainer.network.get_buffer(name).copy_(buffer)
        for trainer in self.trainers:  # the masks of this step begin again
            trainer.next_positions()
        torch.cuda.synchronize()

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        for trainer in self.trainers:
            graph.register_generator_state(trainer.masks)
        with torch.cuda.graph(graph):
            main = torch.cuda.current_stream()
            branches = zip(
                self.trainers, self.optimizers, self.streams, self.positions, strict=True
            )
            for trainer, optimizer, stream, memory in branches:
                stream.wait_stream(main)
                with torch.cuda.stream(stream):
                    _branch(trainer, optimizer, memory)
            for stream in self.streams:
                main.wait_stream(stream)
        self.graph = graph


class CapturedFused:
    """The steps of a fused pack, replayed from one CUDA graph.

    The last batch of an epoch, where it is smaller, and the first step of all are made as they are
    without a graph, as in `CapturedSteps`.

    Args:
        joint: inside its `with` block; its trainers index one table of images.

    Raises:
        InputError: a step that cannot be captured; the message has the reason.
    """

    def __init__(self, joint: FusedJoint):
        reason = reason_against(joint.lead)
        if reason is None and joint.rows is None:
            reason = "the trainers do not share one table of images"
        if reason is not None:
            raise InputError(f"steps cannot be captured in a CUDA graph: {reason}")
        self.joint = joint
        self.size = joint.settings.batch_size
        shape = (len(joint.trainers), self.size)
        self.positions = torch.zeros(shape, dtype=torch.int64, device=joint.lead.device)
        _capturable(joint.weights.optimizer)
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """One step of every trainer."""
        joint = self.joint
        if not joint.weights.optimizer.state or joint.lead.next_size < self.size:
            joint.step()
            return
        self.positions.copy_(joint.next_positions())
        if self.graph is None:
            self._warm_up()
            self._capture()
        assert self.graph is not None
        self.graph.replay()
        joint.count_images(self.size)

    def _warm_up(self) -> None:
        """Forward and backward on a side stream, with nothing kept of them."""
        joint, stream = self.joint, _new_stream(self.positions.device)
        buffers = {name: buffer.clone() for name, buffer in joint.buffers.items()}
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                losses = joint.losses(*joint.batches_at(self.positions))
                torch.autograd.backward(losses.sum())
                joint.weights.optimizer.zero_grad(set_to_none=True)
        torch.cuda.current_stream().wait_stream(stream)
        for name, buffer in buffers.items():
            joint.buffers[name].copy_(buffer)
        joint.next_positions()  # the masks of this step begin again
        torch.cuda.synchronize()

    def _capture(self) -> None:
        joint = self.joint
        graph = torch.cuda.CUDAGraph()
        for trainer in joint.trainers:
            graph.register_generator_state(trainer.masks)
        with torch.cuda.graph(graph):
            losses = joint.update(*joint.batches_at(self.positions))
            joint.loss_sums += losses * self.size
        self.graph = graph


def _loss(trainer: Trainer, positions: Tensor) -> Tensor:
    part = trainer.part
    inputs = part.take(positions)
    inputs = inputs.float() if trainer.normalise is None else trainer.normalise.images(inputs)
    return trainer.loss_of_batch(trainer.network(inputs), part.labels[positions])


def _branch(trainer: Trainer, optimizer: Optimizer, positions: Tensor) -> None:
    """What `Trainer.step` lets the device do; the host counts elsewhere."""
    loss = _loss(trainer, positions)
    torch.autograd.backward(loss)
    limit = trainer.settings.clip_gradient_norm
    if limit is not None:
        torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), limit)
    optimizer.step()
    trainer.network.zero_grad(set_to_none=True)
    trainer.loss_sum += loss.detach().float() * len(positions)


def _capturable(optimizer: Optimizer) -> Optimizer:
    """The optimizer, with its count of steps on the device."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    return optimizer
