"""Two arms against each other: differences, intervals, tests and verdicts, one row a metric.

In: the tables of trials and curves, pairs of arms, targets, the sweep's margin. Out: one
`Comparison` for each. Every interval is the inversion of the paired t-test beside it, so the two
cannot disagree; verdicts rest on what the test is worth among the rows of its question
(`questions`). docs/statistics.md says why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.statistics.pairs import verdicts
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.pairs.metrics import DEFAULT_METRICS
from analysis.statistics.pairs.over_tasks import Together, rows_over_tasks
from analysis.statistics.pairs.questions import Errors, RowTest, judge
from analysis.statistics.pairs.wording import verdict_words
from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.redrawn import METHOD, NOTE, seeds_worth, widening
from analysis.statistics.samples.resampling import (
    sign_flip_test,
    signed_rank_test,
    student_quantile,
)
from analysis.statistics.samples.shares import exact_share_interval
from analysis.statistics.samples.significance import (
    hedges_g,
    holm,
    p_better_interval,
    p_better_words,
    pairing_worth,
    sign_test,
    t_tests,
    three_probabilities,
)
from analysis.statistics.times.course import ACCURACY, Course
from analysis.words import joined, plural, write
from headstart.errors import InputError

FEW = 5  # pairs; below, Student's t trusts that differences are near normal
_NO_SPREAD = "no spread, and the smallest step of a value is not known: no interval and no test"
_ROUNDING = 1e-13  # of the largest value: differences nearer than this are ties


@dataclass(frozen=True)
class Compared:
    """All rows of a report, judged together: of single tasks, and of all tasks together."""

    comparisons: list[Comparison]
    together: list[Together]


@dataclass(frozen=True)
class _Settings:
    """What the tests and intervals of all rows share."""

    margin: float | None
    stopping: Stopping

    def margin_of(self, contrast: Contrast) -> float | None:
        """The equivalence margin where the metric has one."""
        return self.margin if contrast.metric.has_margin else None


@dataclass(frozen=True)
class _Row:
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


def compare_all(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    margin: float | None,
    rng: Rng | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
    places: Collection[tuple[str, Pair]] | None = None,
    course: Course = ACCURACY,
) -> list[Comparison]:
    """Every pair on every metric (and target): one `Comparison` each, judged by questions.

    Args:
        trials, curves: as `load_runs` gives them; only stage `arm` counts. With a column `task`
            each task is compared by itself, and all belong to the same questions.
        targets: validation accuracies (fractions) for the times to target.
        margin: equivalence margin for accuracies, a fraction; None claims no equivalence.
        rng: for the p of the sign-flip test of one row beyond 16 pairs, which stands beside and
            decides nothing; without it the number of pairs decides its draws.
        metrics: names of `metrics.METRICS`.
        stopping: how the sweep came to its number of seeds. Under `seeds: {until: …}` errors
            count for more (`Stopping.widening`): intervals are wider, t-statistics smaller, and
            the note says why.
        errors: what may be wrong in 5 %: each `question`, or the whole `report`.
        places: tasks and pairs that were asked for; what was not asked is not compared, and
            costs nothing. None: every pair in every task that has both arms.
        course: what is measured at evaluations: targets and the area are of it.

    One pair has an estimate and no interval or test; no pair has neither. Trials without a value
    are left out and noted, and a verdict about accuracy says whether it also holds with those
    that failed at chance; a time is never left out, an unreached one stands at the common budget,
    which keeps the test's error rate (docs/statistics.md).

    Raises InputError as `build_contrasts`, and for a margin that is not above zero.
    """
    contrasts = [
        contrast
        for contrast in build_contrasts(trials, curves, pairs, targets, metrics, course)
        if places is None or (contrast.task, contrast.pair) in places
    ]
    return compare_contrasts(contrasts, margin, rng, stopping, errors)


def compare_contrasts(
    contrasts: Sequence[Contrast],
    margin: float | None,
    rng: Rng | None = None,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
) -> list[Comparison]:
    """`compare_all` of contrasts that are built already; raises InputError for a bad margin."""
    return compare_tasks(contrasts, margin, rng, stopping, errors).comparisons


def compare_tasks(
    contrasts: Sequence[Contrast],
    margin: float | None,
    rng: Rng | None = None,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
) -> Compared:
    """`compare_contrasts`, with the rows of all tasks together, which share its questions' 5 %."""
    if margin is not None and not margin > 0:
        raise InputError(f"compare: the equivalence margin {margin} must be above 0")
    settings = _Settings(margin, stopping)
    root = int(rng.integers(2**63)) if rng is not None else 0
    rows = _rows(contrasts, settings, root)
    return _judged(rows, _at_chance(rows, settings, root), stopping, errors)


