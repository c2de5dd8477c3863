"""What holds over several tasks: aggregates by arm, P(better), performance profiles.

In: the evidence of several sweeps, or of the points of a grid. Out: `TaskTables`; its numbers are
those of `aggregates`. Empty where there is one task, or no arm that all tasks share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from analysis.findings.task_scores import aggregate_arms, improvement_over_tasks, ranks_over_tasks
from analysis.statistics.pairs import aggregates
from analysis.statistics.pairs.over_tasks import Together
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import ACCURACY, Course

N_THRESHOLDS = 60


@dataclass(frozen=True)
class TaskTables:
    """together: a row a question and pair, one test of all tasks: fields of
    `over_tasks.Together`, judged with the comparisons of single tasks. aggregates:
    `aggregate_arms`'s rows. improvements: `improvement_over_tasks`'s. ranks, critical: mean rank of
    each arm, and the difference that counts (`ranks_over_tasks`). profiles: arm, threshold, share,
    low, high. arms: those that all tasks have. n_tasks: how many there are."""

    aggregates: pd.DataFrame
    improvements: pd.DataFrame
    profiles: pd.DataFrame
    arms: tuple[str, ...]
    n_tasks: int
    together: pd.DataFrame = field(default_factory=pd.DataFrame)
    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    critical: float = math.nan


def summarize_tasks(
    evidence: pd.DataFrame,
    pairs: Sequence[Pair],
    score: str,
    together: Sequence[Together],
    course: Course = ACCURACY,
) -> TaskTables:
    """Aggregates over all tasks, of the arms that have a finished trial in each of them."""
    done = evidence[(evidence["status"] == "done") & evidence[score].notna()]
    n_tasks = int(evidence["task"].nunique())
    shared = done.groupby("arm", sort=False)["task"].nunique()
    arms = tuple(str(arm) for arm in shared.index[shared == n_tasks])
    none = pd.DataFrame()
    if n_tasks < 2 or not arms:
        return TaskTables(none, none, none, arms, n_tasks)
    ranks, critical = ranks_over_tasks(done, arms, score, course.lower_is_better)
    both = [pair for pair in pairs if set(pair) <= set(arms)]
    return TaskTables(
        aggregates=aggregate_arms(done, arms, score),
        improvements=improvement_over_tasks(done, both, score) if both else none,
        profiles=_profiles(done, arms, score),
        arms=arms,
        n_tasks=n_tasks,
        together=pd.DataFrame([asdict(row) for row in together]),
        ranks=ranks,
        critical=critical,
    )


def _profiles(done: pd.DataFrame, arms: Sequence[str], score: str) -> pd.DataFrame:
    values = done.loc[done["arm"].isin(list(arms)), score]
    thresholds = np.linspace(values.min(), values.max(), N_THRESHOLDS)
    parts = []
    for arm in arms:
        rows = done[done["arm"] == arm]
        scores = [group[score].to_numpy(dtype=float) for _, group in rows.groupby("task")]
        profile = aggregates.performance_profile(scores, thresholds)
        parts.append(pd.DataFrame(vars(profile)).assign(arm=arm))
    return pd.concat(parts, ignore_index=True)
