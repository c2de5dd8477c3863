"""Seeds until a verdict: whether every comparison has one, and which look comes next.

In: the comparisons of the final result so far, the planned looks. Out: a `Decision`. It stands
apart from `sequential`, whose rule looks at widths and at no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis import words
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.looks import HOPELESS, chance_of_verdict
from analysis.statistics.pairs.questions import Errors
from analysis.statistics.pairs.sequential import Decision


@dataclass(frozen=True)
class UntilVerdict:
    """The rule of a sweep: `seeds: {until: verdict, looks}`, and what its `measure` says."""

    looks: tuple[int, ...]
    margin: float | None = None
    metric: str = "accuracy"
    errors: Errors = "question"


def decide_rows(
    rows: Sequence[Comparison], n_seeds: int, rule: UntilVerdict, overlap: float = 0.0
) -> Decision:
    """Whether every one of the `rows`, comparisons of the final result, has a verdict.

    Stops where each comparison is decided, or hopeless: a verdict by the last look has a chance
    under one in ten (`chance_of_verdict`). Else the next look after `n_seeds` follows; seeds that
    failed cost seeds, never a decision. overlap: of redrawn splits (`samples.redrawn`).
    """
    open_rows = [row for row in rows if row.verdict == "inconclusive"]
    given_up = [row for row in open_rows if is_hopeless(row, rule.looks, len(rows), overlap)]
    following = next((look for look in rule.looks if look > n_seeds), None)
    stop = len(given_up) == len(open_rows) or following is None
    text = _text(n_seeds, following, rows, open_rows, given_up, stop, rule)
    next_n = n_seeds if stop or following is None else following
    return Decision(stop, n_seeds, next_n, not open_rows, (), text)


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
