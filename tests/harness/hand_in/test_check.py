"""What cannot be handed in is refused in one line, before any trial runs."""

from __future__ import annotations

import pytest

from harness.hand_in.check import check_hand_in, named_seed
from harness.hand_in.evaluated import evaluations_of
from headstart.errors import InputError

LAST_2 = "last_2: {initialize: digits, fine_tune: last_2}"


def test_the_four_evaluations_stand_in_the_order_of_the_assignment(plan_of):
    plan = plan_of()
    check_hand_in(plan)
    evaluations = evaluations_of(plan, named_seed(plan))
    assert [each.number for each in evaluations] == ["1", "2", "3", "4"]
    assert [each.trial.arm for each in evaluations] == [
        "digits", "pretrained", "last_layer", "last_2",
    ]  # fmt: skip
    assert {each.trial.seed for each in evaluations} == {0}
    assert "glyphs" in evaluations[0].title  # what stands in for MNIST is not called MNIST


def test_each_number_of_layers_has_a_row_of_its_own(plan_of):
    plan = plan_of((LAST_2, f"last_3: {{initialize: digits, fine_tune: last_3}}\n  {LAST_2}"))
    evaluations = evaluations_of(plan, 1)
    assert [(each.number, each.key) for each in evaluations[2:]] == [
        ("3", "last_layer"), ("4a", "last_2"), ("4b", "last_3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((LAST_2, ""), "one with last_N"),
        (("Assignment 4}", "Assignment 4, seed: 7}"), "seed 7 is none of the sweep's (0, 1)"),
        ((", as_jpeg: true", ""), "pretrained: glyphs: the images are handed in as JPEG files"),
        (("epochs: 2", "epochs: 2, loss: complementary"), "last_layer: train.loss: complementary"),
        (("epochs: 2", "epochs: 2, mixup: 0.3"), "last_layer: train.mixup: 0.3"),
        (("seeds: 2", "save: {weights: none}"), "save.weights: none keeps none"),
        ((LAST_2, LAST_2[:-1] + ", search: {fine_tune: {choice: [last_2, all]}, samples: 2}}"),
         "last_2: its search may choose fine_tune: all"),
        (("epochs: 2", "epochs: 2, precision: bf16"), "last_layer: train.precision: bf16"),
        (("epochs: 2", "epochs: 2, precision: fp16"), "last_layer: train.precision: fp16"),
        ((LAST_2, "last_2: {initialize: digits, fine_tune: last_2, head: new}"),
         "last_2 and pretrained do not start from the same network"),
    ],
)  # fmt: skip
def test_one_line_says_what_stands_against_it(plan_of, change, said):
    with pytest.raises(InputError) as caught:
        check_hand_in(plan_of(change))
    text = str(caught.value)
    assert text.startswith("deliver.hand_in: ")
    assert said in text
    assert "\n" not in text
