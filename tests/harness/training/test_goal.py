"""What outputs are held against: losses by hand, scores in the target's unit, restarts."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from stopped_trials import run_with_stops

from datasets import load_dataset
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import LOSSES_OF, Train
from harness.training.goal import Goal, answers_of, ordinal
from harness.training.loop import loss_function
from harness.trials.catalogue import DataCatalogue
from headstart.errors import DataError, InputError
from headstart.records import trial_rows
from runs import fingerprints

SWEEP = """\
name: small
question: How large is a drawn digit?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 50, test: 50, target: number}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 2, evaluate_every: {steps: 4}}
arms: {scratch: {}}
seeds: 1
measure: {metric: mae}
"""


def test_the_ordinal_loss_by_hand() -> None:
    """Three grades with shares 1/2, 1/4, 1/4 and the middle one right: −(log 1/2 + log 3/4)/2."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    expected = -(math.log(0.5) + math.log(0.75)) / 2
    assert ordinal(logits, torch.tensor([1]), "mean").item() == pytest.approx(expected)
    shifted = ordinal(logits + 7, torch.tensor([1]), "none")
    assert shifted.tolist() == pytest.approx([expected], abs=1e-6)


def test_the_ordinal_loss_falls_with_the_distance_and_cross_entropy_does_not() -> None:
    sure = torch.eye(4) * 9.0
    labels = torch.zeros(4, dtype=torch.int64)
    far = ordinal(sure, labels, "none")
    assert (far.diff() > 1).all()
    assert F.cross_entropy(sure[1:], labels[1:], reduction="none").diff().abs().max() < 1e-5


def test_of_two_grades_it_is_cross_entropy() -> None:
    logits = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 2
    assert ordinal(logits, labels, "mean").item() == pytest.approx(
        F.cross_entropy(logits, labels).item(), abs=1e-6
    )


def test_losses_of_labels_and_numbers() -> None:
    logits, labels = torch.tensor([[0.0, 2.0], [1.0, -1.0]]), torch.tensor([1, 0])
    goal = Goal("labels", torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    loss = loss_function(Train().for_target("labels"), goal=goal)(logits, labels)
    assert loss.item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits, torch.tensor([[1.0, 1.0], [1.0, 0.0]])).item()
    )
    numbers = Goal("number", torch.tensor([[1.0], [-1.0]]), mean=10.0, sd=2.0)
    for name, expected in (("mse", (1 + 0) / 2), ("l1", (1 + 0) / 2), ("huber", (0.5 + 0) / 2)):
        settings = Train(loss=name).for_target("number")
        assert loss_function(settings, goal=numbers)(logits[:, :1], labels).item() == expected
    each = loss_function(Train().for_target("number"), "none", numbers)(logits[:, :1], labels)
    assert each.tolist() == [1.0, 0.0]


def test_numbers_are_standardised_by_training_images_and_scored_in_their_unit() -> None:
    dataset = load_dataset("optdigits", target="number")
    train = np.flatnonzero(np.isin(dataset.labels, [2, 4]))
    goal = Goal.of(dataset, train, torch.device("cpu"))
    values = dataset.labels[train].astype(float)
    assert (goal.mean, goal.sd) == pytest.approx((values.mean(), values.std()))
    labels = torch.tensor([2, 9])
    assert goal.right(labels)[:, 0].tolist() == pytest.approx([2, 9], abs=1e-5)
    logits = (torch.tensor([[3.0], [9.0]]) - goal.mean) / goal.sd
    score = goal.score(0.5, logits, labels)
    assert score.of_target == pytest.approx({"mae": 0.5, "rmse": 0.5**0.5, "r2": 1 - 1 / 24.5},
        abs=1e-5)  # fmt: skip
    assert math.isnan(score.accuracy)
    assert (score.cost("val_mae"), score.cost("val_loss")) == pytest.approx((0.5, 0.5), abs=1e-5)
    assert score.cost("val_r2") == pytest.approx(1 / 24.5 - 1, abs=1e-5)
    assert answers_of("number", logits, goal.mean, goal.sd)[:, 0].tolist() == pytest.approx([3, 9])
    with pytest.raises(DataError, match="all 3 training images have the number 5"):
        Goal.of(dataset, np.flatnonzero(dataset.labels == 5)[:3], torch.device("cpu"))


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"loss": "mse"}, "", "loss: mse is not of classes; its losses are cross_"),
        ({"loss": "ordinal"}, "number", "ordinal is not of a target .*; its losses are mse, l1"),
        ({"loss": "complementary"}, "labels", "complementary is not of a target"),
        ({"class_weights": "balanced"}, "number", "class_weights: .* has no classes"),
        ({"sampling": "balanced"}, "labels", "sampling: .* has no classes"),
        ({"label_smoothing": 0.1}, "number", "label_smoothing: .* has no labels"),
        ({"label_smoothing": 0.1, "loss": "l1"}, "number", "is of labels, and the loss l1 is of n"),
        ({"select": "val_mae"}, "labels", "select: val_mae is not of .*val_mean_average_precision"),
        ({"select": "val_r2"}, "", "select: val_r2 is not of classes; there are val_accuracy"),
    ],
)
def test_what_does_not_go_with_a_target_is_refused(keys, kind, message) -> None:
    with pytest.raises(ValueError, match=message):
        Train(**keys).for_target(kind)


