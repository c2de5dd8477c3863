"""Several groups of tests under one error rate: a group that is all shown hands its part on.

In: p-values of each group, adjusted inside it, and the part of the error rate that it has. Out:
p-values among all groups, and the level at which each group was judged in the end. It stands alone
because blocks of one question and questions of one report are joined by the same rule.

With groups of one test each, and equal parts, this is Holm's (1979) step-down. With larger groups
it is the same argument: a group is tested at its part of α by a method that keeps that level, and
the part of a group passes to the others when nothing in it is left to test (Burman, Sonesson and
Guilbaud 2009).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.statistics.samples.arrays import Floats


def recycle(groups: Sequence[Floats], weights: Floats) -> list[Floats]:
    """Adjusted p-values among all groups.

    Args:
        groups: p-values (k_g,) of each, adjusted inside the group; none empty, no NaN.
        weights: (n_groups,) above 0; only their ratios count.
    """
    best = [np.ones(len(p)) for p in groups]
    for reached, factors in _stages(groups, weights):
        for p, now, factor in zip(groups, best, factors, strict=True):
            if np.isfinite(factor):
                np.minimum(now, np.maximum(reached, p * factor), out=now)
    return best


def levels(groups: Sequence[Floats], weights: Floats, alpha: float) -> Floats:
    """The level (n_groups,) at which each group was judged in the end."""
    level = np.zeros(len(groups))
    for reached, factors in _stages(groups, weights):
        if reached <= alpha:
            level = np.maximum(level, alpha / factors)
    return level


def _stages(groups: Sequence[Floats], weights: Floats) -> Iterator[tuple[float, Floats]]:
    """For each stage the α from which it is reached, and what each group's p is multiplied by."""
    last = np.array([p.max() for p in groups])
    left, reached = np.ones(len(groups), dtype=bool), 0.0
    while left.any():
        factors = weights[left].sum() / weights
        yield reached, np.where(left, factors, np.inf)
        waits = np.where(left, last * factors, np.inf)
        done = int(waits.argmin())
        reached = max(reached, float(waits[done]))
        left[done] = False
