"""Is a new version worse by a margin or more? The test of a gate, and seeds that it lacks.

In: the scores of two arms, paired or not, higher better. Out: `NotWorse`. Pure: it knows neither
run folders nor exit statuses. It stands apart from the comparisons of a report because its question
has one side: how much better the new version is does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats

from analysis.statistics.pairs.contrast import Contrast, t_sample
from analysis.statistics.pairs.power import MOST_SEEDS, fewest

Answer = Literal["not worse", "worse", "cannot tell"]
LEVEL = 0.05  # of a wrong pass, and of a wrong alarm
POWER = 0.8


@dataclass(frozen=True)
class NotWorse:
    """A difference of means (new - base), with the 90 % interval whose ends are one-sided 95 %.

    p_not_worse: of "worse by the margin or more" (small: a pass is safe). p_worse: of "not worse
    by as much" (small: an alarm is). n_more: further seeds for an 80 % chance of a pass, if nothing
    has changed, at the two ends of what the SD may be (95 %, chi-squared); NaN where more seeds
    cannot tell (one pair, or seeds that redraw one pool).
    """

    mean: float
    low: float
    high: float
    n: int
    paired: bool
    p_not_worse: float
    p_worse: float
    n_more: tuple[float, float] = (math.nan, math.nan)

    def answer(self, level_worse: float = LEVEL) -> Answer:
        """What the gate says; `level_worse` is smaller where several arms may raise an alarm."""
        if self.p_not_worse <= LEVEL:
            return "not worse"
        return "worse" if self.p_worse <= level_worse else "cannot tell"


def not_worse(contrast: Contrast, margin: float) -> NotWorse:
    """One-sided t-tests of mean(new) - mean(base) against -`margin` (Schuirmann 1987, one side).

    Paired by seed, or Welch's; the variance is never below what counting whole images leaves, and
    has the correction for redrawn splits (Nadeau and Bengio 2003). Fewer than two values in an
    arm: all NaN, which is "cannot tell". Failed trials are not in `contrast`: see `at_chance`.
    """
    n = contrast.n
    if n < 2:
        nan = math.nan
        return NotWorse(nan, nan, nan, n, contrast.paired, nan, nan)
    mean, error, df = t_sample(contrast)
    half = float(special.stdtrit(df, 1 - LEVEL)) * error
    t = (mean + margin) / error if error > 0 else math.copysign(math.inf, mean + margin)
    n_more = (math.nan, math.nan)
    if contrast.overlap == 0:
        n_more = _more(margin, error * math.sqrt(n), n, df)
    return NotWorse(
        mean,
        mean - half,
        mean + half,
        n,
        contrast.paired,
        float(special.stdtr(df, -t)),
        float(special.stdtr(df, t)),
        n_more,
    )


def _more(margin: float, sd: float, n: int, df: float) -> tuple[float, float]:
    """Further seeds for an 80 % chance of a pass of an unchanged version, by the SD's interval."""
    ends = sd * np.sqrt(df / stats.chi2.ppf([0.975, 0.025], df))

    def more(sd: float) -> float:
        needed = fewest(lambda k: pass_power(k, margin, sd) >= POWER)
        return math.inf if needed == MOST_SEEDS else float(max(0, needed - n))

    return more(float(ends[0])), more(float(ends[1]))


def pass_power(n: int, margin: float, sd: float) -> float:
    """The chance that `n` pairs of an unchanged version pass: of t ≥ t(1 - 5 %), noncentral."""
    if n < 2:
        return 0.0
    if sd == 0:
        return 1.0
    critical = float(special.stdtrit(n - 1, 1 - LEVEL))
    return 1.0 - float(special.nctdtr(n - 1, margin / sd * math.sqrt(n), critical))
