from __future__ import annotations

import copy
import importlib.metadata
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate.utils.imports import is_datasets_available
from torch import nn

from harness.seeds import AXES, derive_seed, derive_streams
from harness.sweepfile.settings import Schedule, Train
from harness.training.arrays import Normalise, Part
from harness.training.batches import own_share
from harness.training.loop import Clock, Trainer, in_parts, loss_function
from harness.training.optimizers import make_optimizer
from harness.training.process import make_accelerator, set_up_process
from harness.training.schedules import make_schedule
from harness.training.sixteen_bits import check_on_cpu
from headstart.errors import InputError
from models.build import build_model

STREAMS = derive_streams(0, 0, AXES)


def digits(n: int = 50) -> Part:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8))
    return Part(images, torch.from_numpy(rng.integers(0, 10, n)), np.arange(n))


def lenet() -> nn.Module:
    return build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=1, head_seed=2
    )


def trainer_of(network: nn.Module, part: Part, settings: Train) -> Trainer:
    set_up_process(settings)
    accelerator = make_accelerator(settings.precision, "cpu")
    normalise = Normalise((0.1307,), (0.3081,), torch.device("cpu"))
    groups = [{"params": list(network.parameters())}]
    return Trainer(network, part, settings, STREAMS, accelerator, normalise, groups)


def test_seven_steps_equal_a_loop_written_out_by_hand():
    part, settings = digits(), Train(batch_size=16, epochs=2, learning_rate=1e-3)
    ours = lenet()
    trainer = trainer_of(ours, part, settings)
    for _ in range(7):  # four batches an epoch, the last of two images
        trainer.step()
    by_hand = lenet()
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-3)
    losses, right = [], 0
    for epoch in (0, 1):
        generator = torch.Generator().manual_seed(derive_seed(STREAMS["order"], "epoch", epoch))
        order = torch.randperm(50, generator=generator)
        for rows in order.split(16)[: 4 if epoch == 0 else 3]:
            inputs = (part.inputs[rows].float() / 255 - 0.1307) / 0.3081
            logits = by_hand(inputs)
            right += int((logits.argmax(1) == part.labels[rows]).sum())
            loss = F.cross_entropy(logits, part.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(rows)
    for ours_now, theirs in zip(ours.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours_now, theirs, rtol=1e-3, atol=2e-5)
    trained = trainer.take_train_score()
    assert trained.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert trained.accuracy == right / 98, "of each batch before its step"
    assert math.isnan(trainer.take_train_score().accuracy), "nothing was trained since"
    assert (trainer.samples, trainer.epoch) == (50 + 48, 1.75)


def test_a_state_keeps_what_was_right_and_one_of_before_says_that_it_does_not_know():
    trainers = [trainer_of(lenet(), digits(50), Train(batch_size=16, epochs=3)) for _ in range(3)]
    for trainer in trainers:
        trainer.step()
        state = copy.deepcopy(trainer.state())
        if trainer is trainers[2]:
            del state["n_right"]  # a version before wrote none
        for _ in range(2 if trainer is not trainers[0] else 0):  # steps that are lost
            trainer.step()
        if trainer is not trainers[0]:
            trainer.restore(state)
        trainer.step()
    straight, resumed, of_before = (trainer.take_train_score() for trainer in trainers)
    assert resumed == straight
    assert straight.accuracy > 0
    assert of_before.loss == straight.loss
    assert math.isnan(of_before.accuracy)
    for trainer in trainers:
        trainer.step()
    assert trainers[2].take_train_score() == trainers[0].take_train_score(), "the next interval"


def test_evaluation_is_the_mean_over_images_and_changes_nothing():
    part, network = digits(2300), lenet()  # more than two evaluation batches
    trainer = trainer_of(network, part, Train())
    before = {k: v.clone() for k, v in network.state_dict().items()}
    score = trainer.evaluate(part, 10)
    again, logits = trainer.predict(part, 10)
    with torch.no_grad():
        expected = network((part.inputs.float() / 255 - 0.1307) / 0.3081)
    assert score.loss == pytest.approx(F.cross_entropy(expected, part.labels).item(), rel=1e-5)
    assert score.accuracy == (expected.argmax(1) == part.labels).double().mean().item()
    assert again.accuracy == score.accuracy
    torch.testing.assert_close(logits, expected)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize("name", ["lenet5", "midas_cnn"])
def test_parts_of_an_evaluation_on_a_cpu_change_no_bit(name, monkeypatch):
    network = build_model(
        name, n_classes=10, image_size=(28, 28), channels=1, init_seed=1, head_seed=2
    )
    part = digits(286)
    trainer = trainer_of(network, part, Train())
    score, logits = trainer.predict(part, 10)
    monkeypatch.setattr("harness.training.loop.CPU_PART", 1000)
    score_of_all, logits_of_all = trainer.predict(part, 10)
    assert torch.equal(logits, logits_of_all)
    assert score == score_of_all
    assert trainer.evaluate(part, 10).accuracy == score.accuracy


def test_an_evaluation_on_a_cpu_prepares_no_more_images_than_it_shows_at_once(monkeypatch):
    trainer, sizes = trainer_of(lenet(), part := digits(286), Train()), []
    prepare = Normalise.images
    monkeypatch.setattr(
        Normalise, "images", lambda self, x: sizes.append(len(x)) or prepare(self, x)
    )
    trainer.evaluate(part, 10)
    assert sizes == [100, 186]


@pytest.mark.parametrize(
    ("n", "sizes"), [(0, [0]), (86, [86]), (199, [199]), (200, [100, 100]), (286, [100, 186])]
)
def test_a_short_rest_goes_to_the_last_part(n, sizes):
    parts = in_parts(torch.arange(n), 100)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat(parts), torch.arange(n))


