"""Is one of two arms steadier? The ratio of their spreads over seeds.

In: values of two arms, paired by seed. Out: `SpreadRatio`. It stands apart from `stability`, which
looks at each arm by itself, because a ratio of spreads needs a bootstrap of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, nan

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.statistics.samples.arrays import Floats, Rng
from analysis.statistics.samples.intervals import CONFIDENCE
from analysis.statistics.samples.pairing import Pair, pair_seeds
from analysis.statistics.samples.resampling import draw_counts, student_quantile
from headstart.errors import InputError

FEWEST_TO_RESAMPLE = 5
MOST_TO_RESAMPLE = 200  # above, Student's interval covers as well
WIDEST = 2.0  # a limit of the ratio of SDs is at most so many times as far as Student's


@dataclass(frozen=True)
class SpreadRatio:
    """SD of the treatment over SD of the control: below 1 the treatment is steadier.

    `brown_forsythe` is the statistic of that test for equal spread and `p_value` its two-sided p.
    Seeds always pair here.
    """

    n_treatment: int
    n_control: int
    note: str
    ratio: float = nan
    low: float = nan
    high: float = nan
    brown_forsythe: float = nan
    p_value: float = nan
    paired: bool = True


def compare_spread(treatment: ArrayLike, control: ArrayLike, rng: Rng | None = None) -> SpreadRatio:
    """Ratio of the SDs over seeds of two arms: bootstrap interval, Brown & Forsythe's test.

    Interval: symmetric bootstrap-t (Hall 1988) of the log ratio, with the delta-method standard
    error in each resample, an end at most twice as far as Student's; paired seeds are drawn
    together. In simulation 95 % intervals covered 91-99 % for 5 to 30 seeds of normal, skewed,
    lognormal and t5 data. Below 5 seeds there is none (NaN). The test (scipy.stats.levene around
    medians) takes the arms as independent and is cautious if not; of 2 seeds there is none (NaN).

    Args:
        treatment, control: (n,) values; position i of both is one seed. A pair with a NaN is left
            out.

    Raises:
        InputError: samples of unequal length; no rng where it draws.
    """
    x, y = np.asarray(treatment, dtype=float).ravel(), np.asarray(control, dtype=float).ravel()
    if len(x) != len(y):
        raise InputError(f"compare_spread: {len(x)} and {len(y)} values do not pair")
    keep = ~np.isnan(x + y)
    x, y = x[keep], y[keep]
    n = len(x)
    if n < 2:
        return SpreadRatio(n, n, "fewer than 2 values in an arm")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return SpreadRatio(n, n, "an arm has no spread at all")
    statistic, p_value = _brown_forsythe(np.sort(x), np.sort(y))
    half, note = nan, f"fewer than {FEWEST_TO_RESAMPLE} values in an arm: no interval"
    if n >= FEWEST_TO_RESAMPLE:
        half, note = _half_width(_standard(x), _standard(y), rng), ""
    ratio = float(np.sort(x).std(ddof=1) / np.sort(y).std(ddof=1))
    ends = ratio * exp(-half), ratio * exp(half)
    if np.isnan(p_value):
        note = "; ".join(filter(None, [note, "all values are as far from the median: no test"]))
    return SpreadRatio(n, n, note, ratio, *ends, statistic, p_value)


def _brown_forsythe(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Statistic and p-value; NaN where distances from the medians do not vary in either arm.

    So it is of two values always. The formula then divides by zero, and p would be 0.
    """
    distances = [np.abs(values - np.median(values)) for values in (x, y)]
    if all(np.ptp(distance) <= 1e-9 * distance.max() for distance in distances):
        return nan, nan
    test = stats.levene(x, y, center="median")
    return float(test.statistic), float(test.pvalue)


COLUMNS = (
    "treatment", "control", "metric", "ratio", "low", "high", "brown_forsythe", "p_value",
    "n_treatment", "n_control", "paired", "note",
)  # fmt: skip


def compare_spreads(
    trials: pd.DataFrame,
    pairs: Sequence[Pair],
    metric: str = "test_accuracy",
    rng: Rng | None = None,
) -> pd.DataFrame:
    """`compare_spread` of `metric` for each pair, paired by seed: the columns `COLUMNS`.

    Seeds that only one arm has, or that lack the value in one, are left out.
    """
    rows = []
    for treatment, control in pairs:
        treated, others = (trials[trials["arm"] == arm] for arm in (treatment, control))
        both = pair_seeds(treated, others)
        x = treated[metric].to_numpy(dtype=float)[both.treatment]
        y = others[metric].to_numpy(dtype=float)[both.control]
        ratio = compare_spread(x, y, rng=rng)
        rows.append({"treatment": treatment, "control": control, "metric": metric} | asdict(ratio))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _standard(values: Floats) -> Floats:
    """Centred, scaled, and turned so that its longer tail is above: signs cannot matter then."""
    z: Floats = (values - values.mean()) / values.std()
    return -z if (z**3).sum() < -1e-9 else z


def _half_width(x: Floats, y: Floats, rng: Rng | None) -> float:
    """Half the width of the interval of the log ratio of SDs, for standardized samples.

    The order of seeds and of the two arms is taken out before anything is drawn.
    """
    n = len(x)
    student = student_quantile(n - 1, CONFIDENCE)
    _, error = _log_ratio(x, y, np.ones((1, n)))
    if n > MOST_TO_RESAMPLE:
        return float(student * error[0])
    if rng is None:
        raise InputError("compare_spread draws resamples: pass rng=numpy.random.default_rng(SEED)")
    order = np.lexsort((np.abs(x - y), x + y))
    ratio, errors = _log_ratio(x[order], y[order], draw_counts(n, rng))
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(ratio) / errors
    t = np.where(np.isnan(t), np.inf, t)  # a resample without spread is as far as can be
    rank = int(np.ceil((len(t) + 1) * CONFIDENCE)) - 1
    return float(min(np.partition(t, rank)[rank], WIDEST * student) * error[0])


def _log_ratio(x: Floats, y: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Log of SD(x) / SD(y) in each resample, and its delta-method standard error."""
    with np.errstate(invalid="ignore", divide="ignore"):
        influence_x, log_x = _log_sd(x, counts)
        influence_y, log_y = _log_sd(y, counts)
        squares = ((influence_x - influence_y) ** 2 * counts).sum(axis=1) / len(x) ** 2
        return log_x - log_y, np.sqrt(squares)


def _log_sd(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Influence of each value on the log SD (n_resamples, n), and the log SD (n_resamples,)."""
    n = len(values)
    mean = counts @ values / n
    variance = np.maximum(counts @ values**2 / n - mean**2, 0.0)
    variance = np.where(variance < 1e-12, 0.0, variance)
    influence = ((values - mean[:, None]) ** 2 / variance[:, None] - 1) / 2
    return influence, np.log(variance) / 2
