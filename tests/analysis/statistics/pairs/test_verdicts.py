"""Verdicts at their limits, the seeds that are missing, and each sentence as a reader sees it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.power import seeds_for_equivalence, seeds_to_detect
from analysis.statistics.pairs.verdicts import seeds_missing, verdict, verdict_words


def row(**changes: Any) -> Comparison:
    """Ten pairs of `t` and `c`, 1.5 points apart."""
    common = {
        "task": "", "treatment": "t", "control": "c", "metric": "test_accuracy",
        "target": math.nan, "unit": "fraction", "n_pairs": 10, "n_treatment": 10, "n_control": 10,
        "paired": True, "scale": "difference", "estimate": 0.015, "low": 0.01, "high": 0.02,
        "confidence": 0.95, "n_unreached_treatment": 0, "n_unreached_control": 0,
        "budget": math.nan, "p_holm": 0.0123, "mean_score": 0.015, "sd_score": 0.007,
        "verdict": "better", "note": "",
    }  # fmt: skip
    return Comparison(**(common | changes))


def time_row(**changes: Any) -> Comparison:
    common = {"metric": "steps_to_target", "target": 0.9, "unit": "steps", "scale": "speedup"}
    return row(**(common | {"estimate": 1.5, "low": 1.25, "high": 1.8} | changes))


@pytest.mark.parametrize(
    ("mean", "p", "p_equivalence", "expected"),
    [
        (1.0, 0.049, math.nan, "better"),
        (-1.0, 0.049, math.nan, "worse"),
        (1.0, 0.05, math.nan, "inconclusive"),
        (1.0, math.nan, math.nan, "inconclusive"),
        (1.0, 0.001, 0.049, "equivalent"),
        (1.0, 0.001, 0.05, "better"),
        (0.0, 0.001, math.nan, "worse"),
    ],
)
def test_verdict_at_its_limits(mean: float, p: float, p_equivalence: float, expected: str) -> None:
    assert verdict(mean, p, p_equivalence) == expected


def test_missing_seeds_are_those_of_the_power_of_80_percent() -> None:
    seen = row(mean_score=-0.002)
    assert seeds_missing(seen, 4) == seeds_to_detect(0.002, 0.007, 0.8, 0.05, 4) - 10 == 130
    larger = row(mean_score=0.002, margin=0.004)
    needed = seeds_to_detect(0.004, 0.007, 0.8, 0.05, 1), seeds_for_equivalence(0.004, 0.007)
    assert needed[1] > needed[0]
    assert seeds_missing(larger, 1) == needed[1] - 10
    many = row(mean_score=0.002, margin=0.004)
    assert seeds_missing(many, 50) == seeds_to_detect(0.004, 0.007, n_comparisons=50) - 10
    at_margin = row(mean_score=0.004, margin=0.004)  # no smaller than the margin: not equivalent
    assert seeds_missing(at_margin, 1) == needed[0] - 10
    assert seeds_missing(row(n_treatment=400, n_control=200), 1) == 1


@pytest.mark.parametrize(
    "changes", [{"sd_score": math.nan}, {"sd_score": 0.0}, {"mean_score": 0.0}]
)
def test_nothing_to_go_by_gives_no_number_of_seeds(changes: dict[str, float]) -> None:
    assert math.isnan(seeds_missing(row(**changes), 1))


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (
            row(),
            "t is better than c on test accuracy "
            "(+1.50 points, 95 % interval +1.00 to +2.00, Holm p 0.012, 10 pairs)",
        ),
        (
            row(verdict="worse", estimate=-0.015, low=math.nan, p_holm=math.nan, n_treatment=1),
            "t is worse than c on test accuracy (−1.50 points, 1 pair)",
        ),
        (
            row(paired=False, n_treatment=9, n_control=7, low=math.nan, p_holm=0.0004),
            "t is better than c on test accuracy "
            "(+1.50 points, Holm p <0.001, 9 and 7 unpaired trials)",
        ),
        (
            row(metric="test_loss", unit="nats", low=math.nan, p_holm=0.04),
            "t is better than c on test loss (0.0150 nats, Holm p 0.040, 10 pairs)",
        ),
        (
            row(verdict="equivalent", margin=0.02, p_holm=0.05, low=math.nan),
            "t and c are equivalent on test accuracy within ±2 points "
            "(+1.50 points, Holm p 0.050, 10 pairs)",
        ),
        (
            row(verdict="equivalent", margin=0.02, p_holm=0.04, low=math.nan),
            "t and c are equivalent on test accuracy within ±2 points: "
            "t is better, but by less than the margin (+1.50 points, Holm p 0.040, 10 pairs)",
        ),
        (
            row(verdict="equivalent", margin=0.02, p_holm=0.04, low=math.nan, mean_score=0.0),
            "t and c are equivalent on test accuracy within ±2 points: "
            "t is worse, but by less than the margin (+1.50 points, Holm p 0.040, 10 pairs)",
        ),
        (
            row(verdict="inconclusive", low=math.nan, p_holm=0.5, n_more=34.4),
            "no difference between t and c on test accuracy is shown "
            "(+1.50 points, Holm p 0.500, 10 pairs): inconclusive, about 34 more seeds",
        ),
        (
            row(verdict="inconclusive", low=math.nan, p_holm=0.5, n_more=math.nan),
            "no difference between t and c on test accuracy is shown "
            "(+1.50 points, Holm p 0.500, 10 pairs)",
        ),
        (
            row(verdict="inconclusive", low=math.nan, p_holm=0.5, n_more=10_000),
            "no difference between t and c on test accuracy is shown "
            "(+1.50 points, Holm p 0.500, 10 pairs): inconclusive, about 10,000 more seeds",
        ),
        (
            row(verdict="inconclusive", low=math.nan, p_holm=0.5, n_more=10_001),
            "no difference between t and c on test accuracy is shown (+1.50 points, "
            "Holm p 0.500, 10 pairs): more than 10,000 more seeds would be needed",
        ),
        (row(n_control=0), "t and c cannot be compared on test accuracy: no values"),
        (
            time_row(),
            "t reaches 0.9 sooner than c "
            "(1.50× as fast, 95 % interval 1.25× to 1.80×, Holm p 0.012, 10 pairs)",
        ),
        (
            time_row(verdict="worse", bound="at least", low=math.nan),
            "t reaches 0.9 later than c (at least 1.50× as fast, Holm p 0.012, 10 pairs)",
        ),
        (
            time_row(verdict="inconclusive", n_more=1.0, low=math.nan, bound="within budget"),
            "no difference between t and c on steps to target 0.9 is shown "
            "(1.50× as fast, Holm p 0.012, 10 pairs): inconclusive, about 1 more seed",
        ),
        (
            time_row(metric="train_time_s_to_target", n_treatment=0),
            "t and c cannot be compared on training seconds to target 0.9: no values",
        ),
        (
            time_row(verdict="worse", bound="at most", low=math.nan, n_unreached_treatment=10),
            "t never reaches 0.9, which c does (at most 1.50× as fast, Holm p 0.012, 10 pairs)",
        ),
        (
            time_row(bound="at least", low=math.nan, n_unreached_control=10),
            "t reaches 0.9, which c never does (at least 1.50× as fast, Holm p 0.012, 10 pairs)",
        ),
        (
            time_row(n_unreached_treatment=10, n_unreached_control=10),
            "neither t nor c ever reached 0.9",
        ),
    ],
)
def test_sentences(comparison: Comparison, sentence: str) -> None:
    assert verdict_words(comparison) == sentence
