"""What two arms are compared on: which seeds pair, and the two columns of values.

In: the tables of trials and curves, pairs of arms, metrics and targets. Out: one `Contrast` for
each task, pair, metric and target, with one value a seed for each arm. Stands alone because what
counts as a pair, and as the time of a trial that never got there, is decided here and nowhere
else; `compare` only does arithmetic with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis import words
from analysis.statistics.pairs.metrics import DEFAULT_METRICS, Metric, metric_of
from analysis.statistics.samples.arrays import Bools, Floats, Ints, Rows
from analysis.statistics.samples.gini import log_pseudo_values
from analysis.statistics.samples.pairing import Pair, pair_seeds
from analysis.statistics.samples.redrawn import overlap_of
from analysis.statistics.times.course import ACCURACY, Course
from analysis.statistics.times.speedup import CONDITIONS
from analysis.statistics.times.times import (
    area_under_curve,
    since_evaluation_before,
    times_to_targets,
)
from analysis.words import joined
from headstart.cli import did_you_mean
from headstart.errors import InputError


@dataclass(frozen=True)
class Contrast:
    """Two arms on one metric: `treated` and `control` (n,) each, row i of both one seed if paired.

    Of a time, trials that have not reached the target by the common `budget` stand there and are
    counted in `censored` (treated, control); those among them that reached it later in `late`.
    A trial that was there before its first step has the time of its first evaluation after it, and
    is counted in `at_once`. `steps` has the smallest difference that each value can show, in the
    order of `treated` and `control`: of a time the distance to the evaluation before it, of a score
    one image's share; 0 where unknown. `seeds` (n,) are those of the pairs, ascending; none where
    arms do not pair. `failed` counts trials that failed or diverged and so have no accuracy;
    `at_chance` is then the same contrast with each of them at chance, where that is known.
    """

    task: str
    pair: Pair
    metric: Metric
    target: float
    treated: Floats
    control: Floats
    paired: bool
    steps: tuple[Floats, Floats]
    censored: tuple[int, int] = (0, 0)
    budget: float = math.nan
    note: str = ""
    overlap: float = 0.0  # n_test / n_train where seeds redraw one pool (`redrawn.overlaps`)
    course: str = "accuracy"  # the metric that the sweep measures
    seeds: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    late: tuple[int, int] = (0, 0)
    at_once: tuple[int, int] = (0, 0)
    opens: tuple[bool, bool] = (False, False)  # whether the ratio may be larger, or smaller
    failed: tuple[int, int] = (0, 0)
    at_chance: Contrast | None = None

    @property
    def n(self) -> int:
        """Pairs, or the number of trials of the smaller arm where seeds do not pair."""
        return min(len(self.treated), len(self.control))

    @property
    def nobody_reached(self) -> bool:
        """A time to a target that not one trial of either arm ever reached."""
        return self.metric.is_time and self.censored == (len(self.treated), len(self.control))

    @property
    def grain(self) -> float:
        """The smallest step that a score can show, where it is known; else 0."""
        return 0.0 if self.metric.is_time else float(np.max(np.hstack(self.steps), initial=0.0))

    @property
    def scores(self) -> tuple[Floats, Floats]:
        """Both arms on the scale of the test, where more is better: minus log times, ± values."""
        if self.metric.is_time:
            return -np.log(self.treated), -np.log(self.control)
        sign = 1.0 if self.metric.higher_is_better else -1.0
        return sign * self.treated, sign * self.control

    @property
    def least_variance(self) -> float:
        """Variance that rounding alone gives a difference of two scores.

        Rounding to steps of q has variance q²/12 for each of the two values; of a time's
        logarithm (q/time)²/12 with the distance q to the evaluation before, which may differ from
        time to time: evaluations are often dense at first. Five equal differences have no
        variance, yet no certainty either: where the step is unknown and all paired differences
        are equal, they are taken for one step.
        """
        if not self.n:
            return 0.0
        treated, control = self.steps
        if self.metric.is_time:
            treated, control = treated / self.treated, control / self.control
        elif not treated.any() and self.paired and self.n > 1:
            difference = self.treated - self.control
            largest = np.abs(self.treated).max() + np.abs(self.control).max()
            if np.ptp(difference) <= 1e-12 * largest:
                treated = control = difference
        return float(np.mean(treated**2) + np.mean(control**2)) / 12


@dataclass(frozen=True)
class _Column:
    """One metric of all trials of a task, in the order of its table of trials."""

    metric: Metric
    target: float
    values: Floats
    step: float | Floats  # of a time, each trial's own
    reached: Bools | None = None
    budget: Floats | None = None
    first: Floats | None = None  # of a time, each trial's first evaluation after step 0
    # Of measured time: for each condition a number a trial; trials of equal numbers ran alike.
    conditions: Mapping[str, Rows] | None = None


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
    evidence = trials[trials["stage"] == "arm"] if "stage" in trials else trials
    _check_arms(evidence, pairs)
    evidence = evidence[evidence["arm"].isin({arm for pair in pairs for arm in pair})]
    contrasts: list[Contrast] = []
    for task, part, its_curves in _tasks(evidence, curves):
        _check_seeds(part, task)
        columns = list(_columns(part, its_curves, chosen, targets, course))
        arms = set(part["arm"])
        for pair in pairs:
            if set(pair) <= arms:
                match = _match(part, pair)
                idle = bool(set(pair) & untrained(part))
                contrasts += [
                    replace(_contrast(part, task, pair, column, match), course=course.name)
                    for column in columns
                    if not (idle and column.metric.is_course)
                ]
    return contrasts


def untrained(trials: pd.DataFrame) -> set[str]:
    """Arms of one task that finished without a training step (`fine_tune: none`)."""
    done = trials[trials["status"] == "done"] if "status" in trials else trials
    if "steps" not in done:
        return set()
    steps = done.groupby("arm")["steps"].max()
    return set(steps.index[steps == 0])


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


def _columns(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: Sequence[Metric],
    targets: Sequence[float],
    course: Course,
) -> Iterator[_Column]:
    for metric in metrics:
        if metric.is_time and not targets:
            continue
        if metric.is_time:
            alike = _conditions(trials) if metric.source == "train_time_s" else None
            times = times_to_targets(curves, trials, targets, (metric.source,), course)
            columns = (times[name].to_numpy() for name in ("time", "reached", "budget", "first"))
            time, reached, budget, first = (c.reshape(len(targets), -1) for c in columns)
            since = since_evaluation_before(curves, trials, time, metric.source)
            for i, target in enumerate(map(float, targets)):
                yield _Column(
                    metric, target, time[i], since[i], reached[i], budget[i], first[i], alike
                )
        elif metric.source == "area":
            area = area_under_curve(curves, trials, course=course)["area"].to_numpy(dtype=float)
            yield _Column(metric, math.nan, area, _area_step(trials, curves, course))
        elif metric.source in trials:
            values = trials[metric.source].to_numpy(dtype=float)
            yield _Column(metric, math.nan, values, _granule(trials, metric))


def _match(trials: pd.DataFrame, pair: Pair) -> _Match:
    """Pair the arms by seed where the common seeds are at least half of each arm.

    Arms with fewer seeds in common are compared unpaired, each with all that it has.
    """
    arm, seed = trials["arm"].to_numpy(), trials["seed"].to_numpy()
    rows = [np.flatnonzero(arm == name) for name in pair]
    rows = [r[np.argsort(seed[r], kind="stable")] for r in rows]
    overlap = overlap_of(trials[trials["arm"].isin(pair)])
    pairs = pair_seeds(trials.iloc[rows[0]], trials.iloc[rows[1]])
    if not len(pairs) or 2 * len(pairs) < max(map(len, rows)):
        note = "seeds do not pair: arms are compared as independent (Welch)"
        return _Match(rows[0], rows[1], False, note, overlap)
    left_out = f"{words.plural(pairs.n_alone, 'trial')} left out: the other arm lacks the seed"
    note = left_out if pairs.n_alone else ""
    return _Match(rows[0][pairs.treatment], rows[1][pairs.control], True, note, overlap)


def _contrast(
    trials: pd.DataFrame, task: str, pair: Pair, column: _Column, match: _Match
) -> Contrast:
    """The values of both arms; a pair with a NaN goes, a trial that never got there stays."""
    rows = (match.treated, match.control)
    sides = _timed(column, rows) if column.metric.is_time else _scored(column, rows)
    notes = [match.note, sides.note]
    if differ := _differing(column.conditions or {}, np.hstack(rows)):
        sides = replace(sides, values=[np.full(len(r), np.nan) for r in rows])
        notes.append(f"seconds are not compared: trials differ in {words.listed(differ)}")
    gaps = [np.isnan(v) for v in sides.values]
    keep = [~(gaps[0] | gaps[1])] * 2 if match.paired else [~gap for gap in gaps]
    if not any(notes[1:]):
        notes.append(_missing(pair, gaps))
    if match.overlap and column.metric.question in ("way", "stability"):
        notes.append("for other splits of this pool of images, not for other images")

    def count(flags: Sequence[Bools]) -> tuple[int, int]:
        return int(flags[0][keep[0]].sum()), int(flags[1][keep[1]].sum())

    contrast = Contrast(
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
        overlap=match.overlap if column.metric.question in ("final", "overfitting") else 0.0,
        note=joined(*notes),
        seeds=_seeds(trials, rows[0][keep[0]] if match.paired else rows[0][:0]),
        late=count(sides.late),
        at_once=count(sides.at_once),
        opens=_opens([_kept(sides.unreached, keep), _kept(sides.at_once, keep)], match.paired),
    )
    if column.metric.kind == "spread":
        return _of_spreads(contrast)
    ends = column.metric.has_margin or column.metric.source == "area"
    if not ends or not any(gap.any() for gap in gaps):
        return contrast
    failures = [_failed(trials, r) & gap for r, gap in zip(rows, gaps, strict=True)]
    failed = (int(failures[0].sum()), int(failures[1].sum()))
    if not any(failed):
        return contrast
    if column.metric.source == "area":  # what a curve that broke off would have been is not known
        return replace(contrast, failed=failed)
    worst = _at_chance(trials, column, match, failures)
    chance = _contrast(trials, task, pair, worst, match) if worst else None
    return replace(contrast, failed=failed, at_chance=chance)


def _of_spreads(contrast: Contrast) -> Contrast:
    """The contrast with each arm's pseudo-values of the logarithm of its spread in their places."""
    treated, control = (log_pseudo_values(v) for v in (contrast.treated, contrast.control))
    none = np.empty(0)
    if np.isnan(treated).any() or np.isnan(control).any() or not len(treated) or not len(control):
        note = joined(contrast.note, "fewer than 3 values, or an arm without any spread: no test")
        treated, control = none, none
        return replace(
            contrast,
            treated=none,
            control=none,
            steps=(none, none),
            seeds=none.astype(int),
            note=note,
        )
    steps = (np.zeros(len(treated)), np.zeros(len(control)))
    return replace(contrast, treated=treated, control=control, steps=steps)


