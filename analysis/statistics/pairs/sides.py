"""The values of one metric in the trials of two arms, and what is to know of each.

In: a column, one value a trial, and the rows of both arms. Out: `Sides`. It stands alone because
what counts as the time of a trial that never got there, or was there at once, is decided here and
nowhere else; it knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis import words
from analysis.statistics.pairs.metrics import Metric
from analysis.statistics.samples.arrays import Bools, Floats, Rows


@dataclass(frozen=True)
class Column:
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
class Sides:
    """Values of the rows of both arms, and what is to know of each."""

    values: list[Floats]
    steps: list[Floats]
    unreached: list[Bools]
    late: list[Bools]
    at_once: list[Bools]
    budget: float = math.nan
    note: str = ""


def sides_of(column: Column, rows: Sequence[Rows], paired: bool) -> Sides:
    """The values of both arms, whose trials are the `rows` (treated, control) of the column."""
    return _timed(column, rows, paired) if column.metric.is_time else _scored(column, rows)


def _scored(column: Column, rows: Sequence[Rows]) -> Sides:
    none = [np.zeros(len(r), dtype=bool) for r in rows]
    steps = [np.broadcast_to(column.step, len(column.values))[r] for r in rows]
    return Sides([column.values[r] for r in rows], steps, none, none, none)


def _timed(column: Column, rows: Sequence[Rows], paired: bool) -> Sides:
    """Times up to the common budget, the shorter of the two arms' longest.

    A trial that has not reached the target by then stands there, and is counted. One that was
    there before its first step stands at the first evaluation after it (`_first_of_pair`): it was
    there by then, and no ratio to a time of 0 is a number.
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
    later = _first_of_pair(first, rows, paired)
    values = [np.where(o, f, v) for o, f, v in zip(at_once, later, values, strict=True)]
    steps = [np.broadcast_to(column.step, len(column.values))[r] for r in rows]
    steps = [np.where(step > 0, step, v) for step, v in zip(steps, values, strict=True)]
    n_at_once = int(sum(o.sum() for o in at_once))
    note = f"{words.plural(n_at_once, 'trial')} there before the first step" if n_at_once else ""
    return Sides(values, steps, unreached, late, at_once, budget, note)


def _first_of_pair(first: Floats, rows: Sequence[Rows], paired: bool) -> list[Floats]:
    """The earlier first evaluation after step 0 of each pair, of all trials where none pair.

    Where both trials are evaluated at the same steps it is each one's own. Where the other is
    evaluated more often, or trains for less, its own would let a trial that was there at once look
    slower than one that came later: an earlier trial never does. 1 where nothing came after step 0.
    """
    own = [np.where(first[r] > 0, first[r], np.nan) for r in rows]
    least = np.fmin(*own) if paired else np.fmin.reduce(np.hstack(own), initial=np.nan)
    return [np.broadcast_to(np.where(np.isnan(least), 1.0, least), len(r)) for r in rows]


def opens(flags: Sequence[Sequence[Bools]], paired: bool) -> tuple[bool, bool]:
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


def differing(conditions: Mapping[str, Rows], rows: Rows) -> list[str]:
    """The conditions in which these trials are not all alike."""
    return [name for name, number in conditions.items() if len(np.unique(number[rows])) > 1]
