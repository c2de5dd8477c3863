"""A comparison in words, each sentence as a reader sees it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from made_rows import row

from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import metric_name, row_words, verdict_words


def time_row(**changes: Any) -> Comparison:
    common = {"metric": "steps_to_target", "target": 0.9, "unit": "steps", "scale": "speedup",
              "budget": 1000.0}  # fmt: skip
    return row(**(common | {"estimate": 1.5, "low": 1.25, "high": 1.8} | changes))


OPEN: dict[str, Any] = {"verdict": "inconclusive", "state": "not shown", "direction": ""}
NEITHER = {"n_unreached_treatment": 10, "n_unreached_control": 10}


@pytest.mark.parametrize(
    ("comparison", "text"),
    [
        (row(), "test accuracy +1.50 points (+1.00 to +2.00; p 0.012)"),
        (
            row(**OPEN, p_value=0.06, p_question=0.1, low=-0.003),
            "test accuracy +1.50 points (−0.30 to +2.00; p 0.060 alone, 0.100 among the 3): "
            "not shown (nor is equivalence tested: no margin is set)",
        ),
        (
            row(**OPEN, p_value=0.06, p_question=0.06, n_question=1, low=-0.003, margin=0.001),
            "test accuracy +1.50 points (−0.30 to +2.00; p 0.060): neither a difference nor "
            "equivalence within ±0.1 points is shown",
        ),
        (
            row(**OPEN | {"state": "by itself", "direction": "better"}, p_value=0.039,
                p_question=0.07),
            "test accuracy +1.50 points (+1.00 to +2.00): a hint alone: beyond chance by "
            "itself (p 0.039), not once all 3 comparisons are counted (p 0.070)",
        ),
        (
            row(verdict="equivalent", state="equivalent", direction="", margin=0.03,
                low_equivalence=0.0105, high_equivalence=0.0195),
            "test accuracy +1.50 points (+1.00 to +2.00; p 0.010 alone, 0.012 among the 3): "
            "equivalent within ±3 points, whose own 90 % interval is +1.05 to +1.95",
        ),
        (
            row(verdict="equivalent", state="equivalent", direction="worse", margin=0.03),
            "test accuracy +1.50 points (+1.00 to +2.00; p 0.010 alone, 0.012 among the 3): "
            "equivalent within ±3 points (worse, but by less than the margin)",
        ),
        (
            row(among_finished=True, n_failed_treatment=4, n_treatment=6, n_control=6),
            "test accuracy +1.50 points (+1.00 to +2.00; p 0.012): of trials that finished; "
            "4 of 10 of “t” did not",
        ),
        (
            row(among_finished=True, n_failed_treatment=4, n_failed_control=1, n_treatment=5),
            "test accuracy +1.50 points (+1.00 to +2.00; p 0.012): of trials that finished; "
            "4 of “t” and 1 of “c” did not",
        ),
        (
            row(**OPEN, p_value=math.nan, p_question=math.nan, low=math.nan),
            "test accuracy +1.50 points: without any spread there is no interval and no test",
        ),
        (
            row(**OPEN, p_value=math.nan, p_question=math.nan, low=math.nan, n_treatment=1),
            "test accuracy +1.50 points: one pair of seeds allows no interval and no test",
        ),
        (row(n_control=0), "test accuracy: cannot be compared (no values)"),
        (
            row(metric="area_under_curve", course="loss", unit="nats", estimate=-0.0123, low=-0.02,
                high=-0.01),
            "mean validation loss over training −0.0123 (−0.0200 to −0.0100; p 0.012)",
        ),
        (
            row(metric="spread_over_seeds", question="stability", unit="log ratio", p_question=0.2,
                estimate=math.log(0.5), low=math.log(0.2), high=math.log(1.25), **OPEN),
            "distance of two seeds 0.500× that of “c” (0.200 to 1.25; p 0.010 alone, 0.200 "
            "among the 3): not shown",
        ),
        (
            row(metric="broken_runs", question="stability", estimate=0.4, low=0.1, high=0.7),
            "runs that failed, diverged or collapsed +40.00 points (+10.00 to +70.00; p 0.012)",
        ),
        (
            row(metric="loss_gap", question="overfitting", unit="nats", estimate=-0.1),
            "validation minus training loss at the chosen step −0.100 (+0.0100 to +0.0200; "
            "p 0.012)",
        ),
        (time_row(), "steps to 90 %: 1.50× fewer (1.25 to 1.80; p 0.012)"),
        (
            time_row(estimate=0.5, low=0.4, high=0.8, verdict="worse"),
            "steps to 90 %: 0.500× (0.400 to 0.800; below 1: later; p 0.012)",
        ),
        (
            time_row(bound="at least", high=math.inf, n_unreached_control=3),
            "steps to 90 %: at least 1.50× fewer (1.25 to ∞; p 0.012; 3 of 10 of “c” did not get "
            "there in 1,000 steps)",
        ),
        (
            time_row(bound="at least", high=math.inf, n_at_once_treatment=10),
            "steps to 90 %: at least 1.50× fewer (1.25 to ∞; p 0.012; “t” was there before its "
            "first step in 10 of 10 seeds)",
        ),
        (
            time_row(bound="within budget", n_unreached_control=3, n_unreached_treatment=2,
                     n_late_control=1),
            "steps to 90 %: 1.50× fewer (1.25 to 1.80; p 0.012; 2 of 10 of “t” and 3 of 10 of “c” "
            "(later 1 did) did not get there in 1,000 steps; of times between the first evaluation "
            "and that budget)",
        ),
        (time_row(**NEITHER), "steps to 90 %: no trial of either got there in 1,000 steps"),
        (
            time_row(**NEITHER, n_late_control=6),
            "steps to 90 %: no trial of either got there in 1,000 steps, the common budget; later "
            "6 of 10 of “c” did",
        ),
    ],
)  # fmt: skip
def test_a_row_in_words(comparison: Comparison, text: str) -> None:
    assert row_words(comparison) == text


def test_a_row_by_itself_says_whose_interval_it_has() -> None:
    assert verdict_words(row()) == (
        "better: “t” against “c”, test accuracy +1.50 points (95 % interval of this comparison "
        "alone +1.00 to +2.00; p 0.012); 10 paired seeds"
    )
    apart = row(**OPEN, paired=False, n_treatment=9, n_control=7)
    assert verdict_words(apart).startswith("“t” against “c”, test accuracy +1.50 points (95 % ")
    assert verdict_words(apart).endswith(
        "tested: no margin is set); 9 and 7 trials whose seeds do not pair (Welch)"
    )
    assert verdict_words(row(n_control=0)).endswith("test accuracy: cannot be compared (no values)")


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("best_val_macro_f1", "best validation macro F1"),
        ("test_balanced_accuracy", "test balanced accuracy"),
        ("samples_to_target", "images to 90 %"),
        ("train_time_s_to_target", "seconds of training to 90 %"),
        ("value", "value"),
    ],
)
def test_every_metric_has_one_name(metric: str, name: str) -> None:
    assert metric_name(metric, 0.9) == name