@dataclass(frozen=True)
class _Sides:
    """Values of the rows of both arms, and what is to know of each."""

    values: list[Floats]
    steps: list[Floats]
    unreached: list[Bools]
    late: list[Bools]
    at_once: list[Bools]
    budget: float = math.nan
    note: str = ""


def _scored(column: _Column, rows: Sequence[Rows]) -> _Sides:
    none = [np.zeros(len(r), dtype=bool) for r in rows]
    steps = [np.broadcast_to(column.step, len(column.values))[r] for r in rows]
    return _Sides([column.values[r] for r in rows], steps, none, none, none)


def _timed(column: _Column, rows: Sequence[Rows]) -> _Sides:
    """Times up to the common budget, the shorter of the two arms' longest.

    A trial that has not reached the target by then stands there, and is counted. One that was
    there before its first step stands at its own first evaluation after it: it was there by then,
    and no ratio to a time of 0 is a number. So an earlier treatment never looks slower.
    """
    reached, budgets, first = column.reached, column.budget, column.first
    if reached is None or budgets is None or first is None:
        raise AssertionError("a time has its budget")
    budget = min((float(np.max(budgets[r])) for r in rows), default=math.nan)
    past = [column.values[r] > budget for r in rows]
    unreached = [~reached[r] | over for r, over in zip(rows, past, strict=True)]
    late = [reached[r] & over for r, over in zip(rows, past, strict=True)]
    at_once = [(column.values[r] == 0) & ~u for r, u in zip(rows, unreached, strict=True)]
    values = [np.where(u, budget, column.values[r]) for r, u in zip(rows, unreached, strict=True)]
    later = np.where(first > 0, first, 1.0)  # a trial of one evaluation, at step 0
    values = [np.where(o, later[r], v) for r, o, v in zip(rows, at_once, values, strict=True)]
    steps = [np.broadcast_to(column.step, len(column.values))[r] for r in rows]
    steps = [np.where(step > 0, step, v) for step, v in zip(steps, values, strict=True)]
    n_at_once = int(sum(o.sum() for o in at_once))
    note = f"{words.plural(n_at_once, 'trial')} there before the first step" if n_at_once else ""
    return _Sides(values, steps, unreached, late, at_once, budget, note)


