"""Arms over several tasks: aggregates, performance profiles, P(treatment better).

In: scores by task and run (part 2 at several sizes, several data sets). Out: one number or one
curve for each arm, with intervals that resample runs inside each task and leave the tasks as
they are. The quantities are those of Agarwal et al. (2021) and of their package rliable, whose
point estimates they equal. Tasks are the strata: the intervals speak for other seeds on these
tasks, not for other tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from analysis.statistics.samples.arrays import Floats, Rng, Rows
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.resampling import student_quantile
from headstart.errors import InputError

N_RESAMPLES = 50_000  # as rliable
N_FEWER = 2_000  # of profiles and of P(better)
_CHUNK = 1_000  # resamples at a time: 300 scores each stay in the processor's cache
_FIXED = 20_240_229
_TIE = 1e-7  # of the spread: below this, sorted scores mirror each other

Scores = ArrayLike | Sequence[ArrayLike]
Statistic = Callable[[Floats, Rows], Floats]


def aggregate(scores: Scores, statistic: str = "iqm") -> float:
    """One number for all runs of all tasks.

    Args:
        scores: (n_runs, n_tasks), or one array of runs for each task (sizes may differ).
        statistic: `iqm`: mean of the middle half of all runs together
            (`scipy.stats.trim_mean(scores, 0.25, axis=None)`); `mean`, `median`: of the means of
            tasks.

    NaNs (failed runs) are left out. Raises InputError for an unknown statistic, infinities or a
    task without runs. Source: Agarwal et al. (2021), section 4.
    """
    tasks = _tasks(scores)
    return float(_statistic(statistic)(np.concatenate(tasks)[None], _starts(tasks))[0])


def aggregate_interval(
    scores: Scores,
    statistic: str = "iqm",
    *,
    rng: Rng | None = None,
    method: str = "auto",
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """`aggregate` with a stratified bootstrap interval: runs are redrawn inside each task.

    `percentile` is rliable's. It is too narrow with few runs a task, since resamples of n runs
    have (n-1)/n of the variance; `auto` stretches its two halves by √(n/(n-1)) and by Student's
    quantile (Σ(nₜ-1) degrees of freedom) over the normal one. `n` counts runs. Tasks with one
    run add nothing to the spread, and the note says so; with only such tasks the bounds are NaN.
    Without `rng` the numbers of runs decide the draws: no other arm has a part in them.
    """
    if method not in ("auto", "percentile"):
        raise InputError(f"aggregate_interval: method '{method}' is not one of auto, percentile")
    tasks = _tasks(scores)
    estimate, sizes = aggregate(tasks, statistic), _sizes(tasks)
    sign = _canonical_sign(tasks)
    function, starts = _statistic(statistic), _starts(tasks)
    samples = _resamples([np.sort(sign * t) for t in tasks], n_resamples, rng or _fixed(sizes))
    drawn = sign * np.concatenate([function(s, starts) for s in samples])
    low, high = _percentiles(drawn[:, None])
    if method == "auto":
        low, high = _stretch(np.array([estimate]), low, high, sizes)
    note = _single_runs(sizes)
    return Interval(
        estimate, float(low[0]), float(high[0]), CONFIDENCE, f"stratified {method}",
        int(sizes.sum()), note,
    )  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """Share of runs that score above each threshold, with pointwise limits; (n,) each."""

    threshold: Floats
    share: Floats
    low: Floats
    high: Floats


def performance_profile(
    scores: Scores, thresholds: ArrayLike, *, rng: Rng | None = None
) -> Profile:
    """Share of runs that score above each threshold.

    Pointwise intervals, `auto` of `aggregate_interval`, kept inside 0 to 1. Where all or none of
    the runs are above, resampling has no spread: the interval then has no width. Source: Agarwal et
    al. (2021), section 4.2 (score distributions). rng: as for `aggregate_interval`.
    """
    tasks = [np.sort(t) for t in _tasks(scores)]
    at = np.asarray(thresholds, dtype=float).ravel()

    def shares(samples: Floats) -> Floats:
        ordered = np.sort(samples, axis=1)
        return np.stack([(ordered > tau).mean(axis=1) for tau in at], axis=1)

    share = shares(np.concatenate(tasks)[None])[0]
    rng = rng or _fixed(_sizes(tasks))
    drawn = np.concatenate([shares(s) for s in _resamples(tasks, N_FEWER, rng)])
    low, high = _percentiles(drawn)
    low, high = _stretch(share, low, high, _sizes(tasks))
    return Profile(at, share, np.clip(low, 0, 1), np.clip(high, 0, 1))


def probability_of_improvement(
    treatment: Scores, control: Scores, *, rng: Rng | None = None, paired: bool = False
) -> Interval:
    """P(a run of the treatment scores above one of the control), averaged over tasks.

    The Mann-Whitney share of all pairs of runs of a task, ties half; runs of both arms are
    redrawn by themselves, or together where run i of both is one seed (`paired`). Task i of both
    arms is the same task. Higher scores are better. Source: Agarwal et al. (2021), section 4.3.
    rng: as for `aggregate_interval`.
    """
    arms = _tasks(treatment), _tasks(control)
    _check_sides(*arms, paired)
    ordered = [np.concatenate([np.sort(t) for t in arm]).tolist() for arm in arms]
    mirrored = ordered[0] < ordered[1]
    first, second = arms[::-1] if mirrored else arms  # so that swapping the arms mirrors the draws
    sizes = np.concatenate([_sizes(first), _sizes(second)])
    share, drawn = _shares_better(first, second, rng or _fixed(sizes), paired)
    low, high = _percentiles(drawn[:, None])
    low, high = _stretch(np.array([share]), low, high, sizes)
    ends = np.clip([low[0], share, high[0]], 0, 1)
    low_end, middle, high_end = 1 - ends[::-1] if mirrored else ends
    return Interval(
        float(middle), float(low_end), float(high_end), CONFIDENCE, "stratified auto",
        int(sizes.sum()), _single_runs(sizes),
    )  # fmt: skip


def _check_sides(treatment: Sequence[Floats], control: Sequence[Floats], paired: bool) -> None:
    if len(treatment) != len(control):
        raise InputError(
            f"P(better) over tasks: {len(treatment)} tasks of the treatment and {len(control)} of "
            "the control do not match"
        )
    if paired and any(len(x) != len(y) for x, y in zip(treatment, control, strict=True)):
        raise InputError("P(better) over tasks: paired runs are as many in both arms")


def _shares_better(
    first: Sequence[Floats], second: Sequence[Floats], rng: Rng, paired: bool
) -> tuple[float, Floats]:
    """The share of pairs of runs in which the first is above, and (N_FEWER,) redrawn ones."""
    drawn, share = np.zeros(N_FEWER), 0.0
    for given in zip(first, second, strict=True):
        x, y = _in_order(*given, paired)  # the order of seeds decides no draw
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        share += wins.mean() / len(first)
        counts_x, counts_y = (
            rng.multinomial(len(v), np.full(len(v), 1 / len(v)), N_FEWER) for v in (x, y)
        )
        if paired:
            counts_y = counts_x
        drawn += ((counts_x @ wins) * counts_y).sum(axis=1) / (wins.size * len(first))
    return float(share), drawn


def _in_order(x: Floats, y: Floats, paired: bool) -> tuple[Floats, Floats]:
    if not paired:
        return np.sort(x), np.sort(y)
    order = np.lexsort((y, x))
    return x[order], y[order]


def _fixed(sizes: Rows) -> Rng:
    """Draws that the numbers of runs decide."""
    return np.random.default_rng([_FIXED, *sizes.tolist()])


def _tasks(scores: Scores) -> list[Floats]:
    """One array of known scores for each task."""
    if isinstance(scores, np.ndarray) and scores.ndim == 2:
        scores = list(scores.T)
    tasks = [np.asarray(t, dtype=float).ravel() for t in scores]  # type: ignore[union-attr]
    tasks = [t[~np.isnan(t)] for t in tasks]
    if not tasks or not all(len(t) for t in tasks):
        raise InputError("aggregates over tasks need at least one score in every task")
    if any(np.isinf(t).any() for t in tasks):
        raise InputError("aggregates over tasks need finite scores")
    return tasks


def _sizes(tasks: Sequence[Floats]) -> Rows:
    return np.array([len(t) for t in tasks])


def _starts(tasks: Sequence[Floats]) -> Rows:
    sizes = _sizes(tasks)
    return np.cumsum(sizes) - sizes


def _resamples(tasks: Sequence[Floats], n_resamples: int, rng: Rng) -> Iterator[Floats]:
    """Stratified resamples, some at a time: (m, all runs), task after task."""
    for done in range(0, n_resamples, _CHUNK):
        m = min(_CHUNK, n_resamples - done)
        yield np.concatenate(
            [t[rng.integers(0, len(t), (m, len(t)), dtype=_index_type(len(t)))] for t in tasks],
            axis=1,
        )


def _index_type(n: int) -> type[np.unsignedinteger]:
    """The smallest integers that count to `n`: random bytes are what drawing costs."""
    return np.uint8 if n <= 2**8 else np.uint16 if n <= 2**16 else np.uint32


def _canonical_sign(tasks: Sequence[Floats]) -> float:
    """±1 such that scores and their negatives are resampled alike."""
    pooled = np.sort(np.concatenate([t - t.mean() for t in tasks]))
    difference = pooled + pooled[::-1]
    differs = np.flatnonzero(np.abs(difference) > _TIE * np.abs(pooled).max())
    return -1.0 if len(differs) and difference[differs[0]] < 0 else 1.0


def _percentiles(drawn: Floats) -> tuple[Floats, Floats]:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return low, high


def _stretch(estimate: Floats, low: Floats, high: Floats, sizes: Rows) -> tuple[Floats, Floats]:
    """Both halves of the interval widened by what resampling few runs loses; see the docs."""
    df = float((sizes - 1).sum())
    if df == 0:
        return np.full(len(estimate), math.nan), np.full(len(estimate), math.nan)
    lost = sizes[sizes > 1].mean() / (sizes[sizes > 1].mean() - 1)
    normal = float(special.ndtri((1 + CONFIDENCE) / 2))
    factor = math.sqrt(lost) * student_quantile(df, CONFIDENCE) / normal
    return estimate - factor * (estimate - low), estimate + factor * (high - estimate)


def _single_runs(sizes: Rows) -> str:
    alone = int((sizes == 1).sum())
    return f"{alone} tasks have one run, whose spread is unknown" if alone else ""


def _task_means(samples: Floats, starts: Rows) -> Floats:
    sizes = np.diff(np.append(starts, samples.shape[1]))
    return np.asarray(np.add.reduceat(samples, starts, axis=1) / sizes)


def _iqm(samples: Floats, starts: Rows) -> Floats:
    n = samples.shape[1]
    cut = int(0.25 * n)
    return np.asarray(np.sort(samples, axis=1)[:, cut : n - cut].mean(axis=1))


def _mean(samples: Floats, starts: Rows) -> Floats:
    return np.asarray(_task_means(samples, starts).mean(axis=1))


def _median(samples: Floats, starts: Rows) -> Floats:
    return np.median(_task_means(samples, starts), axis=1)


STATISTICS: dict[str, Statistic] = {"iqm": _iqm, "mean": _mean, "median": _median}


def _statistic(name: str) -> Statistic:
    if name not in STATISTICS:
        raise InputError(f"statistic '{name}' is not one of {', '.join(STATISTICS)}")
    return STATISTICS[name]
