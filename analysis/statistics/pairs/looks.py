"""Verdicts at planned looks: how strict each look is, so that all together err in one of twenty.

In: the numbers of seeds at which a sweep looks. Out: the level of each look, and by how much errors
are widened for it. Pure arithmetic on numbers of seeds; it stands alone because the rule that adds
seeds, the comparisons and the words must mean the same by it.

To test at 5 % at each of seven looks calls 18 % of equal arms different. All looks have one level
here (Pocock 1977, for the t-test and any numbers of seeds): the 5 % point of the smallest p-value
over the looks, where the arms are equal and differences normal. Intervals at that level hold at
every look at once (Jennison and Turnbull's repeated confidence intervals), so they may be read
whenever the sweep ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.resampling import student_quantile

# Of one and of two sides; `simulated_level` finds .0114 and .0105, the rest is for its own error.
_KNOWN: dict[tuple[int, ...], tuple[float, float]] = {(5, 8, 12, 18, 27, 40, 60): (0.0112, 0.0103)}
WIDER = 1.1  # of `until: half_width` from 8 seeds on: measured in benchmarks/sequential.py
WIDER_FEW = 1.25  # where it may stop before 8: by 1.1, up to .069 of normal nulls were false
FEW = 8  # seeds
HOPELESS = 0.1  # a verdict less likely than this, by all that are planned, is given up
N_PATHS = 400_000
_BLOCK = 50_000
_FIXED = 20_240_229


def widening(n: int, looks: Sequence[int] = (), sides: int = 2) -> float:
    """How many times as large the standard error of `n` pairs counts under `looks`; 1 for none.

    |mean| / (widening · error) reaches Student's 5 % point exactly where the test at the level of
    a look decides, and mean ± t · widening · error is the interval at that level. One function for
    p-values, intervals and the rule that stops. `sides` is 1 for each of the two one-sided tests
    of equivalence.
    """
    if len(looks) == 0 or n < 2:
        return 1.0
    both = 2 / sides  # what stands in both tails of a t where one or two of them count
    strict = student_quantile(n - 1, 1 - both * level_of_a_look(tuple(looks), sides))
    return strict / student_quantile(n - 1, 1 - both * (1 - CONFIDENCE))


@cache
def level_of_a_look(looks: tuple[int, ...], sides: int = 2) -> float:
    """The level of a test at each of `looks` (numbers of pairs, rising) that gives 5 % in all.

    From 400,000 paths of standard normal differences that are always the same; its own error is
    1 % of it. One look: .05. (5, 8, 12, 18, 27, 40, 60): .0103 two-sided, .0112 one-sided.
    """
    if len(looks) < 2:
        return 1 - CONFIDENCE
    known = _KNOWN.get(looks)
    return known[sides - 1] if known else simulated_level(looks, sides)


def simulated_level(looks: tuple[int, ...], sides: int = 2) -> float:
    """What `level_of_a_look` is, found by simulation."""
    rng = np.random.default_rng([_FIXED, *looks])
    blocks = [smallest_p(looks, _BLOCK, rng, sides) for _ in range(N_PATHS // _BLOCK)]
    return float(np.quantile(np.concatenate(blocks), 1 - CONFIDENCE))


def smallest_p(
    looks: Sequence[int], n_paths: int, rng: np.random.Generator, sides: int = 2
) -> Floats:
    """The smallest p of the t-tests at `looks`, of (n_paths,) paths without a difference.

    Pairs between two looks enter by their mean and sum of squares alone (Chan et al. 1983).
    """
    n, mean, squares = 0, np.zeros(n_paths), np.zeros(n_paths)
    least = np.ones(n_paths)
    for look in looks:
        more = look - n
        step = rng.normal(0, 1 / np.sqrt(more), n_paths) - mean
        inside = rng.chisquare(more - 1, n_paths) if more > 1 else 0.0
        squares = squares + inside + step**2 * n * more / look
        mean, n = mean + step * more / look, look
        t = mean * np.sqrt(n * (n - 1) / squares)
        least = np.minimum(least, sides * special.stdtr(n - 1, -np.abs(t) if sides == 2 else t))
    return least


@dataclass(frozen=True)
class Stopping:
    """How a sweep came to its number of seeds, as far as errors and words must know.

    Attributes:
        looks: planned numbers of seeds (`until: verdict`); () for none.
        wider: what errors are multiplied by where the width of intervals decided; 1 for no rule.
    """

    looks: tuple[int, ...] = ()
    wider: float = 1.0

    def widening(self, n: int, sides: int = 2) -> float:
        """How many times as large the standard error of `n` pairs counts (`sides`: `widening`)."""
        return widening(n, self.looks, sides) if self.looks else self.wider

    @property
    def note(self) -> str:
        """What a row of a table says of it; empty for a number that was chosen beforehand."""
        if self.looks:
            return f"wider, for {len(self.looks)} planned looks: 5 % for all of them together"
        if self.wider > 1:
            by = round(100 * (self.wider - 1))
            return f"wider by {by} %: the number of seeds was chosen by looking at widths"
        return ""

    @classmethod
    def of_widths(cls, at_least: int) -> Stopping:
        """Of a sweep that stops where intervals are narrow, from `at_least` seeds on."""
        return cls(wider=WIDER if at_least >= FEW else WIDER_FEW)


CHOSEN_BEFORE = Stopping()


def strictest(stoppings: Sequence[Stopping]) -> Stopping:
    """Of several sweeps in one report the one that widens most; none: chosen beforehand."""
    return max(stoppings, key=lambda s: s.widening(FEW), default=CHOSEN_BEFORE)


def chance_of_verdict(
    mean: float,
    sd: float,
    n: int,
    looks: Sequence[int],
    *,
    margin: float = math.nan,
    n_tests: int = 1,
    overlap: float = 0.0,
) -> float:
    """The chance that the last look gives a verdict, from what `n` pairs have shown so far.

    The mean of all pairs at the end is drawn from its predictive distribution, mean ± t(n − 1) ·
    SD · √(1/n − 1/N) (no prior opinion on mean and SD); a verdict is a difference beyond the
    error of the last look, or, with a margin, both ends of the interval inside it. NaN where
    nothing can be said (fewer than two pairs, no spread); the SD is taken to stay.

    Args:
        mean, sd: of the paired scores. looks: all planned numbers of pairs.
        n_tests: comparisons of the same question, each tested at its share of the level.
        overlap: of redrawn splits, n_test / n_train: more seeds of one pool settle less.
    """
    last = looks[-1]
    if n < 2 or n >= last or not sd > 0:
        return math.nan
    error = sd * math.sqrt(1 / last + overlap)
    spread = sd * math.sqrt(1 / n - 1 / last)

    def beyond(sides: int) -> float:
        level = level_of_a_look(tuple(looks), sides) / n_tests
        return student_quantile(last - 1, 1 - 2 * level / sides) * error

    def below(value: float) -> float:
        return float(special.stdtr(n - 1, (value - mean) / spread))

    chance = 1 - below(beyond(2)) + below(-beyond(2))
    inside = margin - beyond(1)
    if inside > 0:
        chance += below(inside) - below(-inside)
    return min(1.0, chance)
