"""Steps as a CUDA graph: the solo run's bits, on a GPU; refused with the reason elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.joint.captured import CapturedFused, CapturedSteps
from harness.joint.fused import FusedJoint
from harness.seeds import derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from headstart.errors import InputError
from models.build import build_model

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def trainers(n, device, name="lenet5", **settings):
    """Seeds on noise: 5 batches an epoch, the last of them smaller."""
    train = Train(batch_size=16, epochs=3, **settings)
    set_up_process(train)
    accelerator = make_accelerator(train.precision, device)
    place = accelerator.device
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (70, 1, 28, 28), dtype=torch.uint8, generator=noise).to(place)
    labels = torch.randint(10, (70,), generator=noise).to(place)
    part = Part(images, labels, np.arange(70), torch.arange(70, device=place))
    made = []
    for seed in range(n):
        network = build_model(
            name, n_classes=10, image_size=(28, 28), channels=1, init_seed=seed, head_seed=seed
        ).to(place)
        streams = derive_streams(0, seed, ("order", "dropout"))
        normalise = Normalise([0.5], [0.5], place)
        groups = [{"params": list(network.parameters())}]
        made.append(Trainer(network, part, train, streams, accelerator, normalise, groups))
    return made


def test_what_cannot_be_captured_is_refused():
    with pytest.raises(InputError, match="needs a GPU"):
        CapturedSteps(trainers(1, "cpu"))
    with FusedJoint(trainers(2, "cpu")) as joint, pytest.raises(InputError, match="needs a GPU"):
        CapturedFused(joint)


def test_a_fused_step_is_what_a_graph_would_capture():
    """Its parts (positions, batches, update) on a CPU, where nothing can be captured."""
    whole, parts = trainers(2, "cpu"), trainers(2, "cpu")
    with FusedJoint(whole) as first, FusedJoint(parts) as second:
        for _ in range(4):
            first.step()
            second.update(*second.batches_at(second.next_positions()))
            second.count_images(16)
    for expected, other in zip(whole, parts, strict=True):
        assert (
            (expected.step_count, expected.loss_count)
            == (other.step_count, other.loss_count)
            == (4, 64)
        )
        assert torch.equal(expected.loss_sum, other.loss_sum)
        for key, tensor in expected.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[key]), key


def test_each_epoch_has_its_own_order_also_without_a_pause_between():
    """Twelve steps are two epochs of five and a part of the third."""
    through, paused = trainers(2, "cpu"), trainers(2, "cpu")
    with FusedJoint(through) as joint:
        taken = []
        for _ in range(12):
            taken.append(joint.next_positions())
            joint.step()
    for _ in range(12):
        with FusedJoint(paused) as joint:
            joint.step()
    for k, (expected, other) in enumerate(zip(through, paused, strict=True)):
        for epoch in (0, 1):
            seen = torch.cat([step[k] for step in taken[5 * epoch : 5 * epoch + 5]])
            assert sorted(seen.tolist()) == list(range(70))
        assert not torch.equal(taken[0][k], taken[5][k])
        assert expected.step_count == other.step_count == 12
        for key, tensor in expected.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[key]), key


@gpu
@needs_gpu
@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
def test_replayed_fused_steps_are_the_fused_steps(name):
    """Ten steps: two epochs, each with a smaller batch at its end."""
    eager, captured = trainers(3, "cuda", name), trainers(3, "cuda", name)
    with FusedJoint(eager) as first, FusedJoint(captured) as second:
        replayed = CapturedFused(second)
        for _ in range(10):
            first.step()
            replayed.step()
    for expected, other in zip(eager, captured, strict=True):
        assert (expected.step_count, expected.loss_count) == (other.step_count, other.loss_count)
        assert torch.equal(expected.loss_sum, other.loss_sum)
        for key, tensor in expected.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[key]), key


@gpu
@needs_gpu
@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"optimizer": "sgd", "momentum": 0.9}])
def test_replayed_steps_have_the_solo_bits(name, n, settings):
    solo, captured = trainers(n, "cuda", name, **settings), trainers(n, "cuda", name, **settings)
    steps = CapturedSteps(captured)
    for _ in range(12):
        steps.step()
        for trainer in solo:
            trainer.step()
    for expected, other in zip(solo, captured, strict=True):
        assert (expected.step_count, expected.loss_count) == (other.step_count, other.loss_count)
        assert torch.equal(expected.loss_sum, other.loss_sum)
        for key, tensor in expected.network.state_dict().items():
            assert torch.equal(tensor, other.network.state_dict()[key]), key


CAPTURED = """
    from card_counters import counted
    from datasets.augment_settings import Augment
    from harness.sweepfile.settings import Schedule
    from joint.test_captured import CapturedFused, CapturedSteps, FusedJoint, trainers

    def asked_by(step):
        for _ in range(6):  # of each five steps the last one has fewer images
            step()
        with counted() as asked:
            step()
            step()
        return asked

    for settings in (
        {}, {"optimizer": "sgd"}, {"schedule": Schedule(name="cosine")},
        {"augment": Augment(rotate=9.0)},
    ):
        asked = asked_by(CapturedSteps(trainers(3, "cuda", "midas_cnn", **settings)).step)
        assert (asked.graph_launches, asked.waits) == (2, 0), (settings, asked)
        assert asked.kernels <= 2 * 3 * 3, (settings, asked)  # seeds of masks, rates
        if "augment" not in settings:
            with FusedJoint(trainers(3, "cuda", "midas_cnn", **settings)) as joint:
                asked = asked_by(CapturedFused(joint).step)
            assert (asked.graph_launches, asked.waits) == (2, 0), (settings, asked)
            assert asked.kernels <= 2 * 3 * 3, (settings, asked)
    print("all captured")
"""


@pytest.mark.slow
def test_steps_of_several_trainers_are_captured_on_a_card(card):
    """On a stand-in: that capturing is legal, and what is left to launch.

    Slow: a process of its own on the stand-in for a card.
    """
    assert card.run(CAPTURED, memory_gb=8).stdout == "all captured\n"


@gpu
@needs_gpu
@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
def test_fused_steps_on_a_gpu_are_near_the_solo_steps(name):
    solo, joint = trainers(3, "cuda", name), trainers(3, "cuda", name)
    with FusedJoint(joint) as together:
        together.step()
    for expected, other in zip(solo, joint, strict=True):
        expected.step()
        assert float(expected.loss_sum) == pytest.approx(float(other.loss_sum), rel=1e-5)
