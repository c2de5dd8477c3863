"""The record of one comparison: its defaults, what it says of itself, its table."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest

from analysis.statistics.pairs.comparison import COLUMNS, Comparison, Verdict


def comparison(**changes: Any) -> Comparison:
    common = {
        "task": "", "treatment": "t", "control": "c", "metric": "steps_to_target", "target": 0.9,
        "unit": "steps", "n_pairs": 4, "n_treatment": 4, "n_control": 5, "paired": True,
        "scale": "speedup", "confidence": 0.95, "n_unreached_treatment": 0,
        "n_unreached_control": 0, "budget": 100.0, "note": "",
    }  # fmt: skip
    return Comparison(**(common | changes))


_COUNTS = {"n_won", "n_lost"} | {
    f"n_{what}_{arm}" for what in ("late", "at_once", "failed") for arm in ("treatment", "control")
}


def test_verdicts_have_four_names() -> None:
    assert get_args(Verdict) == ("better", "worse", "equivalent", "inconclusive")


def test_what_was_not_tested_is_not_known() -> None:
    row = comparison()
    known = {
        "method": "none", "bound": "", "p_better_words": None, "verdict": "inconclusive",
        "verdict_words": "", "n_more": 0.0, "n_more_low": 0.0, "n_more_high": 0.0, "score": None,
        "question": "final", "state": "not shown", "direction": "", "among_finished": False,
        "course": "accuracy", "n_question": 0, "overlap": 0.0, "test_set": "", "measured_in": "",
    }  # fmt: skip
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name in _COUNTS:
            assert value == 0, field.name
        elif field.name in known:
            assert value == known[field.name], field.name
        elif field.default is not MISSING:
            assert math.isnan(value), field.name


@pytest.mark.parametrize(
    ("unreached", "someone"), [((0, 0), True), ((4, 4), True), ((3, 5), True), ((4, 5), False)]
)
def test_size_scale_and_who_reached(unreached: tuple[int, int], someone: bool) -> None:
    row = comparison(n_unreached_treatment=unreached[0], n_unreached_control=unreached[1])
    assert (row.n, comparison(n_control=2).n) == (4, 2)
    assert row.someone_reached == someone
    assert row.is_time
    assert not comparison(scale="difference").is_time


@pytest.mark.parametrize(
    ("bound", "words"),
    [("", ""), ("at least", "at least "), ("at most", "at most "), ("within budget", "")],
)
def test_only_bounds_stand_before_an_estimate(bound: str, words: str) -> None:
    assert comparison(bound=bound).bound_words == words


def test_columns_are_every_field_but_the_interval_of_scores() -> None:
    assert tuple(field.name for field in fields(Comparison)) == (*COLUMNS, "score")
