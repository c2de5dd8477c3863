"""Seeds until sure: whether the intervals are narrow enough, and how many seeds to run next.

In: contrasts of the trials so far, the rule of the sweep. Out: a `Decision`. Pure: the harness
calls it between batches of seeds. To look at the data and stop when an interval happens to be
narrow favours samples whose spread is underestimated, so an interval of a sweep that stopped
this way is drawn wider (`looks.Stopping`: by 1.1, by 1.25 where it may stop before 8 seeds), both
here and in the report; `benchmarks/sequential.py` measures what that covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis import words
from analysis.statistics.pairs.contrast import Contrast, t_sample
from analysis.statistics.pairs.looks import Stopping
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.times.course import ACCURACY, Course
from headstart.errors import InputError


@dataclass(frozen=True)
class Until:
    """The rule of a sweep: `seeds: {until: {metric, half_width}, at_least, at_most}`.

    `half_width` is in the metric's unit (accuracies: a fraction); of a time to target it is the
    factor on either side of the speedup, above 1. `targets` are those of the sweep, of `course`.
    """

    metric: str
    half_width: float
    at_least: int
    at_most: int
    targets: tuple[float, ...] = ()
    course: Course = ACCURACY

    @property
    def widening(self) -> float:
        """What intervals under this rule are multiplied by."""
        return Stopping.of_widths(self.at_least).wider


@dataclass(frozen=True)
class Decision:
    """What to do next: stop, or run seeds up to `n_seeds_next` in all.

    `met` says whether the rule is met; `half_widths` are those of every comparison now (NaN: fewer
    than two pairs; none where verdicts are asked for), `text` says it in words.
    """

    stop: bool
    n_seeds: int
    n_seeds_next: int
    met: bool
    half_widths: tuple[float, ...]
    text: str


def decide_widths(contrasts: Sequence[Contrast], n_seeds: int, until: Until) -> Decision:
    """Whether the intervals of all `contrasts` are narrow enough after `n_seeds` seeds.

    Stops at `at_most` seeds in any case. Otherwise the next batch goes half of the way to the
    number of seeds that the widest interval asks for at its present spread, so that an early
    misjudged spread costs little. Failed trials cost seeds, never a decision.
    """
    widths = tuple(half_width(c, until.widening) for c in contrasts)
    wanted = _wanted(until, contrasts[0])
    narrow = n_seeds >= until.at_least and all(w <= wanted for w in widths)
    stop = narrow or n_seeds >= until.at_most
    following = n_seeds
    if not stop:
        following = max(
            next_seeds(n_seeds, c.n, width, wanted, until)
            for c, width in zip(contrasts, widths, strict=True)
        )
    n_wide = sum(not width <= wanted for width in widths)
    text = _text(n_seeds, following, n_wide, stop, until)
    return Decision(stop, n_seeds, following, narrow, widths, text)


def half_width(contrast: Contrast, wider: float) -> float:
    """Half the widened interval of a paired contrast, on the scale of the test (times: log).

    The interval is that of the report: Student's, wider by `wider` and for redrawn splits, never
    under what the rounding of the metric alone would leave: equal values are not a certainty. NaN
    for fewer than two pairs or unpaired arms.
    """
    if contrast.n < 2 or not contrast.paired:
        return math.nan
    _, error, df = t_sample(contrast)
    return wider * student_quantile(df, CONFIDENCE) * error


def _wanted(until: Until, contrast: Contrast) -> float:
    if not contrast.metric.is_time:
        return until.half_width
    if until.half_width <= 1:
        raise InputError(
            f"seeds.until.half_width: {until.half_width} is a factor for {until.metric} "
            "and must be above 1 (1.1: the speedup to within a tenth)"
        )
    return math.log(until.half_width)


def next_seeds(n_seeds: int, n_pairs: int, width: float, wanted: float, until: Until) -> int:
    """Seeds in all after the next batch, for one comparison whose half-width is `width` now."""
    if n_seeds < until.at_least:
        return until.at_least
    missing = n_pairs * ((width / wanted) ** 2 - 1) if width >= 0 else until.at_least
    return min(until.at_most, n_seeds + max(1, math.ceil(missing / 2)))


def _text(n_seeds: int, following: int, n_wide: int, stop: bool, until: Until) -> str:
    asked = f"±{until.half_width:g} on {until.metric}"
    done = words.plural(n_seeds, "seed")
    if not stop:
        return f"{done} are not enough for {asked}: next up to {following}"
    if n_wide:
        wide = words.plural(n_wide, "interval is", "intervals are")
        return f"stopped after {done}, the most allowed: {wide} wider than {asked}"
    return f"stopped after {done}: every comparison's interval is within {asked}"