def test_a_restored_trainer_takes_the_very_same_steps():
    settings = Train(
        batch_size=16, epochs=3, learning_rate=1e-3, augment={"rotate": 10.0},
        schedule=Schedule(name="cosine", warmup_steps=2),
    )  # fmt: skip
    straight, part = lenet(), digits()
    trainer = trainer_of(straight, part, settings)
    for _ in range(5):
        trainer.step()
    state = copy.deepcopy(trainer.state())
    for _ in range(4):
        trainer.step()
    other = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=9, head_seed=9
    )
    restored = trainer_of(other, part, settings)
    restored.restore(state)
    for _ in range(4):
        restored.step()
    for a, b in zip(straight.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_complementary_loss_is_that_of_its_paper():
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    p = logits.softmax(1)
    expected = -((1 - p[range(6), labels]) / 4).log().mean()
    loss = loss_function(Train(loss="complementary"))(logits, labels)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    sure = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)  # sure of what it is told is wrong
    loss_function(Train(loss="complementary"))(sure, torch.tensor([0])).backward()
    assert torch.isfinite(sure.grad).all()


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (Schedule(name="none"), [1, 1, 1, 1, 1, 1, 1, 1]),
        (Schedule(name="step", every=1, factor=0.1), [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3]),
        (Schedule(name="cosine"), [(1 + math.cos(math.pi * s / 8)) / 2 for s in range(8)]),
        (Schedule(warmup_steps=3), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
    ],
)
def test_schedules(schedule, rates):
    parameter = nn.Parameter(torch.zeros(1))
    settings = Train(learning_rate=1.0, schedule=schedule)
    optimizer = make_optimizer([{"params": [parameter]}], settings)
    made = make_schedule(optimizer, settings, steps_per_epoch=2, n_steps=8)
    seen = []
    for _ in range(8):
        seen.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.zeros(1)
        optimizer.step()
        if made is not None:
            made.step()
    assert seen == pytest.approx(rates)


@pytest.mark.slow
def test_one_process_runs_trials_of_different_precision_in_turn():
    """Slow: a process of its own that loads torch."""
    part = digits()
    try:
        check_on_cpu("bf16")
        check_on_cpu("fp16")
    except InputError as err:
        pytest.skip(str(err))
    for precision in ("float32", "bf16", "fp16", "float32"):
        trainer = trainer_of(lenet(), part, Train(precision=precision, batch_size=25))
        trainer.step()
        assert math.isfinite(trainer.take_train_score().loss)
        assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


def test_evaluation_is_off_the_training_clock():
    ticks = iter([0.0, 2.0, 2.0, 7.0, 7.0, 8.5])
    clock = Clock(lambda: next(ticks))
    with clock.timing("train"):
        pass
    with clock.timing("eval"):
        pass
    with clock.timing("train"):
        pass
    spent = {what: seconds for what, seconds in clock.seconds.items() if seconds}
    assert spent == {"train": 3.5, "eval": 5.0}


def test_our_folder_of_data_sets_is_not_taken_for_the_package_of_that_name():
    """Accelerate imports `datasets` where its metadata says that package is installed."""
    assert not is_datasets_available()
    assert "datasets" not in {d.metadata["Name"] for d in importlib.metadata.distributions()}


def test_mixup_mixes_each_image_and_its_label_with_the_next_one_of_the_batch():
    part = digits(12)
    settings = Train(batch_size=12, mixup=0.4, learning_rate=1e-3, optimizer="sgd")
    trainer = trainer_of(lenet(), part, settings)
    reference = copy.deepcopy(trainer.network)
    batch = trainer.choose_batch()
    assert batch.share is not None
    assert 0.5 <= float(batch.share) <= 1
    inputs, labels = trainer.inputs_of(batch)
    after = torch.cat([inputs[1:], inputs[:1]])
    logits = reference(batch.share * inputs + (1 - batch.share) * after)
    own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels.roll(-1))
    trainer.step()
    expected = batch.share * own + (1 - batch.share) * other
    assert trainer.take_train_score().loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_shares_of_mixup_are_those_of_the_step_and_the_stream():
    shares = [float(own_share(0.3, 7, step)) for step in range(400)]
    assert shares == [float(own_share(0.3, 7, step)) for step in range(400)]
    assert shares[:3] != [float(own_share(0.3, 8, step)) for step in range(3)]
    folded = np.random.default_rng(1).beta(0.3, 0.3, 100_000)
    expected = np.maximum(folded, 1 - folded).mean()
    assert np.mean(shares) == pytest.approx(expected, abs=0.03)


def test_mixup_is_refused_where_a_batch_is_in_parts_and_for_labels_that_are_none():
    reason = Train(mixup=0.3).reason_against_workers(2)
    assert reason is not None
    assert reason.startswith("train.mixup mixes images of a whole batch, of which each of 2")
    assert Train(mixup=0.3).reason_against_workers(1) is None
    with pytest.raises(ValueError, match="those of the loss complementary are none"):
        Train(mixup=0.3, loss="complementary")
