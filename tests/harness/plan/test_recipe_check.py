"""What of `train` only the data can say is told before any trial runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError

SWEEP = """\
name: own
question: Does it train?
model: {name: lenet5}
data: {name: glyphs, count: 60, seed: 1, classes: digits, train: 41, validation: 9, test: 10}
train: {batch_size: 8, epochs: 2, TRAIN}
arms: {one: {}}
seeds: 1
"""


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            "schedule: {warmup_epochs: 2.5}",
            "schedule.warmup_epochs: a warm-up of 2.5 epochs is longer",
        ),
        ("schedule: {warmup_epochs: 2.5}, at_least_steps: 17", None),  # which makes 3 epochs
        ("schedule: {warmup_epochs: 2}", None),
        ("schedule: {warmup_steps: 13}", None),  # of 12 steps: a sweep that is tried out
        ("augment: {random_crop: 28}", "augment.random_crop: 28 pixels around images of which the"),
        ("augment: {random_crop: 27}", None),
        ("augment: {colour_jitter: {saturation: 0.4}}", "augment.colour_jitter.saturation: the"),
        ("augment: {colour_jitter: {hue: 0.1}}", "augment.colour_jitter.hue: the"),
        ("augment: {grayscale: 0.1}", "augment.grayscale: the network is given gray images"),
        ("augment: {colour_jitter: {brightness: 0.4}}", None),
        ("class_weights: {x: 2}", "class_weights: glyphs has no class 'x'"),
    ],
)
def test_what_does_not_fit_the_data_is_named(
    tmp_path: Path, train: str, message: str | None
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(SWEEP.replace("TRAIN", train))
    if message is None:
        make_plan(load_sweep(path), DataCatalogue())
        return
    with pytest.raises(InputError) as caught:
        make_plan(load_sweep(path), DataCatalogue())
    assert str(caught.value).startswith(f"{path}:5: train.{message}")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("train: {loss: cross_entropy}", "8: train.loss: cross_entropy is not of a target"),
        ("train: {recipe: linear_probe, select: val_accuracy}", "8: train.select: val_accuracy"),
        ("measure: {metric: r2, audit: all}", "8: measure.audit: it is of classes without"),
        ("train: {early_stopping: {patience: 2}}", None),
    ],
)
def test_what_does_not_go_with_a_target_has_its_line(
    tmp_path: Path, written: str, message: str | None
) -> None:
    path = tmp_path / "own.yaml"
    text = SWEEP.replace("test: 10}", "test: 10, target: number}")
    lines = [line for line in text.splitlines() if not line.startswith("train:")]
    measure = [] if "measure" in written else ["measure: {metric: mae, targets: [1]}"]
    path.write_text("\n".join([*lines, "", written, *measure]))
    if message is not None:
        with pytest.raises(InputError) as caught:
            make_plan(load_sweep(path), DataCatalogue())
        assert str(caught.value).startswith(f"{path}:{message}")
        return
    plan = make_plan(load_sweep(path), DataCatalogue())
    again = tmp_path / "again.yaml"  # what a run folder keeps writes nothing that is refused
    again.write_text(resolved_yaml(plan.sweep))
    known = [trial.id for trial in make_plan(load_sweep(again), DataCatalogue()).trials]
    assert known == [trial.id for trial in plan.trials]
