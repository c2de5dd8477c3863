"""Intervals for a share: failed trials of all, wins of all pairs, images that are right.

In: how many hits of how many. Out: an `Interval`. It stands apart from the intervals over seeds
because there a sample is counted, and no spread is estimated.
"""

from __future__ import annotations

import dataclasses
import math

from scipy import special, stats

from analysis.statistics.samples.intervals import Interval, check_interval
from headstart.errors import InputError


def proportion_interval(n_hits: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's (1927) score interval for a share, as failed trials among all; n = 0: all NaN.

    Half hits are allowed: a tie in a count of wins is half a win. So are numbers of trials that
    are not whole: dependent trials are worth fewer than they are.
    """
    check_interval(confidence)
    if not 0 <= n_hits <= n:
        raise InputError(f"proportion_interval: {n_hits} of {n}: hits must be between 0 and n")
    if n == 0:
        return dataclasses.replace(Interval.unknown("no trials", 0, confidence), method="Wilson")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = n_hits / n
    centre = (n_hits + z**2 / 2) / (n + z**2)
    half = z * math.sqrt(n * share * (1 - share) + z**2 / 4) / (n + z**2)
    low, high = max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
    return Interval(share, low, high, confidence, "Wilson", round(n))


def exact_share_interval(n_hits: float, n: float, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson's (1934) interval for a share: it covers at least `confidence`, always.

    It holds 1/2 exactly where the two-sided sign test does not exclude it. Of 0 or n hits the
    end is one-sided, never a zero width. Numbers that are not whole as in `proportion_interval`;
    n = 0: all NaN.
    """
    check_interval(confidence)
    if not 0 <= n_hits <= n:
        raise InputError(f"exact_share_interval: {n_hits} of {n}: hits must be between 0 and n")
    if n == 0:
        unknown = Interval.unknown("no trials", 0, confidence)
        return dataclasses.replace(unknown, method="Clopper-Pearson")
    tail, misses = (1 - confidence) / 2, n - n_hits
    low = float(special.betaincinv(n_hits, misses + 1, tail)) if n_hits > 0 else 0.0
    high = float(special.betaincinv(n_hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return Interval(n_hits / n, low, high, confidence, "Clopper-Pearson", round(n))
