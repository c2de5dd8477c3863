"""How many seeds a question needs, at a given standard deviation.

In: a standard deviation of paired differences. Out: numbers of paired seeds.
Power is that of the paired t-test on which verdicts rest (`compare`), each comparison at
α / n_comparisons, Holm's first and hardest step, so that the promise holds also when every
other comparison of the report shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from analysis import words
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


def sd_scales(df: float) -> tuple[float, float]:
    """By what an SD with `df` degrees of freedom is multiplied at both ends of what it may be
    (95 %, chi-squared: of normal values)."""
    if df <= 0:
        return math.nan, math.nan
    tail = (1 - SD_CONFIDENCE) / 2
    upper, lower = special.chdtri(df, tail), special.chdtri(df, 1 - tail)
    return math.sqrt(df / upper), math.sqrt(df / lower)


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
