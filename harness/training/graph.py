"""A solo trial's steps as one CUDA graph: the same kernels, without the launching of each.

In: a trainer on a GPU. Out: the same trainer some steps further, with `ran_as: graph` in its row.
`Trainer.compute`, which only works on the device, is recorded once and replayed for every whole
batch; what the host decides of a step (`batches.py`, learning rates, seeds of masks) is written
into the memory that the recording reads. The kernels are those of the solo step, so the bits should
be. No card has shown it, so `resources.graph` is `never` unless a sweep says otherwise.

A step is made as it is without a graph where the batch is an epoch's smaller last one, after a
pause that replaced tensors, and at each change of what trains: the optimizer makes its state there,
and the next step is recorded anew. What cannot be recorded (a network that decides on the host)
goes on without a graph; the trial's notes say why.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from harness.sweepfile.settings import TIMMS_OPTIMIZERS
from harness.training.batches import Batch
from harness.training.loop import Trainer
from harness.training.optimizers import load_rates
from harness.training.steps import Asked, SoloSteps
from models.dropout import SeededDropout

# Replays after which the host looks whether the GPU follows: at most twice as many wait for it, so
# that a request to stop does not wait for a thousand large steps.
PACE = 16
REGISTERS_ITSELF = "2.15"  # version of torch from which on a generator needs no registration

Layout = tuple[object, ...]


class Recording(Protocol):
    """A recorded computation."""

    def replay(self) -> None:
        """Compute it once more, from what the memory holds that it reads."""

    def free(self) -> None:
        """Give its memory back."""


Record = Callable[[Callable[[], None], Sequence[torch.Generator]], Recording]


class CudaRecording:
    """The kernels that a function launches, as a CUDA graph.

    Args:
        compute: launches kernels and waits for none.
        generators: it draws from; they may be seeded anew between replays.

    Raises:
        RuntimeError: the function needs an answer from the device, or there is no memory.
    """

    def __init__(self, compute: Callable[[], None], generators: Sequence[torch.Generator]):
        make_graph: Callable[[], torch.cuda.CUDAGraph] = torch.cuda.CUDAGraph
        self.graph = make_graph()
        if torch.__version__ < REGISTERS_ITSELF:
            for generator in generators:
                self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph):
            compute()
        make_event: Callable[[], torch.cuda.Event] = torch.cuda.Event
        self.events = (make_event(), make_event())
        self.n_replays = 0

    def replay(self) -> None:
        self.graph.replay()
        self.n_replays += 1
        if self.n_replays % PACE == 0:
            event = self.events[self.n_replays // PACE % 2]  # recorded 2 × PACE replays ago
            if not event.query():
                event.synchronize()
            event.record()

    def free(self) -> None:
        self.graph.reset()


class GraphSteps(SoloSteps):
    """The steps of one trial by itself, replayed where they can be; of one trial alone.

    Args:
        record: how a step is recorded; None: as a CUDA graph, and not at all on a CPU.
    """

    def __init__(self, record: Record | None = None):
        self.ran_as = "solo"  # until a step was replayed
        self.notes: list[str] = []
        self.record = record
        self.recording: Recording | None = None
        self.batch: Batch | None = None  # the memory from which the recording reads
        self.layout: Layout | None = None  # of the trainer after a step that was not replayed
        self.looks = True  # whether the layout may have changed since

    def warm_up(self, trainer: Trainer) -> None:
        self.end()  # a trial that begins again has another trainer
        super().warm_up(trainer)

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        (trainer,) = trainers
        self.looks = True
        self.step(trainer)
        while not (is_due() or wants_pause()):
            self.step(trainer)

    def end(self) -> None:
        if self.recording is not None:
            self.recording.free()
        self.recording = self.batch = self.layout = None

    def step(self, trainer: Trainer) -> None:
        """One step, with the bits of `Trainer.step`."""
        batch = trainer.choose_batch()
        if self.notes or len(batch) < trainer.whole_batch:
            trainer.compute(batch)
        elif self._is_as_before(trainer) and self._is_recorded(trainer, batch):
            self._replay(trainer, batch)
        else:
            trainer.compute(batch)
            self.layout = layout_of(trainer)
        trainer.advance(len(batch))

    def _is_as_before(self, trainer: Trainer) -> bool:
        """Whether the tensors are those of the last whole batch, and what trains is the same."""
        if self.looks or trainer.begins_epoch:
            self.looks = False
            if self.layout != layout_of(trainer):
                self.end()
        return self.layout is not None

    def _is_recorded(self, trainer: Trainer, batch: Batch) -> bool:
        """Record the step unless that was done; a step that cannot be is said."""
        if self.recording is not None:
            return True
        reason = "it computes on a CPU"
        if trainer.part.source is not None:
            reason = "its images do not fit on the GPU, and are read while it trains"
        elif self.record is not None or trainer.device.type == "cuda":
            reason = self._try_to_record(trainer, batch)
        if reason:
            self.end()
            self.notes.append(f"steps not captured as a graph: {reason}")
        return not reason

    def _try_to_record(self, trainer: Trainer, batch: Batch) -> str:
        """Record the step; why it could not be, else nothing."""
        settings = trainer.settings
        if settings.ema is not None:
            return "train.ema moves the average by another share in each step"
        if settings.compile:
            return "train.compile makes kernels of its own, which nobody saw captured"
        if settings.gradient_checkpointing:
            return "train.gradient_checkpointing seeds masks again on the way back"
        if settings.precision == "fp16":
            return "train.precision fp16 leaves out steps whose gradients are not finite"
        if settings.optimizer in TIMMS_OPTIMIZERS:
            return f"train.optimizer {settings.optimizer} reads its rates on the host"
        if batch.draws is not None and batch.draws.ops is not None:
            return "train.augment chooses other changes for the images of each step"
        memory = self.batch = batch.clone()
        generators = [trainer.masks] if draws_masks(trainer) else []
        drawn = _host_generators()
        load_rates(trainer.bare_optimizer)
        try:
            record = self.record or CudaRecording
            self.recording = record(lambda: trainer.compute(memory), generators)
        except RuntimeError as err:
            trainer.forget_gradients()
            first = _first_of(err)
            return str(first).strip().partition("\n")[0] or type(first).__name__
        if _host_generators() != drawn:
            return "the network draws random numbers on the host"
        return ""

    def _replay(self, trainer: Trainer, batch: Batch) -> None:
        assert self.batch is not None
        assert self.recording is not None
        self.batch.copy_(batch)
        load_rates(trainer.bare_optimizer)
        self.recording.replay()
        self.ran_as = "graph"


def draws_masks(trainer: Trainer) -> bool:
    """Whether a step draws dropout masks."""
    return any(isinstance(module, SeededDropout) for module in trainer.network.modules())


def layout_of(trainer: Trainer) -> Layout:
    """Where all lies that a step reads and writes, what trains, and the modes of the layers."""
    network, states = trainer.network, trainer.bare_optimizer.state
    sums = [trainer.loss_sum, trainer.n_right]
    tensors = [*network.parameters(), *network.buffers(), *sums, trainer.part.inputs]
    kept = [value for state in states.values() for value in state.values() if value is not None]
    return (
        *(tensor.data_ptr() for tensor in [*tensors, *kept]),
        *(parameter.requires_grad for parameter in network.parameters()),
        *(module.training for module in network.modules()),
    )


def _first_of(err: BaseException) -> BaseException:
    """What went wrong first: at the end of a capture that broke off, CUDA says just that it did."""
    while isinstance(err.__context__, RuntimeError):
        err = err.__context__
    return err


def _host_generators() -> tuple[object, ...]:
    return random.getstate(), torch.random.get_rng_state().numpy().tobytes()