def _rows(contrasts: Sequence[Contrast], settings: _Settings, root: int) -> list[_Row]:
    """Each contrast by itself; those of one number of pairs are computed together."""
    rows: dict[int, _Row] = {}
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


def _at_chance(rows: Sequence[_Row], settings: _Settings, root: int) -> list[_Row]:
    """The same rows, with every trial that failed at chance where it has no accuracy."""
    worst = [row.contrast.at_chance for row in rows]
    computed = iter(_rows([contrast for contrast in worst if contrast], settings, root))
    return [next(computed) if contrast else row for row, contrast in zip(rows, worst, strict=True)]


def _paired(contrasts: Sequence[Contrast], n: int, settings: _Settings, rng: Rng) -> list[_Row]:
    """All statistics of contrasts with `n` pairs each, as columns of one array (n, k)."""
    if n == 0:
        return [_Row(_untested(c, "no pairs"), c) for c in contrasts]
    scores = np.stack([_snap(*c.scores) for c in contrasts], axis=1)
    mean = np.sort(scores, axis=0).mean(axis=0)
    if n == 1:
        note = "one pair: no interval and no test"
        return [_Row(_alone(c, float(m), note), c) for c, m in zip(contrasts, mean, strict=True)]
    variance = np.sort(scores, axis=0).var(axis=0, ddof=1)
    sd = np.sqrt(np.maximum(variance, [c.least_variance for c in contrasts]))
    error = settings.stopping.widening(n) * sd / math.sqrt(n)
    error *= [widening(n, c.overlap) for c in contrasts]
    p_flip, floor, flip_error = sign_flip_test(scores, rng)
    p_wilcoxon = signed_rank_test(scores)
    rows = []
    for k, contrast in enumerate(contrasts):
        if contrast.nobody_reached:
            rows.append(_Row(_untested(contrast, _nobody(contrast)), contrast))
            continue
        if error[k] == 0 and contrast.metric.kind != "event":
            rows.append(_Row(_alone(contrast, float(mean[k]), _NO_SPREAD), contrast))
            continue
        won, lost = int((scores[:, k] > 0).sum()), int((scores[:, k] < 0).sum())
        worth = seeds_worth(n, contrast.overlap) / n
        row = _tested(contrast, settings, (float(mean[k]), float(error[k]), n - 1.0))
        row = _with_p_better(row, p_better_interval(worth * won, worth * lost))
        row = replace(
            row,
            sd_score=float(sd[k]),
            effect_size=hedges_g(mean[k], sd[k], n - 1),
            n_won=won,
            n_lost=lost,
            worth=pairing_worth(*contrast.scores),
        )
        if not contrast.overlap:  # these tests need seeds that are independent
            row = replace(
                row,
                p_sign_flip=float(p_flip[k]),
                p_sign_flip_floor=floor,
                p_sign_flip_error=float(flip_error[k]),
                p_wilcoxon=float(p_wilcoxon[k]),
            )
        if contrast.metric.kind == "event":
            rows.append(_event(row, contrast, sign_test(won, lost), n - 1.0))
        else:
            rows.append(_Row(row, contrast, float(error[k]), n - 1.0, scores[:, k]))
    return rows


def _event(row: Comparison, contrast: Contrast, p: float, df: float) -> _Row:
    """The row of an event that few trials have: the sign test of the pairs in which one arm alone
    had it (McNemar's exact test), with the interval that inverts it."""
    if not contrast.treated.any() and not contrast.control.any():
        return _Row(_untested(contrast, "it happened in no trial: no test"), contrast)
    t = math.copysign(float(stats.t.isf(p / 2, df)), row.mean_score)
    low, high = _event_ends(contrast, CONFIDENCE)
    row = replace(row, t=t, p_value=p, low=low, high=high, method="exact")
    return _Row(row, contrast, math.nan, df)


def _event_ends(contrast: Contrast, confidence: float) -> tuple[float, float]:
    """Ends of the difference of two shares: Clopper and Pearson's of the treatment's part of the
    pairs in which one arm alone had the event, times the share of such pairs."""
    n, difference = contrast.n, contrast.treated - contrast.control
    alone = int((difference != 0).sum())
    if not alone:  # of n pairs none: how many it may be
        most = exact_share_interval(0, n, confidence).high
        return -most, most
    part = exact_share_interval(int((difference > 0).sum()), alone, confidence)
    return (2 * part.low - 1) * alone / n, (2 * part.high - 1) * alone / n


