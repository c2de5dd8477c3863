"""Rows as they are drawn, for the page's charts and for the figures of papers alike.

In: tables of `Findings`. Out: the same numbers with what a drawing must know of them: which end is
open, what is a number and what a bound. It stands alone so that no drawing decides that again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.searches import Decisions, Search, setting_text
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.times.course import COURSES
from headstart.metrics import ONLY_OF_TARGETS

# By the metric: drawn solid on validation images, dashed on training images, and dotted on
# validation images by their right labels.
QUANTITIES = {
    "accuracy": ("Accuracy", "val_accuracy", "train_accuracy", "val_right_accuracy"),
    "balanced_accuracy": ("Balanced accuracy", "val_balanced_accuracy", "", ""),
    "macro_f1": ("Macro F1", "val_macro_f1", "", ""),
    "loss": ("Loss", "val_loss", "train_loss", "val_right_loss"),
    **{
        name: (words.sentence(COURSES[name].words).rstrip("."), COURSES[name].column, "", "")
        for name in ONLY_OF_TARGETS
    },
}

MOST_CELLS = 70  # classes of a matrix in the page: more would be less than 9 pixels each


def speedup_rows(speedups: pd.DataFrame) -> pd.DataFrame:
    """Speedups of which something is known, each with its kind, its open ends and its text.

    kind: `exact` where every pair reached the target in both arms; `bound` where the estimate is
    the least or the most that it can be; `within` where it is a number of another kind (a ratio
    within the budget, a median), which is never joined to others. open_low, open_high: the interval
    has no such end; low and high are then NaN, as they are where there is no interval.
    """
    rows = speedups[speedups["estimate"].notna()].copy()
    reached = rows[["n_reached_treatment", "n_reached_control"]].min(axis=1) >= rows["n_pairs"]
    bound = rows["bound"].isin(["at least", "at most"])
    rows["kind"] = np.select([bound, reached], ["bound", "exact"], "within")
    columns = (rows[key] for key in ("estimate", "low", "high", "bound"))
    texts = [words.interval("ratio", *values) for values in zip(*columns, strict=True)]
    rows["text"] = pd.Series(texts, index=rows.index, dtype=object)
    rows["open_high"] = np.isposinf(rows["high"]) | (rows["bound"] == "at least")
    rows["open_low"] = (rows["low"] <= 0) | (rows["bound"] == "at most")
    rows["high"] = rows["high"].where(~rows["open_high"])
    rows["low"] = rows["low"].where(~rows["open_low"])
    return rows


def surest_rows(comparisons: pd.DataFrame, most: int) -> tuple[pd.DataFrame, str]:
    """At most so many comparisons, in their order, and where the others are ("" for none).

    The surest are kept: those with the smallest p for a difference or for equivalence, first among
    all of their question, then alone; then those with the largest difference.
    """
    n = len(comparisons)
    if n <= most:
        return comparisons, ""
    order = pd.DataFrame(
        {
            "together": comparisons[["p_question", "p_equivalence_holm"]].min(axis=1),
            "alone": comparisons[["p_value", "p_equivalence"]].min(axis=1),
            "size": -comparisons["estimate"].abs(),
        }
    )
    chosen = order.sort_values(list(order), kind="stable").index[:most]
    verb = "is" if n - most == 1 else "are"
    return comparisons[comparisons.index.isin(chosen)], (
        f" These are the {most:,} of {n:,} comparisons that are surest; {n - most:,} more {verb} "
        "in the table of every comparison (tables/comparisons.csv)."
    )


def largest_mistake(shares: Iterable[Floats]) -> float:
    """The end of the scale on which the mistakes of all arms are drawn, 0.001 at least.

    shares: of each arm (classes, classes), of the true class, NaN for a class without images.
    """
    wrong = (matrix[~np.eye(len(matrix), dtype=bool)] for matrix in shares)
    return max((float(np.nan_to_num(row).max(initial=0.001)) for row in wrong), default=0.001)


def until_where(differences: Floats) -> float:
    """How far from 0 a drawing of curves' differences goes: bands of few pairs flatten the rest."""
    return 2.5 * max(float(np.abs(differences).max()), 0.005)


