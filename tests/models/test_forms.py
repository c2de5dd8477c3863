"""The forms of `fine_tune`, read without a network; what is wrong is one line."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import ModelError
from models.forms import FORMS, FreezeFor, Lora, Only, Probe, ProbeThen, Surgical, read_fine_tune


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"only": "bias"}, Only("bias")),
        ({"only": "norm"}, Only("norm")),
        ({"lora": {"rank": 8}}, Lora(8, 8.0, None)),
        ({"lora": {"rank": 4, "alpha": 2, "targets": "auto"}}, Lora(4, 2.0, None)),
        ({"lora": {"rank": 1, "targets": ["qkv"]}}, Lora(1, 1.0, ("qkv",))),
        ("surgical", Surgical(1)),
        ({"surgical": {"groups": 3}}, Surgical(3)),
    ],
)
def test_a_setting_is_read_as_its_form(setting: Any, expected: object) -> None:
    assert read_fine_tune(setting) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"only": "biases"}, r"only: bias .* or only: norm .*did you mean 'bias'"),
        ({"lora": 8}, r"is not lora: \{rank: 8\}"),
        ({"lora": {}}, "has no rank, and a whole number from 1"),
        ({"lora": {"rank": 0}}, "has rank 0, and a whole number from 1 to 4096"),
        ({"lora": {"rank": True}}, "has rank True"),
        ({"lora": {"rank": 2.5}}, "has rank 2.5"),
        ({"lora": {"rank": 2, "alpha": 0}}, "has alpha 0, and a number over 0"),
        ({"lora": {"rank": 2, "alpha": float("inf")}}, "has alpha inf"),
        ({"lora": {"rank": 2, "target": []}}, r"has 'target', .*did you mean 'targets'"),
        ({"lora": {"rank": 2, "targets": []}}, r"has targets \[\], and auto or a list"),
        ({"lora": {"rank": 2, "targets": [3]}}, "each must be the name of a layer"),
        ({"surgical": {"groups": 0}}, r"surgical: \{groups: N\}"),
        ("surgicl", r"did you mean 'surgical'"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_fine_tune(setting)
    assert "\n" not in str(caught.value)


def test_surgery_needs_more_groups_than_it_chooses() -> None:
    with pytest.raises(ModelError, match="the network has 2: a, b"):
        Surgical(3).unfreezing(("a", "b", "head"), epochs=1)


def test_each_form_is_named_in_the_list_of_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="is not one of") as caught:
        read_fine_tune(3)
    assert all(text in str(caught.value) for form in FORMS for text in form.written)


NAMES = ("conv1", "conv2", "fc1", "fc2")


def by_epoch(setting: object, n: int = 4) -> list[tuple[str, ...]]:
    phases = read_fine_tune(setting).unfreezing(NAMES, n)
    return [phases.trainable_at(epoch) for epoch in range(n)]


def test_the_head_trains_alone_first_and_then_what_the_form_names():
    head = ("fc2",)
    assert by_epoch({"freeze_for": {"epochs": 3}}) == [head] * 3 + [NAMES]
    assert by_epoch({"probe_then": "all", "probe_epochs": 1}) == [head] + [NAMES] * 3
    assert by_epoch({"probe_then": "last_2", "probe_epochs": 2}) == [head] * 2 + [NAMES[2:]] * 2
    not_head = {"probe_then": {"unfreeze": ["conv1"]}, "probe_epochs": 3}
    assert by_epoch(not_head) == [head] * 3 + [("conv1", "fc2")], "the head always trains"
    assert by_epoch({"probe": "lbfgs"}) == [head] * 4


def test_what_packs_fronts_and_schedules_must_know():
    later, probe = read_fine_tune({"freeze_for": {"epochs": 2}}), read_fine_tune({"probe": "lbfgs"})
    rated = {"probe_then": "last_2", "probe_epochs": 2, "probe_learning_rate": 0.1}
    then = read_fine_tune(rated)
    assert isinstance(later, FreezeFor)
    assert isinstance(then, ProbeThen)
    assert isinstance(probe, Probe)
    assert (later.head_first.is_probe, then.head_first.is_probe) == (False, True)
    assert (then.head_first.epochs, then.head_first.learning_rate) == (2, 0.1)
    assert (probe.head_first, probe.is_fitted, then.is_fitted) == (None, True, False)
    assert all(tuning.against_fusing for tuning in (later, then, probe))
    assert later.against_front
    assert not then.against_front
    depths = [then.freezes(n) for n in (2, 3, None)]
    assert depths == [False, True, True], "the front of last_2 stays frozen after the probe"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"freeze_for": 2}, r"is not freeze_for: \{epochs: EPOCHS\}, with a whole number from 1"),
        ({"freeze_for": {"epochs": 0}}, "with a whole number from 1"),
        ({"freeze_for": {"epochs": True}}, "with a whole number from 1"),
        ({"probe_then": "all"}, "needs probe_epochs beside probe_then: a whole number from 1"),
        ({"probe_then": "all", "probe_epochs": 1.5}, "a whole number from 1"),
        ({"probe_then": "gradual", "probe_epochs": 1}, "not one of all, last_N"),
        ({"probe_then": "last_layer", "probe_epochs": 1}, "not one of all, last_N"),
        ({"probe_then": "all", "probe_epochs": 1, "rate": 1}, "has 'rate', and beside"),
        ({"probe_then": "all", "probe_epochs": 1, "probe_learning_rate": 0}, "a number over 0"),
        ({"probe": "adam"}, r"is not \{probe: lbfgs\}; a probe by steps is last_layer"),
    ],
)
def test_a_wrong_one_is_told_what_is_allowed(setting, message):
    with pytest.raises(ValueError, match=message):
        read_fine_tune(setting)


def test_a_training_must_be_longer_than_its_first_part():
    first = read_fine_tune({"freeze_for": {"epochs": 3}}).head_first
    assert first.against(4) == ""
    assert first.against(3) == (
        "freeze_for: epochs: 3 leaves no epoch of train.epochs: 3; 1 to 2 are allowed"
    )
    assert first.against(1).endswith("give more train.epochs")
