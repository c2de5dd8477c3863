"""How many seeds a question needs: from a pilot, with what the pilot leaves open.

In: the table of trials of a pilot sweep, or a standard deviation. Out: numbers of paired seeds.
Power is that of the paired t-test on which verdicts rest (`compare`), each comparison at
α / n_comparisons, Holm's first and hardest step, so that the promise holds also when every
other comparison of the report shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy import special

from analysis import words
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.contrasts import build_contrasts
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.resampling import student_quantile
from headstart.errors import InputError

MOST_SEEDS = 100_000  # a search beyond this answers "not with seeds"
SD_CONFIDENCE = 0.95  # of the pilot's SD, as everywhere
MOST_WORTH_SAYING = 10_000  # further seeds; beyond, the number says only "not with seeds"


def paired_power(
    n: int, difference: float, sd: float, alpha: float = 0.05, n_comparisons: int = 1
) -> float:
    """Chance that `n` pairs show a true `difference`, in its direction, at the two-sided level.

    Args:
        difference: true mean of the paired differences; sd: their standard deviation (ddof 1).
        n_comparisons: comparisons that Holm's method runs over in the report.

    The noncentral t distribution with n - 1 degrees of freedom (Cohen 1988, section 2.3). n < 2: 0.
    """
    if n < 2:
        return 0.0
    if sd == 0:
        return 1.0 if difference else 0.0
    critical = special.stdtrit(n - 1, 1 - alpha / (2 * n_comparisons))
    return 1.0 - float(special.nctdtr(n - 1, abs(difference) / sd * math.sqrt(n), critical))


def equivalence_power(n: int, margin: float, sd: float, alpha: float = 0.05) -> float:
    """Chance that two one-sided t-tests show equivalence within ±`margin` of arms that are equal.

    Central-t approximation (Julious 2004, section 5.2): exact as n grows, a little low before.
    """
    if n < 2:
        return 0.0
    if sd == 0:
        return 1.0
    reach = margin / sd * math.sqrt(n) - special.stdtrit(n - 1, 1 - alpha)
    return float(max(0.0, 2 * special.stdtr(n - 1, reach) - 1))


def seeds_to_detect(
    difference: float, sd: float, power: float = 0.8, alpha: float = 0.05, n_comparisons: int = 1
) -> int:
    """Fewest pairs whose `paired_power` is at least `power`; `MOST_SEEDS` where none is."""
    return fewest(lambda n: paired_power(n, difference, sd, alpha, n_comparisons) >= power)


def seeds_for_equivalence(margin: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest pairs whose `equivalence_power` is at least `power`; `MOST_SEEDS` where none is."""
    return fewest(lambda n: equivalence_power(n, margin, sd, alpha) >= power)


def seeds_for_half_width(half_width: float, sd: float, confidence: float = 0.95) -> int:
    """Fewest pairs whose Student interval is ± `half_width` or narrower at this SD."""

    def narrow(n: int) -> bool:
        return bool(student_quantile(n - 1, confidence) * sd / math.sqrt(n) <= half_width)

    return fewest(narrow)


def seeds_for_p_better(p_better: float = 0.75, power: float = 0.95, alpha: float = 0.05) -> int:
    """Pairs that show P(treatment better) > 0.5 when it truly is `p_better`.

    Noether (1987) as used by Bouthillier et al. (2021), one-sided: 29 for 0.75, 0.95, 0.05.
    """
    if not 0.5 < p_better < 1:
        raise InputError(f"P(better) {p_better} is not between 0.5 and 1")
    reach = float(special.ndtri(1 - alpha) + special.ndtri(power))
    return math.ceil((reach / (math.sqrt(6) * (p_better - 0.5))) ** 2)


def plan(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    *,
    detect: float | None = None,
    half_width: float | None = None,
    p_better: float | None = None,
    metric: str = "test_accuracy",
    targets: Sequence[float] = (),
    power: float = 0.8,
    n_comparisons: int = 1,
) -> pd.DataFrame:
    """Seeds that each question needs, one row a task, pair, target and question.

    Args:
        detect: a difference to find, in the metric's unit (accuracies: a fraction); of a time to
            target a speedup (1.2: a fifth faster).
        half_width: wanted half-width of the 95 % interval, in the same unit (of a time: a factor).
        p_better: wanted P(treatment better), found with 95 % power; needs no pilot SD.
        n_comparisons: comparisons that the report will make (Holm).

    Returns:
        task, treatment, control, metric, target, question (`detect`, `half_width`, `p_better`),
        value, n_pilot, sd (of the paired differences; of times, of the log ratios), sd_low,
        sd_high (95 % interval), n_needed (at sd), n_low, n_high (at the ends of that interval),
        n_more (n_needed - n_pilot, at least 0), words. NaN where the pilot has fewer than 2 pairs.

    Raises InputError for no question, a value that is not above zero (of a time: above 1), arms
    whose seeds do not pair, and what `build_contrasts` raises.
    """
    questions = {"detect": detect, "half_width": half_width, "p_better": p_better}
    asked = {name: value for name, value in questions.items() if value is not None}
    if not asked:
        raise InputError("plan: give at least one of detect, half_width, p_better")
    rows = []
    for contrast in build_contrasts(trials, curves, pairs, targets, (metric,)):
        if not contrast.paired:
            treatment, control = contrast.pair
            raise InputError(
                f"plan: the seeds of '{treatment}' and '{control}' do not pair; run both arms on "
                "the same seeds"
            )
        rows += [_row(contrast, *question, power, n_comparisons) for question in asked.items()]
    return pd.DataFrame(rows)


def _row(
    contrast: Contrast, question: str, value: float, power: float, n_comparisons: int
) -> dict[str, object]:
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


def sd_scales(df: float) -> tuple[float, float]:
    """By what an SD with `df` degrees of freedom is multiplied at both ends of what it may be
    (95 %, chi-squared: of normal values)."""
    if df <= 0:
        return math.nan, math.nan
    tail = (1 - SD_CONFIDENCE) / 2
    upper, lower = special.chdtri(df, tail), special.chdtri(df, 1 - tail)
    return math.sqrt(df / upper), math.sqrt(df / lower)


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


def range_words(n: int, aim: str, low: float, high: float) -> str:
    """`5 seeds cannot tell how many: for an 80 % chance of a verdict between 4 and 180 more`.

    low, high: further seeds at both ends of what the SD may be.
    """
    if low > MOST_WORTH_SAYING:
        return f"{aim} over {MOST_WORTH_SAYING:,} more seeds"
    most = f"{high:,.0f}" if high <= MOST_WORTH_SAYING else f"over {MOST_WORTH_SAYING:,}"
    return (
        f"{words.plural(n, 'seed')} cannot tell how many: {aim} between {low:,.0f} and {most} more"
    )


def fewest(enough: Callable[[int], bool]) -> int:
    """Smallest n from 2 to `MOST_SEEDS` with `enough(n)`, which once true stays true."""
    low, high = 1, 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return MOST_SEEDS
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
