"""What holds over several tasks: aggregates by arm, P(better), performance profiles.

In: the evidence of several sweeps, or of the points of a grid. Out: `TaskTables`; its numbers are
those of `tasks`. Empty where there is one task, or no arm that all tasks share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.pairs import tasks
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.pairing import Pair

N_THRESHOLDS = 60


@dataclass(frozen=True)
class TaskTables:
    """aggregates: `aggregate_arms`'s rows. improvements: `improvement_over_tasks`'s. profiles: arm,
    threshold, share, low, high. arms: those that all tasks have. n_tasks: how many there are."""

    aggregates: pd.DataFrame
    improvements: pd.DataFrame
    profiles: pd.DataFrame
    arms: tuple[str, ...]
    n_tasks: int


def summarize_tasks(
    evidence: pd.DataFrame, pairs: Sequence[Pair], score: str, rng: Rng
) -> TaskTables:
    """Aggregates over all tasks, of the arms that have a finished trial in each of them."""
    done = evidence[(evidence["status"] == "done") & evidence[score].notna()]
    n_tasks = int(evidence["task"].nunique())
    shared = done.groupby("arm", sort=False)["task"].nunique()
    arms = tuple(str(arm) for arm in shared.index[shared == n_tasks])
    none = pd.DataFrame()
    if n_tasks < 2 or not arms:
        return TaskTables(none, none, none, arms, n_tasks)
    both = [pair for pair in pairs if set(pair) <= set(arms)]
    return TaskTables(
        aggregates=tasks.aggregate_arms(done, arms, score, rng=rng),
        improvements=tasks.improvement_over_tasks(done, both, score, rng=rng) if both else none,
        profiles=_profiles(done, arms, score, rng),
        arms=arms,
        n_tasks=n_tasks,
    )


def _profiles(done: pd.DataFrame, arms: Sequence[str], score: str, rng: Rng) -> pd.DataFrame:
    values = done.loc[done["arm"].isin(list(arms)), score]
    thresholds = np.linspace(values.min(), values.max(), N_THRESHOLDS)
    parts = []
    for arm in arms:
        rows = done[done["arm"] == arm]
        scores = [group[score].to_numpy(dtype=float) for _, group in rows.groupby("task")]
        parts.append(tasks.performance_profile(scores, thresholds, rng=rng).assign(arm=arm))
    return pd.concat(parts, ignore_index=True)