def _nobody(contrast: Contrast) -> str:
    """What to say of a target that nobody reached within the common budget."""
    late = [
        f"{n} of {len(side)} of {arm}"
        for n, side, arm in zip(
            contrast.late, (contrast.treated, contrast.control), contrast.pair, strict=True
        )
        if n
    ]
    if not late:
        return "nobody reached the target: no test"
    return f"nobody reached the target within the common budget: no test; later {', '.join(late)}"


def _welch(contrast: Contrast, settings: _Settings) -> _Row:
    """Arms whose seeds do not pair, as independent samples: Welch (1947), Mann-Whitney.

    P(better) is the share of all pairs of trials; its interval is Wilson's for the smaller arm,
    whose variance is an upper bound (van Dantzig 1951).
    """
    treated, control = contrast.scores
    if contrast.metric.kind == "event":
        return _Row(_untested(contrast, "seeds do not pair: no test of an event"), contrast)
    if contrast.n < 2:
        return _Row(_untested(contrast, "fewer than two trials in an arm: no test"), contrast)
    if contrast.nobody_reached:
        return _Row(_untested(contrast, _nobody(contrast)), contrast)
    sizes = np.array([len(treated), len(control)])
    least = contrast.least_variance / 2
    variances = np.maximum([treated.var(ddof=1), control.var(ddof=1)], least)
    parts = variances * (1 / sizes + contrast.overlap)
    mean = float(np.sort(treated).mean() - np.sort(control).mean())
    error = settings.stopping.widening(contrast.n) * math.sqrt(parts.sum())
    if error <= _ROUNDING * max(np.abs(treated).max(), np.abs(control).max()):
        return _Row(_alone(contrast, mean, _NO_SPREAD), contrast)
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
    return _Row(row, contrast, error, float(df))


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
        n_late_treatment=contrast.late[0],
        n_late_control=contrast.late[1],
        n_at_once_treatment=contrast.at_once[0],
        n_at_once_control=contrast.at_once[1],
        n_failed_treatment=contrast.failed[0],
        n_failed_control=contrast.failed[1],
        budget=contrast.budget,
        question=contrast.metric.question,
        course=contrast.course,
        overlap=contrast.overlap,
        note=joined(contrast.note, note),
    )


def _alone(contrast: Contrast, mean: float, note: str) -> Comparison:
    """A row of one pair, or without any spread: an estimate and nothing else."""
    if contrast.nobody_reached:
        return _untested(contrast, _nobody(contrast))
    score = Interval(mean, math.nan, math.nan, CONFIDENCE, "none", 1, note)
    return _estimated(_untested(contrast), contrast, score)


