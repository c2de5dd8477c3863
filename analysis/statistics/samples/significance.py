"""The tests of one comparison: t, equivalence, standardized difference, P(better), Holm.

In: a mean of scores with its standard error and degrees of freedom, or p-values. Out: numbers.
Stands alone because paired and unpaired comparisons share it: they differ only in where mean,
error and degrees of freedom come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.shares import exact_share_interval

GAMMA = 0.75  # Bouthillier et al. (2021): P(better) above this is a meaningful improvement


def holm(p_values: Floats) -> Floats:
    """Holm's (1979) step-down adjustment; NaNs are no tests and stay NaN."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    steps = (len(order) - np.arange(len(order))) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


@dataclass(frozen=True)
class TTests:
    """Two-sided t-test of a mean against 0, and two one-sided ones against ±`margin`."""

    mean_score: float
    t: float
    p_value: float
    margin: float
    p_equivalence: float


def t_tests(
    mean: float, error: float, df: float, margin: float | None, of_margin: float | None = None
) -> TTests:
    """The t-test against 0, and the two one-sided ones against the margin (Schuirmann 1987).

    `of_margin`: the standard error of the latter, where it is not `error`: planned looks are as
    strict for two sides and for one, each in its own way.
    """
    t = _ratio(mean, error)
    p_value = 2 * float(special.stdtr(df, -abs(t)))
    if margin is None:
        return TTests(float(mean), t, p_value, math.nan, math.nan)
    reach = _ratio(margin - abs(mean), error if of_margin is None else of_margin)
    p_equivalence = float(special.stdtr(df, -reach))
    return TTests(float(mean), t, p_value, margin, p_equivalence)


def three_probabilities(
    mean: float, error: float, df: float, margin: float
) -> tuple[float, float, float]:
    """Probabilities that the true mean is below -`margin`, inside ±`margin`, and above it.

    Of the Student distribution with `df` degrees of freedom around `mean`: what the data say of the
    true difference where nothing was believed of it before. With the error of redrawn splits,
    √(1/n + n_test/n_train) · SD, it is Corani and Benavoli's (2015) correlated Bayesian t-test.
    They sum to 1; NaN without a margin or an error.
    """
    if not (margin > 0 and error > 0):
        return math.nan, math.nan, math.nan
    below, above = (float(special.stdtr(df, (s * mean - margin) / error)) for s in (-1, 1))
    return below, 1 - below - above, above


def pairing_worth(treated: Floats, control: Floats) -> float:
    """How many times the seeds unpaired arms would need for the same error: 2.3, or 1 for nothing.

    (variance of one + variance of the other) / variance of the differences, both (n,), ddof 1.
    Below 1 pairing cost seeds. NaN for fewer than 3 pairs or without any spread of differences.
    """
    if len(treated) < 3:
        return math.nan
    of_difference = float((treated - control).var(ddof=1))
    apart = float(treated.var(ddof=1) + control.var(ddof=1))
    return apart / of_difference if of_difference > 1e-12 * apart else math.nan


def p_better_interval(n_wins: float, n_losses: float) -> Interval:
    """P(treatment better) among pairs that differ: Clopper and Pearson's interval, ties left out.

    It excludes 1/2 exactly where the two-sided sign test has p ≤ .05: 5 wins of 5 do not (p .06).
    Without a pair that differs: NaN. Numbers that are not whole count dependent pairs for less.
    """
    if n_wins + n_losses == 0:
        return Interval.unknown("no pair differs")
    share = exact_share_interval(n_wins, n_wins + n_losses)
    few = 2 * 0.5 ** (n_wins + n_losses) > 1 - share.confidence
    return share.noted("too few pairs to exclude chance") if few else share


def p_better_words(p_better: Interval) -> str:
    """What P(treatment better) means beside 0.5 and γ."""
    if math.isnan(p_better.estimate):
        return "no pair differs"
    if p_better.low <= 0.5 <= p_better.high:
        return "not significant"
    if p_better.low > 0.5:
        return "better, meaningful" if p_better.high > GAMMA else "better, too rarely to matter"
    return "worse, meaningful" if p_better.low < 1 - GAMMA else "worse, too rarely to matter"


def most_without_one(n: int, confidence: float = 0.95) -> float:
    """The share that can still be, where none of `n` was: Clopper and Pearson's one-sided limit."""
    return 1 - (1 - confidence) ** (1 / n) if n else 1.0


def sign_test(n_won: int, n_lost: int) -> float:
    """Exact two-sided p of so many wins and losses, ties left out; 1 without any."""
    n = n_won + n_lost
    return min(1.0, 2 * float(special.bdtr(min(n_won, n_lost), n, 0.5))) if n else 1.0


def hedges_g(mean: float, sd: float, df: float) -> float:
    """Standardized difference with the exact small-sample factor (Hedges 1981)."""
    if sd == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    if df <= 1:
        return math.nan
    factor = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2))
    return float(mean / sd * factor * math.sqrt(2 / df))


def _ratio(mean: float, error: float) -> float:
    """mean / error; 0 for 0/0 and ±∞ for a difference without any error."""
    if error == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    return float(mean / error)
