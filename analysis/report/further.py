"""Stability and overfitting in sentences: the two questions beside the way there and its end.

In: the comparisons of one pair. Out: a clause of its first sentence, and the sentences that follow.
It stands apart from `answers`, which says how fast and how well an arm learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from analysis import words
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.times.course import COURSES

Doubt = Callable[[Comparison], str]  # `95 % interval of this comparison alone …, p …`
_WHERE = {
    "spread_over_seeds": "from seed to seed",
    "noise_within_a_run": "within a run",
    "broken_runs": "in how many of its runs fail",
}
_ALONE = 0.05


def further_lead(rows: Sequence[Comparison]) -> str:
    """`it is more stable within a run`; that nothing is shown, where stability was compared."""
    steady = [row for row in rows if row.question == "stability" and not math.isnan(row.p_value)]
    clauses = []
    for verdict, word in (("better", "more"), ("worse", "less")):
        where = [_WHERE[row.metric] for row in steady if row.verdict == verdict]
        if where:
            clauses.append(f"it is {word} stable {words.listed(where)}")
    if steady and not clauses:
        clauses.append("which is more stable is not shown")
    over = [row for row in rows if row.question == "overfitting"]
    for verdict, word in (("better", "less"), ("worse", "more")):
        if any(row.verdict == verdict for row in over):
            clauses.append(f"it overfits {word}")
    return words.listed(clauses)


def further_sentences(rows: Sequence[Comparison], doubt: Doubt) -> Iterator[str]:
    """The numbers of both questions."""
    steady = [_steady(row, doubt) for row in rows if row.question == "stability"]
    if shown := [text for text in steady if text]:
        yield f"Stability: {'; '.join(shown)}."
    n = max((row.n for row in rows if row.question == "stability"), default=0)
    if n and not any(row.metric == "broken_runs" for row in rows):
        most, seeds = words.share(1 - _ALONE ** (1 / n)), words.plural(n, "seed")
        yield f"No run of either failed or collapsed; of {seeds} up to {most} could."
    gaps = [_gap(row, doubt) for row in rows if row.question == "overfitting"]
    if shown := [text for text in gaps if text]:
        yield f"Overfitting, training against validation at the chosen step: {'; '.join(shown)}."


def _steady(row: Comparison, doubt: Doubt) -> str:
    if math.isnan(row.p_value):
        return ""
    if row.metric == "spread_over_seeds":
        who, other = f"“{row.treatment}”", f"“{row.control}”"
        ratio = words.write(row.kind, row.estimate)
        return f"two seeds of {who} lie {ratio} as far apart as two of {other} ({doubt(row)})"
    if row.metric == "broken_runs":
        text = f"runs that failed, diverged or collapsed {words.points(row.estimate)} points"
        return f"{text} (exact p {words.probability(row.p_value)})"
    return f"noise within a run {row.measured.difference(row.estimate)} ({doubt(row)})"


def _gap(row: Comparison, doubt: Doubt) -> str:
    if math.isnan(row.low):
        return ""
    course = COURSES["loss" if row.metric == "loss_gap" else "accuracy"]
    return f"gap in {course.words} {course.difference(row.estimate)} ({doubt(row)})"
