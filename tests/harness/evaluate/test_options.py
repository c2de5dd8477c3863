"""The command line of `harness.evaluate`."""

from __future__ import annotations

import pytest

from harness.evaluate import options
from harness.evaluate.files import set_stem
from harness.training.cards import Cards


@pytest.mark.parametrize(
    ("written", "names", "device"),
    [
        ([], ("a card",), "cpu"),
        (["--device", "auto"], ("a card",), "cuda"),
        (["--device", "auto"], (), "cpu"),
        (["--device", "cuda"], (), "cuda"),
    ],
)
def test_a_device_is_what_is_asked_for_and_auto_a_gpu_where_one_is(
    monkeypatch, written, names, device
):
    monkeypatch.setattr(options, "cards_here", lambda: Cards(names))
    assert options.parse(["run", "--on", "mnist", *written]).device == device


@pytest.mark.parametrize(
    ("name", "is_own", "stem"),
    [
        ("own", True, "own"),
        ("own", False, "set-own"),
        ("Own", False, "set-Own"),
        ("mine", False, "mine"),
    ],
)
def test_a_folder_called_own_has_files_beside_those_of_the_runs_own_part(name, is_own, stem):
    assert set_stem(name, is_own) == stem
