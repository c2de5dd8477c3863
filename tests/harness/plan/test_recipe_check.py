"""What of `train` only the data can say is told before any trial runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.planner import make_plan
from harness.plan.recipe_check import check_classes
from harness.sweepfile.reader import load_sweep
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
    assert f"own: one: train.{message}" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "measure", "message"),
    [
        ("number", "{metric: mae, targets: [1]}", "also_test is scored by classes, and the data"),
        ("ordered", "{metric: quadratic_kappa, targets: [0.5]}", "also_test is not scored by quad"),
        ("ordered", "{metric: accuracy, targets: [0.5]}", None),
    ],
)
def test_further_test_sets_are_of_classes(
    tmp_path: Path, target: str, measure: str, message: str | None
) -> None:
    path = tmp_path / "own.yaml"
    text = SWEEP.replace(", TRAIN", "").replace("test: 10}", f"test: 10, target: {target}}}")
    path.write_text(f"{text}measure: {measure}\nalso_test: [{{name: glyphs, classes: digits}}]\n")
    if message is None:
        make_plan(load_sweep(path), DataCatalogue())
        return
    with pytest.raises(InputError, match=f"own: one: {message}"):
        make_plan(load_sweep(path), DataCatalogue())


def test_what_is_of_classes_refuses_other_targets(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = SWEEP.replace(", TRAIN", "").replace("test: 10}", "test: 10, target: number}")
    path.write_text(f"{text}measure: {{metric: mae, targets: [1]}}\n")
    plan = make_plan(load_sweep(path), DataCatalogue())
    with pytest.raises(InputError, match=r"one: a forecast is of classes, .* of the kind number"):
        check_classes(plan, "a forecast")
