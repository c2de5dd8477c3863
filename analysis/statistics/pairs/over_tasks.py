"""One verdict over several tasks: is one arm better in all of them together?

In: paired scores of two arms in each task. Out: `Together`. It stands apart from `aggregates`,
which describes: here is a test that all tasks share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import optimize, special

from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.pairs.questions import ALPHA, Among, RowTest
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.max_t import FEWEST
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.redrawn import widening

LEADS = ("area_under_curve", "noise_within_a_run", "accuracy_gap")  # beside the final result


@dataclass(frozen=True)
class Together:
    """A pair of arms over `n_tasks` tasks, on the metric that leads its question.

    z, p_value: Stouffer's. likeness: of the tasks' differences, over the seeds that they share.
    n_better: tasks in which the treatment's mean is the better one. p_question: among all rows of
    the question, those of single tasks too. verdict: better, worse or inconclusive. estimate, low,
    high: one difference for all tasks, on the metric's own scale, and the 95 % interval of this row
    alone: those that the test does not reject, in `unit`. n_failed: trials without a value.
    """

    question: str
    metric: str
    treatment: str
    control: str
    n_tasks: int
    n_better: int
    z: float
    p_value: float
    likeness: float = 0.0
    p_question: float = math.nan
    verdict: str = "inconclusive"
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = "fraction"
    n_failed: int = 0

    @property
    def test(self) -> RowTest:
        """What its question is asked."""
        return RowTest(self.question, self.z, math.inf, self.p_value, over_tasks=True)

    def judged(self, among: Among) -> Together:
        """With what it is worth among the rows of its question."""
        shown = among.p <= ALPHA
        verdict = ("better" if self.z > 0 else "worse") if shown else "inconclusive"
        return replace(self, p_question=among.p, verdict=verdict)


def rows_over_tasks(
    contrasts: Sequence[Contrast], stopping: Stopping = CHOSEN_BEFORE
) -> list[Together]:
    """`together` of each pair that all tasks have, on the metric that leads each question."""
    n_tasks = len({contrast.task for contrast in contrasts})
    members: dict[tuple[str, str, Pair], list[Contrast]] = {}
    for contrast in contrasts:
        metric = contrast.metric
        if metric.question == "final" or metric.name in LEADS:
            key = metric.question, metric.name, contrast.pair
            members.setdefault(key, []).append(contrast)
    rows = [together(group, stopping) for group in members.values() if len(group) == n_tasks]
    return [row for row in rows if row is not None]


def stouffer(t: Sequence[float], df: Sequence[float], likeness: float = 0.0) -> tuple[float, float]:
    """Z = Σ Φ⁻¹(F(tₖ)) / √(K (1 + (K - 1) r)) of the t-statistics of K tasks, and its two-sided p
    (Stouffer 1949; with the correlation r of the tasks, `likeness`, Strube 1985).

    F is Student's distribution with df of its task, so under equal arms each term is standard
    normal, whatever the number of seeds; tasks count alike. It asks whether the arms differ in the
    same direction over the tasks as a whole, and has power where no single task has any. It does
    not say in which task.
    """
    terms = [_normal(value, freedom) for value, freedom in zip(t, df, strict=True)]
    k = len(terms)
    z = float(np.sum(terms)) / math.sqrt(k * (1 + (k - 1) * likeness))
    return z, float(2 * special.ndtr(-abs(z)))


def together(contrasts: Sequence[Contrast], stopping: Stopping = CHOSEN_BEFORE) -> Together | None:
    """`stouffer` of the paired t of each task; None for fewer than two tasks with two pairs.

    The same errors as in the comparison of each task: never below what counting whole images
    leaves, wider for redrawn splits and for planned looks. Points of one grid share seeds and test
    images, and so luck: their sum counts for less by the mean correlation of their differences.
    """
    usable = [c for c in contrasts if c.paired and c.n > 1 and not c.nobody_reached]
    if len(usable) < 2:
        return None
    means, errors = zip(*(_mean_and_error(c, stopping) for c in usable), strict=True)
    df = [c.n - 1.0 for c in usable]
    r = likeness(usable)
    z, p_value = stouffer(_t(means, errors), df, r)
    ends = [_common(means, errors, df, r, at) for at in (0.0, _Z, -_Z)]
    if not usable[0].metric.higher_is_better:
        ends = [-ends[0], -ends[2], -ends[1]]
    return Together(
        usable[0].metric.question,
        usable[0].metric.name,
        *usable[0].pair,
        n_tasks=len(usable),
        n_better=sum(mean > 0 for mean in means),
        z=z,
        p_value=p_value,
        likeness=r,
        estimate=ends[0],
        low=max(ends[1], -usable[0].metric.furthest),
        high=min(ends[2], usable[0].metric.furthest),
        unit=usable[0].metric.unit,
        n_failed=sum(sum(c.failed) for c in usable),
    )


_Z = float(special.ndtri((1 + CONFIDENCE) / 2))


def _common(
    means: Sequence[float], errors: Sequence[float], df: Sequence[float], r: float, at: float
) -> float:
    """The difference, one for all tasks, of which what was seen is `at` normal errors away.

    Of 0, 1.96 and -1.96 the estimate and the ends of the interval that inverts the test.
    """

    def away(difference: float) -> float:
        return stouffer(_t([mean - difference for mean in means], errors), df, r)[0] - at

    far = 1e-9 + 1000 * max(errors)  # t at 1 degree of freedom is 12.7 at 95 %
    return float(optimize.brentq(away, min(means) - far, max(means) + far, xtol=1e-12))


def likeness(contrasts: Sequence[Contrast]) -> float:
    """Mean correlation of the paired differences of two tasks, over the seeds that both have; 0
    for two tasks that share fewer than three. Never below 0."""
    r = [_correlation(a, b) for a, b in combinations(contrasts, 2)]
    return max(0.0, math.fsum(r) / len(r))


def _correlation(a: Contrast, b: Contrast) -> float:
    if not (len(a.seeds) == a.n and len(b.seeds) == b.n):
        return 0.0
    _, of_a, of_b = np.intersect1d(a.seeds, b.seeds, return_indices=True)
    if len(of_a) < FEWEST:
        return 0.0
    sides = [c.scores[0][at] - c.scores[1][at] for c, at in ((a, of_a), (b, of_b))]
    x, y = (side - side.mean() for side in sides)
    length = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / length if length > 0 else 0.0


def _mean_and_error(contrast: Contrast, stopping: Stopping) -> tuple[float, float]:
    treated, control = contrast.scores
    d, n = np.sort(treated - control), contrast.n
    sd = math.sqrt(max(float(d.var(ddof=1)), contrast.least_variance))
    return float(d.mean()), sd / math.sqrt(n) * widening(n, contrast.overlap) * stopping.widening(n)


def _t(means: Sequence[float], errors: Sequence[float]) -> list[float]:
    """t of each task; infinite without any error, 0 for no difference."""
    return [
        mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
        for mean, error in zip(means, errors, strict=True)
    ]


def _normal(t: float, df: float) -> float:
    """The standard normal quantile of a t, by its smaller tail; 8 at most."""
    tail = float(special.ndtri(max(float(special.stdtr(df, -abs(t))), 1e-15)))
    return math.copysign(-tail, t) if t else 0.0
