"""Verdicts at their limits, and the seeds that are missing."""

from __future__ import annotations

import math

import pytest
from made_rows import row
from scipy import stats

from analysis.statistics.pairs.power import seeds_for_equivalence, seeds_to_detect
from analysis.statistics.pairs.verdicts import advice, conclude, seeds_missing, seeds_missing_range


@pytest.mark.parametrize(
    ("mean", "p", "alone", "p_equivalence", "expected"),
    [
        (1.0, 0.049, 0.01, math.nan, ("better", "shown", "better")),
        (-1.0, 0.049, 0.01, math.nan, ("worse", "shown", "worse")),
        (1.0, 0.05, 0.01, math.nan, ("better", "shown", "better")),
        (1.0, 0.051, 0.05, math.nan, ("inconclusive", "by itself", "better")),
        (-1.0, 0.2, 0.04, math.nan, ("inconclusive", "by itself", "worse")),
        (1.0, 0.2, 0.051, math.nan, ("inconclusive", "not shown", "")),
        (1.0, math.nan, math.nan, math.nan, ("inconclusive", "not shown", "")),
        (1.0, 0.001, 0.001, 0.049, ("equivalent", "equivalent", "better")),
        (1.0, 0.2, 0.01, 0.049, ("equivalent", "equivalent", "")),
        (1.0, 0.001, 0.001, 0.051, ("better", "shown", "better")),
        (0.0, 0.001, 0.001, math.nan, ("worse", "shown", "worse")),
    ],
)
def test_state_and_verdict_at_their_limits(
    mean: float, p: float, alone: float, p_equivalence: float, expected: tuple[str, str, str]
) -> None:
    found = conclude(
        row(mean_score=mean, p_question=p, p_value=alone, p_equivalence_holm=p_equivalence)
    )
    assert (found.verdict, found.state, found.direction) == expected


@pytest.mark.parametrize(
    ("n_failed", "p_at_chance", "p", "finished"),
    [(0, 0.9, 0.01, False), (4, 0.01, 0.01, False), (4, 0.9, 0.01, True),
     (4, math.nan, 0.01, True), (4, 0.9, 0.9, False)],
)  # fmt: skip
def test_a_verdict_that_failures_at_chance_undo_is_one_of_the_trials_that_finished(
    n_failed: int, p_at_chance: float, p: float, finished: bool
) -> None:
    found = conclude(
        row(n_failed_control=n_failed, p_at_chance=p_at_chance, p_question=p, p_value=p)
    )
    assert found.among_finished == finished


def test_missing_seeds_are_those_of_the_power_of_80_percent() -> None:
    """At the level of the row's factor: here a quarter of 5 %, and then 5 %."""
    quarter, whole = (float(stats.t.ppf(1 - 0.025 / k, 9)) for k in (4, 1))
    seen = row(mean_score=-0.002, factor=quarter)
    assert seeds_missing(seen, 9, 1, 0.0) == seeds_to_detect(0.002, 0.007, 0.8, 0.05, 4) - 10 == 130
    larger = row(mean_score=0.002, margin=0.004, factor=whole)
    needed = seeds_to_detect(0.004, 0.007, 0.8, 0.05, 1), seeds_for_equivalence(0.004, 0.007)
    assert needed[1] > needed[0]
    assert seeds_missing(larger, 9, 1, 0.0) == needed[1] - 10
    among = seeds_for_equivalence(0.004, 0.007, 0.8, 0.05 / 6)
    assert seeds_missing(larger, 9, 6, 0.0) == among - 10 > needed[1]
    at_margin = row(mean_score=0.004, margin=0.004, factor=whole)  # not smaller: not equivalent
    assert seeds_missing(at_margin, 9, 1, 0.0) == needed[0] - 10
    assert seeds_missing(row(n_treatment=400, n_control=200, factor=whole), 9, 1, 0.0) == 1


def test_few_seeds_cannot_tell_how_many_more() -> None:
    """Five pairs: the SD may be 0.599 to 2.874 times what was seen (95 %, chi-squared)."""
    seen = row(mean_score=0.004, factor=2.776, n_treatment=5, n_control=5)
    found = seeds_missing_range(seen, 4, 1, 0.0)
    alpha = 2 * stats.t.sf(2.776, 4)
    needed = [seeds_to_detect(0.004, 0.007 * scale, 0.8, alpha) - 5 for scale in (1, 0.599, 2.874)]
    assert found == pytest.approx(needed, abs=1)
    low, high = found[1:]
    open_row = row(verdict="inconclusive", n_treatment=5, n_control=5, n_more_low=low,
                   n_more_high=high)  # fmt: skip
    assert advice(open_row) == (
        f"5 seeds cannot tell how many: for an 80 % chance of a verdict between {low:g} and "
        f"{high:g} more"
    )
    far = row(verdict="inconclusive", n_more_low=30.0, n_more_high=99_999.0)
    assert advice(far).endswith("between 30 and over 10,000 more")
    further = row(verdict="inconclusive", n_more_low=20_000.0, n_more_high=99_999.0)
    assert advice(further) == "for an 80 % chance of a verdict over 10,000 more seeds"
    assert advice(row()) == ""
    assert advice(row(verdict="inconclusive", n_more_low=math.nan)) == ""


def test_a_margin_below_one_image_needs_no_number_of_seeds() -> None:
    coarse = row(mean_score=0.002, margin=0.004, factor=2.3)
    assert seeds_missing(coarse, 9, 1, 0.004) > 0
    assert math.isnan(seeds_missing(coarse, 9, 1, 0.05))


@pytest.mark.parametrize(
    "changes", [{"sd_score": math.nan}, {"sd_score": 0.0}, {"mean_score": 0.0}]
)
def test_nothing_to_go_by_gives_no_number_of_seeds(changes: dict[str, float]) -> None:
    assert math.isnan(seeds_missing(row(factor=2.3, **changes), 9, 1, 0.0))