def _kept(flags: Sequence[Bools], keep: Sequence[Bools]) -> list[Bools]:
    return [flag[k] for flag, k in zip(flags, keep, strict=True)]


def _opens(flags: Sequence[Sequence[Bools]], paired: bool) -> tuple[bool, bool]:
    """Whether the ratio of times may be larger than the one of the values, or smaller.

    flags: of (treated, control), who has not reached the target, and who was there at once. A pair
    whose trials were both there at once is a tie.
    """
    (treated_not, control_not), (treated_at_once, control_at_once) = flags
    if paired:
        both = treated_at_once & control_at_once
        treated_at_once, control_at_once = treated_at_once & ~both, control_at_once & ~both
    larger = control_not.any() or treated_at_once.any()
    return bool(larger), bool(treated_not.any() or control_at_once.any())


def _seeds(trials: pd.DataFrame, rows: Rows) -> Ints:
    seeds: Ints = trials["seed"].to_numpy(dtype=np.int64)
    return seeds[rows]


def _failed(trials: pd.DataFrame, rows: Rows) -> Bools:
    """Which of these trials failed or diverged."""
    if "status" not in trials:
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(trials["status"].isin(("failed", "diverged")), dtype=bool)[rows]


def _at_chance(
    trials: pd.DataFrame, column: _Column, match: _Match, failures: Sequence[Bools]
) -> _Column | None:
    """The column with failed trials at chance; None where the number of classes is unknown."""
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