def _tested(
    contrast: Contrast, settings: _Settings, sample: tuple[float, float, float], method: str = ""
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
    row = _estimated(_untested(contrast), contrast, score)
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


def _estimated(row: Comparison, contrast: Contrast, score: Interval) -> Comparison:
    """With estimate and bounds on the scale that is reported, from those of the scores."""
    bound = _bound(contrast, score.estimate)
    low, high = _ends(contrast, bound, score.low, score.high)
    estimate = score.estimate
    difference = float(contrast.treated.mean() - contrast.control.mean())
    if contrast.metric.is_time:
        estimate = _exp(estimate)
        difference = math.nan if any(contrast.opens) else difference
    elif not contrast.metric.higher_is_better:
        estimate = -estimate
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


def _ends(contrast: Contrast, bound: str, low: float, high: float) -> tuple[float, float]:
    """Both ends of an interval of scores on the scale that is reported; none is impossible."""
    if math.isnan(low):
        return low, high
    if contrast.metric.is_time:
        low, high = _exp(low), _exp(high)
        return 0.0 if bound == "at most" else low, math.inf if bound == "at least" else high
    if not contrast.metric.higher_is_better:
        return -high, -low
    if contrast.metric.unit == "fraction":
        return max(low, -1.0), min(high, 1.0)
    return low, high


def _exp(value: float) -> float:
    """e to the value, infinite where that is too large for a float, NaN of NaN."""
    return math.inf if value >= 700 else math.exp(value)


def _bound(contrast: Contrast, mean_score: float) -> str:
    """How to read the ratio of times where some of them are known from one side only.

    A ratio below 1 that is `at least` so much would say nothing; it is then one of times within
    the budget, of which the test speaks.
    """
    larger, smaller = contrast.opens
    if larger and not smaller and mean_score >= 0:
        return "at least"
    if smaller and not larger and mean_score <= 0:
        return "at most"
    return "within budget" if larger or smaller else ""


def _judged(
    rows: Sequence[_Row], worst: Sequence[_Row], stopping: Stopping, errors: Errors
) -> Compared:
    """With what each test is worth among those of its question, verdicts and their words.

    worst: the same rows with failed trials at chance.
    """
    over = rows_over_tasks([row.contrast for row in rows], stopping)
    among = judge([*(row.test for row in rows), *(row.test for row in over)], errors)
    together = [row.judged(q) for row, q in zip(over, among[len(rows) :], strict=True)]
    among = among[: len(rows)]
    among_worst = among
    if any(row.contrast.at_chance for row in rows):
        bad_over = rows_over_tasks([row.contrast for row in worst], stopping)
        tests = [*(row.test for row in worst), *(row.test for row in bad_over)]
        among_worst = judge(tests, errors)[: len(rows)]
    p_equivalence = holm(np.array([row.comparison.p_equivalence for row in rows]))
    n_margins = int(np.isfinite(p_equivalence).sum())
    sizes = Counter(row.comparison.question for row in rows if row.comparison.p_value <= 1)
    judged = []
    for row, own, bad, bad_row, q in zip(
        rows, among, among_worst, worst, p_equivalence, strict=True
    ):
        mean, c = row.comparison.mean_score, own.c
        low, high = math.nan, math.nan
        if row.contrast.metric.kind == "event" and not math.isnan(c):
            low, high = _event_ends(row.contrast, 1 - 2 * float(stats.t.sf(c, row.df)))
        elif not math.isnan(c):
            half = c * row.error if row.error > 0 else 0.0
            low, high = _ends(row.contrast, row.comparison.bound, mean - half, mean + half)
        same_side = bad_row.comparison.mean_score * mean > 0
        comparison = replace(
            row.comparison,
            p_question=own.p,
            n_question=sizes[row.comparison.question],
            factor=c,
            low_question=low,
            high_question=high,
            p_equivalence_holm=float(q),
            p_at_chance=bad.p if same_side or math.isnan(bad.p) else 1.0,
        )
        if any(row.contrast.failed) and not row.contrast.at_chance:
            comparison = replace(comparison, p_at_chance=math.nan)
        judged.append(_judge(comparison, row, n_margins))
    return Compared(judged, together)


def _judge(row: Comparison, tested: _Row, n_margins: int) -> Comparison:
    """The row with its verdict, the words for it, and the seeds that are missing."""
    row = replace(row, **asdict(verdicts.conclude(row)))
    n_more = (0.0, 0.0, 0.0)
    if row.verdict == "inconclusive":
        # Further seeds of an overlapping split draw from the same pool.
        n_more = (math.nan, math.nan, math.nan)
        if not tested.contrast.overlap:
            grain = tested.contrast.grain
            n_more = verdicts.seeds_missing_range(row, tested.df, n_margins, grain)
    elif row.verdict == "equivalent":
        row = _inside(row, tested)
    row = replace(row, n_more=n_more[0], n_more_low=n_more[1], n_more_high=n_more[2])
    return replace(row, verdict_words=verdict_words(row))


def _inside(row: Comparison, tested: _Row) -> Comparison:
    """With the interval that goes with two one-sided tests at 5 %: it lies inside the margin."""
    reached = -float(special.stdtrit(tested.df, row.p_equivalence))  # (margin - |mean|) / error
    error = (row.margin - abs(row.mean_score)) / reached
    half = student_quantile(tested.df, 2 * CONFIDENCE - 1) * error
    low, high = row.estimate - half, row.estimate + half
    ends = " to ".join(write(row.kind, end) for end in (low, high))
    points = " points" if row.kind == "points" else ""
    note = joined(row.note, f"equivalence goes with the 90 % interval, {ends}{points}")
    return replace(row, low_equivalence=low, high_equivalence=high, note=note)


def _snap(treated: Floats, control: Floats) -> Floats:
    """Paired differences; those within rounding of each other become equal, as ranks need."""
    difference = treated - control
    grain = _ROUNDING * max(np.abs(treated).max(), np.abs(control).max())
    return np.round(difference / grain) * grain if grain > 0 else difference
