"""What two arms are compared on: which seeds pair, and the two columns of values.

In: the tables of trials and curves, pairs of arms, metrics and targets. Out: one `Contrast` for
each task, pair, metric and target, with one value a seed for each arm. Stands alone because what
counts as a pair, and as the time of a trial that never got there, is decided here and nowhere
else; `compare` only does arithmetic with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.resampling import FloatArray
from analysis.times import area_under_curve, times_to_targets
from headstart.cli import did_you_mean
from headstart.errors import InputError

Pair = tuple[str, str]


@dataclass(frozen=True)
class Metric:
    """One thing to compare arms on.

    `source` is a column of `trials`, `area`, or the unit of a time to target. Times are compared
    as ratios, everything else as differences. `granule` is the column whose inverse is the
    smallest step that the metric can take (a share of n images), "" where it has none.
    """

    name: str
    source: str
    unit: str
    higher_is_better: bool
    is_time: bool = False
    has_margin: bool = False
    granule: str = ""


_ACCURACIES = {"test_accuracy": "n_test", "best_val_accuracy": "n_validation"}
_ACCURACIES |= {"final_val_accuracy": "n_validation"}
_TIMES = {"steps_to_target": "step", "samples_to_target": "samples"}
_TIMES |= {"train_time_s_to_target": "train_time_s"}
_UNITS = {"step": "steps", "samples": "samples", "train_time_s": "s"}
METRICS: dict[str, Metric] = {
    **{
        name: Metric(name, name, "fraction", True, has_margin=True, granule=granule)
        for name, granule in _ACCURACIES.items()
    },
    "area_under_curve": Metric("area_under_curve", "area", "fraction", True),
    "test_loss": Metric("test_loss", "test_loss", "nats", False),
    **{
        name: Metric(name, source, _UNITS[source], False, is_time=True)
        for name, source in _TIMES.items()
    },
}
DEFAULT_METRICS = ("test_accuracy", "area_under_curve", "steps_to_target")


@dataclass(frozen=True)
class Contrast:
    """Two arms on one metric: `treated` and `control` (n,) each, row i of both one seed if paired.

    Of a time, trials that never reach the target have the common `budget` and are counted in
    `censored` (treated, control). `step` is the smallest difference that the metric can show,
    0 where unknown. `missing` counts trials (treated, control) that have no value.
    """

    task: str
    treatment: str
    control_arm: str
    metric: Metric
    target: float
    treated: FloatArray
    control: FloatArray
    paired: bool
    step: float = 0.0
    censored: tuple[int, int] = (0, 0)
    missing: tuple[int, int] = (0, 0)
    budget: float = math.nan
    note: str = ""

    @property
    def n(self) -> int:
        """Pairs, or the number of trials of the smaller arm where seeds do not pair."""
        return min(len(self.treated), len(self.control))

    @property
    def nobody_reached(self) -> bool:
        """A time to a target that not one trial of either arm ever reached."""
        return self.metric.is_time and self.censored == (len(self.treated), len(self.control))

    @property
    def scores(self) -> tuple[FloatArray, FloatArray]:
        """Both arms on the scale of the test, where more is better: minus log times, ± values."""
        if self.metric.is_time:
            return -np.log(self.treated), -np.log(self.control)
        sign = 1.0 if self.metric.higher_is_better else -1.0
        return sign * self.treated, sign * self.control

    @property
    def least_variance(self) -> float:
        """Variance that rounding to `step` alone gives a difference of two scores.

        Rounding to steps of q has variance q²/12 for each of the two values (of a logarithm,
        (q/value)²/12). Five equal differences have no variance, yet no certainty either.
        """
        if self.metric.is_time:
            inverse = np.concatenate([self.treated, self.control]) ** -2.0
            return float(self.step**2 * inverse.mean() / 6) if len(inverse) else 0.0
        return self.step**2 / 6


def build_contrasts(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> list[Contrast]:
    """All contrasts, in the order of tasks, pairs, metrics, targets; tasks without both arms skip.

    Raises:
        InputError: an unknown metric or arm, or an arm that has one seed twice in a task.
    """
    chosen = [_metric(name) for name in metrics]
    evidence = trials[trials["stage"] == "arm"] if "stage" in trials else trials
    _check_arms(evidence, pairs)
    compared = {arm for pair in pairs for arm in pair}
    evidence = evidence[evidence["arm"].isin(compared)]
    tasks = evidence.groupby("task", sort=True) if "task" in evidence else [("", evidence)]
    found: list[Contrast] = []
    for task, part in tasks:
        _check_seeds(part, str(task))
        present = [pair for pair in pairs if set(pair) <= set(part["arm"])]
        columns = list(_columns(part, curves, chosen, targets))
        found += [c for pair in present for c in _contrasts(str(task), pair, columns)]
    return found


@dataclass(frozen=True)
class _Column:
    """One metric of every trial of a task: rows by arm and seed."""

    metric: Metric
    target: float
    rows: pd.DataFrame  # arm, seed, value; of times also reached, budget
    step: float


def _columns(
    trials: pd.DataFrame, curves: pd.DataFrame, metrics: Sequence[Metric], targets: Sequence[float]
) -> Iterator[_Column]:
    units = tuple(dict.fromkeys(m.source for m in metrics if m.is_time))
    times = times_to_targets(curves, trials, targets if units else (), units)
    for metric in metrics:
        if metric.is_time:
            step = _spacing(curves, metric.source)
            for target in targets:
                rows = times[(times["unit"] == metric.source) & (times["target"] == float(target))]
                yield _Column(metric, float(target), rows.rename(columns={"time": "value"}), step)
        elif metric.source == "area":
            rows = area_under_curve(curves, trials).rename(columns={"area": "value"})
            yield _Column(metric, math.nan, rows, 0.0)
        elif metric.source in trials:
            rows = trials[["arm", "seed"]].assign(value=trials[metric.source].astype(float))
            yield _Column(metric, math.nan, rows, _granule(trials, metric))


def _contrasts(task: str, pair: Pair, columns: Sequence[_Column]) -> Iterator[Contrast]:
    for column in columns:
        treated, control = (
            column.rows[column.rows["arm"] == arm].set_index("seed").sort_index() for arm in pair
        )
        if column.metric.is_time:
            yield _time_contrast(task, pair, column, treated, control)
        else:
            yield _pair_up(
                Contrast(
                    task, *pair, column.metric, column.target,
                    treated["value"].to_numpy(), control["value"].to_numpy(), False, column.step,
                ),
                treated.index, control.index,
            )  # fmt: skip


def _time_contrast(
    task: str, pair: Pair, column: _Column, treated: pd.DataFrame, control: pd.DataFrame
) -> Contrast:
    """Both arms up to their common budget: the shorter of the two arms' longest budgets."""
    budget = min(float(treated["budget"].max()), float(control["budget"].max()))
    in_time = [(rows["reached"] & (rows["value"] <= budget)) for rows in (treated, control)]
    contrast = _pair_up(
        Contrast(
            task, *pair, column.metric, column.target,
            treated["value"].where(in_time[0], budget).to_numpy(),
            control["value"].where(in_time[1], budget).to_numpy(),
            False, column.step, budget=budget,
        ),
        treated.index, control.index,
    )  # fmt: skip
    unreached = [~flags for flags in in_time]
    if contrast.paired:
        common = treated.index.intersection(control.index)
        unreached = [u.loc[common] for u in unreached]
    return replace(contrast, censored=(int(unreached[0].sum()), int(unreached[1].sum())))


