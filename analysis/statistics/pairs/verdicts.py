"""What a comparison allows one to say: a verdict, a sentence, and how many seeds are missing.

In: the numbers of one comparison. Out: words. The rule, in this order:

1. `equivalent`: both one-sided tests put the difference inside the sweep's margin (Holm over
   all such tests of the report). That holds also where the difference is sure but smaller than
   the margin: the sweep's author said beforehand that so little does not matter, and the
   sentence says both.
2. `better` or `worse`: the Holm-adjusted paired t-test is significant.
3. `inconclusive`: neither; never "the same". With the number of seeds that would settle it.
"""

from __future__ import annotations

import math

from analysis import words
from analysis.statistics.pairs import power
from analysis.statistics.pairs.comparison import Comparison, Verdict

ALPHA = 0.05
POWER = 0.8
MOST_WORTH_SAYING = 10_000


def verdict(mean_score: float, p_holm: float, p_equivalence_holm: float) -> Verdict:
    """`equivalent`, `better`, `worse` or `inconclusive`; NaN p-values claim nothing."""
    if p_equivalence_holm < ALPHA:
        return "equivalent"
    if p_holm < ALPHA:
        return "better" if mean_score > 0 else "worse"
    return "inconclusive"


def seeds_missing(row: Comparison, n_comparisons: int) -> float:
    """Further pairs with which an inconclusive comparison has an 80 % chance of a verdict.

    With a margin: enough to find a difference of that size (or the one seen, where larger) and
    to show equivalence where there is none. Without: enough to find the difference that was
    seen, should it be the true one. NaN without a spread to go by, or without a difference.
    """
    sd, seen, margin = row.sd_score, abs(row.mean_score), row.margin
    if math.isnan(sd) or sd == 0:
        return math.nan
    aim = seen if math.isnan(margin) else max(margin, seen)
    if aim == 0:
        return math.nan
    n = power.seeds_to_detect(aim, sd, POWER, ALPHA, n_comparisons)
    if not math.isnan(margin) and seen < margin:
        n = max(n, power.seeds_for_equivalence(margin, sd, POWER, ALPHA))
    return float(max(1, n - row.n))


def verdict_words(row: Comparison) -> str:
    """One sentence: what the comparison shows, how surely, from how many seeds."""
    who, other, what = row.treatment, row.control, _what(row)
    if row.n == 0:
        return f"{who} and {other} cannot be compared on {what}: no values"
    if row.is_time and not row.someone_reached:
        return f"neither {who} nor {other} ever reached {row.target:g}"
    numbers = _numbers(row)
    if row.verdict == "inconclusive":
        missing = _missing(row.n_more)
        return f"no difference between {who} and {other} on {what} is shown ({numbers}){missing}"
    if row.verdict == "equivalent":
        margin = f"±{100 * row.margin:.3g} points"
        side = ""
        if row.p_holm < ALPHA:
            better = "better" if row.mean_score > 0 else "worse"
            side = f": {who} is {better}, but by less than the margin"
        return f"{who} and {other} are equivalent on {what} within {margin}{side} ({numbers})"
    if row.is_time and row.is_against_never:
        if row.verdict == "better":
            return f"{who} reaches {row.target:g}, which {other} never does ({numbers})"
        return f"{who} never reaches {row.target:g}, which {other} does ({numbers})"
    if row.is_time:
        when = "sooner" if row.verdict == "better" else "later"
        return f"{who} reaches {row.target:g} {when} than {other} ({numbers})"
    return f"{who} is {row.verdict} than {other} on {what} ({numbers})"


def _what(row: Comparison) -> str:
    name = row.metric.replace("_", " ").replace("train time s", "training seconds")
    return name if math.isnan(row.target) else f"{name} {row.target:g}"


def _numbers(row: Comparison) -> str:
    """`+0.31 points, 95 % interval +0.20 to +0.42, Holm p 0.003, 30 pairs`."""
    kind, unit = "number", f" {row.unit}"
    if row.is_time:
        kind, unit = "ratio", " as fast"
    elif row.unit == "fraction":
        kind, unit = "points", " points"
    text = f"{row.bound_words}{words.write(kind, row.estimate)}{unit}"
    if not math.isnan(row.low):
        ends = f"{words.write(kind, row.low)} to {words.write(kind, row.high)}"
        text += f", {words.share(row.confidence)} interval {ends}"
    if not math.isnan(row.p_holm):
        text += f", Holm p {words.probability(row.p_holm)}"
    if row.paired:
        return f"{text}, {words.plural(row.n, 'pair')}"
    return f"{text}, {row.n_treatment} and {row.n_control} unpaired trials"


def _missing(n_more: float) -> str:
    if math.isnan(n_more):
        return ""
    if n_more > MOST_WORTH_SAYING:
        return f": more than {MOST_WORTH_SAYING:,} more seeds would be needed"
    return f": inconclusive, about {words.plural(round(n_more), 'more seed')}"
