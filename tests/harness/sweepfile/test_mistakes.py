"""Mistakes: one style of message, each once, in the order of the file."""

from __future__ import annotations

import pytest

from harness.sweepfile.mistakes import Mistakes
from harness.sweepfile.settings import DataChoice, EvaluateEvery, ModelChoice, Train
from headstart.yaml12 import parse_yaml


def said(model, text: str) -> list[str]:
    mistakes = Mistakes()
    assert mistakes.validate(model, parse_yaml(text, "f")) is None
    return mistakes.in_file_order()


def test_mistakes_stand_in_the_order_of_files_and_lines_and_each_once():
    mistakes = Mistakes()
    late = parse_yaml("\n" * 9 + "late: 1", "a").get("late")
    early = parse_yaml("early: 1", "a").get("early")
    other = parse_yaml("other: 1", "b").get("other")
    for node in (other, late, early, late):
        mistakes.add(node, "is wrong")
    assert mistakes.in_file_order() == [
        "a:1: early: is wrong",
        "a:10: late: is wrong",
        "b:1: other: is wrong",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: adm", "f:1: optimizer: 'adm' is not one of adam, adamw, sgd"),
        ("epochs: '3'", "f:1: epochs: '3' should be a valid integer"),
        ("schedule: 5", "f:1: schedule: 5 is not a mapping of keys"),
        ("betas: 0.9", "f:1: betas: 0.9 is not a list"),
        ("betas: [0.9, 2]", "f:1: betas[1]: 2 should be less than 1"),
        ("augment: {scale: 2.0}", "f:1: augment.scale: 2.0 should be less than 1"),
        ("augment: {scale: [2.0, 1.0]}", "f:1: augment.scale: [2.0, 1.0] is not [smallest"),
        ("learning_rate_factors: {a: 0}", "f:1: learning_rate_factors.a: 0 should be greater"),
        ("learning_rate_factors: 2", "f:1: learning_rate_factors: 2 should be less than or"),
        ("class_weights: {ants: -1}", "f:1: class_weights.ants: -1 should be greater than 0"),
        (
            "class_weights: balancd",
            "f:1: class_weights: 'balancd' is not one of balanced or a "
            "mapping as {ants: 2} (did you mean 'balanced'?)",
        ),
        ("class_weights: [1, 2]", "f:1: class_weights: [1, 2] is not one of balanced or a mapping"),
        ("learning_rate_factors: [1]", "f:1: learning_rate_factors: [1] is not a number or a map"),
        ("select: acc", "f:1: select: 'acc' is not one of val_loss, val_accuracy, val_mean"),
        ("augment: {scale: x}", "f:1: augment.scale: 'x' is not a number or a list"),
        ("augment: {scale: [1, 1, 1]}", "f:1: augment.scale: [1, 1, 1] has 3 items, and 2 are"),
        ("augment: {rand_augment: true}", "f:1: augment.rand_augment: true is not a mapping"),
        ("augment: {rotate: true}", "f:1: augment.rotate: true is no number; how often"),
        ("schedule: {nam: step}", "f:1: schedule.nam: is not a key here; allowed: name, warmup"),
        ("{momentum: 0.5}", "f:1: momentum and nesterov belong to sgd, not to adam"),
    ],
)
def test_a_branch_of_a_union_that_does_not_fit_is_not_said_too(text, message):
    (mistake,) = said(Train, text)
    assert mistake.startswith(message)


def test_options_are_named_as_the_file_writes_them_beside_the_name():
    assert said(ModelChoice, "{name: lenet5, dropot: 0.5}") == [
        "f:1: dropot: is not a key here; allowed: name, normalise, head, dropout "
        "(did you mean 'dropout'?)"
    ]
    assert said(ModelChoice, "{name: lenet5, dropout: 1}") == [
        "f:1: dropout: 1 should be less than 1"
    ]
    assert said(ModelChoice, "{dropout: 1}") == ["f:1: name: is missing"]
    assert said(
        ModelChoice, "{name: resnet18, image_size: true, normalise: {mean: x, std: 1}}"
    ) == [
        "f:1: normalise.mean: 'x' is not a number, or a list with one for each channel",
        "f:1: image_size: true is not a whole number, or [height, width]",
    ]
    wrong = "{name: glyphs, train: 0, corrupt_labels: {kind: pairs, fracton: 1}}"
    assert [line.split(":")[2].strip() for line in said(DataChoice, wrong)] == [
        "corrupt_labels.fraction", "corrupt_labels.fracton", "train",
    ]  # fmt: skip


def test_a_missing_key_stands_at_the_mapping_that_lacks_it():
    assert said(EvaluateEvery, "\n{until: 3, steps: 4}") == [
        "f:2: until (a step) and then (a number of steps) go together"
    ]
