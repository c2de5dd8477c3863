"""What a comparison allows one to say: state, verdict, how many seeds are missing.

In: the numbers of one comparison. Out: the conclusion (`wording` has its words). The rule, in this
order:

1. `equivalent`: both one-sided tests put the difference inside the sweep's margin (Holm over
   all such tests of the report). That holds also where the difference is sure but smaller than
   the margin: the sweep's author said beforehand that so little does not matter, and the
   sentence says both.
2. `shown`: the p among the rows of its question is at most 5 %; the verdict is `better` or `worse`.
3. `by itself`: only the p of this row alone is. No verdict: among so many rows it may be chance.
4. `not shown`: neither; never "the same".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from analysis.statistics.pairs import power
from analysis.statistics.pairs.comparison import Comparison, Direction, State, Verdict
from analysis.statistics.pairs.questions import ALPHA

POWER = 0.8
_LEAST_ALPHA = 1e-9


@dataclass(frozen=True)
class Conclusion:
    """What the p-values of a row amount to; the fields are those of `Comparison`."""

    verdict: Verdict
    state: State
    direction: Direction
    among_finished: bool


def conclude(row: Comparison) -> Conclusion:
    """State and verdict from the p-values of a row; NaN p-values claim nothing."""
    side: Literal["better", "worse"] = "better" if row.mean_score > 0 else "worse"
    shown, alone = _at_most(row.p_question), _at_most(row.p_value)
    failed = row.n_failed_treatment + row.n_failed_control > 0
    equal = row.p_equivalence_holm <= ALPHA
    if equal:
        return Conclusion("equivalent", "equivalent", side if shown else "", failed)
    if shown:
        return Conclusion(side, "shown", side, failed and not _at_most(row.p_at_chance))
    if alone:
        return Conclusion("inconclusive", "by itself", side, False)
    return Conclusion("inconclusive", "not shown", "", False)


def _at_most(p: float) -> bool:
    return bool(p <= ALPHA * (1 + 1e-12))


def seeds_missing(row: Comparison, df: float, n_margins: int, grain: float) -> float:
    """Further pairs with which an inconclusive comparison has an 80 % chance of a verdict.

    With a margin: enough to find a difference of that size (or the one seen, where larger) and
    to show equivalence where there is none, among `n_margins` such tests. Without: enough to find
    the difference that was seen, should it be the true one. The level is the one at which the
    row was judged: that of its `factor`, with `df` degrees of freedom. NaN without a spread to go
    by, without a difference, or where the margin is below `grain`, the smallest step of a value.
    """
    sd, seen, margin = row.sd_score, abs(row.mean_score), row.margin
    if math.isnan(sd) or sd == 0 or margin < grain:
        return math.nan
    aim = seen if math.isnan(margin) else max(margin, seen)
    if aim == 0:
        return math.nan
    alpha = max(_LEAST_ALPHA, 2 * float(special.stdtr(df, -row.factor)))
    n = power.seeds_to_detect(aim, sd, POWER, alpha)
    if not math.isnan(margin) and seen < margin:
        n = max(n, power.seeds_for_equivalence(margin, sd, POWER, ALPHA / max(1, n_margins)))
    return float(max(1, n - row.n))


def seeds_missing_range(
    row: Comparison, df: float, n_margins: int, grain: float
) -> tuple[float, float, float]:
    """`seeds_missing` at the SD that was seen and at both ends of its 95 % interval (chi-squared).

    Five seeds leave a factor of five between these ends, and of twenty and more between the
    numbers of seeds: a single number would be a promise that nobody can keep.
    """
    at = [replace(row, sd_score=row.sd_score * scale) for scale in (1.0, *power.sd_scales(df))]
    seen, low, high = (seeds_missing(each, df, n_margins, grain) for each in at)
    return seen, low, high


def advice(row: Comparison) -> str:
    """`5 seeds cannot tell how many: for an 80 % chance between 4 and 180 more`; "" for none."""
    if row.verdict != "inconclusive" or math.isnan(row.n_more_low + row.n_more_high):
        return ""
    aim = "for an 80 % chance of a verdict"
    return power.range_words(row.n, aim, row.n_more_low, row.n_more_high)
