"""How well scores that were made beforehand ordered what came out: weighted τ, and regret.

In: scores and results, (seeds, items) each, of which more is better. Out: `Ordering`. It stands
alone because it knows neither networks nor data: any forecast of any result is judged so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.resampling import resamples
from analysis.words import joined

METHOD = "percentile bootstrap over seeds"
OF_FEW = "over two starts τ is 1 (right order) or −1 (wrong order)"
TOO_NARROW = "under 10 seeds such an interval is too narrow"
FEW_SEEDS = 10
ONE_SEED = "one seed: no interval"
ALIKE = "all scores, or all results, are equal"


@dataclass(frozen=True)
class Ordering:
    """tau: weighted Kendall τ of scores and results. regret: the best result minus the result of
    the item with the best score. chosen, best: those items' numbers. n_items: of them all."""

    tau: Interval
    regret: Interval
    chosen: int
    best: int
    n_items: int


def judge_order(scores: Floats, results: Floats) -> Ordering:
    """How scores ordered items, by means over seeds; both (n seeds, k ≥ 2 items), without NaN.

    τ is Vigna's (2015) as scipy has it: hyperbolic weights, by the mean of both rankings, so that a
    swap among the first items weighs most. It is that of You et al. 2021. Regret is in the results'
    unit and not below 0: what is lost by trusting the score. The best item is the one that came out
    best, so that regret is a little too large where results are noisy.

    Intervals: seeds are redrawn with replacement, scores and results of a seed together; the
    percentiles of τ and of regret over all resamples (up to 8 seeds all that exist, weighed by
    their chances; else 9,999). Sample unit: the seed. n = 1: no interval. Where all scores are
    equal τ is NaN, and the first item counts as chosen.
    """
    n, k = scores.shape
    means = scores.mean(axis=0), results.mean(axis=0)
    chosen, best = (int(np.argmax(mean)) for mean in means)
    note = OF_FEW if k == 2 else ""
    tau, regret = _tau(*means), float(means[1][best] - means[1][chosen])
    if n == 1:
        return Ordering(
            _alone(tau, n, joined(note, ONE_SEED)), _alone(regret, n, ONE_SEED), chosen, best, k
        )
    counts, chances = resamples(n)
    weights = np.full(len(counts), 1 / len(counts)) if chances is None else chances
    redrawn_scores, redrawn_results = (counts @ values / n for values in (scores, results))
    picked = redrawn_scores.argmax(axis=1)
    lost = redrawn_results.max(axis=1) - redrawn_results[np.arange(len(picked)), picked]
    taus = _taus(redrawn_scores, redrawn_results)
    few = TOO_NARROW if n < FEW_SEEDS else ""
    return Ordering(
        _between(tau, taus, weights, n, joined(note, few)),
        _between(regret, lost, weights, n, few),
        chosen, best, k,
    )  # fmt: skip


def _tau(scores: Floats, results: Floats) -> float:
    """scipy's, NaN where all of one side are equal."""
    if np.ptp(scores) == 0 or np.ptp(results) == 0:
        return math.nan
    return float(stats.weightedtau(scores, results).statistic)


def _taus(scores: Floats, results: Floats) -> Floats:
    """τ of each row; rows of one order are computed once."""
    ranks = np.hstack([stats.rankdata(side, method="dense", axis=1) for side in (scores, results)])
    orders, place = np.unique(ranks, axis=0, return_inverse=True)
    k = scores.shape[1]
    return np.array([_tau(order[:k], order[k:]) for order in orders])[place.ravel()]


def _between(estimate: float, values: Floats, weights: Floats, n: int, note: str) -> Interval:
    """The percentiles of weighed values; those without a number are left out."""
    known = ~np.isnan(values)
    if math.isnan(estimate) or not known.any():
        return Interval.unknown(ALIKE, n, CONFIDENCE)
    low, high = weighted_quantiles(values[known], weights[known], _tails(CONFIDENCE))
    return Interval(estimate, low, high, CONFIDENCE, METHOD, n, note)


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2


def weighted_quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> list[float]:
    """The smallest value below or at which each share of the weights lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(reached, np.asarray(shares) - 1e-12)
    return [float(values[order[min(place, len(order) - 1)]]) for place in places]


def _alone(estimate: float, n: int, note: str) -> Interval:
    return Interval(estimate, math.nan, math.nan, CONFIDENCE, "none", n, note)
