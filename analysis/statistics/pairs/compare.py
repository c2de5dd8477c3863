"""Two arms against each other: differences, intervals, tests and verdicts, one row a metric.

In: contrasts, one value a seed for each arm, and an equivalence margin. Out: one `Comparison` for
each. Every interval is the inversion of the paired t-test beside it, so the two
cannot disagree; verdicts rest on what the test is worth among the rows of its question
(`questions`). docs/statistics.md says why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import special, stats

from analysis.statistics.pairs import verdicts
from analysis.statistics.pairs.by_itself import Settings, TestedRow, at_chance, rows_of
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.estimates import ends_of_event, shown_ends
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.pairs.over_tasks import Together, rows_over_tasks
from analysis.statistics.pairs.questions import Among, Errors, judge
from analysis.statistics.pairs.wording import verdict_words
from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.significance import holm
from analysis.words import joined, write
from headstart.errors import InputError


@dataclass(frozen=True)
class Compared:
    """All rows of a report, judged together: of single tasks, and of all tasks together."""

    comparisons: list[Comparison]
    together: list[Together]


def compare_contrasts(
    contrasts: Sequence[Contrast],
    margin: float | None,
    rng: Rng | None = None,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
) -> list[Comparison]:
    """Every contrast judged by its question; raises InputError for a margin that is not above 0."""
    return compare_tasks(contrasts, margin, rng, stopping, errors).comparisons


def compare_tasks(
    contrasts: Sequence[Contrast],
    margin: float | None,
    rng: Rng | None = None,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
) -> Compared:
    """`compare_contrasts`, with the rows of all tasks together, which share its questions' 5 %."""
    if margin is not None and not margin > 0:
        raise InputError(f"compare: the equivalence margin {margin} must be above 0")
    settings = Settings(margin, stopping)
    root = int(rng.integers(2**63)) if rng is not None else 0
    rows = rows_of(contrasts, settings, root)
    return _judged(rows, at_chance(rows, settings, root), stopping, errors)


def _judged(
    rows: Sequence[TestedRow], worst: Sequence[TestedRow], stopping: Stopping, errors: Errors
) -> Compared:
    """With what each test is worth among those of its question, verdicts and their words.

    worst: the same rows with failed trials at chance.
    """
    among, together = _among(rows, stopping, errors)
    bad = among
    if any(row.contrast.at_chance for row in rows):
        bad, _ = _among(worst, stopping, errors)
    p_equivalence, n_margins = _equivalence(rows)
    sizes = Counter(row.comparison.question for row in rows if row.comparison.p_value <= 1)
    judged = []
    for k, row in enumerate(rows):
        comparison = replace(
            _in_question(row, among[k]),
            n_question=sizes[row.comparison.question],
            p_equivalence_holm=float(p_equivalence[k]),
            p_at_chance=_p_at_chance(row, worst[k], bad[k]),
        )
        judged.append(_judge(comparison, row, n_margins[comparison.question]))
    return Compared(judged, together)


def _equivalence(rows: Sequence[TestedRow]) -> tuple[Floats, Counter[str]]:
    """p of equivalence, adjusted among the tests of its question (Holm), and how many each has."""
    questions = np.array([row.comparison.question for row in rows])
    p_values = np.array([row.comparison.p_equivalence for row in rows])
    n_tests = Counter(questions[np.isfinite(p_values)].tolist())
    for question in n_tests:
        p_values[questions == question] = holm(p_values[questions == question])
    return p_values, n_tests


def _among(
    rows: Sequence[TestedRow], stopping: Stopping, errors: Errors
) -> tuple[list[Among], list[Together]]:
    """What each row is worth among those of its question, and the rows of all tasks together."""
    over = rows_over_tasks([row.contrast for row in rows], stopping)
    among = judge([*(row.test for row in rows), *(row.test for row in over)], errors)
    together = [row.judged(q) for row, q in zip(over, among[len(rows) :], strict=True)]
    return among[: len(rows)], together


def _in_question(row: TestedRow, among: Among) -> Comparison:
    """With the p among the rows of its question, and the interval that holds for all of them."""
    mean, c = row.comparison.mean_score, among.c
    low, high = math.nan, math.nan
    if row.contrast.metric.kind == "event" and not math.isnan(c):
        low, high = ends_of_event(row.contrast, 1 - 2 * float(stats.t.sf(c, row.df)))
    elif not math.isnan(c):
        half = c * row.error if row.error > 0 else 0.0
        low, high = shown_ends(row.contrast, row.comparison.bound, mean - half, mean + half)
    return replace(
        row.comparison, p_question=among.p, factor=c, low_question=low, high_question=high
    )


def _p_at_chance(row: TestedRow, worst: TestedRow, among: Among) -> float:
    """The p with failed trials at chance; 1 where the arms change sides, NaN where not known."""
    if any(row.contrast.failed) and not row.contrast.at_chance:
        return math.nan
    same_side = worst.comparison.mean_score * row.comparison.mean_score > 0
    return among.p if same_side or math.isnan(among.p) else 1.0


def _judge(row: Comparison, tested: TestedRow, n_margins: int) -> Comparison:
    """The row with its verdict, the words for it, and the seeds that are missing."""
    row = replace(row, **asdict(verdicts.conclude(row)))
    n_more = (0.0, 0.0, 0.0)
    if row.verdict == "inconclusive":
        # Further seeds of an overlapping split draw from the same pool.
        n_more = (math.nan, math.nan, math.nan)
        if not tested.contrast.overlap:
            grain = tested.contrast.grain
            n_more = verdicts.seeds_missing_range(row, tested.df, n_margins, grain)
    elif row.verdict == "equivalent":
        row = _inside(row, tested)
    row = replace(row, n_more=n_more[0], n_more_low=n_more[1], n_more_high=n_more[2])
    return replace(row, verdict_words=verdict_words(row))


def _inside(row: Comparison, tested: TestedRow) -> Comparison:
    """With the interval that goes with two one-sided tests at 5 %: it lies inside the margin."""
    reached = -float(special.stdtrit(tested.df, row.p_equivalence))  # (margin - |mean|) / error
    error = (row.margin - abs(row.mean_score)) / reached
    half = student_quantile(tested.df, 2 * CONFIDENCE - 1) * error
    low, high = row.estimate - half, row.estimate + half
    ends = " to ".join(write(row.kind, end) for end in (low, high))
    points = " points" if row.kind == "points" else ""
    note = joined(row.note, f"equivalence goes with the 90 % interval, {ends}{points}")
    return replace(row, low_equivalence=low, high_equivalence=high, note=note)
