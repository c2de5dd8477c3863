"""Seeds until a verdict: whether every comparison has one, and which look comes next.

In: the trials so far, the pairs, the planned looks. Out: a `Decision`. Pure: the harness calls it
between batches of seeds. It asks the same comparisons as the report does, so that the sweep cannot
stop on a verdict that the report does not give. It stands apart from `sequential`, whose rule looks
at widths and at no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import words
from analysis.statistics.pairs.compare import compare_all
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.looks import HOPELESS, Stopping, chance_of_verdict
from analysis.statistics.pairs.questions import Errors
from analysis.statistics.pairs.sequential import Decision
from analysis.statistics.samples.pairing import Pair, arm_trials
from analysis.statistics.times.course import COURSES
from headstart.errors import InputError
from headstart.settings import LOOKS


@dataclass(frozen=True)
class UntilVerdict:
    """The rule of a sweep: `seeds: {until: verdict, looks}`, and what its `measure` says."""

    looks: tuple[int, ...] = LOOKS
    margin: float | None = None
    metric: str = "accuracy"
    errors: Errors = "question"


def decide_verdict(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    rule: UntilVerdict,
    report: Sequence[Comparison] | None = None,
) -> Decision:
    """Whether every comparison of the final result has a verdict after the seeds that have run.

    The final result is the metric on test images (accuracy, unless `measure` names another), of a
    sweep without them that on validation images at the chosen step. Stops where each comparison is
    decided, or hopeless: a verdict by the last look has a chance under one in ten
    (`chance_of_verdict`). Else the next look follows; seeds that failed cost seeds, never a
    decision. report: all comparisons of the report on these trials; without it the final result is
    compared by itself, which is the same where 5 % is for each question.

    Raises InputError for no pairs, or trials without a final accuracy.
    """
    if not pairs:
        raise InputError("seeds.until: the sweep compares no arms, so there can be no verdict")
    evidence = arm_trials(trials)
    n_seeds = int(evidence["seed"].nunique())
    rows = [row for row in report or () if row.question == "final"]
    rows = rows or final_comparisons(trials, curves, pairs, rule)
    open_rows = [row for row in rows if row.verdict == "inconclusive"]
    overlap = float(evidence["overlap"].max()) if "overlap" in evidence else 0.0
    given_up = [row for row in open_rows if is_hopeless(row, rule.looks, len(rows), overlap)]
    following = next((look for look in rule.looks if look > n_seeds), None)
    stop = len(given_up) == len(open_rows) or following is None
    text = _text(n_seeds, following, rows, open_rows, given_up, stop, rule)
    next_n = n_seeds if stop or following is None else following
    return Decision(stop, n_seeds, next_n, not open_rows, (), text)


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


def is_hopeless(row: Comparison, looks: Sequence[int], n_tests: int, overlap: float = 0.0) -> bool:
    """Whether a verdict by the last of `looks` has become too unlikely to go on for."""
    chance = chance_of_verdict(
        row.mean_score,
        row.sd_score,
        row.n,
        looks,
        margin=row.margin,
        n_tests=n_tests,
        overlap=overlap,
    )
    return chance < HOPELESS  # of NaN, where nothing can be said: False


def _text(
    n_seeds: int,
    following: int | None,
    rows: Sequence[Comparison],
    open_rows: Sequence[Comparison],
    given_up: Sequence[Comparison],
    stop: bool,
    rule: UntilVerdict,
) -> str:
    done = words.plural(n_seeds, "seed")
    if not open_rows:
        return f"stopped after {done}: every comparison has a verdict"
    names = words.shortened([f"“{row.treatment}” against “{row.control}”" for row in open_rows])
    if not stop:
        given = f"; {len(given_up)} of them given up as hopeless" if given_up else ""
        return (
            f"{done}: {len(open_rows)} of {words.plural(len(rows), 'comparison')} without a "
            f"verdict{given}: next up to {following}"
        )
    if following is None:
        return f"stopped after {done}, the last planned look: no verdict on {names}"
    return (
        f"stopped after {done}: no verdict on {names}, and one by {rule.looks[-1]} seeds has a "
        f"chance under {words.share(HOPELESS)}"
    )
