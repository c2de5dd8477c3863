"""What two arms are compared on: which seeds pair, and the two columns of values.

In: the tables of trials and curves, pairs of arms, metrics and targets. Out: one `Contrast` for
each task, pair, metric and target, with one value a seed for each arm. Stands alone because what
counts as a pair is decided here and nowhere else; `compare` only does arithmetic with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis import words
from analysis.measures.pairs.columns import columns_of
from analysis.measures.redrawn import overlap_of
from analysis.measures.trials import arm_trials, pair_trials, untrained
from analysis.statistics.pairs.contrast import Contrast, of_spreads
from analysis.statistics.pairs.metrics import DEFAULT_METRICS, metric_of
from analysis.statistics.pairs.sides import Column, Sides, differing, opens, sides_of
from analysis.statistics.samples.arrays import Bools, Ints, Rows
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import ACCURACY, Course
from analysis.words import joined
from headstart.errors import InputError, did_you_mean
from headstart.metrics import WITHOUT_ACCURACY


@dataclass(frozen=True)
class _Match:
    """Which rows of a task's trials the two arms have; row i of both is one seed if `paired`."""

    treated: Rows
    control: Rows
    paired: bool
    note: str
    overlap: float = 0.0


def build_contrasts(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    metrics: Sequence[str] = DEFAULT_METRICS,
    course: Course = ACCURACY,
) -> list[Contrast]:
    """All contrasts, in the order of tasks, pairs, metrics, targets; tasks without both arms skip.

    Raises:
        InputError: an unknown metric or arm, or an arm that has one seed twice in a task.
    """
    chosen = [metric_of(name).along(course) for name in metrics]
    evidence = arm_trials(trials)
    _check_arms(evidence, pairs)
    evidence = evidence[evidence["arm"].isin({arm for pair in pairs for arm in pair})]
    contrasts: list[Contrast] = []
    for task, part, its_curves in _tasks(evidence, curves):
        _check_seeds(part, task)
        columns = list(columns_of(part, its_curves, chosen, targets, course))
        arms = set(part["arm"])
        for pair in pairs:
            if set(pair) <= arms:
                match = _match(part, pair)
                idle = bool(set(pair) & untrained(part))
                contrasts += [
                    replace(
                        _contrast(part, task, pair, column, match),
                        course=course.name,
                        measured_in=course.measured_in,
                    )
                    for column in columns
                    if not (idle and column.metric.is_course)
                ]
    return contrasts


