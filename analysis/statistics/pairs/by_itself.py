"""Each comparison by itself: estimate, interval, tests, before its question is looked at.

In: contrasts, the margin, how the number of seeds came about. Out: a `TestedRow` for each, whose
interval is the inversion of the paired t-test beside it. It stands alone because nothing here knows
how many other comparisons there are; `compare` judges them together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.estimates import alone, ends_of_event, estimated, nobody, untested
from analysis.statistics.pairs.looks import Stopping
from analysis.statistics.pairs.questions import RowTest
from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.redrawn import METHOD, NOTE, seeds_worth, widening
from analysis.statistics.samples.resampling import (
    sign_flip_test,
    signed_rank_test,
    student_quantile,
)
from analysis.statistics.samples.significance import (
    hedges_g,
    p_better_interval,
    p_better_words,
    pairing_worth,
    sign_test,
    t_tests,
    three_probabilities,
)
from analysis.words import joined, plural

FEW = 5  # pairs; below, Student's t trusts that differences are near normal
_NO_SPREAD = "no spread, and the smallest step of a value is not known: no interval and no test"
_ROUNDING = 1e-13  # of the largest value: differences nearer than this are ties


@dataclass(frozen=True)
class Settings:
    """What the tests and intervals of all rows share."""

    margin: float | None
    stopping: Stopping

    def margin_of(self, contrast: Contrast) -> float | None:
        """The equivalence margin where the metric has one."""
        return self.margin if contrast.metric.has_margin else None


@dataclass(frozen=True)
class TestedRow:
    """A row before its question is looked at: what is known of it alone, its error and test."""

    comparison: Comparison
    contrast: Contrast
    error: float = math.nan
    df: float = math.nan
    scores: Floats | None = None

    @property
    def test(self) -> RowTest:
        """What its question is asked."""
        row, question = self.comparison, self.contrast.metric.question
        if self.scores is None:
            return RowTest(question, row.t, self.df, row.p_value)
        least = self.contrast.least_variance
        return RowTest(
            question, row.t, self.df, row.p_value, self.contrast.seeds, self.scores, least
        )


def rows_of(contrasts: Sequence[Contrast], settings: Settings, root: int) -> list[TestedRow]:
    """Each contrast by itself; those of one number of pairs are computed together."""
    rows: dict[int, TestedRow] = {}
    paired = [i for i, contrast in enumerate(contrasts) if contrast.paired]
    for n in sorted({contrasts[i].n for i in paired}):
        members = [i for i in paired if contrasts[i].n == n]
        stream = np.random.default_rng([root, n])  # one size's draws are not another's business
        computed = _paired([contrasts[i] for i in members], n, settings, stream)
        rows |= dict(zip(members, computed, strict=True))
    for i, contrast in enumerate(contrasts):
        if not contrast.paired:
            rows[i] = _welch(contrast, settings)
    return [rows[i] for i in range(len(contrasts))]


def at_chance(rows: Sequence[TestedRow], settings: Settings, root: int) -> list[TestedRow]:
    """The same rows, with every trial that failed at chance where it has no accuracy."""
    worst = [row.contrast.at_chance for row in rows]
    computed = iter(rows_of([contrast for contrast in worst if contrast], settings, root))
    return [next(computed) if contrast else row for row, contrast in zip(rows, worst, strict=True)]


@dataclass(frozen=True)
class _Columns:
    """Statistics of k contrasts of n pairs each: scores (n, k), the rest (k,)."""

    scores: Floats
    mean: Floats
    sd: Floats
    error: Floats
    p_flip: Floats
    flip_floor: float
    flip_error: Floats
    p_wilcoxon: Floats


def _paired(contrasts: Sequence[Contrast], n: int, settings: Settings, rng: Rng) -> list[TestedRow]:
    """All statistics of contrasts with `n` pairs each, as columns of one array (n, k)."""
    if n == 0:
        return [TestedRow(untested(c, "no pairs"), c) for c in contrasts]
    scores = np.stack([_snap(*c.scores) for c in contrasts], axis=1)
    if n == 1:
        means, note = scores[0].tolist(), "one pair: no interval and no test"
        return [TestedRow(alone(c, d, note), c) for c, d in zip(contrasts, means, strict=True)]
    columns = _columns(contrasts, scores, settings, rng)
    return [_paired_row(c, columns, k, settings) for k, c in enumerate(contrasts)]


def _columns(
    contrasts: Sequence[Contrast], scores: Floats, settings: Settings, rng: Rng
) -> _Columns:
    n, ordered = len(scores), np.sort(scores, axis=0)
    variance = ordered.var(axis=0, ddof=1)
    sd = np.sqrt(np.maximum(variance, [c.least_variance for c in contrasts]))
    error = settings.stopping.widening(n) * sd / math.sqrt(n)
    error *= [widening(n, c.overlap) for c in contrasts]
    p_flip, floor, flip_error = sign_flip_test(scores, rng)
    p_wilcoxon = signed_rank_test(scores)
    return _Columns(scores, ordered.mean(axis=0), sd, error, p_flip, floor, flip_error, p_wilcoxon)


def _paired_row(contrast: Contrast, columns: _Columns, k: int, settings: Settings) -> TestedRow:
    """The row of the contrast whose statistics are in column `k`."""
    n, differences = len(columns.scores), columns.scores[:, k]
    mean, sd, error = float(columns.mean[k]), float(columns.sd[k]), float(columns.error[k])
    if contrast.nobody_reached:
        return TestedRow(untested(contrast, nobody(contrast)), contrast)
    if error == 0 and contrast.metric.kind != "event":
        return TestedRow(alone(contrast, mean, _NO_SPREAD), contrast)
    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    worth = seeds_worth(n, contrast.overlap) / n
    row = _tested(contrast, settings, (mean, error, n - 1.0))
    row = _with_p_better(row, p_better_interval(worth * won, worth * lost))
    row = replace(
        row,
        sd_score=sd,
        effect_size=hedges_g(mean, sd, n - 1),
        n_won=won,
        n_lost=lost,
        worth=pairing_worth(*contrast.scores),
    )
    if not contrast.overlap:  # these tests need seeds that are independent
        row = replace(
            row,
            p_sign_flip=float(columns.p_flip[k]),
            p_sign_flip_floor=columns.flip_floor,
            p_sign_flip_error=float(columns.flip_error[k]),
            p_wilcoxon=float(columns.p_wilcoxon[k]),
        )
    if contrast.metric.kind == "event":
        return _event(row, contrast, sign_test(won, lost), n - 1.0)
    return TestedRow(row, contrast, error, n - 1.0, differences)


def _event(row: Comparison, contrast: Contrast, p: float, df: float) -> TestedRow:
    """The row of an event that few trials have: the sign test of the pairs in which one arm alone
    had it (McNemar's exact test), with the interval that inverts it."""
    if not contrast.treated.any() and not contrast.control.any():
        return TestedRow(untested(contrast, "it happened in no trial: no test"), contrast)
    t = math.copysign(float(stats.t.isf(p / 2, df)), row.mean_score)
    low, high = ends_of_event(contrast, CONFIDENCE)
    row = replace(row, t=t, p_value=p, low=low, high=high, method="exact")
    return TestedRow(row, contrast, math.nan, df)


def _welch(contrast: Contrast, settings: Settings) -> TestedRow:
    """Arms whose seeds do not pair, as independent samples: Welch (1947), Mann-Whitney.

    P(better) is the share of all pairs of trials; its interval is Wilson's for the smaller arm,
    whose variance is an upper bound (van Dantzig 1951).
    """
    treated, control = contrast.scores
    if contrast.metric.kind == "event":
        return TestedRow(untested(contrast, "seeds do not pair: no test of an event"), contrast)
    if contrast.n < 2:
        return TestedRow(untested(contrast, "fewer than two trials in an arm: no test"), contrast)
    if contrast.nobody_reached:
        return TestedRow(untested(contrast, nobody(contrast)), contrast)
    sizes = np.array([len(treated), len(control)])
    least = contrast.least_variance / 2
    variances = np.maximum([treated.var(ddof=1), control.var(ddof=1)], least)
    parts = variances * (1 / sizes + contrast.overlap)
    mean = float(np.sort(treated).mean() - np.sort(control).mean())
    error = settings.stopping.widening(contrast.n) * math.sqrt(parts.sum())
    if error <= _ROUNDING * max(np.abs(treated).max(), np.abs(control).max()):
        return TestedRow(alone(contrast, mean, _NO_SPREAD), contrast)
    df = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    pooled = math.sqrt(((sizes - 1) * variances).sum() / (sizes.sum() - 2))
    u, p_rank = stats.mannwhitneyu(treated, control)
    won = float(u) / sizes.max()
    row = _tested(contrast, settings, (mean, error, float(df)), "Welch")
    row = _with_p_better(row, p_better_interval(won, contrast.n - won))
    row = replace(
        row,
        sd_score=math.sqrt(parts.sum() * contrast.n),  # what further trials of both arms shrink
        effect_size=hedges_g(mean, pooled, sizes.sum() - 2),
        p_wilcoxon=float(p_rank),
    )
    return TestedRow(row, contrast, error, float(df))


def _tested(
    contrast: Contrast, settings: Settings, sample: tuple[float, float, float], method: str = ""
) -> Comparison:
    """Estimate, t-tests and the interval that inverts them.

    sample: mean, standard error and degrees of freedom of the scores.
    """
    mean, error, df = sample
    half = student_quantile(df, CONFIDENCE) * error
    method = method or (METHOD if contrast.overlap else "student")
    few = contrast.paired and contrast.n < FEW
    note = joined(
        f"{plural(contrast.n, 'pair')}: Student's t, which trusts that differences are near normal"
        if few
        else "",
        NOTE if contrast.overlap else "",
        settings.stopping.note,
    )
    score = Interval(mean, mean - half, mean + half, CONFIDENCE, method, contrast.n, note)
    row = estimated(untested(contrast), contrast, score)
    one_sided = settings.stopping.widening(contrast.n, sides=1)
    of_margin = error * one_sided / settings.stopping.widening(contrast.n)
    margin = settings.margin_of(contrast)
    tests = t_tests(mean, error, df, margin, of_margin)
    plain = error / settings.stopping.widening(contrast.n)  # what was seen is not less for looks
    beyond = three_probabilities(mean, plain, df, math.nan if margin is None else margin)
    row = replace(row, **asdict(tests))
    return replace(row, p_worse_beyond=beyond[0], p_inside=beyond[1], p_better_beyond=beyond[2])


def _with_p_better(row: Comparison, p: Interval) -> Comparison:
    return replace(
        row,
        p_better=p.estimate,
        p_better_low=p.low,
        p_better_high=p.high,
        p_better_words=p_better_words(p),
    )


def _snap(treated: Floats, control: Floats) -> Floats:
    """Paired differences; those within rounding of each other become equal, as ranks need."""
    difference = treated - control
    grain = _ROUNDING * max(np.abs(treated).max(), np.abs(control).max())
    return np.round(difference / grain) * grain if grain > 0 else difference
