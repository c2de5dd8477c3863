"""The forms of `fine_tune`, read without a network; what is wrong is one line."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import ModelError
from models.forms import FORMS, Lora, Only, Surgical, read_fine_tune


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
        ({"lora": {}}, "has rank None, and a whole number from 1"),
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
