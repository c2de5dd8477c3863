"""Two arms against each other: differences, intervals, tests and verdicts, one row a metric.

In: the tables of trials and curves, pairs of arms, targets, the sweep's margin, a generator.
Out: a tidy table. Verdicts rest on the Holm-adjusted paired t-test (docs/statistics.md says
why); the other tests stand beside it so that a reader can see whether they agree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.pairs import verdicts
from analysis.statistics.pairs.contrasts import DEFAULT_METRICS, Contrast, Pair, build_contrasts
from analysis.statistics.pairs.sequential import WIDENING
from analysis.statistics.samples.intervals import Interval, mean_intervals, proportion_interval
from analysis.statistics.samples.redrawn import NOTE, corrected, seeds_worth, widening
from analysis.statistics.samples.resampling import (
    FloatArray,
    sign_flip_test,
    signed_rank_test,
    student_quantile,
)
from analysis.statistics.samples.significance import hedges_g, holm, p_better_columns, t_tests
from headstart.errors import InputError

STOPPED = "wider by a tenth: the number of seeds was chosen by looking"
_ROUNDING = 1e-13  # of the largest value: differences nearer than this are ties

Row = dict[str, Any]


@dataclass(frozen=True)
class _Settings:
    """What the tests and intervals of all rows share."""

    margin: float | None
    confidence: float
    widening: float

    def margin_of(self, contrast: Contrast) -> float | None:
        """The equivalence margin where the metric has one."""
        return self.margin if contrast.metric.has_margin else None

    def widened(self, interval: Interval) -> Interval:
        """The interval as a sweep with a stopping rule reports it."""
        if self.widening == 1.0:
            return interval
        low, middle, high = interval.low, interval.estimate, interval.high
        return replace(
            interval,
            low=middle - self.widening * (middle - low),
            high=middle + self.widening * (high - middle),
            note="; ".join(text for text in (interval.note, STOPPED) if text),
        )


def compare(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    treatment: str,
    control: str,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    targets: Sequence[float] = (),
    margin: float | None = None,
    rng: np.random.Generator,
    confidence: float = 0.95,
    sequential: bool = False,
) -> pd.DataFrame:
    """`compare_all` of one pair of arms: Holm then runs over the rows of this table alone."""
    pairs = [(treatment, control)]
    return compare_all(trials, curves, pairs, targets, margin, rng, metrics, confidence, sequential)


def compare_all(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    targets: Sequence[float],
    margin: float | None,
    rng: np.random.Generator,
    metrics: Sequence[str] = DEFAULT_METRICS,
    confidence: float = 0.95,
    sequential: bool = False,
) -> pd.DataFrame:
    """Every pair (treatment, control) on every metric; one row each, Holm over all rows.

    Args:
        trials, curves: as `load_runs` gives them; only stage `arm` counts. With a column `task`
            each task is compared by itself, and all are one family for Holm.
        targets: validation accuracies (fractions) for the times to target.
        margin: equivalence margin for accuracies, a fraction; None claims no equivalence.
        metrics: names of `contrasts.METRICS`.
        sequential: the sweep chose its number of seeds by `seeds: {until: …}`; intervals are
            wider and t-statistics smaller by `sequential.WIDENING`, which the note says.

    Returns, a row a task, pair, metric and target:
        task, treatment, control, metric, target (NaN if none), unit
        n_pairs, n_treatment, n_control, paired
        scale: `difference` (treatment - control) or `speedup` (control/treatment, for times: the
            geometric mean of the ratios, above 1 where the treatment is sooner)
        estimate, low, high, confidence, method: on that scale; `mean_intervals` auto, or Welch
        difference: mean of treatment - control in `unit`, NaN where a time is censored
        bound: `at least` where only the control has trials that never reach the target (high is
            then ∞), `at most` where only the treatment has (low is 0), `within budget` where both
            have: the ratio is of times up to the common budget
        n_unreached_treatment, n_unreached_control, budget
        effect_size: Hedges' g, of the paired differences (their own SD) or of independent arms
        t, p_value, p_holm: paired (Welch's) t-test, two-sided
        p_sign_flip, p_sign_flip_floor, p_sign_flip_error: NaN where unpaired
        p_wilcoxon: signed ranks; Mann-Whitney where unpaired
        p_better, p_better_low, p_better_high: P(treatment better), ties half, Wilson;
            p_better_words: against 0.5 and γ = 0.75 (Bouthillier et al. 2021)
        p_equivalence, p_equivalence_holm, margin: two one-sided t-tests; NaN without margin
        mean_score, sd_score: mean and SD of what is tested: differences, of times of logarithms,
            positive where the treatment is better
        verdict, verdict_words, n_more, note

    One pair has an estimate and no interval or test; no pair has neither. Trials without a value
    are left out and noted; a time is never left out, an unreached one stands at the common
    budget, which keeps the test's error rate (docs/statistics.md).

    Raises InputError as `build_contrasts`, and for a margin that is not above zero.
    """
    if margin is not None and not margin > 0:
        raise InputError(f"compare: the equivalence margin {margin} must be above 0")
    settings = _Settings(margin, confidence, WIDENING if sequential else 1.0)
    contrasts = build_contrasts(trials, curves, pairs, targets, metrics)
    rows: list[Row] = [{} for _ in contrasts]
    root = int(rng.integers(2**63))
    for n, members in _by_size(contrasts).items():
        stream = np.random.default_rng([root, n])  # one size's draws are not another's business
        found = _paired_rows([contrasts[i] for i in members], n, settings, stream)
        for i, row in zip(members, found, strict=True):
            rows[i] = row
    for i, contrast in enumerate(contrasts):
        if not contrast.paired:
            rows[i] = _welch_row(contrast, settings)
    return _finish(contrasts, rows)


def _by_size(contrasts: Sequence[Contrast]) -> dict[int, list[int]]:
    """Positions of the paired contrasts, by number of pairs."""
    sizes: dict[int, list[int]] = defaultdict(list)
    for i, contrast in enumerate(contrasts):
        if contrast.paired:
            sizes[contrast.n].append(i)
    return dict(sorted(sizes.items()))


def _paired_rows(
    contrasts: Sequence[Contrast], n: int, settings: _Settings, rng: np.random.Generator
) -> list[Row]:
    """All statistics of contrasts with `n` pairs each, as columns of one array (n, k)."""
    confidence = settings.confidence
    if n == 0:
        return [_empty_row(c, confidence, "no pairs") for c in contrasts]
    scores = np.stack([_snap(*c.scores) for c in contrasts], axis=1)
    found = _intervals(contrasts, scores, settings, rng)
    if n == 1:
        rows = [_empty_row(c, confidence, "one pair: no test") for c in contrasts]
        return [r | _scaled(c, i) for r, c, i in zip(rows, contrasts, found, strict=True)]
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
        apart = 1.0 if not contrast.overlap else math.nan  # these tests need seeds that are
        rows.append(
            t_tests(mean[k], error[k], n - 1, settings.margin_of(contrast))
            | _scaled(contrast, found[k])
            | p_better_columns(proportion_interval(wins / n * n_worth, n_worth, confidence))
            | {
                "sd_score": sd[k],
                "effect_size": hedges_g(mean[k], sd[k], n - 1),
                "p_sign_flip": apart * p_flip[k],
                "p_sign_flip_floor": apart * floor,
                "p_sign_flip_error": apart * flip_error[k],
                "p_wilcoxon": apart * p_wilcoxon[k],
            }
        )
    return rows


def _intervals(
    contrasts: Sequence[Contrast],
    scores: FloatArray,
    settings: _Settings,
    rng: np.random.Generator,
) -> list[Interval]:
    """Of the mean of each column; wider where seeds redraw one pool of images."""
    found = mean_intervals(scores, settings.confidence, "auto", rng)
    for k, contrast in enumerate(contrasts):
        if contrast.overlap:
            found[k] = corrected(scores[:, k], contrast.overlap, settings.confidence)
    return [settings.widened(interval) for interval in found]


def _welch_row(contrast: Contrast, settings: _Settings) -> Row:
    """Arms whose seeds do not pair, as independent samples: Welch (1947), Mann-Whitney.

    P(better) is the share of all pairs of trials; its interval is Wilson's for the smaller arm,
    whose variance is an upper bound (van Dantzig 1951).
    """
    treated, control = contrast.scores
    confidence = settings.confidence
    if contrast.n < 2:
        return _empty_row(contrast, confidence, "fewer than two trials in an arm: no test")
    sizes = np.array([len(treated), len(control)])
    least = contrast.least_variance / 2
    variances = np.maximum([treated.var(ddof=1), control.var(ddof=1)], least)
    parts = variances * (1 / sizes + contrast.overlap)
    mean = float(np.sort(treated).mean() - np.sort(control).mean())
    error = settings.widening * math.sqrt(parts.sum())
    df = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum() if error > 0 else sizes.sum() - 2.0
    half = student_quantile(df, confidence) * error
    notes = (STOPPED if settings.widening > 1 else "", NOTE if contrast.overlap else "")
    note = "; ".join(text for text in notes if text)
    interval = Interval(mean, mean - half, mean + half, confidence, "Welch", contrast.n, note)
    pooled = math.sqrt(((sizes - 1) * variances).sum() / (sizes.sum() - 2))
    u, p_rank = stats.mannwhitneyu(treated, control)
    return (
        t_tests(mean, error, df, settings.margin_of(contrast))
        | _scaled(contrast, interval)
        | p_better_columns(proportion_interval(u / sizes.max(), contrast.n, confidence))
        | {
            "sd_score": math.sqrt(
                parts.sum() * contrast.n
            ),  # what further trials of both arms shrink
            "effect_size": hedges_g(mean, pooled, sizes.sum() - 2),
            "p_wilcoxon": float(p_rank),
        }
    )


def _scaled(contrast: Contrast, found: Interval) -> Row:
    """Estimate and bounds on the scale that is reported, from those of the scores."""
    estimate, low, high = found.estimate, found.low, found.high
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
    return {
        "estimate": estimate,
        "low": low,
        "high": high,
        "confidence": found.confidence,
        "method": found.method,
        "difference": difference,
        "bound": bound,
        "note": "; ".join(text for text in (contrast.note, found.note) if text),
    }


def _bound(contrast: Contrast) -> str:
    """What trials that never reached the target make of the ratio of times."""
    match tuple(count > 0 for count in contrast.censored):
        case (False, True):
            return "at least"
        case (True, False):
            return "at most"
        case (True, True):
            return "within budget"
    return ""


def _empty_row(contrast: Contrast, confidence: float, note: str) -> Row:
    notes = "; ".join(text for text in (contrast.note, note) if text)
    return {"confidence": confidence, "method": "none", "bound": "", "note": notes}


def _finish(contrasts: Sequence[Contrast], rows: Sequence[Row]) -> pd.DataFrame:
    """Identity columns, Holm over all rows, verdicts and their words."""
    table = pd.DataFrame(
        [_identity(c) | row for c, row in zip(contrasts, rows, strict=True)]
    ).reindex(columns=list(COLUMNS))
    for p, adjusted in (("p_value", "p_holm"), ("p_equivalence", "p_equivalence_holm")):
        table[adjusted] = holm(table[p].to_numpy(dtype=float))
    n_tests = max(1, int(table["p_value"].notna().sum()))
    complete = [
        _judge(c, dict(zip(COLUMNS, values, strict=True)), n_tests)
        for c, values in zip(contrasts, table.itertuples(index=False), strict=True)
    ]
    return pd.DataFrame(complete, columns=list(COLUMNS))


def _judge(contrast: Contrast, row: Row, n_tests: int) -> Row:
    """The row with its verdict, the words for it, and the seeds that are missing."""
    mean, sd, margin = row["mean_score"], row["sd_score"], row["margin"]
    row["verdict"] = verdicts.verdict(mean, row["p_holm"], row["p_equivalence_holm"])
    row["n_more"] = 0.0
    if row["verdict"] == "inconclusive" and contrast.overlap:
        row["n_more"] = math.nan  # further seeds draw from the same pool
    elif row["verdict"] == "inconclusive":
        row["n_more"] = verdicts.seeds_missing(contrast, mean, sd, margin, n_tests)
    if row["verdict"] not in ("equivalent", "inconclusive") and _covers_no_difference(row):
        note = "the interval, which allows for skew, does not exclude no difference"
        row["note"] = "; ".join(text for text in (row["note"], note) if text)
    row["verdict_words"] = verdicts.verdict_words(contrast, row)
    return row


def _covers_no_difference(row: Row) -> bool:
    null = 1.0 if row["scale"] == "speedup" else 0.0
    return bool(row["low"] <= null <= row["high"])


def _identity(contrast: Contrast) -> Row:
    return {
        "task": contrast.task,
        "treatment": contrast.treatment,
        "control": contrast.control_arm,
        "metric": contrast.metric.name,
        "target": contrast.target,
        "unit": contrast.metric.unit,
        "n_pairs": contrast.n if contrast.paired else 0,
        "n_treatment": len(contrast.treated),
        "n_control": len(contrast.control),
        "paired": contrast.paired,
        "scale": "speedup" if contrast.metric.is_time else "difference",
        "n_unreached_treatment": contrast.censored[0],
        "n_unreached_control": contrast.censored[1],
        "budget": contrast.budget,
    }


COLUMNS = (
    *("task", "treatment", "control", "metric", "target", "unit"),
    *("n_pairs", "n_treatment", "n_control", "paired"),
    *("scale", "estimate", "low", "high", "confidence", "method", "difference", "bound"),
    *("n_unreached_treatment", "n_unreached_control", "budget"),
    *("effect_size", "t", "p_value", "p_holm"),
    *("p_sign_flip", "p_sign_flip_floor", "p_sign_flip_error", "p_wilcoxon"),
    *("p_better", "p_better_low", "p_better_high", "p_better_words"),
    *("p_equivalence", "p_equivalence_holm", "margin", "mean_score", "sd_score"),
    *("verdict", "verdict_words", "n_more", "note"),
)


def _snap(treated: FloatArray, control: FloatArray) -> FloatArray:
    """Paired differences; those within rounding of each other become equal, as ranks need."""
    difference = treated - control
    grain = _ROUNDING * max(np.abs(treated).max(), np.abs(control).max())
    return np.round(difference / grain) * grain if grain > 0 else difference
