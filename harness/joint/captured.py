"""The steps of several trials as one CUDA graph: one launch for a step of all of them.

In: trainers on a GPU at the same step. Out: the same trainers some steps further. `CapturedSteps`:
each trainer's own step, as it is in `training/graph.py`, is a branch of the graph on a stream of
its own. `CapturedFused`: the step of a fused pack, few large kernels.

On a stand-in for the CUDA runtime both are captured; no card has run them. So no trial uses them.
The benchmark and the GPU tests do, and their results decide. It stands alone so that it can be
deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from harness.joint.fused import FusedJoint
from harness.training.batches import Batch
from harness.training.graph import CudaRecording
from harness.training.loop import Trainer
from harness.training.optimizers import load_rates
from headstart.errors import InputError

_new_stream: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream


def reason_against(trainer: Trainer) -> str | None:
    """Why steps of such trainers cannot be captured; None where they can."""
    if trainer.part.source is not None:
        return "the images do not fit on the GPU, and are read while it trains"
    return None if trainer.device.type == "cuda" else "needs a GPU"


class CapturedSteps:
    """The steps of several trainers, replayed from one CUDA graph.

    Only whole batches are replayed; the last batch of an epoch, where it is smaller, is a solo
    step, and so is the first of all, because an optimizer that made its state inside of a graph
    would make it anew in each replay. What trains must stay the same.

    Args:
        trainers: of equal settings, on one GPU, at the same step.

    Raises:
        InputError: steps that cannot be captured; the message has the reason.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        _refuse(reason_against(trainers[0]))
        self.trainers = trainers
        self.streams = [_new_stream(trainer.device) for trainer in trainers]
        self.has_begun = False
        self.memory: list[Batch] = []  # from which the graph reads
        self.recording: CudaRecording | None = None

    def step(self) -> None:
        """One step of every trainer."""
        batches = [trainer.choose_batch() for trainer in self.trainers]
        if self.has_begun and len(batches[0]) == self.trainers[0].whole_batch:
            self._replay(batches)
        else:
            self.has_begun = True
            for trainer, batch in zip(self.trainers, batches, strict=True):
                trainer.compute(batch)
        for trainer, batch in zip(self.trainers, batches, strict=True):
            trainer.advance(len(batch))

    def _replay(self, batches: Sequence[Batch]) -> None:
        for trainer in self.trainers:
            load_rates(trainer.bare_optimizer)
        if self.recording is None:
            self.memory = [batch.clone() for batch in batches]
            masks = [trainer.masks for trainer in self.trainers]
            self.recording = CudaRecording(self._branches, masks)
        for memory, batch in zip(self.memory, batches, strict=True):
            memory.copy_(batch)
        self.recording.replay()

    def _branches(self) -> None:
        main = torch.cuda.current_stream()
        for trainer, stream, memory in zip(self.trainers, self.streams, self.memory, strict=True):
            stream.wait_stream(main)
            with torch.cuda.stream(stream):
                trainer.compute(memory)
        for stream in self.streams:
            main.wait_stream(stream)


class CapturedFused:
    """The steps of a fused pack, replayed from one CUDA graph.

    The last batch of an epoch, where it is smaller, and the first step of all are made as they are
    without a graph, as in `CapturedSteps`.

    Args:
        joint: inside its `with` block; its trainers index one table of images.

    Raises:
        InputError: steps that cannot be captured; the message has the reason.
    """

    def __init__(self, joint: FusedJoint):
        reason = reason_against(joint.lead)
        if reason is None and joint.rows is None:
            reason = "the trainers do not share one table of images, or augment them"
        _refuse(reason)
        self.joint = joint
        self.size = joint.lead.whole_batch
        shape = (len(joint.trainers), self.size)
        self.positions = torch.zeros(shape, dtype=torch.int64, device=joint.lead.device)
        self.has_begun = False
        self.recording: CudaRecording | None = None

    def step(self) -> None:
        """One step of every trainer."""
        joint = self.joint
        if not self.has_begun or joint.lead.next_size < self.size:
            self.has_begun = True
            joint.step()
            return
        self.positions.copy_(joint.next_positions())
        load_rates(joint.weights.optimizer)
        if self.recording is None:
            masks = [trainer.masks for trainer in joint.trainers]
            self.recording = CudaRecording(self._compute, masks)
        self.recording.replay()
        joint.weights.advance_schedule()
        joint.count_images(self.size)

    def _compute(self) -> None:
        self.joint.update(*self.joint.batches_at(self.positions))


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise InputError(f"steps cannot be captured in a CUDA graph: {reason}")
