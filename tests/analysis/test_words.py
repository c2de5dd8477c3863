"""Numbers as a reader sees them."""

from __future__ import annotations

import math

import pytest

from analysis import words


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("percent", 0.98123, "98.12 %"),
        ("points", -0.0034, "−0.34"),
        ("points", 0.00001, "+0.001"),
        ("points", -1e-6, "−0.0001"),
        ("points", 1e-12, "0.00"),
        ("points_plain", 0.0034, "0.34"),
        ("count", 1234.4, "1,234"),
        ("count", 12.6, "13"),
        ("count", -0.3, "−0.3"),
        ("ratio", 1.4342, "1.43×"),
        ("ratio", 1.0, "1.00×"),
        ("ratio", 1.0004, "1.0004×"),
        ("ratio", 0.9996, "0.9996×"),
        ("probability", 0.0502, "0.0502"),
        ("probability", 0.05, "0.050"),
        ("probability", 0.0496, "0.050"),
        ("probability", 0.0001, "<0.001"),
        ("seconds", 3.456, "3.46 s"),
        ("number", 3.27e-5, "0.0000327"),
        ("number", 3.27e-6, "3.27e−06"),
        ("chosen", 5.0, "5"),
        ("chosen", -0.3, "−0.3"),
        ("percent", math.nan, "–"),
        ("percent", None, "–"),
        ("count", math.inf, "∞"),
        ("text", "a<b", "a<b"),
        ("text", None, ""),
    ],
)
def test_each_kind(kind: str, value: object, text: str) -> None:
    assert words.write(kind, value) == text


def test_an_interval_has_its_unit_once() -> None:
    assert words.interval("percent", 0.98, 0.97, 0.99) == "98.00 % [97.00, 99.00]"


def test_an_interval_without_bounds_is_the_estimate() -> None:
    assert words.interval("percent", 0.98, math.nan, math.nan) == "98.00 %"


def test_an_open_interval_says_so() -> None:
    assert words.interval("ratio", 1.5, 1.2, math.inf) == "1.50× [1.20, ∞]"


def test_an_interval_has_sensible_digits() -> None:
    assert words.interval("count", 40.2, 0.0, 54.6) == "40 [0, 55]"
    assert words.interval("signed", -0.00833, -0.0374, 0.0207) == "−0.0083 [−0.0374, +0.0207]"
    assert words.interval("signed", 1.0, -0.0004, 2.0) == "+1.00 [−0.0004, +2.00]"
    assert words.interval("seconds", 3.9, 3.86, 13.96) == "3.9 s [3.9, 14.0]"


def test_an_interval_that_says_nothing_is_none() -> None:
    assert words.interval("count", 25.0, 25.0, 25.0) == "25"
    assert words.interval("ratio", math.inf, 0.0, math.inf) == "–"


def test_lists() -> None:
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.shortened([str(k) for k in range(8)], 2) == "0, 1 and 6 more"
    assert words.plural(1, "seed") == "1 seed"
    assert words.plural(1200, "seed") == "1,200 seeds"


def test_names_cannot_turn_the_words_behind_them() -> None:
    assert words.one_way("“a\u202eb” learns faster\u2069; עברית") == "“ab” learns faster; עברית"
