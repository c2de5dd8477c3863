"""Accumulation, averages, weights of classes, balanced epochs, mixed images, by references."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.seeds import derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.balance import balanced_order, weights_of_classes
from harness.training.batches import Batch, drawn_mix
from harness.training.loop import Trainer, loss_function
from harness.training.network import _apart, _spared
from harness.training.optimizers import make_optimizer
from harness.training.process import make_accelerator
from harness.training.schedules import make_schedule

STREAMS = derive_streams(0, 0, ("order", "augment", "dropout"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def part(n: int = 20) -> Part:
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(256, (n, 3, 8, 8), generator=draws, dtype=torch.uint8)
    labels = torch.randint(3, (n,), generator=draws)
    labels[:3] = torch.arange(3)
    return Part(images, labels, torch.arange(n).numpy())


def trainer(settings: Train, weights: torch.Tensor | None = None) -> Trainer:
    its = network()
    groups = [{"params": list(its.parameters())}]
    device = torch.device("cpu")
    return Trainer(
        its, part(), settings, STREAMS, make_accelerator("float32", "cpu"),
        Normalise((0.5,) * 3, (0.25,) * 3, device), groups, class_weights=weights,
    )  # fmt: skip


def flat(its: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in its.parameters()])


SGD = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 8}


@pytest.mark.parametrize(
    "more", [{}, {"mixup": 0.4}, {"cutmix": 1.0}, {"class_weights": "balanced"}]
)
@pytest.mark.parametrize("parts", [3, 8])
def test_accumulated_steps_are_those_of_the_whole_batch(parts: int, more: dict[str, float]) -> None:
    weights = torch.tensor([0.5, 1.0, 3.0]) if "class_weights" in more else None
    whole = trainer(Train(**SGD, **more), weights)
    split = trainer(Train(**SGD, **more, accumulate=parts), weights)
    for _ in range(4):  # the third batch of an epoch has four images
        whole.step()
        split.step()
    torch.testing.assert_close(flat(split.network), flat(whole.network), atol=1e-6, rtol=1e-5)
    ours, theirs = split.take_train_score(), whole.take_train_score()
    assert ours.accuracy == theirs.accuracy
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)


def test_the_average_is_the_recursion_by_hand_and_goes_on_from_a_state() -> None:
    settings = Train(**SGD, ema=0.5)
    its, plain = trainer(settings), trainer(Train(**SGD))
    expected = flat(its.network).double()
    for step in range(6):
        its.step()
        plain.step()
        decay = min(0.5, (2 + step) / (11 + step))
        expected = decay * expected + (1 - decay) * flat(its.network).double()
        if step == 2:
            state = copy.deepcopy(its.state())
            its = trainer(settings)
            its.restore(state)
    assert torch.equal(flat(its.network), flat(plain.network))  # no step depends on it
    with its.average.shown():
        torch.testing.assert_close(flat(its.network).double(), expected, atol=1e-6, rtol=0)
    assert torch.equal(flat(its.network), flat(plain.network))


def test_a_warm_up_leaves_no_average() -> None:
    its = trainer(Train(**SGD, ema=0.9))
    its.warm_up()
    assert its.average.tensors == {}


def test_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    ours = weights_of_classes("balanced", labels, ("a", "b", "c"))
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert ours is not None
    torch.testing.assert_close(ours, torch.tensor(theirs).float())
    assert float(ours[labels].mean()) == pytest.approx(1)
    named = weights_of_classes({"b": 2.5}, labels, ("a", "b", "c"))
    assert named is not None
    assert named.tolist() == [1, 2.5, 1]
    absent = weights_of_classes("balanced", labels, ("a", "b", "c", "d"))
    assert absent is not None
    assert absent.tolist()[3] == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_weighed_losses_are_torchs_but_for_their_divisor(loss: str) -> None:
    weights = torch.tensor([0.5, 1.0, 3.0])
    its = trainer(Train(**SGD, loss=loss, label_smoothing=0.0, class_weights="balanced"), weights)
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    if loss == "cross_entropy":
        theirs = F.cross_entropy(logits, labels, weight=weights, reduction="sum") / 7
    else:
        each = F.binary_cross_entropy_with_logits(
            logits, F.one_hot(labels, 3).float(), reduction="none"
        )
        theirs = (each.mean(dim=1) * weights[labels]).mean()
    torch.testing.assert_close(its.mean_loss(logits, labels), theirs)


def test_binary_cross_entropy_is_timms() -> None:
    timm_loss = pytest.importorskip("timm.loss")
    logits, labels = torch.randn(9, 5), torch.randint(5, (9,))
    theirs = timm_loss.BinaryCrossEntropy(smoothing=0.1)(logits, labels)
    settings = Train(loss="binary_cross_entropy", label_smoothing=0.1)
    torch.testing.assert_close(loss_function(settings)(logits, labels), theirs)
    each = loss_function(settings, "none")(logits, labels)
    torch.testing.assert_close(each.mean(), theirs)


def test_a_balanced_epoch_shows_classes_alike_and_every_image() -> None:
    labels = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)[torch.randperm(1000)]
    orders = [balanced_order(labels, torch.Generator().manual_seed(k)) for k in range(60)]
    assert all(len(order) == 1000 for order in orders)
    shares = torch.bincount(labels[torch.cat(orders)]) / 60_000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    rare = torch.bincount(torch.cat(orders), minlength=1000)[labels == 2]
    torch.testing.assert_close(rare.float(), torch.full((10,), 2000.0), atol=200, rtol=0)
    assert not torch.equal(orders[0], orders[1])


def test_cutmix_replaces_a_box_and_its_share_of_the_label() -> None:
    settings, images = Train(cutmix=1.0), torch.rand(5, 3, 20, 30)
    shares = []
    for step in range(300):
        drawn = drawn_mix(settings, 7, step, (20, 30))
        changed = Batch(torch.arange(5), **drawn).mixed(images)
        top, left, bottom, right = drawn["box"].tolist()
        expected = images.clone()
        expected[..., top:bottom, left:right] = images.roll(-1, 0)[..., top:bottom, left:right]
        assert torch.equal(changed, expected)
        area = (bottom - top) * (right - left)
        assert float(drawn["share"]) == pytest.approx(1 - area / 600)
        shares.append(float(drawn["share"]))
    assert min(shares) < 0.3
    assert max(shares) > 0.95
    again = drawn_mix(settings, 7, 11, (20, 30))
    assert float(again["share"]) == shares[11]


def test_mixup_and_cutmix_take_turns() -> None:
    settings, images = Train(mixup=0.2, cutmix=1.0), torch.rand(4, 1, 16, 16)
    is_box = []
    for step in range(200):
        drawn = drawn_mix(settings, 3, step, (16, 16))
        is_box.append(float(drawn["blend"]) == 1)
        if not is_box[-1]:
            share = drawn["share"]
            expected = images * share + images.roll(-1, 0) * (1 - share)
            assert torch.equal(Batch(torch.arange(4), **drawn).mixed(images), expected)
    assert 70 < sum(is_box) < 130


def test_norms_and_biases_are_spared_of_weight_decay() -> None:
    its = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    its.no_weight_decay = lambda: {"3.weight"}  # type: ignore[assignment]
    groups = _apart({"params": list(its.parameters()), "lr": 0.1}, _spared(its))
    decays = [(g.get("weight_decay"), [tuple(p.shape) for p in g["params"]]) for g in groups]
    assert decays == [(0.0, [(4,), (4,), (4,), (2, 4), (2,)]), (None, [(4, 3, 3, 3)])]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "linear", "final_fraction": 0.2}, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]),
        ({"name": "linear", "warmup_steps": 3}, [0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2]),
        ({"name": "constant", "warmup_epochs": 0.5}, [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1]),
        (
            {"name": "cosine", "warmup_epochs": 1},
            [0.2, 0.4, 0.6, 0.8, *(0.5 + 0.5 * math.cos(math.pi * k / 4) for k in range(4))],
        ),
    ],
)
def test_rates_by_hand(schedule: dict[str, object], expected: list[float]) -> None:
    settings = Train.model_validate(
        {"learning_rate": 1.0, "optimizer": "sgd", "schedule": schedule}
    )
    optimizer = make_optimizer([{"params": [torch.zeros(1)]}], settings)
    made = make_schedule(optimizer, settings, steps_per_epoch=4, n_steps=8)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()  # type: ignore[union-attr,call-arg]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schedule": {"warmup_steps": 5, "warmup_epochs": 1}}, "one of warmup_steps"),
        ({"loss": "complementary", "cutmix": 1.0}, "cutmix mixes labels"),
        ({"loss": "complementary", "class_weights": "balanced"}, "class_weights belong"),
        ({"batch_size": 4, "accumulate": 5}, "accumulate 5 is over batch_size 4"),
        ({"ema": 1.0}, "less than 1"),
        ({"class_weights": {"a": 0.0}}, "greater than 0"),
        ({"crop_fraction": 1e-9}, "greater than or equal to 0.1"),
        ({"schedule": {"name": "plateau", "warmup_epochs": 1.0}}, "plateau has no warm-up"),
        ({"optimizer": "lion", "epsilon": 1e-3}, "epsilon is nothing that lion takes"),
        ({"optimizer": "muon", "betas": (0.9, 0.9)}, "betas is nothing that muon takes"),
        ({"augment": {"horizontal_flip": True}}, " no number"),
        ({"augment": {"random_resized_crop": True}}, " no number"),
        ({"augment": {"blur_sigma": [True, 2]}}, " no number"),
        ({"augment": {"colour_jitter": {"brightness": True}}}, " no number"),
        ({"augment": {"rand_augment": {"layers": True}}}, " no number"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Train.model_validate(given)


@pytest.mark.parametrize(
    ("given", "alone", "workers"),
    [
        ({"cutmix": 1.0}, "train.cutmix mixes images", "train.cutmix mixes images of a whole"),
        ({"accumulate": 2}, "train.accumulate computes", "train.accumulate computes a batch in"),
        ({"ema": 0.9}, "train.ema keeps an average", None),
        ({"optimizer": "muon"}, "train.optimizer muon takes", None),
        ({"class_weights": "balanced", "sampling": "balanced"}, None, None),
    ],
)
def test_what_packs_and_workers_cannot_do_is_said(
    given: dict[str, object], alone: str | None, workers: str | None
) -> None:
    train = Train.model_validate(given)
    for text, words in ((train.only_alone, alone), (train.reason_against_workers(2), workers)):
        assert (text is None) == (words is None)
        assert text is None or text.startswith(str(words))
    assert train.reason_against_workers(1) is None


def test_defaults_stay_out_of_ids() -> None:
    assert Train().hashed() == {}
    assert Train.model_validate({"schedule": {"name": "constant"}}).hashed() == {}
