"""Stability and overfitting in sentences."""

from __future__ import annotations

import math

from analysis.report.further import further_lead, further_sentences
from analysis.statistics.pairs.comparison import Comparison


def row(metric: str, question: str = "stability", **given: object) -> Comparison:
    fields = {
        "task": "", "treatment": "t", "control": "c", "target": math.nan, "unit": "fraction",
        "n_pairs": 5, "n_treatment": 5, "n_control": 5, "paired": True, "scale": "difference",
        "confidence": 0.95, "n_unreached_treatment": 0, "n_unreached_control": 0, "budget": 0,
        "note": "", "p_value": 0.2, "estimate": -0.01, "low": -0.02, "high": 0.01,
    }  # fmt: skip
    return Comparison(metric=metric, question=question, **{**fields, **given})  # type: ignore[arg-type]


SPREAD = row("spread_over_seeds", unit="log ratio", estimate=math.log(0.5), low=-1.6, high=0.2)
NOISE = row("noise_within_a_run")
GAP = row("accuracy_gap", "overfitting")


def test_the_lead_says_what_is_shown_or_that_nothing_is() -> None:
    assert further_lead([]) == ""
    assert further_lead([SPREAD, NOISE, GAP]) == "which is more stable is not shown"
    better = row("noise_within_a_run", verdict="better")
    worse = row("broken_runs", verdict="worse")
    assert further_lead([SPREAD, better]) == "it is more stable within a run"
    assert further_lead([better, worse, row("loss_gap", "overfitting", verdict="better")]) == (
        "it is more stable within a run, it is less stable in how many of its runs fail and "
        "it overfits less"
    )


def test_the_sentences_give_every_number() -> None:
    texts = list(further_sentences([SPREAD, NOISE, GAP], lambda _: "so sure"))
    assert texts == [
        "Stability: two seeds of “t” lie 0.500× as far apart as two of “c” (so sure); noise within "
        "a run −1.00 points (so sure).",
        "No run of either failed or collapsed; of 5 seeds up to 45 % could.",
        "Overfitting, training against validation at the chosen step: gap in accuracy −1.00 "
        "points (so sure).",
    ]
    broken = row("broken_runs", estimate=0.4, low=math.nan, high=math.nan, p_value=0.5)
    (text,) = further_sentences([broken], lambda _: "")
    expected = "runs that failed, diverged or collapsed +40.00 points (exact p 0.500)"
    assert text == f"Stability: {expected}."
    assert not list(further_sentences([row("loss_gap", "overfitting", low=math.nan)], lambda _: ""))
