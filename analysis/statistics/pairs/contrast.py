"""Two arms on one metric as arrays: what every comparison, gate and rule of seeds computes with.

In: one value a seed for each arm, and what is known of them. Out: both arms on the scale of the
test, and the least variance of a difference. It stands alone because it knows arrays only:
`contrasts` makes them from tables of trials, `of_arrays` from plain numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.statistics.pairs.metrics import Metric
from analysis.statistics.samples.arrays import Floats, Ints
from analysis.statistics.samples.gini import log_pseudo_values
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.redrawn import widening
from analysis.words import joined


@dataclass(frozen=True)
class Contrast:
    """Two arms on one metric: `treated` and `control` (n,) each, row i of both one seed if paired.

    Of a time, trials that have not reached the target by the common `budget` stand there and are
    counted in `censored` (treated, control); those among them that reached it later in `late`.
    A trial that was there before its first step has the time of its first evaluation after it, and
    is counted in `at_once`. `steps` has the smallest difference that each value can show, in the
    order of `treated` and `control`: of a time the distance to the evaluation before it, of a score
    one image's share; 0 where unknown. `seeds` (n,) are those of the pairs, ascending; none where
    arms do not pair. `failed` counts trials that failed or diverged and so have no accuracy;
    `at_chance` is then the same contrast with each of them at chance, where that is known.
    """

    task: str
    pair: Pair
    metric: Metric
    target: float
    treated: Floats
    control: Floats
    paired: bool
    steps: tuple[Floats, Floats]
    censored: tuple[int, int] = (0, 0)
    budget: float = math.nan
    note: str = ""
    overlap: float = 0.0  # n_test / n_train where seeds redraw one pool (`samples.redrawn`)
    course: str = "accuracy"  # the metric that the sweep measures
    measured_in: str = ""  # its unit, as `years`, where that is known
    seeds: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    late: tuple[int, int] = (0, 0)
    at_once: tuple[int, int] = (0, 0)
    opens: tuple[bool, bool] = (False, False)  # whether the ratio may be larger, or smaller
    failed: tuple[int, int] = (0, 0)
    at_chance: Contrast | None = None
    test_set: str = ""  # of further test sets: which one

    @property
    def n(self) -> int:
        """Pairs, or the number of trials of the smaller arm where seeds do not pair."""
        return min(len(self.treated), len(self.control))

    @property
    def nobody_reached(self) -> bool:
        """A time to a target that not one trial of either arm ever reached."""
        return self.metric.is_time and self.censored == (len(self.treated), len(self.control))

    @property
    def grain(self) -> float:
        """The smallest step that a score can show, where it is known; else 0."""
        return 0.0 if self.metric.is_time else float(np.max(np.hstack(self.steps), initial=0.0))

    @property
    def scores(self) -> tuple[Floats, Floats]:
        """Both arms on the scale of the test, where more is better: minus log times, ± values."""
        if self.metric.is_time:
            return -np.log(self.treated), -np.log(self.control)
        sign = 1.0 if self.metric.higher_is_better else -1.0
        return sign * self.treated, sign * self.control

    @property
    def least_variance(self) -> float:
        """Variance that rounding alone gives a difference of two scores.

        Rounding to steps of q has variance q²/12 for each of the two values; of a time's
        logarithm (q/time)²/12 with the distance q to the evaluation before, which may differ from
        time to time: evaluations are often dense at first. Five equal differences have no
        variance, yet no certainty either: where the step is unknown and all paired differences
        are equal, they are taken for one step.
        """
        if not self.n:
            return 0.0
        treated, control = self.steps
        if self.metric.is_time:
            treated, control = treated / self.treated, control / self.control
        elif not treated.any() and self.paired and self.n > 1:
            difference = self.treated - self.control
            largest = np.abs(self.treated).max() + np.abs(self.control).max()
            if np.ptp(difference) <= 1e-12 * largest:
                small = np.abs(difference) <= 1e-12 * largest  # rounding of equal values
                treated = control = np.where(small, 0.0, difference)
        return float(np.mean(treated**2) + np.mean(control**2)) / 12


def t_sample(contrast: Contrast) -> tuple[float, float, float]:
    """Mean difference of the scores, its standard error, and degrees of freedom.

    Of pairs, or Welch's (1947) where arms do not pair. The variance is never below what rounding
    leaves, and has the correction for redrawn splits (Nadeau and Bengio 2003). `n` is at least 2.
    """
    treated, control = contrast.scores
    if contrast.paired:
        d, n = np.sort(treated - control), contrast.n
        sd = math.sqrt(max(float(d.var(ddof=1)), contrast.least_variance))
        return float(d.mean()), sd / math.sqrt(n) * widening(n, contrast.overlap), n - 1.0
    sizes = np.array([len(treated), len(control)])
    spread = np.array([treated.var(ddof=1), control.var(ddof=1)])
    parts = np.maximum(spread, contrast.least_variance / 2) * (1 / sizes + contrast.overlap)
    mean = float(treated.mean() - control.mean())
    total = float(parts.sum())
    df = total**2 / float((parts**2 / (sizes - 1)).sum()) if total > 0 else sizes.sum() - 2.0
    return mean, math.sqrt(total), float(df)


def of_spreads(contrast: Contrast) -> Contrast:
    """The contrast with each arm's pseudo-values of the logarithm of its spread in their places."""
    treated, control = (log_pseudo_values(v) for v in (contrast.treated, contrast.control))
    none = np.empty(0)
    if np.isnan(treated).any() or np.isnan(control).any() or not len(treated) or not len(control):
        note = joined(contrast.note, "fewer than 3 values, or an arm without any spread: no test")
        treated, control = none, none
        return replace(
            contrast,
            treated=none,
            control=none,
            steps=(none, none),
            seeds=none.astype(int),
            note=note,
        )
    steps = (np.zeros(len(treated)), np.zeros(len(control)))
    return replace(contrast, treated=treated, control=control, steps=steps)
