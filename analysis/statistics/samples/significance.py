"""The tests of one comparison: t, equivalence, standardized difference, P(better), Holm.

In: a mean of scores with its standard error and degrees of freedom, or p-values. Out: numbers.
Stands alone because paired and unpaired comparisons share it: they differ only in where mean,
error and degrees of freedom come from.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.resampling import FloatArray

GAMMA = 0.75  # Bouthillier et al. (2021): P(better) above this is a meaningful improvement


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's (1979) step-down adjustment; NaNs are no tests and stay NaN."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    steps = (len(order) - np.arange(len(order))) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def t_tests(mean: float, error: float, df: float, margin: float | None) -> dict[str, float]:
    """The t-test against 0, and the two one-sided ones against the margin (Schuirmann 1987)."""
    row = {"mean_score": float(mean), "t": _ratio(mean, error)}
    row["p_value"] = 2 * float(special.stdtr(df, -abs(row["t"])))
    if margin is not None:
        row["margin"] = margin
        row["p_equivalence"] = float(special.stdtr(df, -_ratio(margin - abs(mean), error)))
    return row


def p_better_columns(found: Interval) -> dict[str, object]:
    """P(treatment better), its interval, and what that means beside 0.5 and γ."""
    if found.low <= 0.5 <= found.high:
        text = "not significant"
    elif found.low > 0.5:
        text = "better, meaningful" if found.high > GAMMA else "better, too rarely to matter"
    else:
        text = "worse, meaningful" if found.low < 1 - GAMMA else "worse, too rarely to matter"
    return {
        "p_better": found.estimate,
        "p_better_low": found.low,
        "p_better_high": found.high,
        "p_better_words": text,
    }


def hedges_g(mean: float, sd: float, df: float) -> float:
    """Standardized difference with the exact small-sample factor (Hedges 1981)."""
    if sd == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    factor = (
        math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) if df > 1 else math.nan
    )
    return float(mean / sd * factor * math.sqrt(2 / df))


def _ratio(mean: float, error: float) -> float:
    """mean / error; 0 for 0/0 and ±∞ for a difference without any error."""
    if error == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    return float(mean / error)