def test_defaults_become_those_of_the_target_and_ids_know_only_what_is_written() -> None:
    train = Train()
    assert train.for_target("") is train
    chosen = {kind: train.for_target(kind) for kind in LOSSES_OF}
    assert [(t.loss, t.select) for t in chosen.values()] == [
        ("cross_entropy", "val_accuracy"),
        ("binary_cross_entropy", "val_mean_average_precision"),
        ("cross_entropy", "val_accuracy"),
        ("mse", "val_mae"),
    ]
    assert train.hashed() == {}


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"loss": "cross_entropy"}, "number", "loss: cross_entropy is not of .*; its losses are"),
        ({"loss": "cross_entropy"}, "labels", "loss: cross_entropy .* are binary_cross_entropy"),
        ({"select": "val_accuracy"}, "number", "select: val_accuracy .* there are val_mae"),
        ({"schedule": {"name": "plateau", "monitor": "val_accuracy"}}, "labels", "monitor: val_ac"),
        ({"loss": "cross_entropy", "select": "val_accuracy"}, "ordered", None),
    ],
)
def test_what_is_written_never_means_something_else(keys, kind, message) -> None:
    train, written = Train(**keys), {*keys, "schedule.monitor"}
    if message is None:
        assert train.for_target(kind, written) == train
        return
    with pytest.raises(ValueError, match=message):
        train.for_target(kind, written)


def test_stopped_at_any_step_it_goes_on_to_the_same_bits(write_sweep, tmp_path) -> None:
    catalogue = DataCatalogue()
    stopping = "early_stopping: {monitor: val_rmse, patience: 9}, schedule: {name: plateau, " \
        "monitor: val_r2}, select: val_rmse, batch_size: 32"  # fmt: skip
    plan = make_plan(load_sweep(write_sweep(("batch_size: 32", stopping), text=SWEEP)), catalogue)
    (spec,) = plan.trials

    assert run_with_stops(spec, catalogue, tmp_path / "straight", None) == 0
    assert run_with_stops(spec, catalogue, tmp_path / "stopped", 4) >= 2
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")
    row = dict(trial_rows(tmp_path / "straight", [spec.id]))[spec.id]
    assert (row.target, row.test_accuracy, row.best_val_accuracy) == ("number", None, None)
    curve = pq.read_table(tmp_path / "straight/trials" / spec.id / "curve.parquet").to_pylist()
    best = min(curve, key=lambda point: point["val_rmse"])
    assert (row.best_step, row.best_val_rmse) == (best["step"], best["val_rmse"])
    kept = np.load(tmp_path / "straight/trials" / spec.id / "predictions.npz")
    errors = np.abs(kept["answers"][:, 0].astype(float) - kept["right"][:, 0])
    assert errors.mean() == pytest.approx(row.test_mae, rel=1e-5)
    assert row.target_scale["mean"] == pytest.approx(4.5, abs=0.3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: mae", "metric: accuracy", "metric: accuracy is not of a target of the kind numb"),
        (
            "metric: mae",
            "metric: mae, audit: all",
            "measure.audit: it is of classes without an order",
        ),
        (", target: number", "", "measure.metric: mae is not of classes; it has accuracy"),
        ("epochs: 2", "epochs: 2, loss: ordinal", "train.loss: ordinal is not of a target"),
    ],
)
def test_a_sweep_that_asks_for_what_the_target_has_not_ends_at_its_plan(
    write_sweep, old, new, message
) -> None:
    sweep = load_sweep(write_sweep((old, new), text=SWEEP))
    with pytest.raises(InputError, match=message):
        make_plan(sweep, DataCatalogue())
