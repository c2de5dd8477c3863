"""The tables about pairs of arms: verdicts, speedups, break-even, seeds needed.

In: what was asked, trials and curves. Out: frames with a row a task, pair and whatever else they
are by. The estimates are those of `compare`, `speedup`, `break_even` and `power`; what happens
here is only that each pair is asked for where both of its arms have trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.statistics.pairs.compare import COLUMNS, compare_all
from analysis.statistics.pairs.contrasts import untrained
from analysis.statistics.pairs.power import plan
from analysis.statistics.times.convergence import UNITS, break_even_table, speedup_table

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairTables:
    """comparisons: `compare_all`'s rows; speedups: `speedup_table`'s by task and unit;
    break_evens: `break_even_table`'s by task and unit, empty where nothing was pretrained;
    seeds_needed: `plan`'s, for a difference of the margin; margin: the one that was used;
    untested: (task, treatment, control) that were asked for and have no trials on one side."""

    comparisons: pd.DataFrame
    speedups: pd.DataFrame
    break_evens: pd.DataFrame
    seeds_needed: pd.DataFrame
    margin: float | None
    untested: tuple[tuple[str, str, str], ...]


def compare_pairs(
    asked: Sequence[Asked],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    score: str,
    rng: np.random.Generator,
) -> PairTables:
    """All tables about pairs. `trials` are all of the runs, `curves` those of stage `arm`.

    Where sweeps ask different things, one call answers them all, so that Holm's adjustment runs
    over every comparison of the report: all pairs, all targets, and the smallest margin.
    """
    evidence = trials[trials["stage"] == "arm"]
    present = {(task, arm) for task, arm in zip(evidence["task"], evidence["arm"], strict=True)}
    wanted = [(task, pair) for one in asked for task in one.tasks for pair in one.pairs]
    known = [w for w in wanted if all((w[0], arm) in present for arm in w[1])]
    pairs = list(dict.fromkeys(pair for _, pair in known))
    targets = sorted({target for one in asked for target in one.targets})
    margin = min((one.margin for one in asked if one.margin is not None), default=None)
    metrics = (score, "area_under_curve", "steps_to_target")
    comparisons = (
        compare_all(
            trials,
            curves,
            pairs,
            targets,
            margin,
            rng,
            metrics,
            sequential=any(one.rule for one in asked),
        )
        if pairs
        else pd.DataFrame(columns=list(COLUMNS))
    )
    comparisons = _only(comparisons, known)
    return PairTables(
        comparisons=comparisons,
        speedups=_agree(_by_task(_speedups, asked, known, trials, curves, rng), comparisons),
        break_evens=_by_task(_break_evens, asked, known, trials, curves, rng),
        seeds_needed=_seeds_needed(evidence, curves, comparisons, margin, score),
        margin=margin,
        untested=tuple((task, *pair) for task, pair in wanted if (task, pair) not in known),
    )


def _only(comparisons: pd.DataFrame, known: list[tuple[str, Pair]]) -> pd.DataFrame:
    """Rows that were asked for: a pair of one sweep may have both arms in another as well."""
    keys = comparisons[["task", "treatment", "control"]].itertuples(index=False, name=None)
    wanted = {(task, *pair) for task, pair in known}
    chosen = np.array([key in wanted for key in keys], dtype=bool)
    return comparisons[chosen].reset_index(drop=True)


Maker = Callable[..., pd.DataFrame]


def _by_task(
    make: Maker,
    asked: Sequence[Asked],
    known: list[tuple[str, Pair]],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    parts = []
    for one in asked:
        for task in one.tasks:
            rows = trials[trials["task"] == task]
            idle = untrained(rows[rows["stage"] == "arm"])
            pairs = [pair for where, pair in known if where == task and not idle & set(pair)]
            if not pairs:
                continue
            lines = curves[curves["task"] == task]
            parts += [
                made.assign(task=task)
                for unit in UNITS
                if len(made := make(lines, rows, pairs, one.targets, unit, rng))
            ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _speedups(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    pairs: list[Pair],
    targets: Sequence[float],
    unit: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    return speedup_table(curves, trials, pairs, targets, unit, rng)


def _break_evens(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    pairs: list[Pair],
    targets: Sequence[float],
    unit: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Break-even of the pairs of which the treatment alone descends from pretraining of the run."""
    arms = trials[trials["stage"] == "arm"]
    descended = set(arms.loc[arms["parent_id"] != "", "arm"])
    chosen = [pair for pair in pairs if pair[0] in descended and pair[1] not in descended]
    return (
        break_even_table(curves, trials, chosen, targets, unit, rng) if chosen else pd.DataFrame()
    )


def _agree(speedups: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """In steps the comparisons' interval, so that the report has one interval for one quantity.

    Both are the same estimator on the same pairs, with other draws of the resampling.
    """
    if speedups.empty:
        return speedups
    keys = ["task", "treatment", "control", "target"]
    steps = comparisons[comparisons["metric"] == "steps_to_target"]
    other = speedups[keys].merge(steps[[*keys, "estimate", "low", "high", "bound"]], how="left")
    same = (
        (speedups["unit"] == "step").to_numpy()
        & (other["bound"].fillna("") == speedups["bound"]).to_numpy()
        & np.isclose(other["estimate"].to_numpy(float), speedups["estimate"].to_numpy(float))
    )
    speedups = speedups.copy()
    for column in ("low", "high"):
        speedups[column] = np.where(same, other[column], speedups[column])
    return speedups


def _seeds_needed(
    evidence: pd.DataFrame,
    curves: pd.DataFrame,
    comparisons: pd.DataFrame,
    margin: float | None,
    score: str,
) -> pd.DataFrame:
    """Seeds that a difference of the margin in final accuracy needs, for pairs that pair."""
    if margin is None:
        return pd.DataFrame()
    rows = comparisons[(comparisons["metric"] == score) & comparisons["paired"].astype(bool)]
    if "overlap" in evidence:  # seeds that redraw one pool of images: more of them settle little
        rows = rows[~rows["task"].isin(evidence.loc[evidence["overlap"] > 0, "task"])]
    parts = [
        plan(
            evidence[evidence["task"] == task],
            curves,
            [(treatment, control)],
            detect=margin,
            metric=score,
            n_comparisons=max(1, int(comparisons["p_value"].notna().sum())),
        )
        for task, treatment, control in rows[["task", "treatment", "control"]].itertuples(
            index=False, name=None
        )
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
