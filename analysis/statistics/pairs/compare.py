"""Two arms against each other: differences, intervals, tests and verdicts, one row a metric.

In: the tables of trials and curves, pairs of arms, targets, the sweep's margin, a generator.
Out: one `Comparison` for each. Verdicts rest on the Holm-adjusted paired t-test
(docs/statistics.md says why); the other tests stand beside it so that a reader can see whether
they agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.pairs import verdicts
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrasts import Contrast, build_contrasts
from analysis.statistics.pairs.metrics import DEFAULT_METRICS
from analysis.statistics.pairs.sequential import WIDENING
from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import (
    CONFIDENCE,
    Interval,
    mean_intervals,
    proportion_interval,
)
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.redrawn import NOTE, corrected, seeds_worth, widening
from analysis.statistics.samples.resampling import (
    sign_flip_test,
    signed_rank_test,
    student_quantile,
)
from analysis.statistics.samples.significance import hedges_g, holm, p_better_words, t_tests
from analysis.words import joined
from headstart.errors import InputError

STOPPED = "wider by a tenth: the number of seeds was chosen by looking"
_ROUNDING = 1e-13  # of the largest value: differences nearer than this are ties


@dataclass(frozen=True)
class _Settings:
    """What the tests and intervals of all rows share."""

    margin: float | None
    widening: float

    def margin_of(self, contrast: Contrast) -> float | None:
        """The equivalence margin where the metric has one."""
        return self.margin if contrast.metric.has_margin else None

    def widened(self, interval: Interval) -> Interval:
        """The interval as a sweep with a stopping rule reports it."""
        if self.widening == 1.0:
            return interval
        middle = interval.estimate
        low = middle - self.widening * (middle - interval.low)
        high = middle + self.widening * (interval.high - middle)
        return replace(interval, low=low, high=high).noted(STOPPED)


def compare_all(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    margin: float | None,
    rng: Rng,
    metrics: Sequence[str] = DEFAULT_METRICS,
    sequential: bool = False,
) -> list[Comparison]:
    """Every pair on every metric (and target): one `Comparison` each, Holm over all of them.

    Args:
        trials, curves: as `load_runs` gives them; only stage `arm` counts. With a column `task`
            each task is compared by itself, and all are one family for Holm.
        targets: validation accuracies (fractions) for the times to target.
        margin: equivalence margin for accuracies, a fraction; None claims no equivalence.
        metrics: names of `metrics.METRICS`.
        sequential: the sweep chose its number of seeds by `seeds: {until: …}`; intervals are
            wider and t-statistics smaller by `sequential.WIDENING`, which the note says.

    One pair has an estimate and no interval or test; no pair has neither. Trials without a value
    are left out and noted; a time is never left out, an unreached one stands at the common
    budget, which keeps the test's error rate (docs/statistics.md).

    Raises InputError as `build_contrasts`, and for a margin that is not above zero.
    """
    if margin is not None and not margin > 0:
        raise InputError(f"compare: the equivalence margin {margin} must be above 0")
    settings = _Settings(margin, WIDENING if sequential else 1.0)
    contrasts = build_contrasts(trials, curves, pairs, targets, metrics)
    tested: dict[int, Comparison] = {}
    root = int(rng.integers(2**63))
    paired = [i for i, contrast in enumerate(contrasts) if contrast.paired]
    for n in sorted({contrasts[i].n for i in paired}):
        members = [i for i in paired if contrasts[i].n == n]
        stream = np.random.default_rng([root, n])  # one size's draws are not another's business
        rows = _paired([contrasts[i] for i in members], n, settings, stream)
        tested |= dict(zip(members, rows, strict=True))
    for i, contrast in enumerate(contrasts):
        if not contrast.paired:
            tested[i] = _welch(contrast, settings)
    return _judged([tested[i] for i in range(len(contrasts))], contrasts)


def _paired(
    contrasts: Sequence[Contrast], n: int, settings: _Settings, rng: Rng
) -> list[Comparison]:
    """All statistics of contrasts with `n` pairs each, as columns of one array (n, k)."""
    if n == 0:
        return [_untested(c, "no pairs") for c in contrasts]
    scores = np.stack([_snap(*c.scores) for c in contrasts], axis=1)
    intervals = _intervals(contrasts, scores, settings, rng)
    if n == 1:
        rows = [_untested(c, "one pair: no test") for c in contrasts]
        return [_estimated(*each) for each in zip(rows, contrasts, intervals, strict=True)]
    ordered = np.sort(scores, axis=0)
    mean, variance = ordered.mean(axis=0), ordered.var(axis=0, ddof=1)
    sd = np.sqrt(np.maximum(variance, [c.least_variance for c in contrasts]))
    error = settings.widening * sd / math.sqrt(n) * [widening(n, c.overlap) for c in contrasts]
    p_flip, floor, flip_error = sign_flip_test(scores, rng)
    p_wilcoxon = signed_rank_test(scores)
    rows = []
    for k, contrast in enumerate(contrasts):
        wins = float((scores[:, k] > 0).sum() + 0.5 * (scores[:, k] == 0).sum())
        n_worth = seeds_worth(n, contrast.overlap)
        row = _tested(contrast, intervals[k], settings, (mean[k], error[k], n - 1))
        row = _with_p_better(row, proportion_interval(wins / n * n_worth, n_worth))
        row = replace(row, sd_score=sd[k], effect_size=hedges_g(mean[k], sd[k], n - 1))
        if not contrast.overlap:  # these tests need seeds that are independent
            row = replace(
                row,
                p_sign_flip=p_flip[k],
                p_sign_flip_floor=floor,
                p_sign_flip_error=flip_error[k],
                p_wilcoxon=p_wilcoxon[k],
            )
        rows.append(row)
    return rows


def _intervals(
    contrasts: Sequence[Contrast], scores: Floats, settings: _Settings, rng: Rng
) -> list[Interval]:
    """Of the mean of each column; wider where seeds redraw one pool of images."""
    intervals = mean_intervals(scores, rng=rng)
    for k, contrast in enumerate(contrasts):
        if contrast.overlap:
            intervals[k] = corrected(scores[:, k], contrast.overlap)
    return [settings.widened(interval) for interval in intervals]


def _welch(contrast: Contrast, settings: _Settings) -> Comparison:
    """Arms whose seeds do not pair, as independent samples: Welch (1947), Mann-Whitney.

    P(better) is the share of all pairs of trials; its interval is Wilson's for the smaller arm,
    whose variance is an upper bound (van Dantzig 1951).
    """
    treated, control = contrast.scores
    if contrast.n < 2:
        return _untested(contrast, "fewer than two trials in an arm: no test")
    sizes = np.array([len(treated), len(control)])
    least = contrast.least_variance / 2
    variances = np.maximum([treated.var(ddof=1), control.var(ddof=1)], least)
    parts = variances * (1 / sizes + contrast.overlap)
    mean = float(np.sort(treated).mean() - np.sort(control).mean())
    error = settings.widening * math.sqrt(parts.sum())
    df = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum() if error > 0 else sizes.sum() - 2.0
    half = student_quantile(df, CONFIDENCE) * error
    note = joined(STOPPED if settings.widening > 1 else "", NOTE if contrast.overlap else "")
    interval = Interval(mean, mean - half, mean + half, CONFIDENCE, "Welch", contrast.n, note)
    pooled = math.sqrt(((sizes - 1) * variances).sum() / (sizes.sum() - 2))
    u, p_rank = stats.mannwhitneyu(treated, control)
    row = _tested(contrast, interval, settings, (mean, error, df))
    row = _with_p_better(row, proportion_interval(u / sizes.max(), contrast.n))
    return replace(
        row,
        sd_score=math.sqrt(parts.sum() * contrast.n),  # what further trials of both arms shrink
        effect_size=hedges_g(mean, pooled, sizes.sum() - 2),
        p_wilcoxon=float(p_rank),
    )


def _untested(contrast: Contrast, note: str = "") -> Comparison:
    """What is compared, before any number is."""
    return Comparison(
        task=contrast.task,
        **contrast.pair._asdict(),
        metric=contrast.metric.name,
        target=contrast.target,
        unit=contrast.metric.unit,
        n_pairs=contrast.n if contrast.paired else 0,
        n_treatment=len(contrast.treated),
        n_control=len(contrast.control),
        paired=contrast.paired,
        scale="speedup" if contrast.metric.is_time else "difference",
        confidence=CONFIDENCE,
        n_unreached_treatment=contrast.censored[0],
        n_unreached_control=contrast.censored[1],
        budget=contrast.budget,
        note=joined(contrast.note, note),
    )


def _tested(
    contrast: Contrast, interval: Interval, settings: _Settings, sample: tuple[float, float, float]
) -> Comparison:
    """Estimate and t-tests. sample: mean, standard error and degrees of freedom of the scores."""
    tests = t_tests(*sample, settings.margin_of(contrast))
    row = _estimated(_untested(contrast), contrast, interval)
    return replace(row, **asdict(tests))


def _with_p_better(row: Comparison, p: Interval) -> Comparison:
    return replace(
        row,
        p_better=p.estimate,
        p_better_low=p.low,
        p_better_high=p.high,
        p_better_words=p_better_words(p),
    )


def _estimated(row: Comparison, contrast: Contrast, score: Interval) -> Comparison:
    """With estimate and bounds on the scale that is reported, from those of the scores."""
    estimate, low, high = score.estimate, score.low, score.high
    bound = ""
    difference = float(contrast.treated.mean() - contrast.control.mean())
    if contrast.metric.is_time:
        estimate, low, high = (math.exp(v) for v in (estimate, low, high))
        bound = _bound(contrast)
        low = 0.0 if bound == "at most" else low
        high = math.inf if bound == "at least" else high
        difference = math.nan if bound else difference
        if contrast.nobody_reached:
            estimate = low = high = math.nan
    elif not contrast.metric.higher_is_better:
        estimate, low, high = -estimate, -high, -low
    return replace(
        row,
        estimate=estimate,
        low=low,
        high=high,
        method=score.method,
        difference=difference,
        bound=bound,
        note=joined(contrast.note, score.note),
        score=score,
    )


def _bound(contrast: Contrast) -> str:
    """What trials that never reached the target make of the ratio of times."""
    bounds = {(False, True): "at least", (True, False): "at most", (True, True): "within budget"}
    return bounds.get((contrast.censored[0] > 0, contrast.censored[1] > 0), "")


def _judged(rows: Sequence[Comparison], contrasts: Sequence[Contrast]) -> list[Comparison]:
    """With Holm's adjustment over all rows, verdicts and their words."""
    p_holm = holm(np.array([row.p_value for row in rows]))
    p_equivalence = holm(np.array([row.p_equivalence for row in rows]))
    n_tests = max(1, sum(not math.isnan(row.p_value) for row in rows))
    adjusted = [
        replace(row, p_holm=float(p), p_equivalence_holm=float(q))
        for row, p, q in zip(rows, p_holm, p_equivalence, strict=True)
    ]
    return [_judge(*each, n_tests) for each in zip(adjusted, contrasts, strict=True)]


def _judge(row: Comparison, contrast: Contrast, n_tests: int) -> Comparison:
    """The row with its verdict, the words for it, and the seeds that are missing."""
    verdict = verdicts.verdict(row.mean_score, row.p_holm, row.p_equivalence_holm)
    n_more, note = 0.0, row.note
    if verdict == "inconclusive":
        # Further seeds of an overlapping split draw from the same pool.
        n_more = math.nan if contrast.overlap else verdicts.seeds_missing(row, n_tests)
    elif verdict != "equivalent" and row.low <= (1.0 if row.is_time else 0.0) <= row.high:
        note = joined(note, "the interval, which allows for skew, does not exclude no difference")
    row = replace(row, verdict=verdict, n_more=n_more, note=note)
    return replace(row, verdict_words=verdicts.verdict_words(row))


def _snap(treated: Floats, control: Floats) -> Floats:
    """Paired differences; those within rounding of each other become equal, as ranks need."""
    difference = treated - control
    grain = _ROUNDING * max(np.abs(treated).max(), np.abs(control).max())
    return np.round(difference / grain) * grain if grain > 0 else difference
