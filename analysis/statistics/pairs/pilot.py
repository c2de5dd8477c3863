"""How many seeds a question needs, with a contrast as the pilot and what the pilot leaves open.

In: a contrast, a question. Out: the numbers of seeds at the pilot's SD and at both ends of its
interval, and one line of words. It stands apart from `power`, which knows numbers only.
"""

from __future__ import annotations

import math

from analysis import words
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.power import (
    SD_CONFIDENCE,
    range_words,
    sd_scales,
    seeds_for_half_width,
    seeds_for_p_better,
    seeds_to_detect,
)
from analysis.statistics.samples.intervals import Interval
from headstart.errors import InputError


def seeds_needed(
    contrast: Contrast, question: str, value: float, power: float, n_comparisons: int
) -> dict[str, object]:
    """One row of `measures.pairs.seeds_needed.plan`, which says what its columns are.

    Raises InputError for a value that is not above zero (of a time: above 1).
    """
    size = _size(contrast, question, value)

    def needed(sd: float) -> float:
        if math.isnan(sd) and question != "p_better":
            return math.nan
        if question == "detect":
            return seeds_to_detect(size, sd, power, n_comparisons=n_comparisons)
        if question == "half_width":
            return seeds_for_half_width(size, sd)
        return seeds_for_p_better(value)

    sd = _pilot_sd(contrast)
    numbers = needed(sd.estimate), needed(sd.low), needed(sd.high)
    return {
        "task": contrast.task,
        **contrast.pair._asdict(),
        "metric": contrast.metric.name,
        "target": contrast.target,
        "question": question,
        "value": value,
        "n_pilot": contrast.n,
        **sd.columns("sd", "sd_"),
        **dict(zip(("n_needed", "n_low", "n_high"), numbers, strict=True)),
        "n_more": math.nan if math.isnan(numbers[0]) else max(0.0, numbers[0] - contrast.n),
        "words": _words(contrast, question, _aim(question, value, power), numbers),
    }


def _pilot_sd(contrast: Contrast) -> Interval:
    """Of the paired scores, never below what rounding alone gives."""
    if contrast.n < 2:
        return Interval.unknown("a spread needs 2 pairs", contrast.n, SD_CONFIDENCE)
    treated, control = contrast.scores
    seen, least = float((treated - control).std(ddof=1)), math.sqrt(contrast.least_variance)
    sd, low, high = (max(seen * scale, least) for scale in (1.0, *sd_scales(contrast.n - 1.0)))
    return Interval(sd, low, high, SD_CONFIDENCE, "chi-squared", contrast.n)


def _size(contrast: Contrast, question: str, value: float) -> float:
    """The asked difference or half-width on the scale of the test: of a time, its logarithm."""
    if contrast.metric.is_time and question != "p_better":
        if value <= 1:
            raise InputError(f"plan: {question} {value} for a time is a factor and must be above 1")
        return math.log(value)
    if value <= 0:
        raise InputError(f"plan: {question} {value} must be above 0")
    return value


def _aim(question: str, value: float, power: float) -> str:
    return {
        "detect": f"to detect {value:g} with {words.share(power)} power",
        "half_width": f"for a 95 % interval of ±{value:g}",
        "p_better": f"to show P(better) > 0.5 where it is {value:g} (95 % power)",
    }[question]


def _words(contrast: Contrast, question: str, aim: str, numbers: tuple[float, float, float]) -> str:
    """One line. numbers: of seeds needed, at the pilot's SD and at the ends of its interval."""
    n_needed = numbers[0]
    treatment, control = contrast.pair
    who = f"{treatment} against {control}, {contrast.metric.name}"
    if not math.isnan(contrast.target):
        who += f" {contrast.target:g}"
    if math.isnan(n_needed):
        return f"{who}: the pilot has {contrast.n} pairs, and a spread needs 2"
    if question == "p_better":
        return f"{who}: {n_needed:,.0f} paired seeds {aim}"
    low, high = (max(0.0, n - contrast.n) for n in numbers[1:])
    if not high:
        return f"{who}: {words.plural(contrast.n, 'seed')} are enough {aim}"
    return f"{who}: {range_words(contrast.n, aim, low, high)}"
