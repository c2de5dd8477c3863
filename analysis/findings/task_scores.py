"""Scores of arms by task, from the table of trials, and what `aggregates` says of them.

In: trials with columns task, arm, seed and a metric. Out: a row an arm or a pair. It stands apart
from `over_tasks`, which decides what is asked, and from the statistics, which know arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from analysis.measures.trials import arm_trials
from analysis.statistics.pairs.aggregates import (
    STATISTICS,
    aggregate_interval,
    probability_of_improvement,
)
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError


def aggregate_arms(
    trials: pd.DataFrame, arms: Sequence[str], metric: str = "test_accuracy"
) -> pd.DataFrame:
    """`aggregate_interval` of a column of `trials` for each arm and statistic.

    Only tasks that all of `arms` have count. Returns arm, statistic, estimate, low, high,
    confidence, method, n_tasks, n_runs, note.
    """
    rows = []
    for arm, scores in _scores_of_arms(trials, arms, metric).items():
        for statistic in STATISTICS:
            interval = aggregate_interval(scores, statistic)
            rows.append(
                {"arm": arm, "statistic": statistic} | _columns(interval, "estimate", scores)
            )
    return pd.DataFrame(rows)


def improvement_over_tasks(
    trials: pd.DataFrame, pairs: Sequence[Pair], metric: str = "test_accuracy"
) -> pd.DataFrame:
    """`probability_of_improvement` for each pair (treatment, control), over tasks both have.

    Where every seed of every task stands in both arms, runs are redrawn together.

    Returns treatment, control, p_better, low, high, confidence, method, n_tasks, n_runs, note.
    """
    rows = []
    for treatment, control in pairs:
        scores = _scores_of_arms(trials, (treatment, control), metric)
        aligned = _aligned(trials, Pair(treatment, control), metric, len(scores[treatment]))
        sides = aligned or (scores[treatment], scores[control])
        p = probability_of_improvement(*sides, paired=aligned is not None)
        columns = _columns(p, "p_better", scores[treatment])
        rows.append({"treatment": treatment, "control": control} | columns)
    return pd.DataFrame(rows)


def ranks_over_tasks(
    trials: pd.DataFrame, arms: Sequence[str], metric: str, lower_is_better: bool = False
) -> tuple[pd.DataFrame, float]:
    """Mean rank of each arm over tasks (1 is best), of its mean score in each, and the critical
    difference of Nemenyi's test at 5 % (Demšar 2006).

    A picture of the order, and no verdict: ranks know neither seeds nor how far arms lie apart.
    Returns columns arm, rank; NaN for the difference where there are fewer than two arms or tasks.
    """
    scores = _scores_of_arms(trials, arms, metric)
    means = np.array([[t.mean() for t in scores[arm]] for arm in arms])
    ranks = stats.rankdata(means if lower_is_better else -means, axis=0)
    k, n = means.shape
    critical = math.nan
    if k > 1 and n > 1:
        q = float(stats.studentized_range.ppf(CONFIDENCE, k, np.inf)) / math.sqrt(2)
        critical = q * math.sqrt(k * (k + 1) / (6 * n))
    return pd.DataFrame({"arm": list(arms), "rank": ranks.mean(axis=1)}), critical


def _aligned(
    trials: pd.DataFrame, pair: Pair, metric: str, n_tasks: int
) -> tuple[list[Floats], list[Floats]] | None:
    """Scores of both arms by task, row i of both one seed; None where a seed is not in both."""
    known = arm_trials(trials[trials["arm"].isin(list(pair)) & trials[metric].notna()])
    if "seed" not in known:
        return None
    table = known.set_index(["task", "seed", "arm"])[metric].unstack()  # noqa: PD010
    table = table.reindex(columns=list(pair))
    whole = table.groupby("task").filter(lambda rows: rows.notna().any().all())
    if whole.isna().any().any() or whole.index.get_level_values("task").nunique() != n_tasks:
        return None
    groups = [rows for _, rows in whole.groupby("task")]
    treated, control = ([g[arm].to_numpy(dtype=float) for g in groups] for arm in pair)
    return treated, control


def _columns(interval: Interval, name: str, tasks: Sequence[Floats]) -> dict[str, object]:
    sizes = {"n_tasks": len(tasks), "n_runs": interval.n, "note": interval.note}
    return {**interval.columns(name, also=("confidence", "method")), **sizes}


def _scores_of_arms(
    trials: pd.DataFrame, arms: Sequence[str], metric: str
) -> dict[str, list[Floats]]:
    """For each arm its scores by task, over the tasks in which every arm has a score."""
    if metric not in trials:
        raise InputError(f"metric '{metric}' is not a column of the trials")
    known = arm_trials(trials[trials["arm"].isin(arms) & trials[metric].notna()])
    groups = {
        key: part.to_numpy(dtype=float) for key, part in known.groupby(["task", "arm"])[metric]
    }
    tasks = sorted({task for task, _ in groups})
    common = [task for task in tasks if all((task, arm) in groups for arm in arms)]
    if not common:
        raise InputError(f"no task has scores of all of {', '.join(arms)}")
    return {arm: [groups[task, arm] for task in common] for arm in arms}