def spread_frame(spreads: pd.DataFrame) -> tuple[float, float] | None:
    """The ends of a logarithmic axis of spreads; an interval that goes on beyond them is cut.

    spreads: value, low, high, noise; NaN where there is none. None where no value is above 0, or
    above what rounding leaves of equal values. Of two seeds an interval is 70 times as wide as its
    low end: the frame holds the values.
    """
    marks = spreads[["value", "noise"]].to_numpy(dtype=float)
    marks = marks[marks > ROUNDING]
    if not len(marks):
        return None
    low, high = spreads["low"], spreads["high"]
    ends = np.concatenate([marks, low[low > ROUNDING], high[high > ROUNDING]])
    first = max(marks.min() / BESIDE, ends.min())
    last = min(marks.max() * BESIDE, ends.max())
    return float(first / 1.15), float(last * 1.15)


def time_grain(times: pd.Series) -> float | None:
    """The least time above 0 where times span so much that their axis is logarithmic, else None."""
    positive = times[times > 0]
    spread = len(positive) and positive.max() >= 8 * positive.min()
    return float(positive.min()) if spread else None


@dataclass(frozen=True)
class Tried:
    """The search trials of one sweep that one score ranked, of all its searched arms.

    Attributes:
        sweep: its name.
        score: `validation accuracy` (a fraction, more is better) or `validation loss`.
        settings: columns of `rows` that at least one of the searches varied.
        rows: arm, seed, score, chosen (whether the search chose it), and the settings; NaN where
            an arm did not vary one.
        n_without: trials that ended without a score; they are not in `rows`.
    """

    sweep: str
    score: str
    settings: tuple[str, ...]
    rows: pd.DataFrame
    n_without: int

    @property
    def is_share(self) -> bool:
        return self.score == "validation accuracy"


def search_rows(searches: Sequence[Search], decisions: Sequence[Decisions]) -> list[Tried]:
    """Searches as they are drawn: against the score that chose, with what was chosen.

    Without a record of what was decided, the best in validation accuracy counts as chosen.
    """
    decided = {(row.sweep, row.arm): row for row in decisions}
    groups: dict[tuple[str, str], list[tuple[Search, pd.DataFrame]]] = {}
    for search in searches:
        decision = decided.get((search.sweep, search.arm))
        score = "loss" if decision is not None and decision.by_loss else "accuracy"
        trials = search.trials
        won = trials.index == search.best.name
        if decision is not None:
            won = trials["trial_id"].isin(decision.winners["trial_id"])
        rows = trials[["arm", "seed", *search.settings]].assign(
            score=trials[f"best_val_{score}"], chosen=won
        )
        groups.setdefault((search.sweep, f"validation {score}"), []).append((search, rows))
    tried = [_tried(*key, group) for key, group in groups.items()]
    return [group for group in tried if group.settings]


def _tried(sweep: str, score: str, group: list[tuple[Search, pd.DataFrame]]) -> Tried:
    settings = dict.fromkeys(key for search, _ in group for key in search.settings)
    rows = pd.concat([own for _, own in group], ignore_index=True)
    known = rows[rows["score"].notna()].reset_index(drop=True)
    shown = tuple(key for key in settings if known[key].notna().any())
    return Tried(sweep, score, shown, known, len(rows) - len(known))


def setting_axis(setting: str, values: pd.Series) -> Literal["log", "linear", "list"]:
    """How a setting's axis runs: rates and what spans much on logarithms, few values as a list."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "list"
    if is_wide(values, 3 if setting.endswith("learning_rate") else 20):
        return "log"
    return "list" if values.nunique() <= MOST_LISTED else "linear"


def is_wide(values: pd.Series, factor: float = 20) -> bool:
    """Whether numbers above 0 span so much that they are read on a logarithmic axis."""
    return bool((values > 0).all() and values.max() >= factor * values.min())


def in_list(values: pd.Series) -> tuple[list[str], pd.Series]:
    """The texts of all values in order (numbers by size), and the place of each row among them."""
    unique = values.dropna().unique().tolist()
    by_size = pd.api.types.is_numeric_dtype(values)
    unique.sort(key=None if by_size else str)
    texts = list(dict.fromkeys(setting_text(value) for value in unique))
    return texts, values.map({value: texts.index(setting_text(value)) for value in unique})


MOST_LISTED = 6  # numbers, beside each other as a list
BESIDE = 3.5  # times the outermost spread: as far goes an interval of five seeds
ROUNDING = 1e-7  # a spread below it is what adding equal numbers leaves