def _pair_up(contrast: Contrast, seeds_t: pd.Index, seeds_c: pd.Index) -> Contrast:
    """Keep the common seeds, in order, where they are at least half of each arm; drop NaNs.

    Arms with fewer seeds in common are compared unpaired, each with all that it has.
    """
    common = seeds_t.intersection(seeds_c).sort_values()
    paired = len(common) > 0 and 2 * len(common) >= max(len(seeds_t), len(seeds_c))
    treated, control = contrast.treated, contrast.control
    notes = []
    if paired:
        treated = treated[seeds_t.get_indexer(common)]
        control = control[seeds_c.get_indexer(common)]
        alone = len(seeds_t) + len(seeds_c) - 2 * len(common)
        if alone:
            notes.append(f"{alone} trials whose seed the other arm lacks are left out")
    else:
        notes.append("seeds do not pair: arms are compared as independent (Welch)")
    gaps = np.isnan(treated), np.isnan(control)
    missing = int(gaps[0].sum()), int(gaps[1].sum())
    if any(missing):
        notes.append(
            f"{missing[0]} trials of {contrast.treatment} and {missing[1]} of "
            f"{contrast.control_arm} have no value (failed, diverged or not tested)"
        )
    keep = (~(gaps[0] | gaps[1]),) * 2 if paired else (~gaps[0], ~gaps[1])
    return replace(
        contrast,
        treated=treated[keep[0]],
        control=control[keep[1]],
        paired=paired,
        missing=missing,
        note="; ".join(notes),
    )


def _spacing(curves: pd.DataFrame, unit: str) -> float:
    """Median distance between evaluations of one trial, in `unit`; 0 for no curves."""
    spans = curves.groupby("trial_id")[unit].agg(["min", "max", "count"])
    spans = spans[spans["count"] > 1]
    distance = (spans["max"] - spans["min"]) / (spans["count"] - 1)
    return float(distance.median()) if len(distance) else 0.0


def _granule(trials: pd.DataFrame, metric: Metric) -> float:
    """1 over the number of images that the metric is a share of; 0 where it is not told."""
    if metric.granule not in trials:
        return 0.0
    n_images = trials[metric.granule].max()
    return 1.0 / float(n_images) if n_images > 0 else 0.0


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise InputError(
            f"metric '{name}' is not one of {', '.join(METRICS)}{did_you_mean(name, METRICS)}"
        )
    return METRICS[name]


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
