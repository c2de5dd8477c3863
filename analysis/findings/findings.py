"""All numbers of a report, computed once: run tables in, tables of results out.

In: `Runs`. Out: `Findings`. It stands alone because it alone decides what a report computes and in
which order. A fixed seed and the numbers of trials decide all draws, so that a run analysed twice
gives the same numbers to the last bit. Every estimate comes from `analysis.statistics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.findings.ahead import Ahead, find_ahead
from analysis.findings.asked import Asked, read_asked
from analysis.findings.by_arm import arm_table, in_order, reached_table, survival_of, times_of
from analysis.findings.by_class import (
    MOST_TASKS,
    ClassTables,
    pick_arms,
    read_classes,
    with_comparisons,
)
from analysis.findings.cost import Costs, find_costs
from analysis.findings.data_sets import DataTables, describe_data
from analysis.findings.forecasts import Forecasts, find_forecasts
from analysis.findings.layers import Layers, find_layers
from analysis.findings.learning import Learning, summarize_learning
from analysis.findings.load import Runs, python_texts
from analysis.findings.looked import lowered_after, raised_after
from analysis.findings.measured import course_of, final_of, lacking_trials
from analysis.findings.outside import outside_table
from analysis.findings.over_tasks import TaskTables, summarize_tasks
from analysis.findings.pairs import PairTables, compare_pairs, judge_pairs
from analysis.findings.quantities import gap_table, with_quantities
from analysis.findings.right_labels import right_table
from analysis.findings.searches import Decisions, Search, find_searches, read_decisions
from analysis.findings.sources import source_table
from analysis.findings.starts import describe_starts
from analysis.findings.transfer import transfer_matrix
from analysis.measures.stability import spread_over_seeds, within_runs
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import Course

SEED = 20_240_229  # of the resampling; any number would do, as long as it stays


@dataclass(frozen=True)
class Findings:
    """What a report says, as tables.

    course: what is measured (`measure: {metric: …}`). score: the trials' column that is the final
    result of it, on test images where anything was tested, else on validation images.
    n_unmeasured: finished trials that left no record of it; they are in `evidence` and in no
    comparison. arms: one row a task and arm. reached: one row a task, arm, target and
    unit. survival: Kaplan-Meier curves by task, arm, target. stability: spread over seeds by task
    and arm, with the means of what happens within runs. gaps: overfitting
    by task and arm (`gap_table`). sources: where the spread over seeds comes from (`source_table`).
    searches: the trials of each search. decisions: what the searches chose, as recorded. stamp:
    when the last trial ended. raised, lowered: sweeps whose number of seeds was raised, or
    lowered, after a report.
    ahead: of each pair the band over the difference of its learning curves. layers: arms that
    differ in how many layers train alone. outside: a row a task, further test set and arm
    (`outside_table`). cost: what each arm takes, and which of them are on the frontier.
    forecasts: scores of starts that were made beforehand,
    beside what came out. matrix: starts by data sets (`transfer_matrix`).
    """

    runs: Runs
    asked: tuple[Asked, ...]
    course: Course
    score: str
    n_unmeasured: int
    evidence: pd.DataFrame
    arms: pd.DataFrame
    reached: pd.DataFrame
    survival: pd.DataFrame
    learning: Learning
    pairs: PairTables
    stability: pd.DataFrame
    gaps: pd.DataFrame
    sources: pd.DataFrame
    classes: ClassTables
    over_tasks: TaskTables
    searches: tuple[Search, ...]
    decisions: tuple[Decisions, ...]
    stamp: str
    data: DataTables
    starts: pd.DataFrame
    layers: Layers
    raised: tuple[tuple[str, int, int], ...] = ()
    lowered: tuple[tuple[str, int, int, int], ...] = ()
    ahead: tuple[Ahead, ...] = ()
    right: pd.DataFrame = field(default_factory=pd.DataFrame)
    outside: pd.DataFrame = field(default_factory=pd.DataFrame)
    cost: Costs = field(default_factory=Costs)
    forecasts: Forecasts = field(default_factory=Forecasts)
    matrix: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def tasks(self) -> list[str]:
        return [task for asked in self.asked for task in asked.tasks]

    @property
    def arm_names(self) -> list[str]:
        return list(dict.fromkeys(arm for asked in self.asked for arm in asked.arms))


@python_texts
def find(runs: Runs) -> Findings:
    """Compute everything the report needs from `runs`."""
    rng = np.random.default_rng(SEED)
    asked = read_asked(runs)
    evidence = in_order(runs.trials[runs.trials["stage"] == "arm"], asked)
    curves = runs.curves[runs.curves["stage"] == "arm"]
    course = course_of(asked)
    score = final_of(course, evidence)
    lacking = lacking_trials(course, evidence, curves)
    measured = evidence[~evidence["trial_id"].isin(lacking)]
    times = times_of(asked, curves, measured, course)
    wanted = (pair for a in asked for pair in a.pairs)
    arms = arm_table(asked, evidence, score, course.is_share)
    compared = runs.trials[~runs.trials["trial_id"].isin(lacking)]
    pairs = compare_pairs(asked, compared, curves, score, rng, course, runs.outside)
    stability = _stability(asked, curves, measured, score, course)
    gaps = gap_table(asked, with_quantities(evidence, curves, score, course))
    forecasts = find_forecasts(runs, evidence, score, course)
    return Findings(
        runs=runs,
        asked=asked,
        course=course,
        score=score,
        n_unmeasured=len(lacking),
        evidence=evidence,
        arms=arms,
        reached=reached_table(times),
        survival=survival_of(times),
        learning=summarize_learning(curves, evidence, also=course.column),
        right=right_table(curves, evidence),
        pairs=pairs,
        stability=stability,
        sources=source_table(asked, runs.trials, score),
        gaps=gaps,
        classes=_classes(runs, evidence, arms, pairs, score),
        over_tasks=summarize_tasks(
            evidence, list(dict.fromkeys(wanted)), score, pairs.together, course
        ),
        searches=find_searches(runs.trials),
        decisions=read_decisions(runs.trials, runs.folders),
        stamp=_stamp(runs.trials),
        data=describe_data(runs),
        starts=describe_starts(runs),
        raised=raised_after(runs, asked),
        lowered=lowered_after(runs, asked),
        ahead=find_ahead(asked, curves, measured, course),
        outside=outside_table(runs.outside, evidence, score, course),
        cost=find_costs(asked, evidence, score, course, np.random.default_rng(SEED)),
        layers=find_layers(asked, evidence, arms, gaps, stability),
        forecasts=forecasts,
        matrix=transfer_matrix(pairs.comparisons, evidence, score, forecasts, runs.data),
    )


def _stamp(trials: pd.DataFrame) -> str:
    """When the last trial ended, as the trials say; empty where none does."""
    ended = trials["finished_at"].dropna().astype(str) if "finished_at" in trials else []
    return max((text for text in ended if text), default="")


def compare_runs(runs: Runs) -> list[Comparison]:
    """The comparisons of the report on `runs`, with its verdicts, and nothing else of it.

    What decides between batches of seeds reads them here, so that a sweep cannot stop on a verdict
    that its report does not give.
    """
    asked = read_asked(runs)
    evidence = in_order(runs.trials[runs.trials["stage"] == "arm"], asked)
    curves = runs.curves[runs.curves["stage"] == "arm"]
    course = course_of(asked)
    lacking = lacking_trials(course, evidence, curves)
    compared = runs.trials[~runs.trials["trial_id"].isin(lacking)]
    rng, score = np.random.default_rng(SEED), final_of(course, evidence)
    return judge_pairs(asked, compared, curves, score, rng, course, runs.outside).comparisons


WITHIN = ("late_sd", "largest_drawdown", "n_loss_spikes", "generalisation_gap")


def _stability(
    asked: Iterable[Asked], curves: pd.DataFrame, evidence: pd.DataFrame, score: str, course: Course
) -> pd.DataFrame:
    """`spread_over_seeds` by task, and each arm's mean over its trials of `within_runs`."""
    parts = []
    for task in (task for a in asked for task in a.tasks):
        trials = evidence[evidence["task"] == task]
        if trials.empty:
            continue
        inside = within_runs(curves[curves["task"] == task], trials, course)
        means = inside.groupby("arm")[list(WITHIN)].mean().reset_index()
        parts.append(spread_over_seeds(trials, score).merge(means, on="arm").assign(task=task))
    columns = ["task", "arm", "sd", *WITHIN]
    if not parts:
        return pd.DataFrame(columns=columns)
    return in_order(pd.concat(parts, ignore_index=True), asked)


def _classes(
    runs: Runs, evidence: pd.DataFrame, arms: pd.DataFrame, pairs: PairTables, score: str
) -> ClassTables:
    """Tables by class; closer looks at the first tasks, their best arms and their comparisons."""
    done = arms[arms["n_done"] > 0]
    tasks = list(dict.fromkeys(done["task"]))[:MOST_TASKS]
    compared = pairs.table.drop_duplicates(["task", "treatment", "control"])
    controls = compared.groupby("task")["control"].agg(set).to_dict()
    wanted = {task: pick_arms(done[done["task"] == task], controls.get(task, ())) for task in tasks}
    by_task = {
        task: list(map(Pair, rows["treatment"], rows["control"]))
        for task, rows in compared.groupby("task", sort=False)
    }
    accuracies = arms if score == "test_accuracy" else arms.iloc[:0]
    tables = read_classes(runs, evidence, wanted, by_task, accuracies)
    tables.images = with_comparisons(tables.images, pairs.table)
    return tables