def _tasks(
    trials: pd.DataFrame, curves: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """The trials and curves of each task by name; one task named "" without that column."""
    names = trials["task"].astype(str) if "task" in trials else pd.Series("", trials.index)
    if len(names.unique()) == 1:
        yield str(names.iloc[0]), trials, curves
        return
    task_of = dict(zip(trials["trial_id"], names, strict=True))
    of_task = dict(list(curves.groupby(curves["trial_id"].map(task_of))))
    for name, part in trials.groupby(names, sort=True):
        yield str(name), part, of_task.get(name, curves.iloc[:0])


def _match(trials: pd.DataFrame, pair: Pair) -> _Match:
    """Pair the arms by seed where the common seeds are at least half of each arm.

    Arms with fewer seeds in common are compared unpaired, each with all that it has.
    """
    arm, seed = trials["arm"].to_numpy(), trials["seed"].to_numpy()
    rows = [np.flatnonzero(arm == name) for name in pair]
    rows = [r[np.argsort(seed[r], kind="stable")] for r in rows]
    overlap = overlap_of(trials[trials["arm"].isin(pair)])
    pairs = pair_trials(trials.iloc[rows[0]], trials.iloc[rows[1]])
    if not len(pairs) or 2 * len(pairs) < max(map(len, rows)):
        note = "seeds do not pair: arms are compared as independent (Welch)"
        return _Match(rows[0], rows[1], False, note, overlap)
    left_out = f"{words.plural(pairs.n_alone, 'trial')} left out: the other arm lacks the seed"
    note = left_out if pairs.n_alone else ""
    return _Match(rows[0][pairs.treatment], rows[1][pairs.control], True, note, overlap)


def _contrast(
    trials: pd.DataFrame, task: str, pair: Pair, column: Column, match: _Match
) -> Contrast:
    """The values of both arms; a pair with a NaN goes, a trial that never got there stays."""
    rows = (match.treated, match.control)
    sides = sides_of(column, rows, match.paired)
    if differ := differing(column.conditions or {}, np.hstack(rows)):
        why = f"seconds are not compared: trials differ in {words.listed(differ)}"
        unknown = [np.full(len(r), np.nan) for r in rows]
        sides = replace(sides, values=unknown, note=joined(sides.note, why))
    gaps = [np.isnan(v) for v in sides.values]
    keep = [~(gaps[0] | gaps[1])] * 2 if match.paired else [~gap for gap in gaps]
    seeds = _seeds(trials, rows[0][keep[0]] if match.paired else rows[0][:0])
    note = joined(match.note, sides.note or _missing(pair, gaps), _of_pool(column, match))
    contrast = replace(_kept(task, pair, column, match, sides, keep), note=note, seeds=seeds)
    if column.metric.kind == "spread":
        return of_spreads(contrast)
    return _with_failures(contrast, trials, column, match, gaps)


def _of_pool(column: Column, match: _Match) -> str:
    """What to say of seeds that redraw one pool where no interval is wider for it."""
    if match.overlap and not column.metric.is_of_test_part:
        return "for other splits of this pool of images, not for other images"
    return ""


def _kept(
    task: str, pair: Pair, column: Column, match: _Match, sides: Sides, keep: Sequence[Bools]
) -> Contrast:
    """The contrast of the values that are to be kept, of both arms."""

    def count(flags: Sequence[Bools]) -> tuple[int, int]:
        return int(flags[0][keep[0]].sum()), int(flags[1][keep[1]].sum())

    def kept(flags: Sequence[Bools]) -> list[Bools]:
        return [flag[k] for flag, k in zip(flags, keep, strict=True)]

    return Contrast(
        task=task,
        pair=Pair(*pair),
        metric=column.metric,
        target=column.target,
        treated=sides.values[0][keep[0]],
        control=sides.values[1][keep[1]],
        paired=match.paired,
        steps=(sides.steps[0][keep[0]], sides.steps[1][keep[1]]),
        censored=count(sides.unreached),
        budget=sides.budget,
        overlap=match.overlap if column.metric.is_of_test_part else 0.0,
        late=count(sides.late),
        at_once=count(sides.at_once),
        opens=opens([kept(sides.unreached), kept(sides.at_once)], match.paired),
    )


def _with_failures(
    contrast: Contrast, trials: pd.DataFrame, column: Column, match: _Match, gaps: Sequence[Bools]
) -> Contrast:
    """With the trials that failed, counted, and what it would be with them at chance."""
    metric, rows = column.metric, (match.treated, match.control)
    if not (metric.counts_failures or metric.source == "area"):
        return contrast
    failures = [_failed(trials, r) & gap for r, gap in zip(rows, gaps, strict=True)]
    failed = (int(failures[0].sum()), int(failures[1].sum()))
    if not any(failed):
        return contrast
    if metric.source == "area":  # what a curve that broke off would have been is not known
        return replace(contrast, failed=failed)
    worst = _at_chance(trials, column, match, failures)
    chance = _contrast(trials, contrast.task, contrast.pair, worst, match) if worst else None
    return replace(contrast, failed=failed, at_chance=chance)


def _seeds(trials: pd.DataFrame, rows: Rows) -> Ints:
    seeds: Ints = trials["seed"].to_numpy(dtype=np.int64)
    return seeds[rows]


def _failed(trials: pd.DataFrame, rows: Rows) -> Bools:
    """Which of these trials failed or diverged."""
    if "status" not in trials:
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(trials["status"].isin(("failed", "diverged")), dtype=bool)[rows]


def _at_chance(
    trials: pd.DataFrame, column: Column, match: _Match, failures: Sequence[Bools]
) -> Column | None:
    """The column with failed trials at chance; None where nobody knows what chance gives."""
    targets = set(trials["target"]) if "target" in trials else set()
    if not column.metric.chance or targets & set(WITHOUT_ACCURACY):
        return None
    n_classes = trials["n_classes"].max() if "n_classes" in trials else math.nan
    if not n_classes > 0:
        return None
    values = column.values.copy()
    chance = math.log(n_classes) if column.metric.chance == "entropy" else 1.0 / float(n_classes)
    for rows, failed in zip((match.treated, match.control), failures, strict=True):
        values[rows[failed]] = chance
    return replace(column, values=values)


def _missing(pair: Pair, gaps: Sequence[Bools]) -> str:
    """What to say of trials without a value."""
    counts = [
        f"{words.plural(int(gap.sum()), 'trial')} of {arm}"
        for arm, gap in zip(pair, gaps, strict=True)
        if gap.any()
    ]
    if not counts:
        return ""
    return f"no value (failed, diverged or not tested): {words.listed(counts)}"


def _check_arms(trials: pd.DataFrame, pairs: Sequence[Pair]) -> None:
    arms = sorted(set(trials["arm"]))
    for arm in (arm for pair in pairs for arm in pair):
        if arm not in arms:
            raise InputError(
                f"compare: arm '{arm}' is not one of {', '.join(arms)}{did_you_mean(arm, arms)}"
            )
    for treatment, control in pairs:
        if treatment == control:
            raise InputError(f"compare: arm '{treatment}' is compared with itself")


def _check_seeds(trials: pd.DataFrame, task: str) -> None:
    twice = trials[trials.duplicated(["arm", "seed"])]
    if len(twice):
        where = f" of {task}" if task else ""
        raise InputError(
            f"compare: arm '{twice['arm'].iloc[0]}'{where} has seed {twice['seed'].iloc[0]} twice; "
            "compare one sweep at a time, or give the trials a column 'task'"
        )
