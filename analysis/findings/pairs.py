"""The tables about pairs of arms: verdicts, speedups, break-even, seeds needed.

In: what was asked, trials and curves. Out: frames with a row a task, pair and whatever else they
are by. The estimates are those of `compare`, `speedup`, `break_even` and `power`; what happens
here is only that each pair is asked for where both of its arms have trials.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.findings.outside import outside_contrasts
from analysis.findings.quantities import further_metrics, with_quantities
from analysis.measures.pairs.compare import compare_all, comparison_table
from analysis.measures.pairs.contrasts import build_contrasts
from analysis.measures.pairs.seeds_needed import plan
from analysis.measures.stopping import stopping_of
from analysis.measures.times.break_even import break_even_table
from analysis.measures.times.reached import UNITS
from analysis.measures.times.speedups import At, speedup_table
from analysis.measures.trials import untrained
from analysis.statistics.pairs.compare import Compared, compare_tasks
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.looks import Stopping, strictest
from analysis.statistics.pairs.over_tasks import Together
from analysis.statistics.pairs.questions import Errors
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import Course
from analysis.statistics.times.speedup import LogRatio
from analysis.words import joined

_TIMES = {"step": "steps_to_target", "samples": "samples_to_target"} | {
    "train_time_s": "train_time_s_to_target"
}


_Place = tuple[str, Pair]


@dataclass(frozen=True)
class PairTables:
    """comparisons: `compare_all`'s, table: the same as a table; speedups: `speedup_table`'s by
    task and unit; break_evens: `break_even_table`'s by task and unit, empty where nothing was
    pretrained; seeds_needed: `plan`'s, for a difference of the margin; margin: the one that was
    used; untested: tasks and pairs that were asked for and have no trials on one side; together:
    the rows of all tasks together, of which each question of a report over several has some."""

    comparisons: tuple[Comparison, ...]
    table: pd.DataFrame
    speedups: pd.DataFrame
    break_evens: pd.DataFrame
    seeds_needed: pd.DataFrame
    margin: float | None
    untested: tuple[tuple[str, Pair], ...]
    together: tuple[Together, ...] = ()


def compare_pairs(
    asked: Sequence[Asked],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    score: str,
    rng: Rng,
    course: Course,
    scores: pd.DataFrame,
) -> PairTables:
    """All tables about pairs. `trials` are all of the runs, `curves` those of stage `arm`, `scores`
    those on further test sets.

    Where sweeps ask different things, one call answers them all, so that each question is one over
    the whole report: all pairs that were asked for, all targets, the smallest margin, and the
    strict form (`measure: {error: report}`) where one of the sweeps asks for it.
    """
    wanted, known = _places(asked, trials)
    compared = judge_pairs(asked, trials, curves, score, rng, course, scores)
    comparisons = compared.comparisons
    evidence = trials[trials["stage"] == "arm"]
    margin = _margin(asked)
    stopping = strictest([stopping_of(a.sweep.get("seeds")) for a in asked])
    tasks = list(_pairs_by_task(asked, known, trials, curves))
    return PairTables(
        comparisons=tuple(comparisons),
        table=comparison_table(comparisons),
        speedups=_speedups(tasks, comparisons, rng, stopping, course),
        break_evens=_break_evens(tasks, comparisons, rng, course),
        seeds_needed=_seeds_needed(evidence, curves, comparisons, margin, score),
        margin=margin,
        untested=tuple(place for place in wanted if place not in known),
        together=tuple(compared.together),
    )


def judge_pairs(
    asked: Sequence[Asked],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    score: str,
    rng: Rng,
    course: Course,
    scores: pd.DataFrame,
) -> Compared:
    """Every comparison that was asked for, judged by the questions of the whole report."""
    _, known = _places(asked, trials)
    pairs = list(dict.fromkeys(pair for _, pair in known))
    if not pairs:
        return Compared([], [])
    targets = sorted({t for a in asked for t in a.targets}, reverse=course.lower_is_better)
    trials = with_quantities(trials, curves, score, course)
    further = further_metrics(trials[trials["stage"] == "arm"])
    metrics = (score, "area_under_curve", "steps_to_target", *further)
    stopping = strictest([stopping_of(a.sweep.get("seeds")) for a in asked])
    errors: Errors = "report" if any(a.errors == "report" for a in asked) else "question"
    # A pair of one sweep may have both arms in another as well, which did not ask.
    places = set(known)
    contrasts = [
        contrast
        for contrast in (
            *build_contrasts(trials, curves, pairs, targets, metrics, course),
            *outside_contrasts(scores, trials, curves, pairs, course),
        )
        if (contrast.task, contrast.pair) in places
    ]
    return compare_tasks(contrasts, _margin(asked), rng, stopping, errors)


def _margin(asked: Sequence[Asked]) -> float | None:
    return min((a.margin for a in asked if a.margin is not None), default=None)


def _places(asked: Sequence[Asked], trials: pd.DataFrame) -> tuple[list[_Place], list[_Place]]:
    """Tasks and pairs that were asked for, and those of them with trials on both sides."""
    evidence = trials[trials["stage"] == "arm"]
    present = {(task, arm) for task, arm in zip(evidence["task"], evidence["arm"], strict=True)}
    wanted = [(task, pair) for a in asked for task in a.tasks for pair in a.pairs]
    return wanted, [w for w in wanted if all((w[0], arm) in present for arm in w[1])]


@dataclass(frozen=True)
class _Task:
    """The pairs of one task whose arms were trained, and what their times are computed from."""

    name: str
    pairs: list[Pair]
    targets: tuple[float, ...]
    trials: pd.DataFrame
    curves: pd.DataFrame


def _pairs_by_task(
    asked: Sequence[Asked],
    known: list[tuple[str, Pair]],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
) -> Iterator[_Task]:
    for a in asked:
        for task in a.tasks:
            rows = trials[trials["task"] == task]
            idle = untrained(rows[rows["stage"] == "arm"])
            pairs = [pair for where, pair in known if where == task and not idle & set(pair)]
            if pairs:
                yield _Task(task, pairs, a.targets, rows, curves[curves["task"] == task])


def _speedups(
    tasks: Sequence[_Task],
    comparisons: Sequence[Comparison],
    rng: Rng,
    stopping: Stopping,
    course: Course,
) -> pd.DataFrame:
    """With the intervals of the comparisons in every unit: one interval for one quantity.

    Images and seconds are compared here as steps were, for their intervals alone: only steps
    belong to a question, and so have a verdict.
    """
    parts = []
    for task in tasks:
        others = compare_all(
            task.trials, task.curves, task.pairs, task.targets, None, rng,
            ("samples_to_target", "train_time_s_to_target"), stopping, course=course,
        )  # fmt: skip
        rows = [*(c for c in comparisons if c.task == task.name), *others]
        for unit, metric in _TIMES.items():
            known = {
                At(c.treatment, c.control, c.target): LogRatio(c.score, c.bound)
                for c in rows
                if c.metric == metric and c.score is not None
            }
            table = speedup_table(
                task.curves, task.trials, task.pairs, task.targets, unit, rng, known, course
            )
            parts.append(table.assign(task=task.name))
        if task.pairs:
            _same_in_images(parts[-len(_TIMES) :], task)
    return _joined(parts)


def _same_in_images(tables: list[pd.DataFrame], task: _Task) -> None:
    """Give the rows in images the speedups in steps, where an image is one for both arms.

    Arms of one batch size and as many training images have one speedup, however it is counted; in
    images it would differ by the short last batch of an epoch alone.
    """
    steps, images = tables[list(_TIMES).index("step")], tables[list(_TIMES).index("samples")]
    rows = task.trials[task.trials["stage"] == "arm"]
    alike = [
        len(rows.loc[rows["arm"].isin(pair), ["batch_size", "n_train"]].drop_duplicates()) == 1
        for pair in zip(steps["treatment"], steps["control"], strict=True)
    ]
    columns = [name for name in steps if name != "unit"]
    images.loc[alike, columns] = steps.loc[alike, columns]


def _break_evens(
    tasks: Sequence[_Task], comparisons: Sequence[Comparison], rng: Rng, course: Course
) -> pd.DataFrame:
    """Break-even of the pairs of which the treatment alone descends from pretraining of the run.

    Uses are counted only where the treatment is shown to be sooner: elsewhere the table says what
    was saved, with its interval, and why there is no number of uses.
    """
    sooner = {
        (c.task, c.treatment, c.control, c.target)
        for c in comparisons
        if c.is_time and c.verdict == "better"
    }
    parts = []
    for task in tasks:
        arms = task.trials[task.trials["stage"] == "arm"]
        descended = set(arms.loc[arms["parent_id"] != "", "arm"])
        chosen = [p for p in task.pairs if p.treatment in descended and p.control not in descended]
        for unit in UNITS if chosen else ():
            table = break_even_table(
                task.curves, task.trials, chosen, task.targets, unit, rng, course
            )
            parts.append(_only_after(sooner, table.assign(task=task.name)))
    return _joined(parts)


def _only_after(
    sooner: Collection[tuple[str, str, str, float]], table: pd.DataFrame
) -> pd.DataFrame:
    """The table without a number of uses where the treatment is not shown to be sooner."""
    keys = table[["task", "treatment", "control", "target"]].itertuples(index=False, name=None)
    unsure = np.array([key not in sooner for key in keys], dtype=bool)
    noted = [joined(note, "not shown to be sooner: no number of uses") for note in table["note"]]
    uses = {key: table[key].where(~unsure) for key in ("uses", "uses_low", "uses_high")}
    return table.assign(**uses, note=table["note"].where(~unsure, noted))


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _seeds_needed(
    evidence: pd.DataFrame,
    curves: pd.DataFrame,
    comparisons: Sequence[Comparison],
    margin: float | None,
    score: str,
) -> pd.DataFrame:
    """Seeds that a difference of the margin in final accuracy needs, for pairs that pair.

    Not where seeds redraw one pool of images: more of them settle little there.
    """
    if margin is None:
        return pd.DataFrame()
    redrawn = set(evidence.loc[evidence["overlap"] > 0, "task"]) if "overlap" in evidence else ()
    n = max(1, sum(c.metric == score and not math.isnan(c.p_value) for c in comparisons))
    parts = []
    for c in comparisons:
        if c.metric == score and c.paired and c.task not in redrawn:
            trials, pair = evidence[evidence["task"] == c.task], Pair(c.treatment, c.control)
            parts.append(plan(trials, curves, [pair], detect=margin, metric=score, n_comparisons=n))
    return _joined(parts)
