"""Bytes of a step on a CPU: by hand, and without a trace in the numbers."""

from __future__ import annotations

import gc

import numpy as np
import torch
from torch import nn

from harness.seeds import AXES, derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from harness.training.step_memory import StepMemory, begin_peak, peak_of
from models.build import build_model

FLOAT = 4
CPU = torch.device("cpu")


def trainer_of(network: nn.Module) -> Trainer:
    """Of 50 images in batches of 16, with Adam."""
    settings, rng = Train(batch_size=16), np.random.default_rng(0)
    set_up_process(settings)
    images = torch.from_numpy(rng.integers(0, 256, (50, 1, 28, 28), dtype=np.uint8))
    part = Part(images, torch.from_numpy(rng.integers(0, 10, 50)), np.arange(50))
    return Trainer(
        network, part, settings, derive_streams(0, 0, AXES), make_accelerator("float32", "cpu"),
        Normalise((0.1307,), (0.3081,), CPU), [{"params": list(network.parameters())}],
    )  # fmt: skip


def lenet() -> nn.Module:
    kind = {"n_classes": 10, "image_size": (28, 28), "channels": 1}
    return build_model("lenet5", init_seed=1, head_seed=2, **kind)


def test_the_bytes_of_a_step_by_hand() -> None:
    """Adam and a batch of 16; biases train alone, or all does."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10))
    weights, biases = FLOAT * (784 * 5 + 5 * 10), FLOAT * (5 + 10)
    images, hidden, logits = FLOAT * 16 * 784, FLOAT * 16 * 5, FLOAT * 16 * 10
    labels, n_labels, adams_steps = 8 * 16, FLOAT, FLOAT  # int64; the loss keeps how many there are
    for_loss = logits + labels + n_labels
    trainer = trainer_of(network)
    trainer.memory = StepMemory(network)
    trainer.step()
    of_all = 4 * (weights + biases) + 4 * adams_steps  # itself, gradients and two moments
    assert trainer.memory.n_bytes == of_all + images + hidden + for_loss
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    trainer = trainer_of(network)
    trainer.memory = StepMemory(network)
    trainer.step()
    of_biases = weights + 4 * biases + 2 * adams_steps
    assert trainer.memory.n_bytes == of_biases + hidden + for_loss


def test_a_step_that_is_watched_has_the_same_bits_and_keeps_nothing() -> None:
    networks = [lenet(), lenet()]
    trainers = [trainer_of(network) for network in networks]
    memory = trainers[0].memory = StepMemory(networks[0])
    for trainer in trainers:
        for _ in range(6):  # four of an epoch, of which the first is watched
            trainer.step()
    for ours, theirs in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(ours, theirs)
    assert memory.n_bytes > 0
    gc.collect()
    gc.disable()
    try:  # no circle of references holds the activations of a step
        trainers[0].step_count = 8
        trainers[0].step()
        assert not [held for held in gc.get_objects() if type(held).__name__ == "_Held"]
    finally:
        gc.enable()


def test_a_cpu_has_no_peak() -> None:
    begin_peak(CPU)
    assert peak_of(CPU) is None
