"""One verdict over several tasks: is one arm better in all of them together?

In: paired scores of two arms in each task. Out: `Together`. It stands apart from `tasks`, which
describes aggregates: here is a test, that all tasks share, and an estimate of their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.pairs.contrasts import Contrast
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.samples.redrawn import widening


@dataclass(frozen=True)
class Together:
    """A pair of arms over `n_tasks` tasks.

    z, p_value: Stouffer's. n_better: tasks in which the treatment's mean is the better one.
    """

    n_tasks: int
    n_better: int
    z: float
    p_value: float


def stouffer(t: Sequence[float], df: Sequence[float]) -> tuple[float, float]:
    """Z = Σ Φ⁻¹(F(tₖ)) / √K of the t-statistics of K tasks, and its two-sided p (Stouffer 1949).

    F is Student's distribution with df of its task, so under equal arms each term is standard
    normal, whatever the number of seeds; tasks count alike. It asks whether the arms differ in the
    same direction over the tasks as a whole, and has power where no single task has any. It does
    not say in which task.
    """
    terms = [_normal(value, freedom) for value, freedom in zip(t, df, strict=True)]
    z = float(np.sum(terms)) / math.sqrt(len(terms))
    return z, float(2 * special.ndtr(-abs(z)))


def together(contrasts: Sequence[Contrast], stopping: Stopping = CHOSEN_BEFORE) -> Together | None:
    """`stouffer` of the paired t of each task; None for fewer than two tasks with two pairs.

    The same errors as in the comparison of each task: never below what counting whole images
    leaves, wider for redrawn splits and for planned looks. Tasks must not share their trials.
    """
    usable = [c for c in contrasts if c.paired and c.n > 1 and not c.nobody_reached]
    if len(usable) < 2:
        return None
    t = [_paired_t(c, stopping) for c in usable]
    z, p_value = stouffer(t, [c.n - 1.0 for c in usable])
    return Together(len(usable), sum(value > 0 for value in t), z, p_value)


def _paired_t(contrast: Contrast, stopping: Stopping) -> float:
    treated, control = contrast.scores
    d, n = np.sort(treated - control), contrast.n
    sd = math.sqrt(max(float(d.var(ddof=1)), contrast.least_variance))
    error = sd / math.sqrt(n) * widening(n, contrast.overlap) * stopping.widening(n)
    mean = float(d.mean())
    if error > 0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0


def _normal(t: float, df: float) -> float:
    """The standard normal quantile of a t, by its smaller tail; 8 at most."""
    tail = float(special.ndtri(max(float(special.stdtr(df, -abs(t))), 1e-15)))
    return math.copysign(-tail, t) if t else 0.0
