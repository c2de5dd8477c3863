"""From scores to what a row shows: the estimate, both ends, and what is to say of its times.

In: a contrast, and a mean or an interval of its scores. Out: a `Comparison` on the scale that is
reported. It stands alone because a score (more is better, times as minus logarithms) is turned into
points and ratios here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import replace

from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.shares import exact_share_interval
from analysis.words import joined


def untested(contrast: Contrast, note: str = "") -> Comparison:
    """What is compared, before any number is."""
    return Comparison(
        task=contrast.task,
        **contrast.pair._asdict(),
        metric=contrast.metric.name,
        target=contrast.target,
        unit=contrast.metric.unit,
        n_pairs=contrast.n if contrast.paired else 0,
        n_treatment=len(contrast.treated),
        n_control=len(contrast.control),
        paired=contrast.paired,
        scale="speedup" if contrast.metric.is_time else "difference",
        confidence=CONFIDENCE,
        n_unreached_treatment=contrast.censored[0],
        n_unreached_control=contrast.censored[1],
        n_late_treatment=contrast.late[0],
        n_late_control=contrast.late[1],
        n_at_once_treatment=contrast.at_once[0],
        n_at_once_control=contrast.at_once[1],
        n_failed_treatment=contrast.failed[0],
        n_failed_control=contrast.failed[1],
        budget=contrast.budget,
        question=contrast.metric.question,
        course=contrast.course,
        measured_in=contrast.measured_in,
        overlap=contrast.overlap,
        test_set=contrast.test_set,
        note=joined(contrast.note, note),
    )


def alone(contrast: Contrast, mean: float, note: str) -> Comparison:
    """A row of one pair, or without any spread: an estimate and nothing else."""
    if contrast.nobody_reached:
        return untested(contrast, nobody(contrast))
    score = Interval(mean, math.nan, math.nan, CONFIDENCE, "none", 1, note)
    return estimated(untested(contrast), contrast, score)


def nobody(contrast: Contrast) -> str:
    """What to say of a target that nobody reached within the common budget."""
    late = [
        f"{n} of {len(side)} of {arm}"
        for n, side, arm in zip(
            contrast.late, (contrast.treated, contrast.control), contrast.pair, strict=True
        )
        if n
    ]
    if not late:
        return "nobody reached the target: no test"
    return f"nobody reached the target within the common budget: no test; later {', '.join(late)}"


def estimated(row: Comparison, contrast: Contrast, score: Interval) -> Comparison:
    """With estimate and bounds on the scale that is reported, from those of the scores."""
    bound = _bound(contrast, score.estimate)
    low, high = shown_ends(contrast, bound, score.low, score.high)
    estimate = score.estimate
    difference = float(contrast.treated.mean() - contrast.control.mean())
    if contrast.metric.is_time:
        estimate = _exp(estimate)
        difference = math.nan if any(contrast.opens) else difference
    elif not contrast.metric.higher_is_better:
        estimate = -estimate
    return replace(
        row,
        estimate=estimate,
        low=low,
        high=high,
        method=score.method,
        difference=difference,
        bound=bound,
        note=joined(contrast.note, score.note),
        score=score,
    )


def shown_ends(contrast: Contrast, bound: str, low: float, high: float) -> tuple[float, float]:
    """Both ends of an interval of scores on the scale that is reported; none is impossible."""
    if math.isnan(low):
        return low, high
    if contrast.metric.is_time:
        low, high = _exp(low), _exp(high)
        return 0.0 if bound == "at most" else low, math.inf if bound == "at least" else high
    if not contrast.metric.higher_is_better:
        low, high = -high, -low
    furthest = contrast.metric.furthest
    return max(low, -furthest), min(high, furthest)


def ends_of_event(contrast: Contrast, confidence: float) -> tuple[float, float]:
    """Ends of the difference of two shares: Clopper and Pearson's of the treatment's part of the
    pairs in which one arm alone had the event, times the share of such pairs."""
    n, difference = contrast.n, contrast.treated - contrast.control
    alone = int((difference != 0).sum())
    if not alone:  # of n pairs none: how many it may be
        most = exact_share_interval(0, n, confidence).high
        return -most, most
    part = exact_share_interval(int((difference > 0).sum()), alone, confidence)
    return (2 * part.low - 1) * alone / n, (2 * part.high - 1) * alone / n


def _exp(value: float) -> float:
    """e to the value, infinite where that is too large for a float, NaN of NaN."""
    return math.inf if value >= 700 else math.exp(value)


def _bound(contrast: Contrast, mean_score: float) -> str:
    """How to read the ratio of times where some of them are known from one side only.

    A ratio below 1 that is `at least` so much would say nothing; it is then one of times within
    the budget, of which the test speaks.
    """
    larger, smaller = contrast.opens
    if larger and not smaller and mean_score >= 0:
        return "at least"
    if smaller and not larger and mean_score <= 0:
        return "at most"
    return "within budget" if larger or smaller else ""
