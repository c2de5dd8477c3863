"""Intervals over seeds for one number each: mean, median, IQM, SD (`shares`: of counts).

In: an array of values, one for each seed. Out: an `Interval`. Methods are chosen by measured
coverage at 5 to 30 seeds (docs/statistics.md has the table), not by habit: the percentile and
BCa bootstraps that reports usually print cover 80-84 % at 5 seeds where they promise 95 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.resampling import (
    bootstrap_t,
    resamples,
    standardize,
    student_quantile,
)
from analysis.words import joined
from headstart.errors import InputError

CONFIDENCE = 0.95  # of every interval of a report
ALL_EQUAL = "all values are equal"
METHODS = ("auto", "student", "bootstrap-t")
FEWEST_TO_RESAMPLE = 5  # below, bootstrap-t covers .73-.82 and Student's t .92-.96
MOST_TO_RESAMPLE = 200  # above, the two agree and the draws would only cost time


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it; `n` values were used, `note` says what to know.

    `low` and `high` are NaN where no interval can be had (n = 1), never a zero width.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: str
    n: int
    note: str = ""

    @classmethod
    def unknown(cls, note: str, n: int = 0, confidence: float = 0.95) -> Interval:
        """An interval of which nothing is known, and why."""
        return cls(math.nan, math.nan, math.nan, confidence, "none", n, note)

    def columns(
        self, estimate: str = "estimate", prefix: str = "", also: Iterable[str] = ()
    ) -> dict[str, float | int | str]:
        """The columns of a table that show it: the estimate, `low`, `high`, the fields in `also`.

        `prefix` stands before all names but the first: `columns("sd", "sd_")` gives sd, sd_low,
        sd_high.
        """
        ends = {f"{prefix}{name}": getattr(self, name) for name in ("low", "high", *also)}
        return {estimate: self.estimate, **ends}

    def within(self, least: float, most: float) -> Interval:
        """The interval with its ends cut at `least` and `most`; NaN stays."""
        low, high = float(np.maximum(self.low, least)), float(np.minimum(self.high, most))
        return dataclasses.replace(self, low=low, high=high)

    def noted(self, note: str) -> Interval:
        """The interval with one more note."""
        return dataclasses.replace(self, note=joined(self.note, note))


def mean_interval(
    values: ArrayLike, confidence: float = 0.95, method: str = "auto", rng: Rng | None = None
) -> Interval:
    """Interval for the mean of the population that `values` (one a seed) come from.

    `auto`: Student's t for n = 2-4; from 5 to 200 the bootstrap-t, where an end that is nearer
    than Student's goes half of the way to it; Student's t again beyond. `student` and
    `bootstrap-t` are the plain ones. Up to 8 values nothing is drawn: all resamples that exist
    are weighed by their chances. Beyond, without `rng`, the number of values decides the draws.
    The sample unit is the seed, SDs have ddof 1. NaNs are left out and the note counts them; n = 1
    has NaN bounds; constant data has zero width. Permuting, negating, shifting and scaling
    `values` does the same to the interval.

    Raises InputError for no values, infinities or an unknown method.
    Source: Efron & Tibshirani (1993), section 12.5; docs/statistics.md.
    """
    column = np.asarray(values, dtype=float).reshape(-1, 1)
    return mean_intervals(column, confidence, method, rng)[0]


def mean_intervals(
    columns: ArrayLike, confidence: float = 0.95, method: str = "auto", rng: Rng | None = None
) -> list[Interval]:
    """`mean_interval` of each column of `columns` (n, k); columns of one n share their draws."""
    check_interval(confidence, method)
    known = [_finite(column) for column in np.asarray(columns, dtype=float).T]
    samples, notes = [values for values, _ in known], [note for _, note in known]
    sizes = np.array([len(s) for s in samples])
    intervals: dict[int, Interval] = {}
    for n in np.unique(sizes):
        where = np.flatnonzero(sizes == n)
        table = np.stack([samples[i] for i in where], axis=1)
        intervals |= dict(zip(where, _mean_same_n(table, confidence, method, rng), strict=True))
    return [intervals[i].noted(note) for i, note in enumerate(notes)]


def _mean_same_n(table: Floats, confidence: float, method: str, rng: Rng | None) -> list[Interval]:
    n = len(table)
    if n == 1:
        return [_single(float(v), confidence) for v in table[0]]
    z, mean, sd, sign = standardize(table)
    student = student_quantile(n - 1, confidence)
    chosen, note = _choose(n, method)
    ends = np.broadcast_to([[-student], [student]], (2, table.shape[1]))
    if chosen != "student" and sd.any():
        counts, chances = resamples(n, rng)
        ends = bootstrap_t(z, counts, confidence, chances)
        if chosen == "auto":  # an end nearer than Student's goes half of the way to it
            low, high = ends
            low = np.minimum(low, (low - student) / 2)
            ends = np.stack([low, np.maximum(high, (high + student) / 2)])
    half = (ends[1] - ends[0]) / 2
    mirrored = np.abs(z + z[::-1]).max(axis=0) < 1e-9  # turned round, such a sample is itself
    ends = np.where(mirrored, np.stack([-half, half]), ends)
    ends = np.where(sign > 0, ends, -ends[::-1])
    low, high = mean - ends[::-1] * sd / math.sqrt(n)
    name = "bootstrap-t (auto)" if chosen == "auto" else chosen
    return [
        Interval(m, lo, hi, confidence, name, n, note)
        if s > 0
        else Interval(m, m, m, confidence, "constant", n, ALL_EQUAL)
        for m, lo, hi, s in zip(mean.tolist(), low.tolist(), high.tolist(), sd, strict=True)
    ]


def _choose(n: int, method: str) -> tuple[str, str]:
    """The method that is used for `n` values, and what to say about the choice."""
    if method != "auto":
        return method, ""
    if n < FEWEST_TO_RESAMPLE:
        return "student", f"{n} values: Student's t, which trusts that they are near normal"
    return ("student" if n > MOST_TO_RESAMPLE else "auto"), ""


def median_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Distribution-free interval for the median, between order statistics.

    Hettmansperger & Sheather (1986) interpolate between the two nearest pairs of order
    statistics, so that coverage is near the nominal one instead of a step above it. Where even
    the range covers less than `confidence` (n ≤ 5 at 95 %), the range is returned and
    `confidence` says what it covers, 1 - 2^(1-n). NaNs and n = 1 as in `mean_interval`.
    """
    check_interval(confidence)
    x, note = _finite(values)
    n = len(x)
    if n == 1:
        return _single(float(x[0]), confidence).noted(note)
    x = np.sort(x)
    median = float(np.median(x))
    tail = stats.binom.cdf(np.arange(n // 2 + 1), n, 0.5)  # P(X <= k)
    covered = 1 - 2 * tail  # of the interval from the (k+1)th smallest to the (k+1)th largest
    if covered[0] < confidence:
        note = joined(f"{n} values: their range, which covers {covered[0]:.0%} at most", note)
        return Interval(median, float(x[0]), float(x[-1]), float(covered[0]), "range", n, note)
    k = int(np.flatnonzero(covered >= confidence)[-1])
    share = (covered[k] - confidence) / (covered[k] - covered[k + 1])
    d = k + 1
    weight = (n - d) * share / (d + (n - 2 * d) * share)
    low = (1 - weight) * x[k] + weight * x[k + 1]
    high = (1 - weight) * x[n - 1 - k] + weight * x[n - 2 - k]
    return Interval(median, float(low), float(high), confidence, "order statistics", n, note)


def iqm_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval for the interquartile mean: the mean without the lowest and highest quarter.

    The estimate is `scipy.stats.trim_mean(values, 0.25)`; the interval is Tukey & McLaughlin's
    (1963), Student's t with the winsorized standard deviation and h - 1 degrees of freedom for
    the h values that are kept. NaNs and n = 1 as in `mean_interval`; n = 2 and 3 trim nothing.
    """
    check_interval(confidence)
    x, note = _finite(values)
    n = len(x)
    if n == 1:
        return _single(float(x[0]), confidence).noted(note)
    cut = int(0.25 * n)
    kept = np.sort(x)[cut : n - cut]
    h = len(kept)
    winsorized = np.clip(x, kept[0], kept[-1])
    error = math.sqrt((n - 1) * winsorized.var(ddof=1) / (h * (h - 1)))
    half = student_quantile(h - 1, confidence) * error
    mean = float(kept.mean())
    return Interval(mean, mean - half, mean + half, confidence, "trimmed t", n, note)


def sd_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval for the standard deviation (ddof 1) over seeds.

    From 5 values Bonett's (2006), which allows for heavy tails; for 2-4 the chi-squared interval,
    which trusts that the values are normal (noted). n = 1 has no SD: all NaN.
    """
    check_interval(confidence)
    x, note = _finite(values)
    n = len(x)
    if n == 1:
        return _single(math.nan, confidence).noted(note)
    x = np.sort(x)
    sd = float(x.std(ddof=1))
    if np.ptp(x) == 0:
        return Interval(0.0, 0.0, 0.0, confidence, "constant", n, ALL_EQUAL).noted(note)
    if n < 5:
        quantiles = stats.chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], n - 1)
        low, high = (sd * np.sqrt((n - 1) / quantiles)).tolist()
        note = joined(f"{n} values: chi-squared, which trusts that they are normal", note)
        return Interval(sd, low, high, confidence, "chi-squared", n, note)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    centre = stats.trim_mean(x, 1 / (2 * math.sqrt(n - 4))) if n > 5 else np.median(x)
    kurtosis = n * ((x - centre) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2
    error = math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    c = n / (n - z)
    low, high = (sd * math.sqrt(c * math.exp(sign * z * c * error)) for sign in (-1, 1))
    return Interval(sd, low, high, confidence, "Bonett", n, note)


def check_interval(confidence: float, method: str = "auto") -> None:
    """Raises InputError for a confidence outside 0 to 1, or an unknown method."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence} is not between 0 and 1")
    if method not in METHODS:
        raise InputError(f"method '{method}' is not one of {', '.join(METHODS)}")


def _finite(values: ArrayLike) -> tuple[Floats, str]:
    """The values without NaNs, and a note that counts what was left out."""
    x = np.asarray(values, dtype=float).ravel()
    missing = int(np.isnan(x).sum())
    kept = x[~np.isnan(x)]
    if not len(kept):
        raise InputError(f"no values to estimate from ({missing} missing)")
    if np.isinf(kept).any():
        raise InputError("infinite values have no mean; censored times belong to statistics.times")
    return kept, f"{missing} missing values left out" if missing else ""


def _single(value: float, confidence: float) -> Interval:
    return Interval(value, math.nan, math.nan, confidence, "none", 1, "one value: no interval")
