"""Seeds until a verdict: what the trials so far say to the rule `seeds: {until: verdict}`.

In: the trials so far, the pairs, the planned looks. Out: the `Decision` of
`statistics.pairs.until_verdict`. The harness calls it between batches of seeds. It asks the same
comparisons as the report does, so that the sweep cannot stop on a verdict that the report does not
give.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.measures.pairs.compare import compare_all
from analysis.measures.trials import arm_trials
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.looks import Stopping
from analysis.statistics.pairs.sequential import Decision
from analysis.statistics.pairs.until_verdict import UntilVerdict, decide_rows
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import COURSES
from headstart.errors import InputError


def decide_verdict(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    rule: UntilVerdict,
    report: Sequence[Comparison] | None = None,
) -> Decision:
    """`decide_rows` of every comparison of the final result, after the seeds that have run.

    The final result is the metric on test images (accuracy, unless `measure` names another), of a
    sweep without them that on validation images at the chosen step. report: all comparisons of the
    report on these trials; without it the final result is compared by itself, which is the same
    where 5 % is for each question.

    Raises InputError for no pairs, or trials without a final accuracy.
    """
    if not pairs:
        raise InputError("seeds.until: the sweep compares no arms, so there can be no verdict")
    evidence = arm_trials(trials)
    rows = [row for row in report or () if row.question == "final"]
    rows = rows or final_comparisons(trials, curves, pairs, rule)
    overlap = float(evidence["overlap"].max()) if "overlap" in evidence else 0.0
    return decide_rows(rows, int(evidence["seed"].nunique()), rule, overlap)


def final_comparisons(
    trials: pd.DataFrame, curves: pd.DataFrame, pairs: Sequence[Pair], rule: UntilVerdict
) -> list[Comparison]:
    """The comparisons of the final result, as the report judges them."""
    evidence = arm_trials(trials)
    course = COURSES[rule.metric]
    tested, validated = course.finals
    score = tested if tested in evidence and evidence[tested].notna().any() else validated
    rows = compare_all(
        trials, curves, pairs, (), rule.margin, metrics=(score,), stopping=Stopping(rule.looks),
        errors=rule.errors, course=course,
    )  # fmt: skip
    if not rows:
        raise InputError(f"seeds.until: the trials have no {score} to compare")
    return rows
