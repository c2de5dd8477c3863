"""One comparison of two arms: the record that travels from the tests to tables and sentences.

In: what `compare` computed. Out: `Comparison`, whose fields are the columns of the table of
comparisons. It stands alone because words need the record and none of the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from analysis.statistics.samples.intervals import Interval

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two arms on one metric. NaN where something was not tested or is not known.

    Attributes:
        target: of a time to target, NaN for other metrics. unit: of `difference`.
        n_pairs: 0 where seeds do not pair.
        scale: `difference` (treatment - control) or `speedup` (control/treatment, for times: the
            geometric mean of the ratios, above 1 where the treatment is sooner).
        estimate, low, high, confidence, method: on that scale; `mean_intervals` auto, or Welch.
        difference: mean of treatment - control in `unit`, NaN where a time is censored.
        bound: `at least` where only the control has trials that never reach the target (high is
            then ∞), `at most` where only the treatment has (low is 0), `within budget` where both
            have: the ratio is of times up to the common budget. "" for none.
        effect_size: Hedges' g, of the paired differences (their own SD) or of independent arms.
        t, p_value, p_holm: paired (Welch's) t-test, two-sided.
        p_sign_flip, p_sign_flip_floor, p_sign_flip_error: NaN where unpaired.
        p_wilcoxon: signed ranks; Mann-Whitney where unpaired.
        p_better, p_better_low, p_better_high: P(treatment better), ties half, Wilson;
            p_better_words: against 0.5 and γ = 0.75 (Bouthillier et al. 2021).
        p_equivalence, p_equivalence_holm, margin: two one-sided t-tests; NaN without a margin.
        mean_score, sd_score: mean and SD of what is tested: differences, of times of logarithms,
            positive where the treatment is better.
        n_more: seeds that are missing for a verdict.
        score: the interval of `mean_score` with its own note; no column of the table.
    """

    task: str
    treatment: str
    control: str
    metric: str
    target: float
    unit: str
    n_pairs: int
    n_treatment: int
    n_control: int
    paired: bool
    scale: Literal["difference", "speedup"]
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    confidence: float
    method: str = "none"
    difference: float = math.nan
    bound: str = ""
    n_unreached_treatment: int
    n_unreached_control: int
    budget: float
    effect_size: float = math.nan
    t: float = math.nan
    p_value: float = math.nan
    p_holm: float = math.nan
    p_sign_flip: float = math.nan
    p_sign_flip_floor: float = math.nan
    p_sign_flip_error: float = math.nan
    p_wilcoxon: float = math.nan
    p_better: float = math.nan
    p_better_low: float = math.nan
    p_better_high: float = math.nan
    p_better_words: str | None = None
    p_equivalence: float = math.nan
    p_equivalence_holm: float = math.nan
    margin: float = math.nan
    mean_score: float = math.nan
    sd_score: float = math.nan
    verdict: Verdict = "inconclusive"
    verdict_words: str = ""
    n_more: float = 0.0
    note: str
    score: Interval | None = None

    @property
    def n(self) -> int:
        """Pairs, or the number of trials of the smaller arm where seeds do not pair."""
        return min(self.n_treatment, self.n_control)

    @property
    def is_time(self) -> bool:
        """Whether it is about times to a target, which are compared as ratios."""
        return self.scale == "speedup"

    @property
    def someone_reached(self) -> bool:
        """Of a time: whether a trial of either arm reached the target."""
        n_unreached = self.n_unreached_treatment + self.n_unreached_control
        return n_unreached < self.n_treatment + self.n_control

    @property
    def is_against_never(self) -> bool:
        """Of a time with a verdict: whether the arm that comes later never reached the target."""
        if self.verdict == "better":
            return self.n_unreached_control == self.n_control
        return self.verdict == "worse" and self.n_unreached_treatment == self.n_treatment

    @property
    def bound_words(self) -> str:
        """What to write before an estimate that is a bound: `at least `, `at most ` or nothing."""
        return f"{self.bound} " if self.bound in ("at least", "at most") else ""


COLUMNS = tuple(f.name for f in fields(Comparison) if f.name != "score")


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """One row a comparison, with the columns `COLUMNS`."""
    rows = [[getattr(comparison, name) for name in COLUMNS] for comparison in comparisons]
    return pd.DataFrame(rows, columns=list(COLUMNS))
