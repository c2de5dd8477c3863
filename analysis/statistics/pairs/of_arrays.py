"""Comparisons of plain arrays: what a report says of runs, for numbers from anywhere.

In: paired values of two arms, or a table of arms by seeds. Out: the `Comparison`s that a report
would have of them. It stands alone because it needs no run folder, no table of trials and no
sweep: `from analysis.statistics import compare`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias, overload, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.pairs.compare import compare_contrasts
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.metrics import Metric
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.pairing import Pair
from analysis.words import plural
from headstart.errors import InputError, did_you_mean


@runtime_checkable
class Frame(Protocol):
    """A table whose rows have names, as those of pandas."""

    def iterrows(self) -> Iterable[tuple[Any, Any]]:
        """Name and values of each row."""
        ...


Table: TypeAlias = Mapping[str, ArrayLike] | Frame


@overload
def compare(
    treatment: ArrayLike,
    control: ArrayLike,
    *,
    margin: float | None = None,
    ratio: bool = False,
    higher_is_better: bool = True,
    grain: float = 0.0,
) -> Comparison: ...
@overload
def compare(
    treatment: Mapping[str, ArrayLike],
    control: str,
    *,
    margin: float | None = None,
    ratio: bool = False,
    higher_is_better: bool = True,
    grain: float = 0.0,
) -> list[Comparison]: ...
@overload
def compare(
    treatment: Frame,
    control: str,
    *,
    margin: float | None = None,
    ratio: bool = False,
    higher_is_better: bool = True,
    grain: float = 0.0,
) -> list[Comparison]: ...


def compare(
    treatment: ArrayLike | Table,
    control: ArrayLike | str,
    *,
    margin: float | None = None,
    ratio: bool = False,
    higher_is_better: bool = True,
    grain: float = 0.0,
) -> Comparison | list[Comparison]:
    """Two arms on one number, paired by seed; or every arm of a table against one of them.

    Args:
        treatment, control: (n,) values each, position i of both one seed. Or a table, a mapping
            from an arm's name to its (n_seeds,) values or a frame of pandas with a row an arm and a
            column a seed, and the name of the arm that the others are compared with. NaN: no
            value; a pair with one is left out, and the note says so.
        margin: differences below this count as none; None claims no equivalence.
        ratio: compare as ratios (times: control over treatment, above 1 where the treatment is
            sooner); values must be above 0.
        higher_is_better: of a difference, which sign is a gain; times are always better if lower.
        grain: the smallest step that a value can show (1/n of a share of n images), 0: unknown.

    Returns:
        The comparison; of a table one for each other arm, in its order, all of them one question:
        `p_value`, `low`, `high` are of one comparison alone, `p_question`, `low_question`,
        `high_question` hold for all of them at once. Nothing is drawn that the values do not
        decide: the same values give the same answer.

    Raises InputError for values that do not pair, an unknown arm, a grain below 0, a margin of
    ratios, and a value that is not above 0 where ratios are asked for. Methods and sources:
    docs/statistics.md.
    """
    if not 0 <= grain < math.inf:
        raise InputError(f"compare: grain {grain} is no step of a value; 0: unknown")
    if ratio and margin is not None:
        raise InputError("compare: a margin is of differences; ratios have none")
    metric = Metric(
        "value", "", "", higher_is_better and not ratio, is_time=ratio, has_margin=not ratio
    )
    if isinstance(treatment, Mapping | Frame):
        table = _table(treatment)
        if not isinstance(control, str) or control not in table:
            names = ", ".join(table)
            hint = did_you_mean(str(control), list(table)) if isinstance(control, str) else ""
            raise InputError(f"compare: control {control!r} is not one of {names}{hint}")
        sides = [(arm, values) for arm, values in table.items() if arm != control]
        contrasts = [
            _contrast(metric, Pair(arm, control), values, table[control], grain)
            for arm, values in sides
        ]
        return compare_contrasts(contrasts, margin)
    pair = Pair("treatment", "control")
    sides = [
        (arm, _values(given, arm)) for arm, given in zip(pair, (treatment, control), strict=True)
    ]
    contrast = _contrast(metric, pair, sides[0][1], sides[1][1], grain)
    return compare_contrasts([contrast], margin)[0]


def _table(given: Table) -> dict[str, Floats]:
    if isinstance(given, Frame):
        return {str(arm): _values(row, str(arm)) for arm, row in given.iterrows()}
    return {str(arm): _values(values, str(arm)) for arm, values in given.items()}


def _values(given: object, arm: str) -> Floats:
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"compare: the values of '{arm}' are not numbers") from error
    if values.ndim != 1:
        raise InputError(
            f"compare: '{arm}' has an array of shape {values.shape}, not one value a seed"
        )
    return values


def _contrast(
    metric: Metric, pair: Pair, treated: Floats, control: Floats, grain: float
) -> Contrast:
    if len(treated) != len(control):
        raise InputError(
            f"compare: {plural(len(treated), 'value')} of '{pair.treatment}' and {len(control)} of "
            f"'{pair.control}' do not pair; give one value a seed, NaN where there is none"
        )
    keep = ~(np.isnan(treated) | np.isnan(control))
    for arm, values in zip(pair, (treated, control), strict=True):
        if not np.isfinite(values[keep]).all():
            raise InputError(f"compare: '{arm}' has infinite values")
        if metric.is_time and not (values[keep] > 0).all():
            raise InputError(f"compare: ratios need values above 0, and '{arm}' has others")
    left_out = int((~keep).sum())
    steps = np.full(int(keep.sum()), grain)
    return Contrast(
        task="",
        pair=pair,
        metric=metric,
        target=float("nan"),
        treated=treated[keep],
        control=control[keep],
        paired=True,
        steps=(steps, steps),
        note=f"{plural(left_out, 'pair')} left out: no value" if left_out else "",
        seeds=np.flatnonzero(keep).astype(np.int64),
    )
