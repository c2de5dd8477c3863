"""When making steps ends, in each way of making them; and rows of a batch, which ranks share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasets.augment_settings import Augment
from harness.joint.steps import Joint, JointSteps
from harness.seeds import AXES, derive_streams
from harness.sweepfile.settings import Train
from harness.teams.data_parallel import SharedSteps
from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from harness.training.ranks import ONE_RANK, OneRank
from harness.training.steps import SOLO
from models.build import build_model


class CountingTrainer:
    """A trainer that only counts."""

    step_count = 0

    def step(self) -> None:
        self.step_count += 1


class CountingJoint(Joint):
    """Steps of trainers that only count; says when those were given back, and when put back."""

    n_given_back = n_gone_back = 0

    def __init__(self, trainers):
        self.trainers = trainers

    def step(self) -> None:
        for trainer in self.trainers:
            trainer.step()

    def give_back(self) -> None:
        CountingJoint.n_given_back += 1

    def go_back(self) -> None:
        CountingJoint.n_gone_back += 1


def trainer_of(settings: Train, n_images: int = 50) -> Trainer:
    set_up_process(settings)
    accelerator = make_accelerator("float32", "cpu")
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (n_images, 1, 28, 28), dtype=np.uint8))
    part = Part(images, torch.from_numpy(rng.integers(0, 10, n_images)), np.arange(n_images))
    network = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=1, head_seed=2,
        options={"dropout": 0.3},
    )  # fmt: skip
    normalise = Normalise((0.1307,), (0.3081,), accelerator.device)
    groups = [{"params": list(network.parameters())}]
    streams = derive_streams(0, 0, AXES)
    return Trainer(network, part, settings, streams, accelerator, normalise, groups)


@pytest.mark.parametrize("steps", [SOLO, JointSteps("counting", CountingJoint)])
def test_at_least_one_step_is_made_and_then_until_something_is_due(steps):
    trainer = CountingTrainer()
    steps.make([trainer], lambda: True, lambda: True)
    assert trainer.step_count == 1
    steps.make([trainer], lambda: trainer.step_count == 5, lambda: False)
    assert trainer.step_count == 5
    steps.make([trainer], lambda: False, lambda: trainer.step_count == 7)
    assert trainer.step_count == 7


def test_whether_a_pause_is_wanted_is_not_asked_where_something_is_due():
    trainer, asked = CountingTrainer(), []
    SOLO.make([trainer], lambda: trainer.step_count == 3, lambda: bool(asked.append(1)))
    assert len(asked) == 2


def test_trainers_of_a_joint_step_get_their_weights_back_unless_it_failed():
    def fail() -> bool:
        raise ValueError("no")

    CountingJoint.n_given_back = CountingJoint.n_gone_back = 0
    steps = JointSteps("counting", CountingJoint)
    steps.make([CountingTrainer(), CountingTrainer()], lambda: True, lambda: False)
    assert (CountingJoint.n_given_back, CountingJoint.n_gone_back) == (1, 0)
    with pytest.raises(ValueError, match="no"):
        steps.make([CountingTrainer()], fail, lambda: False)
    assert (CountingJoint.n_given_back, CountingJoint.n_gone_back) == (1, 1)


def test_shared_steps_of_one_rank_are_the_solo_steps_but_for_rounding():
    settings = Train(optimizer="sgd", learning_rate=0.01, batch_size=16, epochs=2)
    alone, shared = trainer_of(settings), trainer_of(settings)
    for _ in range(5):  # the fourth batch has two images
        alone.step()
    asked = []
    SharedSteps(ONE_RANK).make(
        [shared], lambda: False, lambda: len(asked) == 4 or bool(asked.append(1))
    )
    assert shared.step_count == 5  # the wish travels with a step and ends the row of steps after it
    for ours, other in zip(alone.network.parameters(), shared.network.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-7)
    assert shared.take_train_score().loss == pytest.approx(alone.take_train_score().loss, rel=1e-5)


def test_rows_of_a_batch_are_changed_as_in_the_whole_batch():
    """Also where the batch is augmented: the draws are the whole batch's."""
    settings = Train(batch_size=16, epochs=2, augment=Augment(rotate=20, translate=0.1, erase=0.3))
    inputs, labels = trainer_of(settings).next_batch()
    for rows in (slice(0, 5), slice(5, 16), slice(3, 3)):
        some, their_labels = trainer_of(settings).next_batch(rows=rows)
        torch.testing.assert_close(some, inputs[rows], rtol=0, atol=1e-6)
        assert torch.equal(their_labels, labels[rows])


def test_predictions_are_evaluated_in_the_parts_order_for_any_number_of_ranks():
    """Ranks evaluate every other batch, and nothing of the others'; together they have all."""

    class Half(OneRank):
        def __init__(self, rank):
            self.rank, self.n = rank, 2

    trainer = trainer_of(Train(), n_images=2300)
    score, logits = trainer.predict(trainer.part, 10)
    halves = []
    for rank in (0, 1):
        trainer.ranks = Half(rank)
        halves.append(trainer.predict(trainer.part, 10)[1])
    assert torch.equal(halves[0] + halves[1], logits)
    assert not halves[0][1000:2000].any()
    assert not halves[1][:1000].any()
    assert not halves[1][2000:].any()
    trainer.ranks = ONE_RANK
    assert trainer.evaluate(trainer.part, 10).accuracy == score.accuracy