def _conditions(trials: pd.DataFrame) -> dict[str, Rows]:
    """For each condition that is known a number for each trial, equal where its values are."""
    known = [name for name in CONDITIONS if name in trials]
    return {
        name: np.asarray(pd.factorize(trials[name], use_na_sentinel=False)[0], dtype=np.intp)
        for name in known
    }


def _differing(conditions: Mapping[str, Rows], rows: Rows) -> list[str]:
    """The conditions in which these trials are not all alike."""
    return [name for name, number in conditions.items() if len(np.unique(number[rows])) > 1]


def _granule(trials: pd.DataFrame, metric: Metric) -> float:
    """1 over the number of images that the metric is a share of; 0 where that is not known."""
    if metric.granule not in trials:
        return 0.0
    n_images = trials[metric.granule].max()
    return 1.0 / float(n_images) if n_images > 0 else 0.0


def _area_step(trials: pd.DataFrame, curves: pd.DataFrame, course: Course) -> float:
    """What counting whole validation images leaves to a mean over as many evaluations as trials
    have; 0 where it is not known, or the metric is no share of images."""
    n_images = trials["n_validation"].max() if "n_validation" in trials else 0
    n_evaluations = curves.groupby("trial_id").size().median() if len(curves) else 0
    if not (course.is_share and n_images > 0 and n_evaluations > 0):
        return 0.0
    return 1.0 / (float(n_images) * math.sqrt(float(n_evaluations)))


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
